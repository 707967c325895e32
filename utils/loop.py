"""The training loop, once for every model: epochs, checkpoints, history, curves, Ctrl-C, resume.

What differs between models (the step, the losses, the data) is a `Task`; what is the same is `fit`.
"""

import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Collection, Iterable
from types import FrameType
from typing import Any, Protocol

from tqdm import tqdm

from utils import checkpoint
from utils.errors import Interrupted, UserError
from utils.paths import shown
from utils.plots import Measure, loss_curves
from utils.run import Run
from utils.tables import csv_text

TIMINGS = ("seconds", "per_second")  # the last columns of history.csv


class Task(Protocol):
    """One kind of training: what `fit` calls, and what a checkpoint of it contains."""

    title: str  # for figures
    unit: str  # what a batch consists of: "char", "image"
    units_per_step: int
    monitor: str  # the column whose smallest value is the best epoch
    columns: tuple[str, ...]  # what the console shows of a row; history.csv has all of it
    measure: Measure  # what the losses are nats of, and which of them are drawn

    def __len__(self) -> int:
        """Batches of an epoch."""

    def batches(self, epoch: int, first: int) -> Iterable[Any]:
        """The batches of an epoch from index `first` on: the same ones whenever it is called."""

    def step(self, batch: Any, number: int) -> dict[str, float]:
        """Learns from one batch, the number-th since the start of training; its losses."""

    def validate(self) -> dict[str, float]:
        """Further columns for the epoch that ended."""

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        """Called at the epochs asked for and the last one, before they are saved."""

    def content(self) -> dict[str, Any]:
        """What rebuilds the model from a checkpoint: kind, config, ..., weights."""

    def training_state(self) -> dict[str, Any]:
        """What else an exact resume needs: optimiser, random numbers, carried state."""

    def restore(self, content: dict[str, Any], state: dict[str, Any]) -> None:
        """Puts back what content() and training_state() gave."""


class StopSignals:
    """Remembers Ctrl-C (SIGINT) and SIGTERM until the step is done. The second Ctrl-C is harder."""

    def __enter__(self) -> "StopSignals":
        self.received: int | None = None
        self.previous = {}
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self.previous[number])

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def fit(
    task: Task,
    run: Run,
    *,
    epochs: int,
    milestones: Collection[int],
    resume: dict[str, Any] | None = None,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Trains until `epochs` are done; returns the history, a row for each.

    After every epoch: last.pt, best.pt, history.csv, TensorBoard events; at milestones also
    epoch_NNNN.pt. `resume` is a checkpoint's content, `quiet` prints nothing. UserError where a
    loss is no longer finite, Interrupted after a signal, when the step is finished and saved.
    """
    history: list[dict[str, Any]] = []
    index, sums, seconds = 0, {}, 0.0  # the running epoch: batches done, summed losses, time
    if resume is not None:
        place = resume["training"]["place"]
        history, index = place["history"], place["index"]
        sums, seconds = place["sums"], place["seconds"]
        task.restore(resume, resume["training"]["task"])
    checkpoint.write_whole(
        run.checkpoints / "config.json",
        (json.dumps(task.content()["config"], indent=2) + "\n").encode(),
    )
    _write_history(run, history)
    board = _tensorboard(run, purge_step=len(history) * len(task) + 1 if history else None)

    def save(name: str, *, training: bool) -> None:
        row = history[-1] if history else {}
        content = task.content() | {"epoch": len(history), "row": row}
        if training:
            place = {"history": history, "index": index, "sums": sums, "seconds": seconds}
            content["training"] = {"place": place, "task": task.training_state()}
        checkpoint.save(run.checkpoints / name, content)

    def stop_if_asked() -> None:
        if stop.received is not None:
            save("last.pt", training=True)
            done = f"epoch {len(history) + (index > 0)} of {epochs}, batch {index} of {len(task)}"
            raise Interrupted(
                stop.received,
                f"stopped in {done if index else f'epoch {len(history)}'}; "
                f"go on with --resume --ckpt_name {run.name}",
            )

    bar = tqdm(
        total=epochs * len(task) * task.units_per_step,
        initial=(len(history) * len(task) + index) * task.units_per_step,
        unit=task.unit,
        unit_scale=True,
        disable=quiet or None,  # None: no bar in a log file
        dynamic_ncols=True,
    )
    last_line = 0.0
    with StopSignals() as stop, bar, board:
        while len(history) < epochs:
            epoch, began = len(history) + 1, time.perf_counter() - seconds
            bar.set_description(f"epoch {epoch}/{epochs}")
            for batch in task.batches(epoch, index):
                step = len(history) * len(task) + index + 1
                for name, loss in task.step(batch, step).items():
                    if not math.isfinite(loss):
                        raise UserError(_diverged(name, loss, step, run))
                    sums[name] = sums.get(name, 0.0) + loss
                index += 1
                bar.update(task.units_per_step)
                means = {name: sums[name] / index for name in task.columns if name in sums}
                bar.set_postfix_str(", ".join(f"{n} {mean:.4g}" for n, mean in means.items()))
                seconds = time.perf_counter() - began
                stop_if_asked()
            row = {"epoch": epoch, "step": epoch * len(task)}
            row |= {name: total / len(task) for name, total in sums.items()}
            row |= task.validate()
            row["seconds"] = round(seconds, 3)
            row["per_second"] = round(len(task) * task.units_per_step / max(seconds, 1e-9))
            is_best = all(row[task.monitor] < earlier[task.monitor] for earlier in history)
            history.append(row)
            index, sums, seconds = 0, {}, 0.0
            is_milestone = epoch in milestones or epoch == epochs
            if is_milestone:
                task.milestone(row, run)
                save(f"epoch_{epoch:04}.pt", training=False)
            if is_best:
                save("best.pt", training=False)
            save("last.pt", training=True)  # last of all: killed before, the epoch is done again
            _write_history(run, history)
            for name, value in row.items():
                board.add_scalar(name, value, row["step"])
            if not quiet and (is_milestone or time.perf_counter() - last_line > 10):
                last_line = time.perf_counter()
                bar.write(f"epoch {epoch:>4}  " + _line(row, task))
            stop_if_asked()
    loss_curves(history, run.results / "loss.png", task.title, task.measure, task.monitor)
    return history


def _line(row: dict[str, Any], task: Task) -> str:
    losses = []
    for name in task.columns:
        in_bits = task.measure.bits and name in dict(task.measure.curves)
        bits = f" ({task.measure.in_bits(row[name]):.4f} bits)" if in_bits else ""
        losses.append(f"{name} {row[name]:.4f}{bits}")
    return "  ".join([*losses, f"{row['per_second']:,} {task.unit}/s"])


def _diverged(name: str, loss: float, step: int, run: Run) -> str:
    last = run.checkpoints / "last.pt"
    good = f"{shown(last)} is the last good checkpoint" if last.is_file() else "none was saved yet"
    return f"{name} became {loss} at step {step}: lower training.learning_rate ({good})"


def _write_history(run: Run, history: list[dict[str, Any]]) -> None:
    """history.csv is written anew from the checkpoint's own history, so the two always agree."""
    if not history:
        return
    checkpoint.write_whole(run.checkpoints / "history.csv", csv_text(history).encode())


def _tensorboard(run: Run, purge_step: int | None) -> Any:
    with warnings.catch_warnings():  # its own dependencies' deprecations are not ours to mend
        warnings.simplefilter("ignore")
        from torch.utils.tensorboard import SummaryWriter  # slow to import: only for training
    return SummaryWriter(str(run.results / "tensorboard"), purge_step=purge_step)
