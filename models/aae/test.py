"""Let a trained adversarial autoencoder reconstruct and draw, and measure both.

    python models/aae/test.py
    python models/aae/test.py --ckpt_name aae_2        with two latents: where each digit lies

Writes to results/<run>/: reconstruction.png, samples.png and, with two latents, codes.png.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

import numpy as np
import torch

from models.aae.modules import Autoencoder
from models.aae.train import Config, encode_pictures
from utils import files
from utils.digits.quality import measure_discrepancy
from utils.digits.testing import evaluate, load_digit_model, make_parser, name_data
from utils.digits.training import generate_pictures
from utils.errors import command
from utils.files import show
from utils.images.figures import draw_pictures, draw_scatter
from utils.words import count

COMPARED = 5000  # latents whose distribution is compared with the prior


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, Path(__file__).with_name("config.json")).parse_args(argv)
    autoencoder, config, content = load_digit_model(Config, Autoencoder, args)
    print(
        f"AAE {args.ckpt_name}, epoch {content['epoch']}, lambda {config.training.lambda_:g}, "
        f"trained on {name_data(config.data)}"
    )
    test = evaluate(autoencoder, config.data, args)
    if test is None:
        return
    z, error = encode_pictures(autoencoder, test)
    prior = torch.randn(z.shape, generator=torch.Generator().manual_seed(args.seed))
    print(f"reconstruction: mean squared error of a pixel {error:.5f}")
    if len(z) > 1:
        print(
            f"latents of {count(min(len(z), COMPARED), 'test picture')} against N(0, I): squared "
            f"maximum mean discrepancy {measure_discrepancy(z[:COMPARED], prior[:COMPARED]):.5f}"
        )
    results = files.result_folder(args.ckpt_name)
    pairs = torch.stack([test.floats(slice(16)), generate_pictures(autoencoder, z[:16])])
    written = [draw_pictures(pairs, results / "reconstruction.png", rows=["original", "decoded"])]
    if autoencoder.z_dim == 2:
        labels = np.zeros(len(z), int) if test.labels is None else test.labels
        written.append(draw_scatter(z, labels, results / "codes.png"))
    print("wrote", ", ".join(show(file) for file in written))


if __name__ == "__main__":
    raise SystemExit(main())
