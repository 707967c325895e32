"""Variational autoencoders of pictures: train one, and find out what its neurons do.

    python main.py --beta 4 --ckpt_name my_vae                      train (the default task)
    python main.py --task random_generation --ckpt_name my_vae      decode random codes
    python main.py --task latent_analysis                           which latent does what
    python main.py --task rotate --angles -40 -20 0 20 40           turn a face
    python main.py --task traverse --along smile                    move it along an attribute
    python main.py --task interpolation --image a.jpg b.jpg         from one face to another
    python main.py --task reconstruction --data photos/             encode and decode pictures
    python main.py --task encode --data photos/                     keep their latents
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
    Uses,
    add_run_options,
    check_run_options,
    epoch,
    number,
)
from utils.config import list_keys, override, read_config, refuse_idle, shorten
from utils.errors import UserError, command
from utils.images import mnist
from vae.data import load_each
from vae.pictures import find_enough, find_known, find_pictures
from vae.training import VAEConfig

TASKS = (
    "train",
    "random_generation",
    "latent_analysis",
    "rotate",
    "traverse",
    "interpolation",
    "reconstruction",
    "encode",
    "manifold",
)
KNOWING = ("latent_analysis", "rotate", "traverse")  # what is known of pictures
LOOKING = (*KNOWING, "reconstruction", "encode")  # at pictures, besides training
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
        "image": (*LOOKING, "interpolation"),
        "index": KNOWING,
        "angles": ("rotate",),
        "along": ("traverse",),
        "attributes": KNOWING,
        "factors": ("latent_analysis",),
        "data.dataset": ("train", *LOOKING),
        "data.data": ("train", *LOOKING),
        "data.held_out": ("train", *LOOKING),
        "training.seed": ("train", "random_generation"),
        "training.device": TASKS,
    },
    hidden={
        ("index", "image"): KNOWING,
        ("num_samples", "image"): ("reconstruction",),
        ("data.data", "image"): ("reconstruction", "encode"),
        ("data.dataset", "image"): ("reconstruction", "encode"),
        ("data.held_out", "image"): ("reconstruction", "encode"),
        ("data.dataset", "data.data"): LOOKING,
    },
)
SHIPPED = "vae_beta_4"
IMAGES = {"latent_analysis": 1, "interpolation": 2}  # pictures that a task takes, of --image


def make_parser(argv: list[str] | None) -> tuple[Parser, Options, VAEConfig]:
    """Makes the parser of all options, that part of them which is settings, and their defaults.

    The defaults are those of --config, or else of the --dataset, in argv.
    """
    first = Parser(add_help=False)
    first.add_argument("--data.dataset", "--dataset", dest="dataset")
    first.add_argument("--config", type=Path)
    found = first.parse_known_args(argv)[0]
    own = "mnist.json" if found.dataset in mnist.DATASETS else "faces.json"
    file = found.config or Path(__file__).with_name("vae") / own
    defaults = read_config(file, VAEConfig)
    keys = list_keys(defaults)

    parser = Parser(
        description=__doc__,
        epilog="An option that says no task is for train. One without effect on a task is refused.",
    )
    what = "what to do (default: train)"
    parser.add_argument("--task", choices=TASKS, default="train", help=what)
    run = add_run_options(parser)
    what = "settings of a training (default: vae/faces.json, of digits vae/mnist.json)"
    run.add_argument("--config", type=Path, metavar="FILE", help=what)
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
        help="pictures to start from: latent_analysis takes one, interpolation two, others more",
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
        help="absolute yaw in degrees, -90..90 (default: -45 to 45 in 9 steps)",
    )
    tasks.add_argument(
        "--along",
        metavar="ATTRIBUTE",
        help="the attribute that changes, or one value of several: smile, hair_style=long",
    )
    tasks.add_argument(
        "--attributes",
        metavar="FILE",
        help="what is known of --data: a table with a row for each picture, an .npz, or a pattern "
        "of the files' names, {age}_{gender}_* (default: looked for beside the pictures)",
    )
    tasks.add_argument(
        "--factors",
        metavar="ATTRIBUTE",
        nargs="+",
        help="attributes that MIG is the mean over (default: all; of rendered faces seven)",
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
    named, taken = len(options.image or ()), IMAGES.get(options.task)
    if taken and named != taken and (named or taken > 1):
        wanted = "one --image" if taken == 1 else "two pictures, --image A B"
        raise UserError(f"{options.task} takes {wanted}, not {named}")
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
    device, seed, task = config.training.device, config.training.seed, options.task
    solver, *beside = (Solver.load(name, options.epoch, device=device) for name in names)
    if task == "random_generation":
        individual = options.individual
        return solver.generate_from_latent(
            options.num_samples, seed, *beside, individual=individual
        )
    if task == "manifold":
        return solver.manifold()
    own, shape, named = solver.config, solver.model.shape, options.image or ()
    if task == "interpolation":
        return solver.interpolate(load_each(named, own.data, shape))
    if task in ("reconstruction", "encode"):
        each = load_each(named, own.data, shape) if named else None
        images = each or find_pictures(own, shape, overrides)
        if task == "encode":
            return solver.encode(images)
        return solver.reconstruct(images, len(named) or options.num_samples)
    images = find_known(own, shape, overrides, options.attributes)
    if named:
        faces = load_each(named, own.data, shape).pixels
    elif options.index < len(images):
        faces = images.pixels[[options.index]]
    else:
        what = (
            f"pictures of {images.source}"
            if ("data", "data") in overrides
            else "validation pictures"
        )
        raise UserError(f"--index {options.index} is beyond the {len(images):,} {what}")
    if task == "rotate":
        solver.rotate(find_enough(own, shape, images, "a turn"), faces, options.angles)
    elif task == "traverse":
        solver.traverse(find_enough(own, shape, images, "a direction"), faces, options.along)
    else:
        solver.latent_analysis(images, faces[0], options.factors)


if __name__ == "__main__":
    raise SystemExit(main())
