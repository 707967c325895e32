"""What models/gan/test.py and models/aae/test.py share: options, loading, the evaluation."""

import argparse
from typing import Any

from torch import nn

from utils import files
from utils.command_line import Parser, model_options, number
from utils.digits.quality import Judge, shares_line
from utils.digits.training import draw
from utils.files import shown
from utils.images.data import Images
from utils.images.figures import picture_rows
from utils.images.mnist import digits
from utils.training.run import load_model

EVALUATED = 10_000  # draws of an evaluation, as many as MNIST has test pictures


def options(description: str, default_run: str) -> Parser:
    """The options of both."""
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    model_options(parser, default_run)
    pictures = parser.add_argument_group("the pictures")
    pictures.add_argument(
        "--num_samples", type=number(int, 1), default=64, help="pictures drawn (default: 64)"
    )
    pictures.add_argument("--seed", type=number(int, 0), default=0, help="same seed, same pictures")
    return parser


def load_player(
    kind: str, player_type: type[nn.Module], config_type: type, args: argparse.Namespace
) -> tuple[nn.Module, Any, int]:
    """A run's checkpoint -> what draws, its config, its epoch."""
    player, config, content = load_model(
        kind,
        args.ckpt_name,
        args.epoch,
        config_type,
        lambda config, _: player_type(config.model),
        args.device,
    )
    return player, config, content["epoch"]


def evaluate(player: nn.Module, config: Any, args: argparse.Namespace) -> Images:
    """Writes samples.png, prints the Fréchet distance and the digits; returns the test pictures."""
    columns = max(n for n in range(1, 17) if args.num_samples % n == 0)
    pictures = draw(player, args.num_samples, args.seed).unflatten(0, (-1, columns))
    file = files.result_folder(args.ckpt_name) / "samples.png"
    print("wrote", shown(picture_rows(pictures, file)))
    test = digits(config.data.dataset)[1]
    distance, shares = Judge(config.data.dataset, test).score(draw(player, EVALUATED, args.seed))
    print(f"Fréchet distance of {EVALUATED:,} draws to {test.source}: {distance:.3f}")
    print(f"digits drawn: {shares_line(shares)}")
    return test
