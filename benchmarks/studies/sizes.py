"""Repeat the course's study: three sizes and three learning rates of each model, one text.

    python benchmarks/studies/sizes.py                all of it, and the Transformer's positions
    python benchmarks/studies/sizes.py --study tcn    one table of it
    python benchmarks/studies/sizes.py --quick        one tiny run of each: does it work?

All runs are on the default text, by their model's config.json, except for what their table varies
and the epochs, which are the same for all. Printed are the best validation nats per character on
cold blocks of 256 with its epoch, and the training nats at the end. Only the tables are written
(results/sizes/).
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.tasks import QUICK, make_text_task, read_settings, take_start, train_quietly
from utils import files
from utils.config import override
from utils.errors import command
from utils.text.data import load_text
from utils.text.training import TextConfig


class Study(NamedTuple):
    """A table: a key of a model's "model" section that varies from row to row, and its values.

    Learning rates vary from column to column.
    """

    kind: str
    key: str
    values: tuple[int, ...] | tuple[str, ...]
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    context: int | None = None  # the Transformer's, where it is not that of its config.json


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


def make_table(study: Study, epochs: int, quick: bool) -> str:
    """Trains all runs of a study; returns its table in Markdown."""
    changes = {("training", "epochs"): epochs, ("protocol", "epochs"): []}  # no passages on the way
    if study.context is not None:
        changes["model", "context"] = study.context
    base: TextConfig = read_settings(study.kind, changes)
    text = load_text(base.data)
    values, rates = study.values, study.rates
    if quick:
        text, values, rates = take_start(text), values[:1], rates[:1]
        base = override(base, QUICK)
    head = " | ".join(f"rate {rate}" for rate in rates)
    lines = [f"| {study.kind}: {study.key} | parameters | {head} |"]
    lines.append("|---|---|" + "---|" * len(rates))
    for value in values:
        cells = []
        for rate in rates:
            varied = {("model", study.key): value, ("training", "learning_rate"): rate}
            task = make_text_task(text, override(base, varied))
            history = train_quietly(task)
            best, last = min(history, key=lambda row: row["val_nats"]), history[-1]
            cells.append(
                f"{best['val_nats']:.3f} at {best['epoch']} (training {last['train_nats']:.3f})"
            )
        parameters = sum(parameter.numel() for parameter in task.model.parameters())
        lines.append(f"| {value} | {parameters:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--study", choices=STUDIES, help="one table (default: all four)")
    add_number(parser, "--epochs", 8, "epochs of every run")
    args = parser.parse_args(argv)
    for name in [args.study] if args.study else STUDIES:
        began = time.perf_counter()
        table = make_table(STUDIES[name], args.epochs, args.quick)
        minutes = (time.perf_counter() - began) / 60
        print(f"\n{table}\n{minutes:.1f} minutes on {torch.get_num_threads()} threads")
        if not args.quick:
            files.write_whole(files.output("results") / "sizes" / f"{name}.md", table.encode())


if __name__ == "__main__":
    raise SystemExit(main())
