"""The curves of a training: what its losses are nats of, loss.png, and TensorBoard's events."""

import io
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.files import write_whole
from utils.words import escape

if TYPE_CHECKING:  # what only writes text goes without it
    from matplotlib.figure import Figure

INK = "#333333"
WIDEST = 80  # characters of a title
COLORS = ("#2b6cb0", "#dd7a1f", "#2f855a", "#805ad5")


class Measure(NamedTuple):
    """What a model's losses are nats of, and which columns of history.csv are drawn as curves.

    Where bits are reported beside nats, `dimensions` is how many share them.
    """

    nats: str  # "nats per character"
    bits: str | None = None  # "bits per character"
    dimensions: int = 1
    curves: tuple[tuple[str, str], ...] = (("train_nats", "training"), ("val_nats", "validation"))

    def in_bits(self, nats: float) -> float:
        return nats / (self.dimensions * math.log(2))

    def in_nats(self, bits: float) -> float:
        return bits * self.dimensions * math.log(2)


def draw_losses(
    history: Sequence[dict[str, Any]], path: Path, title: str, measure: Measure, monitor: str
) -> None:
    """Draws the measure's columns, a point an epoch, in nats (left axis) and bits (right axis)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")  # no pyplot: no window, no state
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 30 else None
    drawn = [one for one in measure.curves if history[-1][one[0]] is not None]
    for (column, label), color in zip(drawn, COLORS, strict=False):
        axes.plot(epochs, [row[column] for row in history], color=color, label=label, marker=marker)
    if history[-1][monitor] is not None:
        mark_best(axes, history, monitor, what="" if monitor in dict(drawn) else f" {monitor}")
    if len(title) > WIDEST:
        title = f"{title[: WIDEST // 2]} ... {title[-WIDEST // 2 :]}"
    axes.set_title(escape(title), parse_math=False)  # it names the data: $x^$ is no formula
    axes.set(xlabel="epoch", ylabel=measure.nats)
    axes.grid(alpha=0.25)
    if measure.bits:
        right = axes.secondary_yaxis("right", functions=(measure.in_bits, measure.in_nats))
        right.set_ylabel(measure.bits)
    axes.legend(frameon=False, loc="upper right")  # where falling losses are not
    save(figure, path, dpi=130)


def save(figure: "Figure", path: Path, **options: Any) -> Path:
    """Writes a figure in the format that its name ends in, whole or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], **options)
    return write_whole(path, content.getvalue())


def mark_best(axes: Any, history: Sequence[dict[str, Any]], monitor: str, what: str) -> None:
    """Marks the epoch with the smallest value of a column, which may be none of the curves."""
    best, epochs = min(history, key=lambda row: row[monitor]), [row["epoch"] for row in history]
    axes.axvline(best["epoch"], color=INK, linewidth=0.8, linestyle=":")
    axes.annotate(
        f" best{what}: {best[monitor]:.4g} at epoch {best['epoch']}",
        (best["epoch"], 0.97),
        xycoords=("data", "axes fraction"),
        color=INK,
        fontsize=9,
        va="top",
        ha="left" if best["epoch"] <= sum(epochs[:: max(1, len(epochs) - 1)]) / 2 else "right",
    )


@contextmanager
def open_tensorboard(folder: Path, done: int) -> Iterator[Any]:
    """Opens a SummaryWriter that goes on after so many steps.

    Its thread reports a full disk twice: at our next call, and in a traceback that is kept back.
    """
    with warnings.catch_warnings():  # its own dependencies' deprecations are not ours to mend
        warnings.simplefilter("ignore")
        from torch.utils.tensorboard import SummaryWriter  # slow to import: only for training
    usual = threading.excepthook
    threading.excepthook = lambda it: None if issubclass(it.exc_type, OSError) else usual(it)
    try:
        with SummaryWriter(str(folder), purge_step=done + 1 if done else None) as board:
            yield board
    finally:
        threading.excepthook = usual
