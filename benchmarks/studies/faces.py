"""Measure what beta does to a face's latents, on rendered faces that no model has seen.

    python benchmarks/studies/faces.py            the shipped models, 5,000 faces: a few minutes
    python benchmarks/studies/faces.py --quick    the same on a few faces: does it work?

Printed for each model: MIG, DCI, named latents, reconstruction error and active units; then how far
a turned face is from the angle asked for, as a convolutional network reads it that was trained on
rendered faces; then the share of a training step that goes into loading its pictures. Writes
results/faces/faces.png, a sheet of rendered faces.
"""

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn
from torch.nn import functional

from benchmarks.options import make_parser
from solver import Solver
from utils import files
from utils.errors import command
from utils.files import show
from utils.images.data import Batches, Images
from utils.images.figures import draw_pictures
from vae.analysis.latents import analyse
from vae.analysis.rotation import learn_rotation
from vae.data import TRAINING_SEED, VALIDATION_SEED
from vae.faces.factors import column
from vae.faces.head import render_faces
from vae.latents import decode, encode, measure_reconstruction
from vae.training import VAETask

MODELS = ("vae_beta_0", "vae_beta_4", "vae_beta_20")
READER_SEED = 3  # of the faces that the reader learns from: neither model's nor validation's
ANGLES = torch.arange(-40.0, 41.0, 10.0)


class Reader(nn.Module):
    """A face (B, 3, 64, 64) -> yaw in units of 45 degrees, skin tone, logits of hat and glasses."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, kernel_size=4, stride=2, padding=1),  # (B, 24, 32, 32)
            nn.ReLU(),
            nn.Conv2d(24, 48, kernel_size=4, stride=2, padding=1),  # (B, 48, 16, 16)
            nn.ReLU(),
            nn.Conv2d(48, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 8, 8)
            nn.ReLU(),
            nn.Flatten(),  # (B, 4096)
            nn.Linear(4096, 128),  # (B, 128)
            nn.ReLU(),
            nn.Linear(128, 4),  # (B, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)

    def read(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Reads pictures (N, 3, 64, 64): degrees, 0..1, yes or no, yes or no, (N,) each."""
        with torch.no_grad():
            yaw, skin, hat, glasses = torch.cat([self(x) for x in pictures.split(250)]).T
        return {"yaw": 45 * yaw, "skin_tone": skin, "hat": hat > 0, "glasses": glasses > 0}


def train_reader(faces: Images, epochs: int) -> Reader:
    """Trains a reader on rendered faces, half of them blurred as a decoder's pictures are."""
    torch.manual_seed(0)
    reader = Reader()
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-3)
    loader = Batches(faces, batch_size=64, seed=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs * loader.steps)
    factors = torch.from_numpy(faces.labels)
    yaw, skin = column(factors, "yaw"), column(factors, "skin_tone")
    worn = torch.stack([column(factors, "hat"), column(factors, "glasses")], dim=1)
    for epoch in range(1, epochs + 1):
        for x, rows in loader.epoch(epoch):
            half = len(x) // 2
            x[:half] = functional.avg_pool2d(x[:half], 3, stride=1, padding=1)
            seen = reader(x)
            loss = functional.mse_loss(seen[:, 0], yaw[rows] / 45)
            loss = loss + functional.mse_loss(seen[:, 1], skin[rows])
            yes_no = functional.binary_cross_entropy_with_logits(seen[:, 2:], worn[rows])
            loss = loss + 0.1 * yes_no
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()


def check_reader(reader: Reader, faces: Images) -> str:
    """Says what the reader itself gets wrong on faces it has not seen."""
    seen, factors = reader.read(faces.floats()), torch.from_numpy(faces.labels)
    known = {name: column(factors, name) for name in seen}
    yaw, skin = ((seen[name] - known[name]).abs().mean() for name in ("yaw", "skin_tone"))
    hat, glasses = ((seen[name] == known[name]).float().mean() for name in ("hat", "glasses"))
    return (
        f"the reader's own mean error: yaw {yaw:.2f} degrees, skin tone {skin:.3f}; "
        f"right about hats {100 * hat:.1f} %, glasses {100 * glasses:.1f} %"
    )


