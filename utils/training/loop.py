"""The training loop, once for every model: epochs, checkpoints, history, curves, Ctrl-C, resume.

What differs between models (the step, the losses, the data) is a `Task`; what is the same is `fit`.
"""

import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, Protocol

import torch
from tqdm import tqdm

from utils.errors import Interrupted, UserError
from utils.files import csv_text, shown
from utils.training import checkpoint, distributed
from utils.training.curves import Measure, loss_curves
from utils.training.run import Run

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
        """Learns from this rank's share of the number-th batch of all; its losses."""

    def validate(self) -> dict[str, float]:
        """Further columns for the epoch that ended."""

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        """Called at the epochs asked for and the last one, before they are saved."""

    def content(self) -> dict[str, Any]:
        """What rebuilds the model from a checkpoint: kind, config, ..., weights."""

    def training_state(self) -> dict[str, Any]:
        """What else an exact resume needs: optimiser, random numbers, carried state.

        Called by all ranks, so that what differs between them can be `distributed.gathered`.
        """

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
    loss or a weight is no longer finite, before it is saved; Interrupted after a signal, when the
    step is finished and saved. Under torchrun all ranks are in here, and rank 0 does the writing.
    """
    writes = distributed.first()
    history: list[dict[str, Any]] = []
    index, sums, seconds = 0, {}, 0.0  # the running epoch: batches done, summed losses, time
    if resume is not None:
        place = resume["training"]["place"]
        history, index = place["history"], place["index"]
        sums, seconds = place["sums"], place["seconds"]
        task.restore(resume, resume["training"]["task"])
    if writes:
        run.sweep()
        checkpoint.write_whole(
            run.checkpoints / "config.json",
            (json.dumps(task.content()["config"], indent=2) + "\n").encode(),
        )
        _write_history(run, history)

    def save(name: str, *, training: bool) -> None:
        row = history[-1] if history else {}
        content = task.content() | {"epoch": len(history), "row": row}
        if training:
            place = {"history": history, "index": index, "sums": sums, "seconds": seconds}
            content["training"] = {"place": place, "task": task.training_state()}
        if writes:
            checkpoint.save(run.checkpoints / name, content)

    def ensure_finite(losses: Mapping[str, Any]) -> None:
        for name, value in losses.items():
            if not _finite(value):
                step = len(history) * len(task) + index
                raise UserError(_diverged(name, value, step, run))

    def ensure_finite_state() -> None:
        """A step may have a finite loss and leave weights that are not."""
        ensure_finite({"a weight": [task.content()["model"], task.training_state()]})

    def stop_if_asked() -> None:
        received = distributed.largest(stop.received or 0)  # all stop at the same step, or none
        if received:
            ensure_finite_state()
            save("last.pt", training=True)
            done = f"epoch {len(history) + (index > 0)} of {epochs}, batch {index} of {len(task)}"
            raise Interrupted(
                received,
                f"stopped in {done if index else f'epoch {len(history)}'}; "
                f"go on with --resume --ckpt_name {run.name}",
            )

    bar = tqdm(
        total=epochs * len(task) * task.units_per_step,
        initial=(len(history) * len(task) + index) * task.units_per_step,
        unit=task.unit,
        unit_scale=True,
        disable=quiet or not writes or None,  # None: no bar in a log file
        dynamic_ncols=True,
    )
    last_line = 0.0
    events = _tensorboard(run, len(history) * len(task)) if writes else nullcontext()
    with StopSignals() as stop, bar, events as board:
        while len(history) < epochs:
            epoch, began = len(history) + 1, time.perf_counter() - seconds
            bar.set_description(f"epoch {epoch}/{epochs}")
            for batch in task.batches(epoch, index):
                number = len(history) * len(task) + index + 1
                losses = distributed.mean(task.step(distributed.share(batch), number))
                index += 1
                ensure_finite(losses)
                for name, loss in losses.items():
                    sums[name] = sums.get(name, 0.0) + loss
                bar.update(task.units_per_step)
                means = {name: sums[name] / index for name in task.columns if name in sums}
                bar.set_postfix_str(", ".join(f"{n} {mean:.4g}" for n, mean in means.items()))
                seconds = time.perf_counter() - began
                stop_if_asked()
            ensure_finite_state()
            row = {"epoch": epoch, "step": epoch * len(task)}
            row |= {name: total / len(task) for name, total in sums.items()}
            row |= distributed.from_first(task.validate)
            ensure_finite(row)
            row["seconds"] = round(seconds, 3)
            row["per_second"] = round(len(task) * task.units_per_step / max(seconds, 1e-9))
            is_best = all(row[task.monitor] < earlier[task.monitor] for earlier in history)
            history.append(row)
            index, sums, seconds = 0, {}, 0.0
            is_milestone = epoch in milestones or epoch == epochs
            if is_milestone:
                if writes:
                    task.milestone(row, run)
                save(f"epoch_{epoch:04}.pt", training=False)
            if is_best:
                save("best.pt", training=False)
            save("last.pt", training=True)  # last of all: killed before, the epoch is done again
            if writes:
                _write_history(run, history)
                for name, value in row.items():
                    board.add_scalar(name, value, row["step"])
            if not quiet and (is_milestone or time.perf_counter() - last_line > 10):
                last_line = time.perf_counter()
                bar.write(f"epoch {epoch:>4}  " + _line(row, task))
            stop_if_asked()
    if writes:
        loss_curves(history, run.results / "loss.png", task.title, task.measure, task.monitor)
    return history


def _line(row: dict[str, Any], task: Task) -> str:
    losses = []
    for name in task.columns:
        in_bits = task.measure.bits and name in dict(task.measure.curves)
        bits = f" ({task.measure.in_bits(row[name]):.4f} bits)" if in_bits else ""
        losses.append(f"{name} {row[name]:.4f}{bits}")
    return "  ".join([*losses, f"{row['per_second']:,} {task.unit}/s"])


def _finite(value: Any) -> bool:
    """Whether all numbers in a value are: in tensors, dicts, lists and tuples."""
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    return not isinstance(value, float) or math.isfinite(value)


def _diverged(name: str, value: Any, step: int, run: Run) -> str:
    became = value if isinstance(value, float) else "infinite or no number"
    last = run.checkpoints / "last.pt"
    good = f"{shown(last)} is the last good checkpoint" if last.is_file() else "none was saved yet"
    return f"{name} became {became} at step {step}: lower training.learning_rate ({good})"


def _write_history(run: Run, history: list[dict[str, Any]]) -> None:
    """history.csv is written anew from the checkpoint's own history, so the two always agree."""
    if not history:
        return
    checkpoint.write_whole(run.checkpoints / "history.csv", csv_text(history).encode())


@contextmanager
def _tensorboard(run: Run, done: int) -> Iterator[Any]:
    """A SummaryWriter that goes on after so many steps.

    Its thread says twice that a disk is full: to us, at our next call, and in a traceback.
    """
    with warnings.catch_warnings():  # its own dependencies' deprecations are not ours to mend
        warnings.simplefilter("ignore")
        from torch.utils.tensorboard import SummaryWriter  # slow to import: only for training
    usual = threading.excepthook
    threading.excepthook = lambda it: None if issubclass(it.exc_type, OSError) else usual(it)
    try:
        folder = str(run.results / "tensorboard")
        with SummaryWriter(folder, purge_step=done + 1 if done else None) as board:
            yield board
    finally:
        threading.excepthook = usual


def warmup_cosine(step: int, *, warmup: int, total: int, final: float) -> float:
    """The share of the peak learning rate at a step in 1..total.

    It climbs in a straight line to 1 at step `warmup`, then falls along half a cosine to `final` at
    the last step (Loshchilov & Hutter 2017, equation 5, without restarts). With warmup 2, total 6
    and final 0: 0.5, 1, 0.85, 0.5, 0.15, 0.
    """
    if step <= warmup:
        return step / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
