"""Let a trained GAN draw, and measure how far its digits are from real ones.

    python models/gan/test.py
    python models/gan/test.py --seed 3 --steps 12

Writes to results/<run>/: samples.png, and interpolation.pdf, the way between two latent points.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from models.gan.modules import Generator
from models.gan.train import CONFIG
from utils import files
from utils.command_line import number
from utils.config import read_json
from utils.digits.testing import evaluate, load_player, options
from utils.digits.training import drawn
from utils.errors import command
from utils.files import shown
from utils.images.figures import picture_rows


def linear(a: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
    """Latent points (Z,) -> the straight line between them, (steps, Z), both ends included."""
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * a + t * b


def spherical(a: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
    """Latent points (Z,) -> an arc between them, (steps, Z) (Shoemake 1985, "slerp").

    In many dimensions nearly all of N(0, I) lies near a sphere of radius sqrt(Z). The middle of a
    straight line is inside it, where the generator never learned to draw; the arc stays outside.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if angle.sin() < 1e-4:  # parallel: there is no arc, or one in every direction
        return linear(a, b, steps)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / angle.sin()


@command
def main(argv: list[str] | None = None) -> None:
    parser = options(__doc__, read_json(Path(__file__).with_name("config.json"))["model"]["name"])
    parser.add_argument(
        "--steps", type=number(int, 2), default=10, help="of the interpolation (default: 10)"
    )
    args = parser.parse_args(argv)
    generator, config, epoch = load_player("gan", Generator, CONFIG, args)
    print(f"GAN {args.ckpt_name}, epoch {epoch}, trained on {config.data.dataset}")
    noise = torch.Generator().manual_seed(args.seed)
    a, b = torch.randn(2, generator.z_dim, generator=noise)
    rows = torch.stack([linear(a, b, args.steps), spherical(a, b, args.steps)])  # (2, steps, Z)
    pictures = drawn(generator, rows.flatten(0, 1)).unflatten(0, (2, args.steps))
    file = files.result_folder(args.ckpt_name) / "interpolation.pdf"
    print("wrote", shown(picture_rows(pictures, file, rows=["linear", "spherical"])))
    evaluate(generator, config, args)


if __name__ == "__main__":
    raise SystemExit(main())
