"""Measure what beta does to a face's latents, on rendered faces that no model has seen.

    python benchmarks/studies/faces.py            the shipped models, 5,000 faces: a few minutes
    python benchmarks/studies/faces.py --quick    the same on a few faces: does it work?

Printed for each model: MIG, DCI, named latents, reconstruction error and active units; then how far
a turned face is from the angle asked for, as the shipped reader (vae/analysis/reader.py) sees it;
then the share of a training step that goes into loading its pictures. Writes
results/faces/faces.png, a sheet of rendered faces.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import make_parser
from solver import Solver
from utils import files
from utils.errors import command
from utils.files import show
from utils.images.data import Images
from utils.images.figures import draw_pictures
from vae.analysis.latents import analyse
from vae.analysis.reader import Reader, check_reader, load_reader, measure_rotation
from vae.data import TRAINING_SEED, VALIDATION_SEED
from vae.faces.head import render_faces
from vae.latents import measure_reconstruction
from vae.training import VAETask

MODELS = ("vae_beta_0", "vae_beta_4", "vae_beta_20")


def measure_loading(solver: Solver, faces: Images, steps: int) -> float:
    """Measures which share of training steps, from the third on, goes into loading pictures."""
    task = VAETask(solver.model, faces, faces, solver.config)
    loading = learning = 0.0
    batches = task.loader.epoch(1)
    for number in range(1, steps + 1):
        began = time.perf_counter()
        batch = next(batches)
        loaded = time.perf_counter()
        task.step(batch, number)
        if number > 2:  # the first ones warm up
            loading += loaded - began
            learning += time.perf_counter() - loaded
    return loading / (loading + learning)


def print_disentanglement(solvers: list[Solver], faces: Images) -> None:
    """Prints the scores of each model, and which factors its latents are named after."""
    print("| model | MIG | DCI: D | C | I | latents named | active | squared error | KL |")
    print("|---" * 9 + "|")
    carried = ["", "named after"]
    for solver in solvers:
        name, analysis = solver.config.model.name, analyse(solver.model, faces)
        scores, named = analysis.scores, [factor for factor in analysis.names if factor]
        _, squared = measure_reconstruction(solver.model, faces, "gaussian")
        print(
            f"| {name} | {scores['mig']:.3f} | {scores['dci_disentanglement']:.3f} "
            f"| {scores['dci_completeness']:.3f} | {scores['dci_informativeness']:.3f} "
            f"| {len(named)} | {scores['active_units']} of {solver.model.z_dim} "
            f"| {1000 * squared:.2f}e-3 | {scores['kl_nats']:.1f} |"
        )
        carried.append(f"{name}: {', '.join(named) or 'none'}")
    print("\n".join([*carried, ""]))


def print_rotation(solvers: list[Solver], reader: Reader, known: Images, faces: Images) -> None:
    """Prints how each model turns faces, a line each."""
    print(f"\n{len(faces)} held-out faces turned to -40, -30, ... 40 degrees\n")
    print("| model | error below 0 | at all angles | above 0 | same hat | glasses | skin |")
    print("|---" * 7 + "|")
    for solver in solvers:
        found = measure_rotation(solver.model, reader, known, faces)
        cells = [f"{error:.1f}°" for error in found["degrees"]]
        cells += [f"{100 * share:.1f} %" for share in found["kept"].values()]
        print(f"| {solver.config.model.name} | {' | '.join(cells)} |")


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    names = f"runs to measure (default: {' '.join(MODELS)})"
    parser.add_argument("--ckpt_name", nargs="+", metavar="RUN", default=MODELS, help=names)
    args = parser.parse_args(argv)
    solvers = [Solver.load(name, device="cpu") for name in args.ckpt_name]
    count, began = 200 if args.quick else 5000, time.perf_counter()
    held_out = render_faces(count, VALIDATION_SEED)
    speed = count / (time.perf_counter() - began)
    print(f"{speed:,.0f} faces rendered a second on {torch.get_num_threads()} threads")
    sheet = held_out.floats(slice(60)).unflatten(0, (6, 10))
    print(
        "wrote",
        show(draw_pictures(sheet, files.output("results") / "faces" / "faces.png")),
        "\n",
    )
    print_disentanglement(solvers, held_out)
    reader = load_reader()
    print(check_reader(reader, held_out))
    known = render_faces(count, TRAINING_SEED)
    print_rotation(solvers, reader, known, held_out.take(slice(500)))
    share = measure_loading(solvers[-1], known, steps=3 if args.quick else 40)
    print(f"\nloading takes {100 * share:.1f} % of a training step")


if __name__ == "__main__":
    raise SystemExit(main())
