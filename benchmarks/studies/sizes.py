"""Repeat the course's study: three sizes and three learning rates of each model, one text.

    python benchmarks/studies/sizes.py                all of it, and the Transformer's positions
    python benchmarks/studies/sizes.py --study tcn    one table of it
    python benchmarks/studies/sizes.py --quick        one tiny run of each: does it work?

All runs are on the default text, by their model's config.json, except for what their table varies
and the epochs, which are the same for all. Printed are the best validation nats per character on
cold blocks of 256 with its epoch, and the training nats at the end. Only the tables are written
(results/sizes/).
"""

import importlib
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from utils import files
from utils.command_line import Parser, number
from utils.config import override, read_config, shorten
from utils.errors import command
from utils.files import write_whole
from utils.text.data import Text, load_text
from utils.text.training import NextCharacter, TextConfig
from utils.training.loop import fit
from utils.training.run import Run


@dataclass(frozen=True)
class Study:
    """A table: a key of a model's "model" section that varies from row to row, and its values.

    Learning rates vary from column to column.
    """

    kind: str
    key: str
    values: tuple[int, ...] | tuple[str, ...]
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    context: int | None = None  # the Transformer's, where it is not that of its config.json

    def settings(self, base: TextConfig, value: Any, rate: float, epochs: int) -> TextConfig:
        """Returns the settings of one run of the table."""
        changes = {
            ("model", self.key): value,
            ("training", "learning_rate"): rate,
            ("training", "epochs"): epochs,
        }
        if self.context is not None:
            changes["model", "context"] = self.context
        return override(base, changes)


STUDIES = {
    "lstm": Study(kind="lstm", key="hidden_size", values=(64, 128, 256)),
    "tcn": Study(kind="tcn", key="channels", values=(32, 64, 128)),
    "transformer": Study(kind="transformer", key="width", values=(32, 64, 128)),
    "positions": Study(
        kind="transformer",
        key="positions",
        values=("none", "learned", "sinusoidal", "rotary"),
        rates=(0.003,),
        context=128,  # as long as a window: learned positions cannot count beyond it
    ),
}


def train(config: TextConfig, model_type: type, text: Text) -> tuple[int, list[dict[str, Any]]]:
    """Trains once in a temporary folder; returns how many parameters, and the history."""
    torch.manual_seed(config.training.seed)
    model = model_type(len(text.alphabet), config.model)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, Path(folder, "checkpoints"), Path(folder, "results"))
        history = fit(NextCharacter(model, text, config), run, quiet=True)
    return sum(parameter.numel() for parameter in model.parameters()), history


def make_table(study: Study, epochs: int, quick: bool) -> str:
    """Trains all runs of a study; returns its table in Markdown."""
    module = importlib.import_module(f"models.{study.kind}.train")
    base = read_config(files.ROOT / "models" / study.kind / "config.json", module.Config)
    text = load_text(base.data, few=quick)
    base = override(base, {("protocol", "epochs"): []})  # no passages are written on the way
    values, rates = study.values, study.rates
    if quick:
        base, epochs, values, rates = shorten(base), 1, values[:1], rates[:1]
    head = " | ".join(f"rate {rate}" for rate in rates)
    ruler = "|---|---|" + "---|" * len(rates)
    lines = [f"| {study.kind}: {study.key} | parameters | {head} |", ruler]
    for value in values:
        cells = []
        for rate in rates:
            config = study.settings(base, value, rate, epochs)
            parameters, history = train(config, module.Model, text)
            best, last = min(history, key=lambda row: row["val_nats"]), history[-1]
            cells.append(
                f"{best['val_nats']:.3f} at {best['epoch']} (training {last['train_nats']:.3f})"
            )
        lines.append(f"| {value} | {parameters:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--study", choices=STUDIES, help="one table (default: all four)")
    parser.add_argument("--quick", action="store_true", help="one tiny run of each: does it work?")
    parser.add_argument(
        "--epochs", type=number(int, 1), default=8, help="epochs of every run (default: 8)"
    )
    args = parser.parse_args(argv)
    for name in [args.study] if args.study else STUDIES:
        began = time.perf_counter()
        table = make_table(STUDIES[name], args.epochs, args.quick)
        minutes = (time.perf_counter() - began) / 60
        print(f"\n{table}\n{minutes:.1f} minutes on {torch.get_num_threads()} threads")
        if not args.quick:
            write_whole(files.ROOT / "results" / "sizes" / f"{name}.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
