"""What models/gan/test.py and models/aae/test.py share: options, loading, the evaluation."""

import argparse
from collections.abc import Callable
from pathlib import Path

from utils import files
from utils.command_line import Parser, add_model_options, number
from utils.config import read_json
from utils.digits.classifier import EPOCHS
from utils.digits.quality import Judge, describe_shares
from utils.digits.training import DataConfig, DigitConfig, GenerativeModel, sample_pictures
from utils.errors import UserError
from utils.files import show
from utils.images.data import Images
from utils.images.figures import draw_pictures
from utils.images.files import load_images
from utils.images.mnist import digits
from utils.training.checkpoint import Loaded, load_model
from utils.words import count

EVALUATED = 10_000  # pictures of an evaluation, as many as MNIST has test pictures


def make_parser(description: str | None, config_file: Path) -> Parser:
    """Makes the parser of both; the default run is the config's."""
    parser = Parser(description=description)
    add_model_options(parser, read_json(config_file)["model"]["name"])
    pictures = parser.add_argument_group("the pictures")
    pictures.add_argument(
        "--num_samples", type=number(int, 1), default=64, help="pictures drawn (default: 64)"
    )
    pictures.add_argument(
        "--seed", type=number(int, 0), default=0, help="same seed, same pictures (default: 0)"
    )
    what = "pictures to compare with, a folder or an array's file (default: the data set's own)"
    pictures.add_argument("--data", type=Path, metavar="PATH", help=what)
    return parser


def load_digit_model(
    config_type: type[DigitConfig],
    model_type: Callable[..., GenerativeModel],
    args: argparse.Namespace,
) -> Loaded:
    """Loads what generates pictures from a run's checkpoint."""

    def build_model(config: DigitConfig, _: dict) -> GenerativeModel:
        return model_type(config.model)

    return load_model(config_type, args.ckpt_name, args.epoch, build_model, args.device)


def name_data(data: DataConfig) -> str:
    """Says what a model was trained on."""
    return data.data or data.dataset


def load_test(data: DataConfig, own: Path | None) -> Images | None:
    """Loads the pictures to measure against; None, with a line that says why, where none is there.

    A path in a checkpoint is not opened: only one that the user names.
    """
    if own is not None:
        return load_images(own, size=28, channels=1)
    try:
        if data.data is not None:
            raise UserError(f"it was trained on {data.data}: --data PATH names pictures to compare")
        return digits(data.dataset)[1]
    except UserError as problem:
        print(f"nothing was measured, for want of test pictures: {problem}")
        return None


def evaluate(model: GenerativeModel, data: DataConfig, args: argparse.Namespace) -> Images | None:
    """Writes samples.png, prints Fréchet distance and digits; returns the test pictures.

    Where there are none to compare with, it draws only.
    """
    pictures = sample_pictures(model, args.num_samples, args.seed)
    file = files.result_folder(args.ckpt_name) / "samples.png"
    print("wrote", show(draw_pictures(pictures[None], file)))
    test = load_test(data, args.data)
    if test is None:
        return None
    judge = Judge(data.dataset, test)
    distance, shares = judge.score(sample_pictures(model, EVALUATED, args.seed))
    print(f"Fréchet distance of {count(EVALUATED, 'draw')} to {test.source}: {distance:.3f}")
    if data.data is None and data.dataset in EPOCHS:
        print(f"digits drawn: {describe_shares(shares)}")
    return test
