"""The training loop, once for every model: epochs, checkpoints, history, curves, Ctrl-C, resume.

What differs between models (the step, the losses, the data) is a `Task`; what is the same is `fit`.
"""

import json
import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import torch
from tqdm import tqdm

from utils.errors import Interrupted, StopSignals, UserError
from utils.files import csv_text, shown, write_whole
from utils.training import checkpoint, distributed
from utils.training.curves import draw_losses, open_tensorboard
from utils.training.run import Run
from utils.training.task import Row, Task, read_old_form

TIMINGS = ("seconds", "per_second")  # the last columns of history.csv


def fit(task: Task, run: Run, *, quiet: bool = False) -> list[Row]:
    """Trains to the last epoch of the run's settings; returns the history, a row for each.

    After every epoch: last.pt, best.pt, history.csv, TensorBoard events; at milestones also
    epoch_NNNN.pt. A dry run is a run like any other but for its report. UserError where a loss or
    a weight is no longer finite, before it is saved; Interrupted after a signal, when the step is
    finished and saved. Under torchrun all ranks are in here; rank 0 alone writes and prints.
    """
    rows = distributed.own_rows(task.loader.batch_size)
    progress = Progress(task, run)
    start(task, run, progress, quiet=quiet)
    with StopSignals() as stop, Reporter(task, run, progress, quiet=quiet) as reporter:
        while progress.epoch <= progress.epochs:
            batches = iter(task.batches(progress.epoch, progress.index))
            while progress.index < progress.steps:
                progress.set_learning_rate()
                batch = tuple(tensor[rows] for tensor in next(batches))
                progress.add(task.step(batch, progress.number))
                reporter.show_step()
                progress.stop_if_asked(stop)
            row = progress.end_epoch()
            epoch = row["epoch"]
            is_milestone = epoch in task.milestones or epoch == progress.epochs
            if is_milestone:
                if distributed.is_first():
                    task.milestone(row, run)
                progress.save(f"epoch_{epoch:04}.pt")
            if progress.is_best(row):
                progress.save("best.pt")
            progress.save("last.pt")  # last of all: killed before, the epoch is done again
            if distributed.is_first():
                progress.write_history()
                reporter.show_epoch(row, is_milestone)
            progress.stop_if_asked(stop)
    if distributed.is_first():
        path = run.results / "loss.png"
        draw_losses(progress.history, path, task.title, task.measure, task.monitor)
        if not (run.dry or quiet):
            task.report(run, progress.history)
    return progress.history


def start(task: Task, run: Run, progress: "Progress", *, quiet: bool) -> None:
    """Clears the folders of a new run, or restores what a resumed one kept; says what comes."""
    writes = distributed.is_first()
    if run.resumed is None and writes:
        run.clear()
    if writes and not quiet:
        print(task.describe(), f"writes {run.place}", sep="; ")
        for note in task.notes():
            print(note)
    if not task.ranks_draw_alike:
        distributed.separate_random_numbers()
    if run.resumed is not None:
        progress.restore(run.resumed)
    elif writes and not quiet:
        task.begin(run)
    distributed.average_gradients(task.modules.values())
    if writes:
        run.sweep()
        settings = json.dumps(task.content()["config"], indent=2) + "\n"
        write_whole(run.checkpoints / "config.json", settings.encode())
        progress.write_history()


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


