"""Figures, written as files; nothing needs a screen."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

INK, BLUE, ORANGE = "#333333", "#2b6cb0", "#dd7a1f"


def loss_curves(history: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Training beside validation, in nats (left axis) and bits (right axis), one point an epoch."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")  # no pyplot: no window, no state
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 30 else None
    for column, label, color in (
        ("train_nats", "training", BLUE),
        ("val_nats", "validation (cold blocks of 256)", ORANGE),
    ):
        axes.plot(epochs, [row[column] for row in history], color=color, label=label, marker=marker)
    best = min(history, key=lambda row: row["val_nats"])
    axes.axvline(best["epoch"], color=INK, linewidth=0.8, linestyle=":")
    axes.annotate(
        f" best: {best['val_nats']:.3f} at epoch {best['epoch']}",
        (best["epoch"], 0.97),
        xycoords=("data", "axes fraction"),
        color=INK,
        fontsize=9,
        va="top",
        ha="left" if best["epoch"] <= sum(epochs[:: max(1, len(epochs) - 1)]) / 2 else "right",
    )
    axes.set(title=title, xlabel="epoch", ylabel="nats per character")
    axes.grid(alpha=0.25)
    axes.secondary_yaxis(
        "right", functions=(lambda nats: nats / math.log(2), lambda bits: bits * math.log(2))
    ).set_ylabel("bits per character")
    axes.legend(frameon=False, loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
