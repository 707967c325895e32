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
import os
from pathlib import Path

import utils.start  # noqa: F401

from solver import Solver
from utils.command_line import (
    Call,
    Options,
    Overrides,
    Parser,
    Uses,
    add_run_options,
    check_run_options,
    epoch,
    number,
)
from utils.config import list_keys, override, read_config, refuse_idle, shorten
from utils.errors import UserError, command
from utils.images import mnist
from utils.images.data import Images
from utils.images.files import load_picture
from utils.training.run import ensure_named
from utils.words import count
from vae.data import load_each, load_validation, load_whole
from vae.training import VAEConfig

TASKS = ("train", "random_generation", "latent_analysis", "rotate", "reconstruction", "manifold")
LOOKING = ("latent_analysis", "rotate", "reconstruction")  # at pictures, besides training
# Which tasks an option serves. A setting that is not here belongs to the training of a run. The
# command refuses what serves another task; --help and docs/commands.md say it, tests try it all.
USES = Uses(
    TASKS,
    serves={
        "task": TASKS,
        "ckpt_name": TASKS,
        "output_dir": TASKS,
        "epoch": TASKS[1:],
        "num_samples": ("random_generation", "reconstruction"),
        "individual": ("random_generation",),
        "image": LOOKING,
        "index": ("latent_analysis", "rotate"),
        "angles": ("rotate",),
        "data.dataset": ("train", *LOOKING),
        "data.data": ("train", *LOOKING),
        "data.held_out": ("train", *LOOKING),
        "training.seed": ("train", "random_generation"),
        "training.device": TASKS,
    },
    hidden={
        ("index", "image"): ("latent_analysis", "rotate"),
        ("num_samples", "image"): ("reconstruction",),
        ("data.data", "image"): ("reconstruction",),
        ("data.dataset", "image"): ("reconstruction",),
        ("data.held_out", "image"): ("reconstruction",),
        ("data.dataset", "data.data"): LOOKING,
    },
)
SHIPPED = "vae_beta_4"
FEW = 10  # pictures that show too little of how faces differ to learn a turn from


def make_parser(argv: list[str] | None) -> tuple[Parser, Options, VAEConfig]:
    """Makes the parser of all options, that part of them which is settings, and their defaults.

    The defaults are those of the --dataset in argv.
    """
    first = Parser(add_help=False)
    first.add_argument("--data.dataset", "--dataset", dest="dataset")
    digits = first.parse_known_args(argv)[0].dataset in mnist.DATASETS
    file = Path(__file__).with_name("vae") / ("mnist.json" if digits else "faces.json")
    defaults = read_config(file, VAEConfig)
    keys = list_keys(defaults)

    parser = Parser(
        description=__doc__,
        epilog="An option that says no task is for train. One without effect on a task is refused.",
    )
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
    add_task_options(parser)
    settings = Options(parser, keys, file.name)
    for action in parser._actions:  # a setting for training alone stands in its section unmarked
        if action.help != argparse.SUPPRESS and USES.of(action.dest) != TASKS[:1]:
            action.help += f"; for {USES.name(action.dest)}"
    return parser, settings, defaults


def add_task_options(parser: Parser) -> None:
    """Adds what a task is asked for besides its run."""
    tasks = parser.add_argument_group("the tasks")
    tasks.add_argument(
        "--num_samples", type=number(int, 1), default=8, help="pictures shown (default: 8)"
    )
    tasks.add_argument(
        "--individual", action="store_true", help="a file for each picture too, and an .npz of all"
    )
    tasks.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        nargs="+",
        help="the picture to start from; reconstruction takes several",
    )
    tasks.add_argument(
        "--index",
        type=number(int, 0),
        default=0,
        help="start from this picture of the data, counted from 0 (default: 0)",
    )
    tasks.add_argument(
        "--angles",
        type=number(float, -90, 90),
        nargs="+",
        default=[-45 + 11.25 * step for step in range(9)],
        help="absolute yaw in degrees, -90..90 (default: -45 to 45 in 9 steps)",
    )


