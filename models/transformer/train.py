"""Train the Transformer on text.

    python models/transformer/train.py                            the default text, by config.json
    python models/transformer/train.py --width 64 --training.epochs 5 --ckpt_name small

Writes checkpoints/<run>/ and results/<run>/. Then: python models/transformer/test.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

from models.transformer.modules import Model, ModelConfig
from utils.command_line import parse
from utils.errors import command
from utils.text.data import load_text
from utils.text.training import NextCharacter, TextConfig
from utils.training.loop import fit
from utils.training.run import open_run


@dataclass(frozen=True)
class Config(TextConfig):
    """The sections of config.json."""

    kind = "transformer"
    model: ModelConfig
    idle: ClassVar = {
        ("model", "window"): (
            lambda config: (config.model.window or 0) >= config.model.context,
            "unless it is below --context",
        ),
        ("model", "context"): (
            lambda config: (
                config.model.positions != "learned"
                and (config.model.window or config.model.context) < config.model.context
            ),
            "beside a smaller --window, but with --positions learned",
        ),
    }


@command
def main(argv: list[str] | None = None) -> None:
    call = parse(argv, __doc__, Config, Path(__file__).with_name("config.json"))
    with open_run(call) as run:
        text = load_text(run.config.data)
        model = Model(len(text.alphabet), run.config.model)
        fit(NextCharacter(model, text, run.config), run)


if __name__ == "__main__":
    raise SystemExit(main())
