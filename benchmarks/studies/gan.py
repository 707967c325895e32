"""Our GAN against the recipe of eriklindernoren/PyTorch-GAN, gan.py: how far from real digits?

    python benchmarks/gan.py            50 epochs of each, three seeds: an hour and a half
    python benchmarks/gan.py --quick    a few steps on small data: does it work?

The same networks but for the batch normalisation, the same pictures, as many generator updates.
Printed for each seed: the Fréchet distance of 10,000 draws to MNIST's 10,000 test pictures in the
features of our classifier, the rarest digit among the draws, and the processor's time for an update
(a generator's and a discriminator's step).
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn

from benchmarks.raw_data import mnist_at_hand
from models.gan import train as gan
from models.gan.modules import Discriminator, Generator, ModelConfig
from utils import files
from utils.command_line import Parser, number
from utils.config import defaults_of
from utils.digits.quality import Judge
from utils.digits.training import VALIDATION_SHARE, draw
from utils.errors import command
from utils.files import write_whole
from utils.images.data import Batches, Images, split
from utils.images.figures import picture_rows
from utils.images.mnist import digits

Drawing = Callable[[int], torch.Tensor]  # a count -> as many pictures in [0, 1]


def their_generator() -> Generator:
    """Our generator with their batch normalisation: 0.8 as eps, as `BatchNorm1d(n, 0.8)` means."""
    generator = Generator(ModelConfig("theirs", 100))
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps = 0.8
    return generator


def theirs(images: Images, epochs: int, seed: int) -> Drawing:
    """Their recipe: Adam 2e-4 with beta1 0.5, batches of 64, the generator's step first."""
    torch.manual_seed(seed)
    generator, discriminator = their_generator(), Discriminator()
    of_generator, of_discriminator = (
        torch.optim.Adam(module.parameters(), lr=0.0002, betas=(0.5, 0.999), fused=True)
        for module in (generator, discriminator)
    )
    batches, loss = Batches(images, 64, seed), nn.BCELoss()
    genuine, forged = torch.ones(64, 1), torch.zeros(64, 1)
    for epoch in range(1, epochs + 1):
        for x, _ in batches.epoch(epoch):
            of_generator.zero_grad()
            fake = generator(torch.randn(64, 100))
            loss(discriminator.probability(fake), genuine).backward()
            of_generator.step()
            of_discriminator.zero_grad()
            of_real = loss(discriminator.probability(2 * x - 1), genuine)
            of_fake = loss(discriminator.probability(fake.detach()), forged)
            ((of_real + of_fake) / 2).backward()
            of_discriminator.step()

    def drawing(count: int) -> torch.Tensor:
        """As their script draws: in training mode, normalised by batches of 64."""
        z = torch.randn(count, 100, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return torch.cat([generator.generate(part) for part in z.split(64) if len(part) > 1])

    return drawing


def ours(images: Images, validation: Images, config: Any, updates: int, seed: int) -> Drawing:
    """models/gan by its config.json, for a number of generator updates."""
    epochs = -(-updates // (len(images) // config.training.batch_size))
    training = dataclasses.replace(config.training, epochs=epochs, seed=seed, device="cpu")
    config = dataclasses.replace(config, training=training)
    torch.manual_seed(seed)
    task = gan.GANTask(images, validation, config)
    done = 0
    for epoch in range(1, epochs + 1):
        for x in task.batches(epoch, 0):
            if done < updates:
                done += 1
                task.step(x, done)
    return lambda count: draw(task.average, count, seed)


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--epochs", type=number(int, 1), default=50, help="of theirs (default: 50)")
    parser.add_argument("--seeds", type=number(int, 1), default=3, help="how many (default: 3)")
    parser.add_argument("--seed", type=number(int, 0), default=0, help="the first (default: 0)")
    args = parser.parse_args(argv)
    mnist_at_hand()
    dataset = "digits" if args.quick else "mnist"
    epochs, seeds, count = (1, 1, 500) if args.quick else (args.epochs, args.seeds, 10_000)
    config = defaults_of(Path(gan.__file__).with_name("config.json"), gan.CONFIG)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=dataset))
    training, test = digits(dataset)
    images, validation = split(training, VALIDATION_SHARE, seed=0)
    judge, updates = Judge(dataset, test), epochs * (len(images) // 64)
    recipes = {
        "PyTorch-GAN's recipe": lambda seed: theirs(images, epochs, seed),
        "models/gan": lambda seed: ours(images, validation, config, updates, seed),
    }
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in recipes}
    drawn = {}
    for seed in range(args.seed, args.seed + seeds):
        for name, recipe in recipes.items():
            began = time.process_time()
            drawing = recipe(seed)
            each = 1000 * (time.process_time() - began) / updates
            pictures = drawing(count)
            distance, shares = judge.score(pictures)
            runs[name].append((distance, min(shares), each))
            drawn[f"{name}, seed {seed}"] = pictures[:16]
            print(f"{name}, seed {seed}: {distance:.3f}, rarest {min(shares):.1%}", flush=True)
    lines = [
        f"{updates:,} generator updates, {count:,} draws against {len(test):,} test pictures\n",
        "| recipe | Fréchet distance of each seed | mean | rarest digit | ms an update |",
        "|---|---|---|---|---|",
    ]
    means = []
    for name, measured in runs.items():
        distances, rarest, each = zip(*measured, strict=True)
        means.append(statistics.mean(distances))
        lines.append(
            f"| {name} | {', '.join(f'{distance:.3f}' for distance in distances)} "
            f"| {means[-1]:.3f} | {100 * min(rarest):.1f} % | {statistics.median(each):.1f} |"
        )
    lines.append(f"\nours / theirs: {means[1] / means[0]:.2f} (target: at most 0.50)")
    table = "\n".join(lines) + "\n"
    print(table)
    if not args.quick:
        results = files.ROOT / "results" / "gan_benchmark"
        write_whole(results / "table.md", table.encode())
        labels = sorted(drawn)
        pictures = torch.stack([drawn[label] for label in labels])
        picture_rows(pictures, results / "samples.png", rows=labels)


if __name__ == "__main__":
    raise SystemExit(main())
