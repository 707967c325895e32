"""Measure what scores of pictures are worth where nothing was learned, or nothing could be better.

    python benchmarks/studies/picture_floors.py             five draws of each, on MNIST and faces
    python benchmarks/studies/picture_floors.py --quick     small digits, a few faces

The Fréchet distance of real digits to real digits: two halves of the test pictures, and as many
training pictures as samples are judged elsewhere against all test pictures. No generator can be
expected to come nearer. MIG and the number of named latents, on the rendered faces that no model
has seen: of each shipped beta-VAE with the faces' labels in a random order, and of an encoder that
was not trained, which is the same for every beta. Writes benchmarks/records/digit_floors.csv and
face_floors.csv, of which python -m docs.records makes tables.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np
import torch

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_mnist
from benchmarks.record import RECORDS, name_circumstances, round_numbers
from solver import Solver
from utils.digits.classifier import load_classifier
from utils.digits.quality import frechet_distance, measure_moments
from utils.digits.testing import EVALUATED
from utils.errors import command
from utils.files import show, write_whole
from utils.images.data import Images
from utils.images.mnist import digits
from utils.words import make_csv
from vae.analysis.disentanglement import (
    measure_floors,
    measure_information,
    measure_mig,
    name_latents,
)
from vae.analysis.latents import MIG_FACTORS, analyse
from vae.data import VALIDATION_SEED
from vae.faces.factors import find_attributes
from vae.faces.head import render_faces
from vae.latents import encode
from vae.training import build_model

MODELS = ("vae_beta_0", "vae_beta_4", "vae_beta_20")
FACES = 5000
Row = dict[str, str | int | float]


def measure_digits(dataset: str, draws: int) -> list[Row]:
    """Measures the distance of real pictures to real pictures, for several random draws."""
    classifier, (training, test) = load_classifier(dataset), digits(dataset)
    features = [classifier.read(images.floats())[0] for images in (training, test)]
    rows = []
    for draw in range(draws):
        order = [np.random.default_rng(draw).permutation(len(part)) for part in features]
        half = len(test) // 2
        some = order[0][:EVALUATED]
        pairs = {
            "two halves of the test pictures": (order[1][:half], order[1][half : 2 * half], 1),
            "training pictures to test pictures": (some, order[1], 0),
        }
        for what, (these, those, part) in pairs.items():
            a, b = measure_moments(features[part][these]), measure_moments(features[1][those])
            row = {"what": what, "pictures": len(these), "compared_with": len(those), "seed": draw}
            rows.append(row | {"frechet": frechet_distance(a, b)})
    return rows


def shuffle_labels(name: str, faces: Images, draws: int) -> list[Row]:
    """Measures a shipped model against labels in random orders: each face gets another's."""
    mu = encode(Solver.load(name, device="cpu").model, faces).mu.numpy()
    known = find_attributes(faces)
    floors = measure_floors(mu, known.values, known.categories, known.valid)
    columns = [known.names.index(factor) for factor in MIG_FACTORS]
    rows = []
    for draw in range(draws):
        other = np.random.default_rng(draw).permutation(len(faces))
        values, valid = known.values[other], known.valid[other]
        ratios = measure_information(mu, values, known.categories, valid).ratios
        names = name_latents(ratios, known.names, floors=floors)
        mig = measure_mig(ratios, columns)[0]
        row = {"what": f"`{name}`, shuffled labels", "pictures": len(faces), "seed": draw}
        rows.append(row | {"mig": mig, "named": sum(named is not None for named in names)})
    return rows


def leave_untrained(faces: Images, draws: int) -> list[Row]:
    """Measures encoders as they are before training, from several seeds."""
    config, rows = Solver.load(MODELS[0], device="cpu").config, []
    for seed in range(draws):
        torch.manual_seed(seed)
        analysis = analyse(build_model(faces.shape, config), faces)
        row = {"what": "an untrained encoder", "pictures": len(faces), "seed": seed}
        named = sum(name is not None for name in analysis.names)
        rows.append(row | {"mig": analysis.scores["mig"], "named": named})
    return rows


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--draws", 5, "random draws, shuffles and untrained encoders")
    args = parser.parse_args(argv)
    find_mnist()
    draws, origin = 1 if args.quick else args.draws, name_circumstances()
    faces = render_faces(100 if args.quick else FACES, VALIDATION_SEED)
    tables = {"digit_floors": measure_digits("digits" if args.quick else "mnist", draws)}
    tables["face_floors"] = [row for name in MODELS for row in shuffle_labels(name, faces, draws)]
    tables["face_floors"] += leave_untrained(faces, draws)
    for name, rows in tables.items():
        rows = [round_numbers(row) | origin for row in rows]
        for row in rows:
            print("  ".join(str(value) for value in list(row.values())[: -len(origin)]))
        if not args.quick:
            file = RECORDS / f"{name}.csv"
            write_whole(file, make_csv(rows).encode())
            print(f"wrote {show(file)}")


if __name__ == "__main__":
    raise SystemExit(main())
