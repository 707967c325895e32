"""Measure how many bits a digit costs: the shipped models with an exact likelihood, on MNIST.

    python benchmarks/studies/likelihood.py            10,000 test pictures, 100 samples: long
    python benchmarks/studies/likelihood.py --quick    small digits, few samples: does it work?

Printed for each model, in bits per dimension: what the untrained network needs, the evidence lower
bound (of one sample of the latents, the KL in closed form), and the tighter bound from several
importance-weighted samples. Writes results/likelihood/table.md.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist
from solver import Solver
from utils import files
from utils.errors import UserError, command
from vae.data import load_unseen
from vae.latents import measure_kl
from vae.likelihood import estimate_bounds
from vae.losses import bits_per_dim
from vae.training import ACTIVE_NATS, build_model

MODELS = ("mnist_ladder", "mnist_4bit", "mnist_2d")


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    meaning = f"runs to measure, of models with an exact likelihood (default: {' '.join(MODELS)})"
    parser.add_argument("runs", nargs="*", default=MODELS, help=meaning)
    meaning = "importance-weighted samples of the latents of each picture"
    add_number(parser, "--draws", 100, meaning)
    args = parser.parse_args(argv)
    find_mnist()
    samples = 2 if args.quick else args.draws
    head = "| model | parameters | latents: active | KL, nats | untrained | bound "
    lines = [f"{head}| {samples} draws |", "|---|---|---|---|---|---|---|"]
    for name in args.runs:
        solver = Solver.load(name)
        model, data = solver.model, solver.config.data
        if args.quick and data.dataset == "mnist":
            data = dataclasses.replace(data, dataset="digits")
        images = load_unseen(data) if model.levels else None
        if images is None:
            raise UserError(
                f"{name} has no exact likelihood, or no test pictures: take a model of mnist or "
                "digits with --likelihood categorical"
            )
        torch.manual_seed(0)
        untrained_model = build_model(model.shape, solver.config)
        untrained, _ = estimate_bounds(untrained_model, images, "categorical", 1)
        elbo, weighted = estimate_bounds(model, images, "categorical", samples)
        bits = [bits_per_dim(nats, model.shape) for nats in (untrained, elbo, weighted)]
        kl = measure_kl(model, images)
        lines.append(
            f"| `{name}` | {sum(p.numel() for p in model.parameters()):,} | {model.z_dim}: "
            f"{(kl > ACTIVE_NATS).sum()} | {kl.sum():.1f} | {bits[0]:.3f} | {bits[1]:.4f} "
            f"| {bits[2]:.4f} |"
        )
    table = "\n".join(lines) + "\n"
    print(f"{len(images):,} pictures of {images.source}, bits per dimension\n\n{table}")
    if not args.quick:
        files.write_whole(files.output("results") / "likelihood" / "table.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
