"""Compare our GAN with the recipe of eriklindernoren/PyTorch-GAN, gan.py, on how real digits look.

    python benchmarks/studies/gan.py                 50 epochs of each, three seeds: hours
    python benchmarks/studies/gan.py --recipes eps   one of them
    python benchmarks/studies/gan.py --quick         a few steps on small data: does it work?

There are three recipes: `theirs`, as that file has it, where 0.8 is batch normalisation's eps;
`eps`, the same at PyTorch's own eps of 0.00001, since `BatchNorm1d(n, 0.8)` was surely meant as the
momentum; and `ours`. All have the same networks but for that eps, the same pictures and as many
generator updates. Measured for each seed: the Fréchet distance of 10,000 samples to MNIST's 10,000
test pictures in the features of our classifier, the share of the rarest digit among the samples,
and the processor's time for an update, a step of the generator and one of the discriminator.
Each training adds a line to benchmarks/records/gan_recipes.csv, and one that has its line is not
run again. Writes results/gan_benchmark/samples.png of those that it ran.
"""

import functools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist
from benchmarks.record import (
    RECORDS,
    add_record,
    name_circumstances,
    read_records,
    round_numbers,
)
from benchmarks.tasks import read_settings, train_quietly
from models.gan.modules import Discriminator, Generator, ModelConfig
from models.gan.train import Config, GANTask
from utils import files
from utils.config import override
from utils.digits.quality import Judge
from utils.digits.training import load_digits, sample_pictures
from utils.errors import command
from utils.images.data import Batches, Images
from utils.images.figures import draw_pictures
from utils.images.mnist import digits
from utils.training.task import Batch

BATCH = 64  # pictures of a step, theirs and ours

Generated = tuple[torch.Tensor, float]  # samples in [0, 1]; the processor's seconds of all steps


def build_their_generator(eps: float) -> Generator:
    """Builds our generator with another eps in its batch normalisation."""
    generator = Generator(ModelConfig(name="theirs", z_dim=100))
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps = eps
    return generator


def train_theirs(
    training: Images, _: Images, config: Config, count: int, *, eps: float
) -> Generated:
    """Trains by their recipe: Adam 2e-4 with beta1 0.5, the generator's step first.

    The samples are as their script has them: in training mode, normalised in batches.
    """
    seed = config.training.seed
    torch.manual_seed(seed)
    generator, discriminator = build_their_generator(eps), Discriminator()
    of_generator, of_discriminator = (
        torch.optim.Adam(module.parameters(), lr=0.0002, betas=(0.5, 0.999), fused=True)
        for module in (generator, discriminator)
    )
    batches, loss, seconds = Batches(training, BATCH, seed), nn.BCELoss(), 0.0
    real, fake = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    for epoch in range(1, config.training.epochs + 1):
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

    z = torch.randn(count, 100, generator=torch.Generator().manual_seed(seed))
    parts = [part for part in z.split(BATCH) if len(part) > 1]  # one has no variance
    with torch.no_grad():
        return torch.cat([generator.generate(part) for part in parts]), seconds


class TimedTask(GANTask):
    """The training of models/gan, which also adds up the processor's time of its steps."""

    seconds = 0.0

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        began = time.process_time()
        losses = super().step(batch, number)
        self.seconds += time.process_time() - began
        return losses


def train_ours(training: Images, validation: Images, config: Config, count: int) -> Generated:
    """Trains models/gan by its settings."""
    torch.manual_seed(config.training.seed)
    generator, discriminator = Generator(config.model), Discriminator()
    task = TimedTask(generator, discriminator, training, validation, config)
    train_quietly(task)
    return sample_pictures(task.model, count, config.training.seed), task.seconds


SLIP, OWN = 0.8, 1e-5  # the eps of their file, and batch normalisation's own in PyTorch
RECIPES = {
    "theirs": functools.partial(train_theirs, eps=SLIP),
    "eps": functools.partial(train_theirs, eps=OWN),
    "ours": train_ours,
}


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--epochs", 50, "epochs of each training")
    add_number(parser, "--seeds", 3, "trainings of each recipe")
    add_number(parser, "--seed", 0, "seed of the first training", low=0)
    what = "recipes to train (default: all)"
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), help=what)
    args = parser.parse_args(argv)
    find_mnist()
    epochs, seeds, count = (1, 1, 500) if args.quick else (args.epochs, args.seeds, 10_000)
    changes = {
        ("data", "dataset"): "digits" if args.quick else "mnist",
        ("training", "epochs"): epochs,
        ("training", "batch_size"): BATCH,
        ("training", "device"): "cpu",
    }
    config: Config = read_settings("gan", changes)
    training, validation = load_digits(config.data)
    test = digits(config.data.dataset)[1]
    judge, updates = Judge(config.data.dataset, test), epochs * (len(training) // BATCH)
    record = RECORDS / "gan_recipes.csv"
    known = {(row["recipe"], int(row["seed"]), int(row["updates"])) for row in read_records(record)}
    samples = {}
    print(f"{updates:,} generator updates, {count:,} samples against {len(test):,} test pictures")
    for seed in range(args.seed, args.seed + seeds):  # a seed of each before the next
        seeded = override(config, {("training", "seed"): seed})
        for name in args.recipes:
            if (name, seed, updates) in known and not args.quick:
                print(f"{name}, seed {seed}: has its line in {files.show(record)}")
                continue
            origin = name_circumstances()
            pictures, seconds = RECIPES[name](training, validation, seeded, count)
            distance, shares = judge.score(pictures)
            row = {"recipe": name, "seed": seed, "updates": updates, "frechet": distance}
            row |= {"rarest": min(shares), "ms_update": 1000 * seconds / updates}
            samples[f"{name}, seed {seed}"] = pictures[:16]
            print(f"{name}, seed {seed}: {distance:.3f}, rarest {min(shares):.1%}", flush=True)
            if not args.quick:
                row |= {"seconds": round(seconds)} | origin
                add_record(record, round_numbers(row), group="recipe")
    if samples and not args.quick:
        labels, file = sorted(samples), files.output("results") / "gan_benchmark" / "samples.png"
        draw_pictures(torch.stack([samples[label] for label in labels]), file, rows=labels)


if __name__ == "__main__":
    raise SystemExit(main())
