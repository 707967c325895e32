"""Train three recipes on 400 photographs, the same minutes each, and compare them on 8 people.

    python benchmarks/studies/photographs.py --minutes 30 --seeds 2   all three: 3 hours of one core
    python benchmarks/studies/photographs.py --quick                  seconds each: does it work?

The photographs are the Olivetti faces (AT&T Laboratories Cambridge): the ten of every fifth person
are held out, and tell only where a training was best. Recipes: vae/photographs.json; the network of
the course's sheet at beta 1 (vae/faces.json); and that of github.com/1Konny/Beta-VAE for CelebA,
written out here. Minutes are processor time of training alone.

Measured: the squared error of held-out pixels, decoded from the mean; and Fréchet distances to all
photographs of 1,000 draws, and of the reconstructions, in the features of an encoder that learned
to rebuild photographs and all recipes' draws. Writes results/photographs/ and, with --record, the
rows to benchmarks/records/photographs.csv.
"""

import platform
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_raw_data
from utils import files
from utils.config import override, read_config
from utils.digits.quality import frechet_distance, measure_moments
from utils.errors import UserError, command
from utils.files import show, write_whole
from utils.images.data import Batches, Images
from utils.images.figures import draw_pictures
from utils.images.files import load_images
from utils.training.progress import warmup_cosine
from utils.words import make_csv
from vae.latents import generate, measure_reconstruction, reconstruct
from vae.networks import VAE
from vae.training import VAEConfig, VAETask, build_model

EACH, FOLD = 10, 5  # photographs of a person; every fifth person is held out
DRAWS, FEATURES = 1000, 64
CHECKS = 20  # of a training, to find where it is best
# solver.py of github.com/1Konny/Beta-VAE: objective H, decoder_dist gaussian, which sums the
# squared errors of the sigmoid without the half: beta 10 there weighs as beta 5 here.
KONNY = {
    ("loss", "likelihood"): "gaussian",
    ("loss", "beta"): 5.0,
    ("training", "optimizer"): "adam",
    ("training", "learning_rate"): 1e-4,
    ("training", "final_rate"): 1.0,
    ("training", "batch_size"): 64,
}
# A recipe's name: its file of settings, and what is changed in it.
RECIPES = {
    "photographs.json": ("photographs.json", {}),
    "plain, beta 1": ("faces.json", {("loss", "beta"): 1.0}),
    "1Konny, z 32": ("faces.json", KONNY | {("model", "z_dim"): 32}),
    "1Konny, z 10": ("faces.json", KONNY | {("model", "z_dim"): 10}),
}


class Trained(NamedTuple):
    """A recipe's model where its validation was best, and how it got there."""

    model: VAE
    images: int
    seconds: float
    best: float  # share of the training


def load_people() -> tuple[Images, Images]:
    """Loads the photographs to train on and, of other people, those held out."""
    path = find_raw_data("olivetti_faces.npz")
    if path is None:
        raise UserError("no data/raw/olivetti_faces.npz: docs/faces.md says what it is")
    images = load_images(path)
    held_out = np.arange(len(images)) // EACH % FOLD == FOLD - 1
    return images.take(~held_out), images.take(held_out)


def train(config: VAEConfig, training: Images, held_out: Images, seconds: float) -> Trained:
    """Trains for so many seconds of processor time; its rate falls as in a run of that length."""
    torch.manual_seed(config.training.seed)
    model = build_model(training.shape, config)
    task = VAETask(model, training, held_out, config)
    model.train()
    used, number, epoch, checks = 0.0, 0, 0, []
    best: dict[str, torch.Tensor] = {}
    while used < seconds:
        epoch += 1
        for batch in task.loader.epoch(epoch):
            began = time.process_time()
            number += 1
            done = 1 + int(999 * used / seconds)
            share = warmup_cosine(done, warmup=0, total=1000, final=config.training.final_rate)
            for optimizer in task.optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = share * config.training.learning_rate
            task.step(batch, number)
            used += time.process_time() - began
            if used >= seconds * (len(checks) + 1) / CHECKS or used >= seconds:
                checks.append(task.validate()["val_nats"])
                if checks[-1] == min(checks):
                    best = {name: value.clone() for name, value in model.state_dict().items()}
            if used >= seconds:
                break
    model.load_state_dict(best)
    place = (checks.index(min(checks)) + 1) / len(checks)
    return Trained(model.eval(), number * config.training.batch_size, used, place)


