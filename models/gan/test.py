"""Let a trained GAN draw, and measure how far its digits are from real ones.

    python models/gan/test.py
    python models/gan/test.py --seed 3 --steps 12

Writes to results/<run>/: samples.png, and interpolation.pdf, the way between two latent points.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

import torch

from models.gan.modules import Generator
from models.gan.train import Config
from utils import files
from utils.command_line import number
from utils.digits.testing import evaluate, load_digit_model, make_parser, name_data
from utils.digits.training import generate_pictures
from utils.errors import command
from utils.files import show
from utils.images.figures import draw_pictures
from utils.interpolation import interpolate_linearly, interpolate_on_sphere


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__, Path(__file__).with_name("config.json"))
    steps = "pictures of the interpolation (default: 10)"
    parser.add_argument("--steps", type=number(int, 2), default=10, help=steps)
    args = parser.parse_args(argv)
    generator, config, content = load_digit_model(Config, Generator, args)
    print(f"GAN {args.ckpt_name}, epoch {content['epoch']}, trained on {name_data(config.data)}")
    noise = torch.Generator().manual_seed(args.seed)
    ends = torch.randn(2, generator.z_dim, generator=noise)
    ways = [interpolate_linearly(*ends, args.steps), interpolate_on_sphere(*ends, args.steps)]
    pictures = generate_pictures(generator, torch.cat(ways)).unflatten(0, (2, args.steps))
    file = files.result_folder(args.ckpt_name) / "interpolation.pdf"
    print("wrote", show(draw_pictures(pictures, file, rows=["linear", "spherical"])))
    evaluate(generator, config.data, args)


if __name__ == "__main__":
    raise SystemExit(main())
