"""Variational autoencoders of pictures: train one, and find out what its neurons do.

    python main.py --beta 4 --ckpt_name my_vae                      train (the default task)
    python main.py --task random_generation --ckpt_name my_vae      decode random codes
    python main.py --task latent_analysis                           which latent does what
    python main.py --task rotate --angles -40 -20 0 20 40           turn a face
    python main.py --task reconstruction --data photos/             encode and decode pictures
    python main.py --dataset mnist --ckpt_name my_digits            train on digits, in exact bits
    python main.py --task manifold --ckpt_name mnist_2d             the plane of two latents

Without --ckpt_name the tasks take the shipped vae_beta_4. Files go to results/<run>/. The defaults
below are those of faces; --dataset mnist and --dataset digits have their own, in vae/mnist.json.
"""

import argparse
from pathlib import Path

import utils.start  # noqa: F401

from solver import Solver
from utils.command_line import (
    Call,
    Options,
    Overrides,
    Parser,
    add_run_options,
    check_run_options,
    epoch,
    number,
)
from utils.config import list_keys, override, read_config, shorten
from utils.errors import UserError, command
from utils.images import mnist
from utils.images.files import load_picture
from vae.data import load_validation
from vae.training import VAEConfig

TASKS = ("train", "random_generation", "latent_analysis", "rotate", "reconstruction", "manifold")
SHIPPED = "vae_beta_4"
# What a task takes of the settings; all others belong to the training of its checkpoint.
FOR_TASKS = {"data": ("dataset", "data", "held_out"), "training": ("seed", "device")}


def read(argv: list[str] | None) -> tuple[argparse.Namespace, VAEConfig, Overrides]:
    """Reads the tasks' options, the settings (defaults by --dataset) and which were typed."""
    first = Parser(add_help=False)
    first.add_argument("--data.dataset", "--dataset", dest="dataset")
    digits = first.parse_known_args(argv)[0].dataset in mnist.DATASETS
    file = Path(__file__).with_name("vae") / ("mnist.json" if digits else "faces.json")
    defaults = read_config(file, VAEConfig)
    keys = list_keys(defaults)

    parser = Parser(description=__doc__)
    what = "what to do (default: train)"
    parser.add_argument("--task", choices=TASKS, default="train", help=what)
    run = add_run_options(parser)
    run.add_argument(
        "--ckpt_name",
        "--model.name",
        dest="ckpt_name",
        metavar="RUN",
        nargs="+",
        help=f"name of the run to train (default: {defaults.model.name}) or to load (default: "
        f"{SHIPPED}); random_generation takes several",
    )
    run.add_argument(
        "--epoch", type=epoch, metavar="last|best|N", help="of the run to load (default: best)"
    )
    tasks = parser.add_argument_group("the tasks")
    tasks.add_argument(
        "--num_samples", type=number(int, 1), default=8, help="pictures drawn (default: 8)"
    )
    tasks.add_argument(
        "--image", type=Path, metavar="FILE", help="rotate, latent_analysis: start from this face"
    )
    tasks.add_argument(
        "--index",
        type=number(int, 0),
        default=0,
        help="rotate, latent_analysis: start from this validation picture (default: 0)",
    )
    tasks.add_argument(
        "--angles",
        type=number(float, -90, 90),
        nargs="+",
        default=[-45 + 11.25 * step for step in range(9)],
        help="rotate: absolute yaw in degrees, -90..90 (default: -45 to 45 in 9 steps)",
    )
    settings = Options(parser, keys, file.name)
    options = parser.parse_args(argv)
    check_run_options(options)
    overrides = settings.given(options)
    if options.task == "train" and options.ckpt_name:
        overrides["model", "name"] = options.ckpt_name[0]
    return options, override(defaults, overrides), overrides


@command
def main(argv: list[str] | None = None) -> None:
    options, config, overrides = read(argv)
    names = options.ckpt_name or [SHIPPED]
    if len(names) > 1 and options.task != "random_generation":
        raise UserError(f"{options.task} takes one --ckpt_name, not {len(names)}")
    if options.task == "train":
        config = shorten(config) if options.dry_run else config
        how = options.resume, options.overwrite, options.dry_run
        Solver.train(Call(config, overrides, *how))
    else:
        perform(options, config, overrides, names)


def perform(
    options: argparse.Namespace, config: VAEConfig, overrides: Overrides, names: list[str]
) -> None:
    """Does a task with trained models. UserError for a setting that belongs to their training."""
    for section, name in overrides:
        if name not in FOR_TASKS.get(section, ()):
            raise UserError(f"--{name} is for --task train; {options.task} takes it from the run")
    device, seed = config.training.device, config.training.seed
    solver, *beside = (Solver.load(name, options.epoch, device=device) for name in names)
    if options.task == "random_generation":
        return solver.generate_from_latent(options.num_samples, seed, *beside)
    if options.task == "manifold":
        return solver.manifold()
    changes = {place: value for place, value in overrides.items() if place[0] == "data"}
    data, shape = override(solver.config, changes).data, solver.model.shape
    images = load_validation(data, shape)
    if images.shape != shape:
        raise UserError(f"{names[0]} takes pictures of {shape}, {images.source} has {images.shape}")
    if options.task == "reconstruction":
        return solver.reconstruct(images, options.num_samples)
    if options.image is not None:
        face = load_picture(options.image, shape)
    elif options.index < len(images):
        face = images.pixels[options.index]
    else:
        raise UserError(f"--index {options.index} is beyond the {len(images)} validation pictures")
    if options.task == "rotate":
        solver.rotate(images, face, options.angles)
    else:
        solver.latent_analysis(images, face)


if __name__ == "__main__":
    raise SystemExit(main())
