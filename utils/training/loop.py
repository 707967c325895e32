"""The training loop, once for every model: epochs, checkpoints, curves, Ctrl-C, resume.

What differs between models (the step, the losses, the data) is a `Task` (task.py); where a training
stands is its `Progress` (progress.py); the order of it all is here.
"""

from utils.training import distributed
from utils.training.curves import draw_losses
from utils.training.initial import start_from
from utils.training.progress import Progress, Reporter, StopSignals, note_warmup
from utils.training.run import Run
from utils.training.task import Row, Task


def fit(task: Task, run: Run, *, quiet: bool = False) -> list[Row]:
    """Trains to the last epoch of the run's settings; returns the history, a row for each.

    After every epoch: last.pt, best.pt, history.csv, TensorBoard events; at milestones also
    epoch_NNNN.pt. `quiet` prints nothing. UserError where a loss or a weight is no longer finite,
    before it is saved; Interrupted after a signal, when the step is finished and saved. Under
    torchrun all ranks are in here; rank 0 alone writes and prints.
    """
    progress = start(task, run, quiet=quiet)
    with StopSignals() as stop, Reporter(progress, quiet=quiet) as reporter:
        while progress.epoch <= progress.epochs:
            batches = progress.open_epoch()
            while progress.index < progress.steps:
                number = progress.set_learning_rate()
                batch = tuple(tensor[run.rows] for tensor in next(batches))
                progress.add(task.step(batch, number))
                reporter.show_step()
                progress.stop_if_asked(stop)
            row = progress.end_epoch()
            is_milestone = progress.is_milestone(row)
            if is_milestone:
                if run.writes:
                    task.milestone(row, run)
                progress.save(f"epoch_{row['epoch']:04}.pt")
            if progress.is_best(row):
                progress.save("best.pt")
            progress.save("last.pt")  # last of all: killed before, the epoch is done again
            if run.writes:
                reporter.show_epoch(row, is_milestone)
            progress.stop_if_asked(stop)
    if run.writes:
        losses = run.results / "loss.png"
        draw_losses(progress.history, losses, task.title, task.measure, task.monitor)
        if not (run.dry or quiet):
            task.report(run, progress.history)
    return progress.history


def start(task: Task, run: Run, *, quiet: bool) -> Progress:
    """Clears what an earlier run left, says what is to come, and goes on where a run stopped.

    A dry run goes without what a Task does before its first step.
    """
    if task.config.training.init is not None and run.resumed is None:
        line = start_from(task, task.config.training.init)
        print("" if quiet else f"{line}\n", end="")
    if run.writes:
        if not run.dry:
            run.clear()
        run.results.mkdir(parents=True, exist_ok=True)  # or fail before hours of training
        epochs, steps = task.config.training.epochs, min(task.loader.steps, run.most_steps)
        if not quiet:
            sizes = {
                name: sum(p.numel() for group in each.param_groups for p in group["params"])
                for name, each in task.optimizers.items()
            }
            shares = [f"{size:,} {name}" for name, size in sizes.items()]
            parameters = f"{sum(sizes.values()):,} parameters"
            parameters += f" ({', '.join(shares)})" if len(shares) > 1 else ""
            training = f"{epochs:,} epoch{'s'[: epochs != 1]} of {steps:,} step{'s'[: steps != 1]}"
            print(
                f"{task.title}: {parameters} on {task.device}; {task.summary}; {training}; "
                f"writes {run.place}"
            )
        if not (quiet or run.dry):
            note_warmup("the learning rate", task.config.training.warmup_steps, epochs * steps)
            task.begin(run)
    if not task.ranks_draw_alike and run.ranks > 1:
        distributed.separate_random_numbers()
    for module in task.modules.values():
        module.train()  # one that was loaded is in evaluation mode
    progress = Progress(task, run)
    if run.resumed is not None:
        progress.restore(run.resumed)
    if run.ranks > 1:
        distributed.average_gradients(task.modules.values())
    if run.writes and run.resumed is not None:
        progress.write_tables()
    return progress
