"""Train the LSTM on text.

    python models/lstm/train.py                            the default text, by config.json
    python models/lstm/train.py --hidden_size 64 --training.epochs 5 --ckpt_name small

Writes checkpoints/<run>/ and results/<run>/. Then: python models/lstm/test.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

from models.lstm.modules import Model, ModelConfig
from utils.command_line import parse
from utils.errors import command
from utils.text.data import load_text
from utils.text.training import NextCharacter, TextConfig
from utils.training.loop import fit
from utils.training.run import open_run


@dataclass(frozen=True)
class Config(TextConfig):
    """The sections of config.json."""

    kind = "lstm"
    model: ModelConfig


@command
def main(argv: list[str] | None = None) -> None:
    call = parse(argv, __doc__, Config, Path(__file__).with_name("config.json"))
    with open_run(call) as run:
        text = load_text(run.config.data)
        model = Model(len(text.alphabet), run.config.model)
        fit(NextCharacter(model, text, run.config), run)


if __name__ == "__main__":
    raise SystemExit(main())
