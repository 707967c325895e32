"""A run: its two folders, and whether it may start, goes on or starts anew."""

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import torch
from filelock import FileLock, Timeout

from utils import files
from utils.command_line import Call
from utils.config import LARGEST, C, Config, build, list_keys, override, refuse_idle, spell
from utils.errors import UserError, outlive_readers
from utils.files import show
from utils.training import checkpoint, distributed
from utils.training.fitting import no_larger_than

DRY_STEPS = 2  # of a dry run, as training takes them: a state goes on from one to the next
# What may not change when a run goes on: the model's shape and the order of its data.
FIXED = {"model", "data"}
FIXED_KEYS = {
    ("training", name)
    for name in ("batch_size", "length", "seed", "precision", "optimizer", "init")
}


@dataclass(frozen=True)
class Run(Generic[C]):
    """A training's settings, its folders checkpoints/<name>/ and results/<name>/, and its start.

    A dry run has two folders elsewhere, and leaves nothing behind.
    """

    config: C
    checkpoints: Path
    results: Path
    place: str = "a temporary folder"  # where it writes, in words
    dry: bool = False
    most_steps: int = LARGEST  # of an epoch
    resumed: dict[str, Any] | None = None  # the content of the checkpoint it goes on from
    ranks: int = 1  # processes that train together
    writes: bool = True  # whether this one prints and writes: rank 0
    rows: slice = field(default_factory=lambda: slice(None))  # its share of every batch

    @property
    def name(self) -> str:
        return self.config.model.name

    def files(self) -> list[Path]:
        """Lists what training wrote into the checkpoint folder."""
        names = ("*.pt", "*.partial", "config.json", "history.csv")
        return [file for name in names for file in self.checkpoints.glob(name)]

    def clear(self) -> None:
        """Removes what an earlier run of this name left, and nothing else.

        Where this one goes on, that is only what was being written when it was killed.
        """
        names = ("*.partial",)
        if self.resumed is None:
            names += ("protocol.md", "loss.png", "samples_*.png", "reconstructions_*.png")
            names += ("tensorboard/events.out.tfevents.*",)
        left = [file for name in names for file in self.results.glob(name)]
        left += self.checkpoints.glob("*.partial") if self.resumed else self.files()
        for file in left:
            file.unlink()


@contextmanager
def open_run(call: Call[C]) -> Iterator[Run[C]]:
    """Opens the run that a training command was asked for, and seeds its random numbers.

    A dry run writes to a temporary folder, gone afterwards. Under torchrun all processes are one
    run: rank 0 looks at its files. UserError as in `claim`, `start_run` and `resume_run`.
    """
    temporary = tempfile.TemporaryDirectory(prefix="dry-run-") if call.dry_run else nullcontext()
    together = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    ranks = distributed.join_ranks() if together else nullcontext()
    streams = nullcontext() if call.dry_run else outlive_readers()
    with streams, ranks, temporary as folder, ExitStack() as stack:
        if not call.dry_run:  # by rank 0, for all
            distributed.ask_first(lambda: stack.enter_context(claim(place_run(call.config))))
        if call.resume:
            run = resume_run(call)
        elif call.dry_run:
            folders = Path(folder, "checkpoints"), Path(folder, "results")
            run = Run(call.config, *folders, dry=True, most_steps=DRY_STEPS)
        else:
            run = distributed.ask_first(lambda: start_run(call))
        if together:
            rows = distributed.own_rows(run.config.training.batch_size)
            ranks, writes = distributed.size(), distributed.rank() == 0
            run = dataclasses.replace(run, ranks=ranks, writes=writes, rows=rows)
        torch.manual_seed(run.config.training.seed)
        last = run.checkpoints / "last.pt"
        with no_larger_than(run.resumed, last) if run.resumed else nullcontext():
            yield run
        if run.dry:
            files.check_name(run.name, "the run's name")  # training would refuse it, so does this
            print("dry run: two steps and a little of all else went well; nothing was kept")


def place_run(config: C, **further: Any) -> Run[C]:
    """Makes a run with the folders of its name. UserError where it cannot have or write them."""
    checkpoints = files.checkpoint_folder(config.model.name)
    results = files.result_folder(config.model.name)
    for folder in (checkpoints, results):  # now, not when hours of training are to be saved
        if folder.exists() and not os.access(folder, os.W_OK):
            raise UserError(f"{show(folder)}/ cannot be written to: take another --ckpt_name")
    place = f"{show(checkpoints)}/ and {show(results)}/"
    return Run(config, checkpoints, results, place, **further)