def read(argv: list[str] | None) -> tuple[argparse.Namespace, VAEConfig, Overrides]:
    """Reads the tasks' options, the settings (defaults by --dataset) and which were typed."""
    parser, settings, defaults = make_parser(argv)
    options = parser.parse_args(argv)
    check_run_options(options)
    USES.check(parser.typed(argv), options.task)
    overrides = settings.given(options)
    if options.task == "train" and options.ckpt_name:
        overrides["model", "name"] = options.ckpt_name[0]
    config = override(defaults, overrides)
    if options.task == "train" and not options.resume:  # else the run has settings of its own
        refuse_idle(config, overrides, defaults)
    return options, config, overrides


@command
def main(argv: list[str] | None = None) -> None:
    options, config, overrides = read(argv)
    names = options.ckpt_name or [SHIPPED]
    if len(names) > 1 and options.task != "random_generation":
        raise UserError(f"{options.task} takes one --ckpt_name, not {len(names)}")
    if len(options.image or ()) > 1 and options.task != "reconstruction":
        raise UserError(f"{options.task} takes one --image, not {len(options.image)}")
    if options.task == "train":
        config = shorten(config) if options.dry_run else config
        how = options.resume, options.overwrite, options.dry_run
        Solver.train(Call(config, overrides, *how))
    else:
        perform(options, config, overrides, names)


def perform(
    options: argparse.Namespace, config: VAEConfig, overrides: Overrides, names: list[str]
) -> None:
    """Does a task with trained models."""
    device, seed = config.training.device, config.training.seed
    solver, *beside = (Solver.load(name, options.epoch, device=device) for name in names)
    if options.task == "random_generation":
        individual = options.individual
        return solver.generate_from_latent(
            options.num_samples, seed, *beside, individual=individual
        )
    if options.task == "manifold":
        return solver.manifold()
    data, shape = solver.config.data, solver.model.shape
    if options.task == "reconstruction" and options.image:
        return solver.reconstruct(load_each(options.image, data, shape), len(options.image))
    images = find_pictures(solver, overrides)
    if options.task == "reconstruction":
        return solver.reconstruct(images, options.num_samples)
    if options.image:
        face = load_picture(options.image[0], shape)
    elif options.index < len(images):
        face = images.pixels[options.index]
    else:
        what = (
            f"pictures of {images.source}"
            if ("data", "data") in overrides
            else "validation pictures"
        )
        raise UserError(f"--index {options.index} is beyond the {len(images):,} {what}")
    if options.task == "rotate":
        solver.rotate(find_enough(images, solver), face, options.angles)
    else:
        solver.latent_analysis(images, face)


def find_pictures(solver: Solver, overrides: Overrides) -> Images:
    """Loads the pictures that a task looks at: all of a typed --data, else what a run validates on.

    Of a typed --dataset, too, those for validation. UserError for pictures of another size.
    """
    typed = {place: value for place, value in overrides.items() if place[0] == "data"}
    if ("data", "dataset") in typed:
        typed["data", "data"] = None  # it takes the place of the folder that the run was trained on
    config, own = override(solver.config, typed), solver.config.data.data
    refuse_idle(config, typed, solver.config)
    ensure_named(config, typed, solver.config.model.name)
    data, shape = config.data, solver.model.shape
    if ("data", "data") not in typed:
        images = load_validation(data, shape)
    else:
        images = load_whole(data, shape)
        if (
            own is not None
            and data.data is not None
            and os.path.abspath(own) == os.path.abspath(data.data)  # own is not to be touched
        ):
            print(f"{solver.config.model.name} was trained on most of {images.source}")
    if images.shape != shape:
        name = solver.config.model.name
        raise UserError(f"{name} takes pictures of {shape}, {images.source} has {images.shape}")
    return images


def find_enough(images: Images, solver: Solver) -> Images:
    """Returns pictures to learn a turn from: these, or all of the run's own if these are few.

    A path of the run's own is not opened unasked (`ensure_named`).
    """
    if len(images) >= FEW or solver.config.data.data is not None:
        return images
    others = load_whole(solver.config.data, solver.model.shape)
    if len(others) <= len(images):
        return images
    print(
        f"{count(len(images), 'picture')} of {images.source}: too few to learn a turn from, "
        f"which is learned from {others.source}"
    )
    return others


if __name__ == "__main__":
    raise SystemExit(main())