class Progress:
    """Where a training stands: its history, the batches of the running epoch, their losses."""

    def __init__(self, task: Task, run: Run) -> None:
        self.task, self.run = task, run
        self.epochs = task.config.training.epochs
        self.steps = len(task.loader)  # of an epoch
        self.peaks = {name: each.param_groups[0]["lr"] for name, each in task.optimizers.items()}
        self.ranks = distributed.size()
        self.history: list[Row] = []
        self.start_epoch()

    def start_epoch(self, index: int = 0, seconds: float = 0.0, **sums: float) -> None:
        """Begins an epoch, or goes on in it after `index` batches that took `seconds`."""
        self.index, self.sums = index, sums
        self.began = time.perf_counter() - seconds

    @property
    def epoch(self) -> int:
        """The running epoch, from 1 on."""
        return len(self.history) + 1

    @property
    def number(self) -> int:
        """The step of all epochs that comes next, from 1 on."""
        return len(self.history) * self.steps + self.index + 1

    def set_learning_rate(self) -> None:
        """Gives every optimiser its rate of the next step."""
        training = self.task.config.training
        share = warmup_cosine(
            self.number,
            warmup=training.warmup_steps,
            total=self.epochs * self.steps,
            final=training.final_rate,
        )
        for name, optimizer in self.task.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * self.peaks[name]

    def add(self, losses: dict[str, float]) -> None:
        """Counts a step and its losses, averaged over all ranks."""
        if self.ranks > 1:
            losses = distributed.average(losses)
        self.index += 1
        self.ensure_finite(losses)
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + loss

    def end_epoch(self) -> Row:
        """Closes the running epoch: validates it and adds its row to the history."""
        seconds = time.perf_counter() - self.began
        self.ensure_finite_state()
        row = {"epoch": self.epoch, "step": self.epoch * self.steps}
        row |= {name: total / self.steps for name, total in self.sums.items()}
        row |= distributed.ask_first(self.task.validate)
        self.ensure_finite(row)
        row["seconds"] = round(seconds, 3)
        row["per_second"] = round(self.steps * self.task.units_per_step / max(seconds, 1e-9))
        self.history.append(row)
        self.start_epoch()
        return row

    def is_best(self, row: Row) -> bool:
        """Tells whether the last row is the best so far."""
        monitor = self.task.monitor
        return all(row[monitor] < earlier[monitor] for earlier in self.history[:-1])

    def save(self, name: str) -> None:
        """Saves a checkpoint; last.pt with all that a training needs to go on."""
        content = self.task.content() | {"epoch": len(self.history)}
        content["row"] = self.history[-1] if self.history else {}
        if name == "last.pt":
            seconds = time.perf_counter() - self.began
            place = {"history": self.history, "index": self.index, "sums": self.sums}
            kept = self.task.state()
            kept["ranks"] = self.task.rank_state()
            if not self.task.ranks_draw_alike:
                kept["ranks"] = distributed.gather_per_rank(kept["ranks"])
            content["training"] = {"place": place | {"seconds": seconds}, "task": kept}
        if distributed.is_first():
            checkpoint.save(self.run.checkpoints / name, content)

    def write_history(self) -> None:
        """Writes history.csv anew from the checkpoint's own history, so the two always agree."""
        if self.history:
            write_whole(self.run.checkpoints / "history.csv", csv_text(self.history).encode())

    def restore(self, content: dict[str, Any]) -> None:
        """Goes on from the content of a last.pt."""
        place = content["training"]["place"]
        kept = read_old_form(content["training"]["task"], self.task)
        alike = self.task.ranks_draw_alike
        own = kept["ranks"] if alike else distributed.pick_own(kept["ranks"])
        self.task.restore(content, kept, own)
        self.history = place["history"]
        self.start_epoch(place["index"], place["seconds"], **place["sums"])

    def stop_if_asked(self, stop: StopSignals) -> None:
        """Saves and raises Interrupted after a signal; all ranks stop at the same step, or none."""
        received = stop.received or 0
        if self.ranks > 1:
            received = distributed.find_largest(received)
        if not received:
            return
        self.ensure_finite_state()
        self.save("last.pt")
        done = f"epoch {self.epoch} of {self.epochs}, batch {self.index} of {self.steps}"
        raise Interrupted(
            received,
            f"stopped in {done if self.index else f'epoch {len(self.history)}'}; "
            f"go on with --resume --ckpt_name {self.run.name}",
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
                good = f"{shown(last)} is the last good checkpoint"
                raise UserError(
                    f"{name} became {became} at step {self.number - 1}: lower "
                    f"training.learning_rate ({good if last.is_file() else 'none was saved yet'})"
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

    def __init__(self, task: Task, run: Run, progress: Progress, *, quiet: bool) -> None:
        self.task, self.progress, self.quiet = task, progress, quiet
        writes = distributed.is_first()
        units = task.units_per_step
        self.bar = tqdm(
            total=progress.epochs * progress.steps * units,
            initial=(progress.number - 1) * units,
            unit=task.unit,
            unit_scale=True,
            disable=quiet or not writes or None,  # None: no bar in a log file
            dynamic_ncols=True,
        )
        done = len(progress.history) * progress.steps
        self.events: AbstractContextManager = nullcontext()
        if writes:
            self.events = open_tensorboard(run.results / "tensorboard", done)
        self.last_line = 0.0

    def __enter__(self) -> Self:
        self.board = self.events.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.bar.close()
        self.events.__exit__(*exception)

    def show_step(self) -> None:
        """Moves the bar on by a step, beside it the epoch's mean losses so far."""
        progress = self.progress
        shown_sums = {n: progress.sums[n] for n in self.task.columns if n in progress.sums}
        means = [f"{name} {total / progress.index:.4g}" for name, total in shown_sums.items()]
        self.bar.set_description(f"epoch {progress.epoch}/{progress.epochs}", refresh=False)
        self.bar.set_postfix_str(", ".join(means))
        self.bar.update(self.task.units_per_step)

    def show_epoch(self, row: Row, is_milestone: bool) -> None:
        """Sends a row to TensorBoard and, at milestones and every ten seconds, to the console."""
        for name, value in row.items():
            self.board.add_scalar(name, value, row["step"])
        if self.quiet or not (is_milestone or time.perf_counter() - self.last_line > 10):
            return
        self.last_line = time.perf_counter()
        losses = []
        for name in self.task.columns:
            measure = self.task.measure
            in_bits = measure.bits and name in dict(measure.curves)
            bits = f" ({measure.in_bits(row[name]):.4f} bits)" if in_bits else ""
            losses.append(f"{name} {row[name]:.4f}{bits}")
        line = "  ".join([*losses, f"{row['per_second']:,} {self.task.unit}/s"])
        self.bar.write(f"epoch {row['epoch']:>4}  {line}")