def start_run(call: Call[C]) -> Run[C]:
    """Makes a new run. UserError where it exists, unless --overwrite is given."""
    run = place_run(call.config)
    if run.files() and not call.overwrite:
        raise UserError(
            f"{show(run.checkpoints)} exists: --resume goes on with it, "
            "--overwrite starts it anew, --ckpt_name RUN takes another name"
        )
    return run


def resume_run(call: Call[C]) -> Run[C]:
    """Makes a run that goes on, with its own settings: of what was typed, only what may change.

    UserError where there is nothing to resume, or where an override would change the model or data.
    """
    run = place_run(call.config)
    last = run.checkpoints / "last.pt"
    content = distributed.ask_first(lambda: read_last(run))
    saved = build(content["config"], type(call.config), last)
    for (section, name), value in call.overrides.items():
        before = getattr(getattr(saved, section), name)
        if (section in FIXED or (section, name) in FIXED_KEYS) and value != before:
            option = spell(saved, section, name)
            raise UserError(f"{option} was {before!r} and cannot change with --resume")
    ensure_named(saved, call.overrides, show(last))
    if saved.model.name != run.name:
        raise UserError(f"{show(last)} is that of {saved.model.name!r:.80}: take another run")
    config = override(saved, call.overrides)
    refuse_idle(config, call.overrides, saved)
    run = place_run(config, resumed=content)
    if content["epoch"] >= run.config.training.epochs:
        option = spell(saved, "training", "epochs")
        epochs = content["epoch"]
        print(f"{run.name} is finished: {option} {epochs + 1} or more would go on with it")
    own = [
        f"{spell(saved, section, name)} {value}"
        for section, values in dataclasses.asdict(run.config).items()
        for name, value in values.items()
        if value != getattr(getattr(call.config, section), name)
    ]
    if own:
        print(f"resumed with the run's own {', '.join(own)}")
    return run


@contextmanager
def claim(run: Run) -> Iterator[None]:
    """Keeps other processes from training a run. UserError says which one does.

    The system takes the lock of a process that has died back, so the run is free then.
    """
    run.checkpoints.parent.mkdir(parents=True, exist_ok=True)
    lock, owner = (run.checkpoints.with_name(f".{run.name}.{end}") for end in ("lock", "owner"))
    held = FileLock(lock)
    try:
        held.acquire(timeout=1)  # who looks whether it is free has it for a moment
    except Timeout:
        who = "another process"
        with suppress(OSError):
            who = owner.read_text(encoding="utf-8") or who
        raise UserError(
            f"{run.name} is being trained by {who}: wait for it, or take another --ckpt_name"
        ) from None
    except OSError as problem:
        if problem.errno not in files.UNLOCKED:
            raise
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        who = f"process {os.getpid()} on {platform.node()} since {since}"
        with files.name_in_errors(owner):
            owner.write_text(who, encoding="utf-8")
        yield
    finally:
        for file in (owner, lock):
            with suppress(OSError):  # Windows: another process has it open
                file.unlink()
        held.release()


def list_paths(config: Config) -> dict[tuple[str, str], str]:
    """Lists the places outside the project that a configuration names: (section, key) -> path."""
    paths = {
        (section, field.name): getattr(getattr(config, section), field.name)
        for section, field, _ in list_keys(config)
        if field.metadata["is_path"]
    }
    return {place: path for place, path in paths.items() if path is not None}


def ensure_named(config: Config, named: Collection[tuple[str, str]], source: str) -> None:
    """Raises a UserError for a path in a checkpoint's configuration that the user has not named.

    A stranger's file could have anything opened: a pipe that waits for ever, a share that takes
    note of it.
    """
    for (section, name), path in list_paths(config).items():
        if (section, name) not in named:
            raise UserError(
                f"{source} learned from {path!r:.80}; a path in a checkpoint is opened only where "
                f"you name it, too: --{name} {path:.80}"
            )


def read_last(run: Run) -> dict[str, Any]:
    """Reads a run's last.pt. UserError where there is none that could be resumed."""
    last = run.checkpoints / "last.pt"
    if not last.is_file():
        way = "--overwrite starts the run anew" if run.files() else "leave --resume out"
        raise UserError(f"{show(last)} is not there, so there is nothing to resume: {way}")
    content = checkpoint.load(last, run.config.kind)
    if "training" not in content:
        raise UserError(f"{show(last)} holds no training state to resume from")
    return content