class Judge(nn.Module):
    """A small encoder (B, 3, 64, 64) -> features (B, F), and what rebuilds pictures from them."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, 32, 48, 64, 64)
        down, up = [], []
        for a, b in pairwise(sizes):
            down += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.GELU()]
            up = [nn.GELU(), nn.ConvTranspose2d(b, a, 4, stride=2, padding=1), *up]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(1024, FEATURES))
        self.decoder = nn.Sequential(
            nn.Linear(FEATURES, 1024), nn.Unflatten(1, (64, 4, 4)), *up, nn.Sigmoid()
        )

    def learn(self, pictures: Images, steps: int) -> None:
        """Learns to rebuild pictures, real and drawn, from their features."""
        optimizer = torch.optim.Adam(self.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
        loader = Batches(pictures, 64, seed=0, size=64 * steps)
        for x, _ in loader.epoch(1):
            optimizer.zero_grad()
            functional.mse_loss(self.decoder(self.encoder(x)), x).backward()
            optimizer.step()
            schedule.step()
        self.eval()

    @torch.no_grad()
    def read(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reads the mean and the covariance of the features of pictures (N, 3, 64, 64)."""
        return measure_moments(torch.cat([self.encoder(x) for x in pictures.split(250)]))


def to_images(pictures: torch.Tensor) -> Images:
    return Images((255 * pictures).round().byte().numpy(), "drawn")


def compare(seed: int, seconds: float, steps: int, draws: int) -> list[dict[str, str | float]]:
    """Trains and measures all recipes with one seed; returns a row for each."""
    training, held_out = load_people()
    trained, drawn = {}, {}
    for name, (file, changes) in RECIPES.items():
        settings = {("training", "seed"): seed, ("training", "device"): "cpu"}
        config = read_config(files.ROOT / "vae" / file, VAEConfig)
        config = override(config, {**changes, **settings})
        trained[name] = train(config, training, held_out, seconds)
        drawn[name] = generate(trained[name].model, draws, seed)
    real = torch.cat([training.floats(), held_out.floats()])
    torch.manual_seed(seed)
    judge = Judge()
    pixels = np.concatenate(
        [
            np.repeat(to_images(real).pixels, max(1, len(drawn) * draws // len(real)), axis=0),
            *(to_images(pictures).pixels for pictures in drawn.values()),
        ]
    )  # as many real ones as drawn ones
    judge.learn(Images(pixels, "real and drawn"), steps)
    reference, unseen = judge.read(real), judge.read(held_out.floats())
    rows, shown = [], [held_out.take(slice(0, 80, 10)).floats()]
    for name, one in trained.items():
        again = reconstruct(one.model, held_out)
        shown += [again[::10], drawn[name][:8]]
        rows.append({
            "recipe": name,
            "seed": seed,
            "processor_minutes": round(one.seconds / 60, 2),
            "images": one.images,
            "best_at": round(one.best, 2),
            "squared_error": measure_reconstruction(one.model, held_out, "gaussian")[1],
            "frechet_draws": frechet_distance(judge.read(drawn[name]), reference),
            "frechet_reconstructed": frechet_distance(judge.read(again), unseen),
            "command": " ".join(["python benchmarks/studies/photographs.py", *sys.argv[1:]]),
            "machine": f"{platform.machine()}, 1 thread, torch {torch.__version__}",
        })  # fmt: skip
    labels = ["held out", *(f"{name}{part}" for name in trained for part in ("", ": drawn"))]
    file = files.output("results") / "photographs" / f"seed_{seed}.png"
    print("wrote", show(draw_pictures(torch.stack(shown), file, rows=labels)))
    return rows


def print_rows(rows: list[dict[str, str | float]]) -> None:
    print("| recipe | seed | minutes | images | best at | squared error | draws | reconstructed |")
    print("|---" * 8 + "|")
    for row in rows:
        cells = [f"{value:.4g}" if isinstance(value, float) else value for value in row.values()]
        print(f"| {' | '.join(map(str, cells[:8]))} |")


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--minutes", 30, "minutes of processor time of each training")
    add_number(parser, "--seeds", 2, "seeds of each recipe")
    parser.add_argument("--record", action="store_true", help="write the rows of the record")
    args = parser.parse_args(argv)
    parser.typed(argv)
    torch.set_num_threads(1)
    how = (60.0 * args.minutes, 600, DRAWS)
    if args.quick:
        how = (1.0, 2, 128)
    rows = []
    for seed in range(1 if args.quick else args.seeds):
        rows += compare(seed, *how)
    print_rows(rows)
    if args.record:
        file = files.ROOT / "benchmarks" / "records" / "photographs.csv"
        print("wrote", show(write_whole(file, make_csv(rows).encode())))


if __name__ == "__main__":
    raise SystemExit(main())
