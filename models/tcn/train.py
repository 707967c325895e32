"""Train the TCN on text.

    python models/tcn/train.py                            the default text, by config.json
    python models/tcn/train.py --model.channels 64 --training.epochs 5 --ckpt_name small

Writes checkpoints/<run>/ and results/<run>/. Then: python models/tcn/test.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from models.tcn.modules import Model, ModelConfig
from utils.command_line import parse
from utils.errors import command
from utils.text.training import config_type, train


def build(config: ModelConfig, alphabet: list[str]) -> Model:
    return Model(len(alphabet), config)


@command
def main(argv: list[str] | None = None) -> None:
    config, args, overrides = parse(
        argv,
        description=__doc__,
        config_type=config_type(ModelConfig),
        default_file=Path(__file__).with_name("config.json"),
    )
    train("tcn", build, config, args, overrides)


if __name__ == "__main__":
    raise SystemExit(main())
