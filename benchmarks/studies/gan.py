"""Compare our GAN with the recipe of eriklindernoren/PyTorch-GAN, gan.py, on how real digits look.

    python benchmarks/studies/gan.py            50 epochs of each, three seeds: an hour and a half
    python benchmarks/studies/gan.py --quick    a few steps on small data: does it work?

Both have the same networks except for the batch normalisation, the same pictures and as many
generator updates. Printed for each seed: the Fréchet distance of 10,000 samples to MNIST's 10,000
test pictures in the features of our classifier, the share of the rarest digit among the samples,
and the processor's time for an update, a step of the generator and one of the discriminator.
Writes results/gan_benchmark/: table.md, samples.png.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn

from benchmarks.raw_data import find_mnist
from models.gan.modules import Discriminator, Generator, ModelConfig
from models.gan.train import Config, GANTask
from utils import files
from utils.command_line import Parser, number
from utils.config import override, read_config
from utils.digits.quality import Judge
from utils.digits.training import load_digits, sample_pictures
from utils.errors import command
from utils.files import write_whole
from utils.images.data import Batches, Images
from utils.images.figures import picture_rows
from utils.images.mnist import digits
from utils.training.loop import fit
from utils.training.run import Run
from utils.training.task import Batch

THEIRS, OURS = "PyTorch-GAN's recipe", "models/gan"
BATCH = 64  # pictures of a step, theirs and ours


class Trained(NamedTuple):
    """A trained generator: how to sample from it, and the processor's time of its steps."""

    sample: Callable[[int], torch.Tensor]  # a count -> as many pictures in [0, 1]
    seconds: float


class Measured(NamedTuple):
    """What one training of a recipe gave."""

    distance: float
    rarest: float  # share of the rarest digit
    milliseconds: float  # of an update


def build_their_generator() -> Generator:
    """Builds our generator with their batch normalisation: `BatchNorm1d(n, 0.8)` means eps 0.8."""
    generator = Generator(ModelConfig(name="theirs", z_dim=100))
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps = 0.8
    return generator


def train_theirs(images: Images, epochs: int, seed: int) -> Trained:
    """Trains by their recipe: Adam 2e-4 with beta1 0.5, the generator's step first."""
    torch.manual_seed(seed)
    generator, discriminator = build_their_generator(), Discriminator()
    of_generator, of_discriminator = (
        torch.optim.Adam(module.parameters(), lr=0.0002, betas=(0.5, 0.999), fused=True)
        for module in (generator, discriminator)
    )
    batches, loss, seconds = Batches(images, BATCH, seed), nn.BCELoss(), 0.0
    real, fake = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    for epoch in range(1, epochs + 1):
        for x, _ in batches.epoch(epoch):
            began = time.process_time()
            of_generator.zero_grad()
            generated = generator(torch.randn(BATCH, 100))
            loss(discriminator.probability(generated), real).backward()
            of_generator.step()
            of_discriminator.zero_grad()
            on_real = loss(discriminator.probability(2 * x - 1), real)
            on_fake = loss(discriminator.probability(generated.detach()), fake)
            ((on_real + on_fake) / 2).backward()
            of_discriminator.step()
            seconds += time.process_time() - began

    def sample(count: int) -> torch.Tensor:
        """Generates pictures as their script does: in training mode, normalised in batches."""
        z = torch.randn(count, 100, generator=torch.Generator().manual_seed(seed))
        parts = [part for part in z.split(BATCH) if len(part) > 1]  # one has no variance
        with torch.no_grad():
            return torch.cat([generator.generate(part) for part in parts])

    return Trained(sample, seconds)


class TimedTask(GANTask):
    """The training of models/gan, which also adds up the processor's time of its steps."""

    seconds = 0.0

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        began = time.process_time()
        losses = super().step(batch, number)
        self.seconds += time.process_time() - began
        return losses


def train_ours(training: Images, validation: Images, config: Config, seed: int) -> Trained:
    """Trains models/gan by its settings, in a temporary folder."""
    config = override(config, {("training", "seed"): seed})
    torch.manual_seed(seed)
    generator, discriminator = Generator(config.model), Discriminator()
    task = TimedTask(generator, discriminator, training, validation, config)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, Path(folder, "checkpoints"), Path(folder, "results"))
        fit(task, run, quiet=True)
    return Trained(lambda count: sample_pictures(task.model, count, seed), task.seconds)


def make_table(measured: dict[str, list[Measured]]) -> str:
    """Renders what all trainings gave as a table in Markdown, a line for each recipe."""
    lines = [
        "| recipe | Fréchet distance of each seed | mean | rarest digit | ms an update |",
        "|---|---|---|---|---|",
    ]
    means = {}
    for name, trainings in measured.items():
        distances, rarest, milliseconds = zip(*trainings, strict=True)
        means[name] = statistics.mean(distances)
        lines.append(
            f"| {name} | {', '.join(f'{distance:.3f}' for distance in distances)} "
            f"| {means[name]:.3f} | {100 * min(rarest):.1f} % "
            f"| {statistics.median(milliseconds):.1f} |"
        )
    lines.append(f"\nours / theirs: {means[OURS] / means[THEIRS]:.2f} (target: at most 0.50)")
    return "\n".join(lines) + "\n"


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps of each: does it work?")
    parser.add_argument(
        "--epochs", type=number(int, 1), default=50, help="epochs of each training (default: 50)"
    )
    parser.add_argument(
        "--seeds", type=number(int, 1), default=3, help="trainings of each recipe (default: 3)"
    )
    parser.add_argument(
        "--seed", type=number(int, 0), default=0, help="seed of the first training (default: 0)"
    )
    args = parser.parse_args(argv)
    find_mnist()
    epochs, seeds, count = (1, 1, 500) if args.quick else (args.epochs, args.seeds, 10_000)
    config = override(
        read_config(files.ROOT / "models" / "gan" / "config.json", Config),
        {
            ("data", "dataset"): "digits" if args.quick else "mnist",
            ("training", "epochs"): epochs,
            ("training", "batch_size"): BATCH,
            ("training", "device"): "cpu",
        },
    )
    training, validation = load_digits(config.data)
    test = digits(config.data.dataset)[1]
    judge, updates = Judge(config.data.dataset, test), epochs * (len(training) // BATCH)
    recipes = {
        THEIRS: lambda seed: train_theirs(training, epochs, seed),
        OURS: lambda seed: train_ours(training, validation, config, seed),
    }
    measured: dict[str, list[Measured]] = {name: [] for name in recipes}
    samples = {}
    for seed in range(args.seed, args.seed + seeds):
        for name, train in recipes.items():
            trained = train(seed)
            pictures = trained.sample(count)
            distance, shares = judge.score(pictures)
            milliseconds = 1000 * trained.seconds / updates
            measured[name].append(Measured(distance, min(shares), milliseconds))
            samples[f"{name}, seed {seed}"] = pictures[:16]
            print(f"{name}, seed {seed}: {distance:.3f}, rarest {min(shares):.1%}", flush=True)
    table = (
        f"{updates:,} generator updates, {count:,} samples against {len(test):,} test pictures\n\n"
        + make_table(measured)
    )
    print(table)
    if not args.quick:
        results = files.ROOT / "results" / "gan_benchmark"
        write_whole(results / "table.md", table.encode())
        labels = sorted(samples)
        pictures = torch.stack([samples[label] for label in labels])
        picture_rows(pictures, results / "samples.png", rows=labels)


if __name__ == "__main__":
    raise SystemExit(main())
