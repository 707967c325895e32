"""Let a trained adversarial autoencoder reconstruct and draw, and measure both.

    python models/aae/test.py
    python models/aae/test.py --ckpt_name aae_2        with two latents: its codes, by digit

Writes to results/<run>/: reconstruction.png, samples.png and, with two latents, codes.png.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from models.aae.modules import Autoencoder
from models.aae.train import CONFIG, encoded
from utils import files
from utils.config import read_json
from utils.digits.quality import discrepancy
from utils.digits.testing import evaluate, load_player, options
from utils.digits.training import drawn
from utils.errors import command
from utils.files import shown
from utils.images.data import unit_range
from utils.images.figures import picture_rows, scatter


@command
def main(argv: list[str] | None = None) -> None:
    parser = options(__doc__, read_json(Path(__file__).with_name("config.json"))["model"]["name"])
    args = parser.parse_args(argv)
    autoencoder, config, epoch = load_player("aae", Autoencoder, CONFIG, args)
    print(
        f"AAE {args.ckpt_name}, epoch {epoch}, lambda {config.training.lambda_:g}, "
        f"trained on {config.data.dataset}"
    )
    test = evaluate(autoencoder, config, args)
    codes, error = encoded(autoencoder, test)
    prior = torch.randn(codes.shape, generator=torch.Generator().manual_seed(args.seed))
    print(f"reconstruction: mean squared error of a pixel {error:.5f}")
    print(
        f"codes of {min(len(codes), 5000):,} test pictures against N(0, I): squared maximum mean "
        f"discrepancy {discrepancy(codes[:5000], prior[:5000]):.5f}"
    )
    results = files.result_folder(args.ckpt_name)
    pairs = torch.stack([unit_range(test.pixels[:16]), drawn(autoencoder, codes[:16])])
    written = [picture_rows(pairs, results / "reconstruction.png", rows=["original", "decoded"])]
    if autoencoder.z_dim == 2:
        written.append(scatter(codes, test.labels, results / "codes.png"))
    print("wrote", ", ".join(shown(file) for file in written))


if __name__ == "__main__":
    raise SystemExit(main())
