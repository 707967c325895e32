"""Where a training stands, and what tells people about it."""

import dataclasses
import json
import math
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import FrameType
from typing import Any, Self

import torch
from tqdm import tqdm

from utils.errors import ENDING, IGNORED, Interrupted, UserError
from utils.files import show, write_whole
from utils.training import checkpoint, distributed
from utils.training.curves import open_tensorboard
from utils.training.fitting import check_place, check_weights
from utils.training.run import Run, list_paths
from utils.training.task import Batch, Row, Task, read_old_form
from utils.words import make_csv

TIMINGS = ("seconds", "per_second")  # the last columns of history.csv


class StopSignals:
    """Remembers Ctrl-C (SIGINT), SIGTERM and SIGHUP until the step is done.

    A second one interrupts at once. What the caller has ignored, as nohup does SIGHUP, stays so.
    """

    def __enter__(self) -> Self:
        self.received: int | None = None
        self.previous = {}
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (n for n in ENDING if signal.getsignal(n) not in IGNORED):
                self.previous[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self.previous[number])

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def warmup_cosine(step: int, *, warmup: int, total: int, final: float) -> float:
    """Returns the share of the peak learning rate at a step in 1..total.

    It climbs in a straight line to 1 at step `warmup`, then falls along half a cosine to `final` at
    the last step (Loshchilov & Hutter 2017, equation 5, without restarts). With warmup 2, total 6
    and final 0: 0.5, 1, 0.85, 0.5, 0.15, 0.
    """
    if step <= warmup:
        return step / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def note_warmup(what: str, warmup: int, total: int) -> None:
    """Says where a warm-up of so many steps is not over when the training of `total` is."""
    if warmup > total:
        print(f"note: {what} climbs for {warmup:,} steps, longer than the training of {total:,}")


class Progress:
    """Where a training stands: its history, the batches of the running epoch, their losses."""

    def __init__(self, task: Task, run: Run) -> None:
        self.task, self.run = task, run
        self.epochs = task.config.training.epochs
        self.steps = min(task.loader.steps, run.most_steps)  # of an epoch
        self.peaks = {name: each.param_groups[0]["lr"] for name, each in task.optimizers.items()}
        self.history: list[Row] = []
        self.index, self.sums, self.seconds = 0, {}, 0.0  # of the running epoch

    def open_epoch(self) -> Iterator[Batch]:
        """Begins the running epoch, or goes on in it; returns the batches that are left of it."""
        self.began = time.perf_counter() - self.seconds
        return self.task.loader.epoch(self.epoch, self.index)

    @property
    def epoch(self) -> int:
        """The running epoch, from 1 on."""
        return len(self.history) + 1

    @property
    def number(self) -> int:
        """The step of all epochs that comes next, from 1 on."""
        return len(self.history) * self.steps + self.index + 1

    def set_learning_rate(self) -> int:
        """Gives every optimiser its rate of the next step; returns the step's number."""
        number, training = self.number, self.task.config.training
        share = warmup_cosine(
            number,
            warmup=training.warmup_steps,
            total=self.epochs * self.steps,
            final=training.final_rate,
        )
        for name, optimizer in self.task.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * self.peaks[name]
        return number

    def add(self, losses: dict[str, float]) -> None:
        """Counts a step and its losses, averaged over all ranks."""
        if self.run.ranks > 1:
            losses = distributed.average(losses)
        self.index += 1
        self.seconds = time.perf_counter() - self.began
        self.ensure_finite(losses)
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + loss

    def end_epoch(self) -> Row:
        """Closes the running epoch: validates it and adds its row to the history."""
        self.ensure_finite_state()
        if self.run.dry:
            self.task.shorten()
        row = {"epoch": self.epoch, "step": self.epoch * self.steps}
        row |= {name: total / self.steps for name, total in self.sums.items()}
        row |= distributed.ask_first(self.task.validate)
        self.ensure_finite(row)
        units = self.steps * self.task.units_per_step
        row["seconds"] = round(self.seconds, 3)
        row["per_second"] = round(units / max(self.seconds, 1e-9))
        if self.history and row.keys() != self.history[0].keys():
            raise UserError("history.csv has other columns by now: --overwrite starts it anew")
        self.history.append(row)
        self.index, self.sums, self.seconds = 0, {}, 0.0
        return row

    def is_milestone(self, row: Row) -> bool:
        """Tells whether the epoch of a row is kept: the last one, and those asked for."""
        return row["epoch"] in self.task.milestones or row["epoch"] == self.epochs

    def is_best(self, row: Row) -> bool:
        """Tells whether the last row is the best so far; it is where nothing is validated."""
        monitor = self.task.monitor
        if row[monitor] is None:
            return True
        return all(row[monitor] < earlier[monitor] for earlier in self.history[:-1])

    def save(self, name: str) -> None:
        """Saves a checkpoint; last.pt with all that a training needs to go on."""
        content = self.task.content() | {"epoch": len(self.history)}
        content["row"] = self.history[-1] if self.history else {}
        if name == "last.pt":
            place = {
                "history": self.history,
                "index": self.index,
                "sums": self.sums,
                "seconds": self.seconds,
            }
            kept = self.task.state()
            kept["ranks"] = self.task.rank_state()
            if not self.task.ranks_draw_alike:
                kept["ranks"] = distributed.gather_per_rank(kept["ranks"])
            content["training"] = {"place": place, "task": kept}
        if self.run.writes:
            checkpoint.save(self.run.checkpoints / name, content)
            if name == "last.pt":
                self.write_tables()

    def write_tables(self) -> None:
        """Writes config.json and history.csv, as they are in last.pt, so that they always agree."""
        settings = json.dumps(dataclasses.asdict(self.task.config), indent=2) + "\n"
        write_whole(self.run.checkpoints / "config.json", settings.encode())
        if self.history:
            write_whole(self.run.checkpoints / "history.csv", make_csv(self.history).encode())

    def restore(self, content: dict[str, Any]) -> None:
        """Goes on from the content of a last.pt. UserError where it does not fit this training."""
        task, columns = self.task, {"epoch", "step", *TIMINGS, *self.task.columns}
        columns |= {task.monitor, *dict(task.measure.curves)}
        with checkpoint.blame(
            self.run.checkpoints / "last.pt", "its training state fits no such training"
        ):
            check_place(content, self.steps, columns)
            check_weights("model", content["model"], task.model)
            kept = read_old_form(content["training"]["task"], task)
            for name, module_state in kept["modules"].items():
                check_weights(f"training.modules.{name}", module_state, task.modules[name])
            alike = task.ranks_draw_alike
            own = kept["ranks"] if alike else distributed.pick_own(kept["ranks"])
            task.restore(content, kept, own)
        place = content["training"]["place"]
        self.history = place["history"]
        self.index, self.sums, self.seconds = place["index"], place["sums"], place["seconds"]

    def stop_if_asked(self, stop: StopSignals) -> None:
        """Saves and raises Interrupted after a signal; all ranks stop at the same step, or none."""
        received = stop.received or 0
        if self.run.ranks > 1:
            received = distributed.find_largest(received)
        if not received:
            return
        self.ensure_finite_state()
        self.save("last.pt")
        paths = list_paths(self.task.config).items()
        named = "".join(f" --{name} {shlex.quote(path)}" for (_, name), path in paths)
        done = f"epoch {self.epoch} of {self.epochs}, batch {self.index} of {self.steps}"
        raise Interrupted(
            received,
            f"stopped in {done if self.index else f'epoch {len(self.history)}'}; "
            f"go on with --resume --ckpt_name {self.run.name}{named}",
        )

    def ensure_finite_state(self) -> None:
        """Looks at the weights: a step may have a finite loss and leave weights that are not."""
        kept = [self.task.content()["model"], self.task.state(), self.task.rank_state()]
        self.ensure_finite({"a weight": kept})

    def ensure_finite(self, losses: dict[str, Any]) -> None:
        """Raises a UserError where a number is none."""
        for name, value in losses.items():
            if not is_finite(value):
                became = value if isinstance(value, float) else "infinite or no number"
                last = self.run.checkpoints / "last.pt"
                good = f"{show(last)} is the last good checkpoint"
                raise UserError(
                    f"{name} became {became} at step {self.number - 1}: lower "
                    f"--learning_rate ({good if last.is_file() else 'none was saved yet'})"
                )


