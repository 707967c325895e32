"""How many bits a digit costs: the shipped models with an exact likelihood, on MNIST's test set.

    python benchmarks/likelihood.py            10,000 pictures, 100 weighted draws: long (--draws)
    python benchmarks/likelihood.py --quick    small digits, few draws: does it work?

Printed for each model: what the untrained network costs, the evidence lower bound (one draw, the
KL in closed form), and the tighter bound from importance-weighted draws, in bits per dimension.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.raw_data import mnist_at_hand
from solver import Solver
from utils import files
from utils.command_line import Parser, number
from utils.errors import UserError, command
from utils.files import write_whole
from vae.data import load_unseen
from vae.latents import measure_kl
from vae.likelihood import estimate_bounds
from vae.losses import bits_per_dim
from vae.training import ACTIVE_NATS, build_model

MODELS = ("mnist_ladder", "mnist_4bit", "mnist_2d")


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=MODELS, help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--quick", action="store_true", help="few draws on small data")
    parser.add_argument("--draws", type=number(int, 1), default=100, help="default: 100")
    args = parser.parse_args(argv)
    mnist_at_hand()
    draws = 2 if args.quick else args.draws
    lines = [
        f"| model | parameters | latents: active | KL, nats | untrained | bound | {draws} draws |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in args.runs:
        solver = Solver.load(name)
        model, data = solver.model, solver.config.data
        if model.levels is None or load_unseen(data) is None:
            raise UserError(
                f"{name} has no exact likelihood, or no test pictures: take a model of mnist or "
                "digits with --likelihood categorical"
            )
        if args.quick:
            data = dataclasses.replace(data, dataset="digits")
        images = load_unseen(data)
        torch.manual_seed(0)
        naive = build_model(model.shape, solver.config)
        values = (
            *estimate_bounds(naive, images, "categorical", 1),
            *estimate_bounds(model, images, "categorical", draws),
        )
        untrained, _, elbo, weighted = (bits_per_dim(nats, model.shape) for nats in values)
        kl = measure_kl(model, images)
        lines.append(
            f"| `{name}` | {sum(p.numel() for p in model.parameters()):,} | {model.z_dim}: "
            f"{(kl > ACTIVE_NATS).sum()} | {kl.sum():.1f} | {untrained:.3f} | {elbo:.4f} "
            f"| {weighted:.4f} |"
        )
    table = "\n".join(lines) + "\n"
    print(f"{len(images):,} pictures of {images.source}, bits per dimension\n\n{table}")
    if not args.quick:
        write_whole(files.ROOT / "results" / "likelihood" / "table.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
