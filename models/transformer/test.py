"""Let a trained Transformer write, and measure how well it predicts.

    python models/transformer/test.py                                    the shipped checkpoint
    python models/transformer/test.py --prompt "the bridge" --length 300 --temperature 0.5

For each sample it prints what was fed in, how the original goes on, and what the model writes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

from models.transformer.modules import Model
from models.transformer.train import Config
from utils.errors import command
from utils.text.testing import load_text_model, parse_test, show_samples


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_test(argv, __doc__, Path(__file__).with_name("config.json"))
    loaded = load_text_model(Config, Model, args.ckpt_name, args.epoch, args.device)
    show_samples("Transformer", loaded, args)


if __name__ == "__main__":
    raise SystemExit(main())