def is_finite(value: Any) -> bool:
    """Tells whether all numbers in a value are: in tensors, dicts, lists and tuples."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    return not isinstance(value, float) or math.isfinite(value)


class Reporter:
    """What tells people how a training goes: a bar, lines on the console, TensorBoard."""

    def __init__(self, progress: Progress, *, quiet: bool) -> None:
        self.progress, self.task, self.quiet = progress, progress.task, quiet
        units = self.task.units_per_step
        self.bar = tqdm(
            total=progress.epochs * progress.steps * units,
            initial=(progress.number - 1) * units,
            unit=self.task.unit,
            unit_scale=True,
            disable=quiet or not progress.run.writes or None,  # None: no bar in a log file
            dynamic_ncols=True,
        )
        self.board = None  # opened when there is something to write
        self.stack = ExitStack()
        self.last_line = 0.0

    def __enter__(self) -> Self:
        self.stack.enter_context(self.bar)
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def show_step(self) -> None:
        """Moves the bar on by a step, beside it the epoch's mean losses so far."""
        progress = self.progress
        sums = {name: progress.sums[name] for name in self.task.columns if name in progress.sums}
        means = [f"{name} {total / progress.index:.4g}" for name, total in sums.items()]
        self.bar.set_description(f"epoch {progress.epoch}/{progress.epochs}", refresh=False)
        self.bar.set_postfix_str(", ".join(means))
        self.bar.update(self.task.units_per_step)

    def show_epoch(self, row: Row, is_milestone: bool) -> None:
        """Sends a row to TensorBoard and, at milestones and every ten seconds, to the console."""
        if self.board is None:
            folder = self.progress.run.results / "tensorboard"
            opened = open_tensorboard(folder, row["step"] - self.progress.steps)
            self.board = self.stack.enter_context(opened)
        row = {name: value for name, value in row.items() if value is not None}
        for name, value in row.items():
            self.board.add_scalar(name, value, row["step"])
        if self.quiet or not (is_milestone or time.perf_counter() - self.last_line > 10):
            return
        self.last_line = time.perf_counter()
        measure, losses = self.task.measure, []
        for name in (name for name in self.task.columns if name in row):
            in_bits = measure.bits and name in dict(measure.curves)
            bits = f" ({measure.in_bits(row[name]):.4f} bits)" if in_bits else ""
            losses.append(f"{name} {row[name]:.4f}{bits}")
        line = "  ".join([*losses, f"{row['per_second']:,} {self.task.unit}/s"])
        self.bar.write(f"epoch {row['epoch']:>4}  {line}")
