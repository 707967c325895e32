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


def interpolate_linearly(a: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
    """Walks straight from one latent point (Z,) to another: (steps, Z), both ends included."""
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * a + t * b


def interpolate_on_sphere(a: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
    """Walks along an arc from one latent point (Z,) to another: (steps, Z), both ends included.

    Shoemake 1985, "Animating rotation with quaternion curves" ("slerp").

    In many dimensions nearly all of N(0, I) lies near a sphere of radius sqrt(Z). The middle of a
    straight line is inside it, where the generator never learned to draw; the arc stays outside.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if angle.sin() < 1e-4:  # parallel: there is no arc, or one in every direction
        return interpolate_linearly(a, b, steps)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / angle.sin()


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
