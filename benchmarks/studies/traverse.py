"""Move rendered faces along an attribute, and let a convolutional network read what came of it.

    python benchmarks/studies/traverse.py            smile and hat, three models: 7 minutes
    python benchmarks/studies/traverse.py --quick    the same on a few faces: does it work?

As for the turn (benchmarks/studies/faces.py) the direction is learned from faces that the models
were trained on, and 500 held-out faces are moved to both of its ends, decoded and read. A hat has
reached its end where it reads as asked for, a smile where it is beyond half of the way there. What
should stay is compared with the reconstruction of the face that was not moved.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.studies.faces import MODELS
from solver import Solver
from utils.errors import command
from utils.images.data import Images
from vae.analysis.directions import learn_direction
from vae.analysis.reader import READER_SEED, Reader, check_reader, train_reader
from vae.data import TRAINING_SEED, VALIDATION_SEED
from vae.faces.factors import column
from vae.faces.head import render_faces
from vae.latents import decode, encode

ALONG = ("smile", "hat")
NEAR = {"yaw": 5.0, "skin_tone": 0.1, "smile": 0.5}  # what counts as the same


def measure(
    solver: Solver, reader: Reader, known: Images, faces: Images, along: str
) -> tuple[list[float], dict[str, float]]:
    """Moves faces to both ends; returns the shares that reached each, and that else stayed."""
    direction = learn_direction(solver.model, known, along)
    z = encode(solver.model, faces).mu
    moved = direction.move(z, direction.steps(2))  # (N, 2, Z)
    plain = reader.read(decode(solver.model, z))
    seen = {
        name: values.view(len(z), 2)
        for name, values in reader.read(decode(solver.model, moved.flatten(0, 1))).items()
    }
    own = seen.pop(along)
    ends = (
        torch.stack([~own[:, 0], own[:, 1]])
        if along == "hat"
        else torch.stack([own[:, 0] < -0.5, own[:, 1] > 0.5])
    )
    kept = {}
    for name, values in seen.items():
        before = plain[name][:, None]
        same = (values - before).abs() <= NEAR[name] if name in NEAR else values == before
        kept[name] = same.float().mean().item()
    return ends.float().mean(dim=1).tolist(), kept


def check_smile(reader: Reader, faces: Images) -> str:
    """Says what the reader gets wrong about smiles it has not seen."""
    truth = column(torch.from_numpy(faces.labels), "smile")
    error = (reader.read(faces.floats())["smile"] - truth).abs().mean()
    return f"its mean error of smile, which is -1 to 1: {error:.2f}"


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    names = f"runs to measure (default: {' '.join(MODELS)})"
    parser.add_argument("--ckpt_name", nargs="+", metavar="RUN", default=MODELS, help=names)
    add_number(parser, "--reader_faces", 20_000, "faces that the reader learns from", low=64)
    args = parser.parse_args(argv)
    solvers = {name: Solver.load(name, device="cpu") for name in args.ckpt_name}  # or say so first
    learned, count = (192, 200) if args.quick else (args.reader_faces, 5000)
    reader = train_reader(render_faces(learned, READER_SEED), epochs=8, also=("smile",))
    faces = render_faces(count, VALIDATION_SEED).take(slice(500))
    print(f"{check_reader(reader, faces)}; {check_smile(reader, faces)}\n")
    known = render_faces(count, TRAINING_SEED)
    print("| model | along | at its low end | at its high end | what stayed |")
    print("|---" * 5 + "|")
    for name, solver in solvers.items():
        for along in ALONG:
            ends, kept = measure(solver, reader, known, faces, along)
            stayed = ", ".join(f"{what} {100 * share:.1f} %" for what, share in kept.items())
            shares = " | ".join(f"{100 * share:.1f} %" for share in ends)
            print(f"| `{name}` | {along} | {shares} | {stayed} |")


if __name__ == "__main__":
    raise SystemExit(main())