def measure_rotation(
    solver: Solver, reader: Reader, known: Images, faces: Images
) -> dict[str, Any]:
    """Turns faces to ANGLES by the direction learned from `known` ones, and reads the results.

    Returns "degrees", the mean errors at negative, all and positive angles, and "kept", the shares
    of the turned faces whose hat, glasses and skin tone (to 0.1) read as on the reconstruction of
    the face that was not turned.
    """
    z = encode(solver.model, faces).mu
    turned = learn_rotation(solver.model, known).turn(z, ANGLES)  # (N, A, Z)
    seen = reader.read(decode(solver.model, turned.flatten(0, 1)))
    plain = reader.read(decode(solver.model, z))
    seen = {name: values.view(len(z), -1) for name, values in seen.items()}  # (N, A) each
    error = (seen["yaw"] - ANGLES).abs()
    parts = (error[:, ANGLES < 0], error, error[:, ANGLES > 0])
    kept = {name: seen[name] == plain[name][:, None] for name in ("hat", "glasses")}
    kept["skin_tone"] = (seen["skin_tone"] - plain["skin_tone"][:, None]).abs() <= 0.1
    return {
        "degrees": [part.mean().item() for part in parts],
        "kept": {name: same.float().mean().item() for name, same in kept.items()},
    }


def measure_loading(solver: Solver, faces: Images, steps: int) -> float:
    """Measures which share of training steps, from the third on, goes into loading pictures."""
    task = VAETask(solver.model, faces, faces, solver.config)
    loading = learning = 0.0
    batches = task.loader.epoch(1)
    for number in range(1, steps + 1):
        began = time.perf_counter()
        batch = next(batches)
        loaded = time.perf_counter()
        task.step(batch, number)
        if number > 2:  # the first ones warm up
            loading += loaded - began
            learning += time.perf_counter() - loaded
    return loading / (loading + learning)


def print_disentanglement(solvers: list[Solver], faces: Images) -> None:
    """Prints the scores of each model, and which factors its latents are named after."""
    print("| model | MIG | DCI: D | C | I | latents named | active | squared error | KL |")
    print("|---" * 9 + "|")
    carried = ["", "named after"]
    for solver in solvers:
        name, analysis = solver.config.model.name, analyse(solver.model, faces)
        scores, named = analysis.scores, [factor for factor in analysis.names if factor]
        _, squared = measure_reconstruction(solver.model, faces, "gaussian")
        print(
            f"| {name} | {scores['mig']:.3f} | {scores['dci_disentanglement']:.3f} "
            f"| {scores['dci_completeness']:.3f} | {scores['dci_informativeness']:.3f} "
            f"| {len(named)} | {scores['active_units']} of {solver.model.z_dim} "
            f"| {1000 * squared:.2f}e-3 | {scores['kl_nats']:.1f} |"
        )
        carried.append(f"{name}: {', '.join(named) or 'none'}")
    print("\n".join([*carried, ""]))


def print_rotation(solvers: list[Solver], reader: Reader, known: Images, faces: Images) -> None:
    """Prints how each model turns faces, a line each."""
    print(f"\n{len(faces)} held-out faces turned to -40, -30, ... 40 degrees\n")
    print("| model | error below 0 | at all angles | above 0 | same hat | glasses | skin |")
    print("|---" * 7 + "|")
    for solver in solvers:
        found = measure_rotation(solver, reader, known, faces)
        cells = [f"{error:.1f}°" for error in found["degrees"]]
        cells += [f"{100 * share:.1f} %" for share in found["kept"].values()]
        print(f"| {solver.config.model.name} | {' | '.join(cells)} |")


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    names = f"runs to measure (default: {' '.join(MODELS)})"
    parser.add_argument("--ckpt_name", nargs="+", metavar="RUN", default=MODELS, help=names)
    args = parser.parse_args(argv)
    solvers = [Solver.load(name, device="cpu") for name in args.ckpt_name]
    count, began = 200 if args.quick else 5000, time.perf_counter()
    held_out = render_faces(count, VALIDATION_SEED)
    speed = count / (time.perf_counter() - began)
    print(f"{speed:,.0f} faces rendered a second on {torch.get_num_threads()} threads")
    sheet = held_out.floats(slice(60)).unflatten(0, (6, 10))
    print(
        "wrote",
        show(draw_pictures(sheet, files.output("results") / "faces" / "faces.png")),
        "\n",
    )
    print_disentanglement(solvers, held_out)
    reader = train_reader(render_faces(192 if args.quick else 20_000, READER_SEED), epochs=8)
    print(check_reader(reader, held_out))
    known = render_faces(count, TRAINING_SEED)
    print_rotation(solvers, reader, known, held_out.take(slice(500)))
    share = measure_loading(solvers[-1], known, steps=3 if args.quick else 40)
    print(f"\nloading takes {100 * share:.1f} % of a training step")


if __name__ == "__main__":
    raise SystemExit(main())
