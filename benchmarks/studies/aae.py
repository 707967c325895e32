"""Measure what lambda does to an adversarial autoencoder: reconstruction against the prior.

    python benchmarks/studies/aae.py            five values, 10 epochs each: long, not yet timed
    python benchmarks/studies/aae.py --quick    a few steps on small data: does it work?

Printed for each lambda, on MNIST's test pictures: the mean squared error of a decoded pixel; the
squared maximum mean discrepancy between 5,000 latents and N(0, I); and, of 10,000 pictures decoded
from z ~ N(0, I), the Fréchet distance, how many digits have a share of 5 % or more, and the share
of the rarest one. Writes results/aae_benchmark/table.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist
from benchmarks.tasks import read_settings, train_quietly
from models.aae.modules import Autoencoder, Discriminator
from models.aae.train import AAETask, Config, encode_pictures
from utils import files
from utils.config import override
from utils.digits.quality import Judge, measure_discrepancy
from utils.digits.training import load_digits, sample_pictures
from utils.errors import command
from utils.images.mnist import digits

LAMBDAS = (0.0, 0.5, 0.9, 0.995, 1.0)
COMPARED = 5000  # latents whose distribution is compared with the prior


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--epochs", 10, "epochs of each training")
    add_number(parser, "--seed", 0, "seed of each training and of the samples", low=0)
    args = parser.parse_args(argv)
    find_mnist()
    epochs, count = (1, 500) if args.quick else (args.epochs, 10_000)
    changes = {
        ("data", "dataset"): "digits" if args.quick else "mnist",
        ("training", "epochs"): epochs,
        ("training", "seed"): args.seed,
        ("training", "device"): "cpu",
    }
    base: Config = read_settings("aae", changes)
    training, validation = load_digits(base.data)
    test = digits(base.data.dataset)[1]
    judge = Judge(base.data.dataset, test)
    lines = [
        f"{base.model.z_dim} latents, {epochs} epochs of {len(training):,} pictures\n",
        "| lambda | squared error | discrepancy | Fréchet distance | digits covered | rarest |",
        "|---" * 6 + "|",
    ]
    for value in LAMBDAS:
        config = override(base, {("training", "lambda_"): value})
        torch.manual_seed(args.seed)
        autoencoder, discriminator = Autoencoder(config.model), Discriminator(config.model)
        task = AAETask(autoencoder, discriminator, training, validation, config)
        train_quietly(task)
        z, error = encode_pictures(task.model, test)
        prior = torch.randn(z.shape, generator=torch.Generator().manual_seed(args.seed))
        distance, shares = judge.score(sample_pictures(task.model, count, args.seed))
        apart = measure_discrepancy(z[:COMPARED], prior[:COMPARED])
        lines.append(
            f"| {value:g} | {error:.5f} | {apart:.5f} "
            f"| {distance:.3f} | {sum(share >= 0.05 for share in shares)} of 10 "
            f"| {100 * min(shares):.1f} % |"
        )
    table = "\n".join(lines) + "\n"
    print(table)
    if not args.quick:
        files.write_whole(files.output("results") / "aae_benchmark" / "table.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
