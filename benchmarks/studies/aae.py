"""What lambda does to an adversarial autoencoder: it trades reconstruction against the prior.

    python benchmarks/aae.py            five values, 10 epochs each: long, and not yet timed
    python benchmarks/aae.py --quick    a few steps on small data: does it work?

Printed for each lambda, on MNIST's test pictures: the mean squared error of a decoded pixel; the
squared maximum mean discrepancy of 5,000 codes to N(0, I); and of 10,000 decoded draws of N(0, I)
the Fréchet distance, the number of digits with 5 % of the draws or more, the rarest one's share.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.raw_data import mnist_at_hand
from models.aae import train as aae
from utils import files
from utils.command_line import Parser, number
from utils.config import defaults_of
from utils.digits.quality import Judge, discrepancy
from utils.digits.training import VALIDATION_SHARE, draw
from utils.errors import command
from utils.files import write_whole
from utils.images.data import split
from utils.images.mnist import digits

LAMBDAS = (0.0, 0.5, 0.9, 0.995, 1.0)
CODES = 5000


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--epochs", type=number(int, 1), default=10, help="of each (default: 10)")
    parser.add_argument("--seed", type=number(int, 0), default=0, help="default: 0")
    args = parser.parse_args(argv)
    mnist_at_hand()
    dataset = "digits" if args.quick else "mnist"
    epochs, count = (1, 500) if args.quick else (args.epochs, 10_000)
    config = defaults_of(Path(aae.__file__).with_name("config.json"), aae.CONFIG)
    training, test = digits(dataset)
    images, validation = split(training, VALIDATION_SHARE, seed=0)
    judge = Judge(dataset, test)
    lines = [
        f"{config.model.z_dim} latents, {epochs} epochs of {len(images):,} pictures\n",
        "| lambda | squared error | discrepancy | Fréchet distance | digits covered | rarest |",
        "|---|---|---|---|---|---|",
    ]
    for value in LAMBDAS:
        settings = dataclasses.replace(
            config.training, epochs=epochs, seed=args.seed, device="cpu", lambda_=value
        )
        torch.manual_seed(args.seed)
        task = aae.AAETask(
            images,
            validation,
            dataclasses.replace(
                config, training=settings, data=dataclasses.replace(config.data, dataset=dataset)
            ),
        )
        for epoch in range(1, epochs + 1):
            for index, x in enumerate(task.batches(epoch, 0), start=1):
                task.step(x, (epoch - 1) * len(task) + index)
        codes, error = aae.encoded(task.average, test)
        prior = torch.randn(codes.shape, generator=torch.Generator().manual_seed(args.seed))
        distance, shares = judge.score(draw(task.average, count, args.seed))
        lines.append(
            f"| {value:g} | {error:.5f} | {discrepancy(codes[:CODES], prior[:CODES]):.5f} "
            f"| {distance:.3f} | {sum(share >= 0.05 for share in shares)} of 10 "
            f"| {100 * min(shares):.1f} % |"
        )
    table = "\n".join(lines) + "\n"
    print(table)
    if not args.quick:
        write_whole(files.ROOT / "results" / "aae_benchmark" / "table.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
