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
from typing import Any

from solver import Solver
from utils import config as configuration
from utils.command_line import Options, Parser, check_run_options, epoch, number, run_options
from utils.config import defaults_of
from utils.errors import UserError, command
from utils.files import shown
from utils.images import mnist
from utils.images.data import Images
from utils.images.files import load_picture
from vae.data import load_validation
from vae.training import CONFIG

TASKS = ("train", "random_generation", "latent_analysis", "rotate", "reconstruction", "manifold")
SHIPPED = "vae_beta_4"
# What a task takes of the settings; all others belong to the training of its checkpoint.
FOR_TASKS = {("data", "dataset"), ("data", "data"), ("data", "held_out")}
FOR_TASKS |= {("training", "seed"), ("training", "device")}


def read(argv: list[str] | None) -> tuple[argparse.Namespace, Any, dict]:
    """The command line -> the options, the settings to train with, the keys overridden."""
    first = Parser(add_help=False)
    first.add_argument("--dataset")
    dataset = first.parse_known_args(argv)[0].dataset
    settings = "mnist.json" if dataset in mnist.DATASETS else "faces.json"
    file = Path(__file__).with_name("vae") / settings
    defaults = defaults_of(file, CONFIG)
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="train", help="default: train")
    run = run_options(parser)
    run.add_argument(
        "--ckpt_name",
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
    options = Options(parser, defaults, shown(file), flat=True)
    args = parser.parse_args(argv)
    check_run_options(args)
    return args, defaults, options.given(args)


@command
def main(argv: list[str] | None = None) -> None:
    args, defaults, overrides = read(argv)
    if args.task == "train":
        names = args.ckpt_name or [defaults.model.name]
        if len(names) > 1:
            raise UserError(f"train takes one --ckpt_name, not {len(names)}")
        overrides["model", "name"] = names[0]
        Solver.train(configuration.override(defaults, overrides), args, overrides)
        return

    for section, name in overrides:
        if (section, name) not in FOR_TASKS:
            raise UserError(f"--{name} is for --task train; {args.task} takes it from the run")
    names = args.ckpt_name or [SHIPPED]
    if len(names) > 1 and args.task != "random_generation":
        raise UserError(f"{args.task} takes one --ckpt_name, not {len(names)}")
    settings = configuration.override(defaults, overrides)
    device, seed = settings.training.device, settings.training.seed
    solver, *beside = (Solver.load(name, args.epoch, device=device) for name in names)
    if args.task == "random_generation":
        solver.generate_from_latent(args.num_samples, seed, *beside)
        return
    if args.task == "manifold":
        solver.manifold()
        return
    data = configuration.override(
        solver.config, {place: value for place, value in overrides.items() if place[0] == "data"}
    ).data
    images = load_validation(data, solver.model.shape)
    if images.shape != solver.model.shape:
        raise UserError(
            f"{names[0]} takes pictures of {solver.model.shape}, {images.source} has {images.shape}"
        )
    if args.task == "reconstruction":
        solver.reconstruct(images, args.num_samples)
        return
    if args.image is not None:
        picture = load_picture(args.image, solver.model.shape)
        face = Images(picture[None], str(args.image), bits=data.bits)
    elif args.index < len(images):
        face = images.take(slice(args.index, args.index + 1))
    else:
        raise UserError(f"--index {args.index} is beyond the {len(images)} validation pictures")
    if args.task == "rotate":
        solver.rotate(images, face, args.angles)
    else:
        solver.latent_analysis(images, face)


if __name__ == "__main__":
    raise SystemExit(main())
