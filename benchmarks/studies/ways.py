"""Measure what lies half-way between two latents: on a straight line, and on an arc.

    python benchmarks/studies/ways.py           10,000 ways of gan and aae, as shipped
    python benchmarks/studies/ways.py --quick    300 ways, against scikit-learn's small digits

Printed for each place on the ways: how long the latents are, and of the digits there the Fréchet
distance to the test pictures and the share of the commonest.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist
from explorer.library import Library
from utils.digits.quality import Judge
from utils.digits.training import generate_pictures
from utils.errors import command
from utils.images.mnist import digits
from utils.interpolation import interpolate_linearly, interpolate_on_sphere

PLACES = {
    "end": lambda a, b: a,
    "a quarter, linear": lambda a, b: interpolate_linearly(a, b, 5)[1],
    "a quarter, spherical": lambda a, b: interpolate_on_sphere(a, b, 5)[1],
    "half, linear": lambda a, b: interpolate_linearly(a, b, 3)[1],
    "half, spherical": lambda a, b: interpolate_on_sphere(a, b, 3)[1],
}


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--seed", 0, "seed of the ends", low=0)
    args = parser.parse_args(argv)
    find_mnist()
    count, dataset = (300, "digits") if args.quick else (10_000, "mnist")
    judge = Judge(dataset, digits(dataset)[1])
    print("| model, place | length | Fréchet distance | commonest digit |\n|---|---|---|---|")
    for run in ("gan", "aae"):
        model = Library().image_model(run).model
        generator = torch.Generator().manual_seed(args.seed)
        ends = torch.randn(2, count, model.z_dim, generator=generator)
        for place, walk in PLACES.items():
            z = torch.stack([walk(a, b) for a, b in zip(*ends, strict=True)])
            distance, shares = judge.score(generate_pictures(model, z))
            most = f"{shares.index(max(shares))}, {100 * max(shares):.1f} %"
            print(f"| {run}, {place} | {z.norm(dim=1).mean():.2f} | {distance:.1f} | {most} |")


if __name__ == "__main__":
    raise SystemExit(main())
