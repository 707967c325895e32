"""The course's study: three sizes and three learning rates of each model, on the default text.

    python benchmarks/sizes.py                 all of it, and the Transformer's positions
    python benchmarks/sizes.py --study tcn     one table of it
    python benchmarks/sizes.py --quick         one tiny run of each: does it work?

Each run has its model's config.json but for what its table varies and the epochs, which are the
same for all. Printed: the best validation nats per character on cold blocks of 256 with its
epoch, and the training nats at the end. Nothing but the tables is written (results/sizes/).
"""

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from utils import config as configuration
from utils import files
from utils.command_line import Parser
from utils.errors import command
from utils.files import shown, write_whole
from utils.text.data import Text, load_text
from utils.text.training import TextTask, config_type, tiny
from utils.training.loop import fit
from utils.training.run import Run

RATES = (0.001, 0.003, 0.01)


class Study(NamedTuple):
    """A table: which model, the key that varies and its values (rows), the rates (columns)."""

    kind: str
    key: str
    values: tuple[Any, ...]
    rates: tuple[float, ...] = RATES
    also: tuple[tuple[str, Any], ...] = ()  # other keys of "model", the same in all rows


STUDIES = {
    "lstm": Study("lstm", "hidden_size", (64, 128, 256)),
    "tcn": Study("tcn", "channels", (32, 64, 128)),
    "transformer": Study("transformer", "width", (32, 64, 128)),
    "positions": Study(  # a context as long as a window: learned positions cannot count beyond it
        "transformer",
        "positions",
        ("none", "learned", "sinusoidal", "rotary"),
        rates=(0.003,),
        also=(("context", 128),),
    ),
}


def measure(kind: str, model_type: type, config: Any, text: Text) -> tuple[int, dict, dict]:
    """One training -> parameters, the row of its best epoch, the row of its last."""
    torch.manual_seed(config.training.seed)
    model = model_type(len(text.alphabet), config.model)
    task = TextTask(kind, model, text, config)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config.model.name, Path(folder, "checkpoints"), Path(folder, "results"))
        history = fit(task, run, epochs=config.training.epochs, milestones=(), quiet=True)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, min(history, key=lambda row: row["val_nats"]), history[-1]


def table_of(study: Study, epochs: int, quick: bool) -> str:
    """All runs of one study -> its table in Markdown."""
    kind, key, values, rates, also = study
    modules = importlib.import_module(f"models.{kind}.modules")
    file = files.ROOT / "models" / kind / "config.json"
    base = configuration.build(
        configuration.read_json(file), config_type(modules.ModelConfig), shown(file)
    )
    text = load_text(base.data)
    if quick:
        base, text = tiny(base, text)
        epochs = 1
    head = " | ".join(f"rate {rate}" for rate in rates)
    lines = [f"| {kind}: {key} | parameters | {head} |", "|---|---|" + "---|" * len(rates)]
    for value in values[:1] if quick else values:
        cells = []
        for rate in rates[:1] if quick else rates:
            config = configuration.override(
                base,
                {("model", name): held for name, held in also}
                | {
                    ("model", key): value,
                    ("training", "learning_rate"): rate,
                    ("training", "epochs"): epochs,
                },
            )
            parameters, best, last = measure(kind, modules.Model, config, text)
            cells.append(
                f"{best['val_nats']:.3f} at {best['epoch']} (training {last['train_nats']:.3f})"
            )
        lines.append(f"| {value} | {parameters:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=STUDIES, help="one table (default: all four)")
    parser.add_argument("--quick", action="store_true", help="one tiny run of each")
    parser.add_argument("--epochs", type=int, default=8, help="of every run (default: 8)")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error(f"--epochs is {args.epochs}, not a whole number >= 1")
    for name in [args.study] if args.study else STUDIES:
        began = time.perf_counter()
        table = table_of(STUDIES[name], args.epochs, args.quick)
        minutes = (time.perf_counter() - began) / 60
        print(f"\n{table}\n{minutes:.1f} minutes on {torch.get_num_threads()} threads")
        if not args.quick:
            write_whole(files.ROOT / "results" / "sizes" / f"{name}.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
