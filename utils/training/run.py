"""A run: its two folders, whether it may start, must go on or starts anew, and what it left."""

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from utils import config, files
from utils.errors import UserError
from utils.files import shown
from utils.training import checkpoint, distributed
from utils.training.device import choose_device

# What may not change when a run goes on: the model's shape and the order of its data.
FIXED = {"model", "data"}
FIXED_KEYS = {
    ("training", name) for name in ("batch_size", "length", "seed", "precision", "optimizer")
}


@dataclass(frozen=True)
class Run:
    """checkpoints/<name>/ and results/<name>/ (or two folders elsewhere, for a dry run)."""

    name: str
    checkpoints: Path
    results: Path
    dry: bool = False  # leaves nothing behind

    @property
    def place(self) -> str:
        """Where it writes, in words."""
        if self.dry:
            return "a temporary folder"
        return f"{shown(self.checkpoints)}/ and {shown(self.results)}/"

    @staticmethod
    def named(name: str) -> "Run":
        return Run(name, files.checkpoint_folder(name), files.result_folder(name))

    def files(self) -> list[Path]:
        """What training wrote into the checkpoint folder."""
        names = ("*.pt", "*.partial", "config.json", "history.csv")
        return [file for name in names for file in self.checkpoints.glob(name)]

    def sweep(self) -> None:
        """Removes what a run of this name was writing when it was killed."""
        for folder in (self.checkpoints, self.results):
            for file in folder.glob("*.partial"):
                file.unlink()

    def clear(self) -> None:
        """Removes what an earlier run of this name left, and nothing else."""
        names = ("protocol.md", "loss.png", "samples_*.png", "reconstructions_*.png")
        names += ("tensorboard/events.out.tfevents.*",)
        results = [file for name in names for file in self.results.glob(name)]
        for file in [*self.files(), *results]:
            file.unlink()


@contextmanager
def opened(
    kind: str, settings: Any, args: Namespace, overrides: Mapping[tuple[str, str], Any]
) -> Iterator[tuple[Run, Any, dict[str, Any] | None]]:
    """What a training command is about -> run, settings, and the checkpoint to resume, or None.

    A dry run writes to a temporary folder, gone afterwards. Under torchrun all processes are one
    run: rank 0 looks at its files. UserError as in `begin` and `go_on`.
    """
    with distributed.group():
        if args.resume:
            yield go_on(kind, settings, overrides)
            return
        distributed.check_batch(settings.training.batch_size)
        if args.dry_run:
            with tempfile.TemporaryDirectory(prefix="dry-run-") as folder:
                checkpoints, results = Path(folder, "checkpoints"), Path(folder, "results")
                yield Run(settings.model.name, checkpoints, results, dry=True), settings, None
            print("dry run: one tiny pass of everything went well; nothing was kept")
        else:
            yield distributed.from_first(lambda: begin(args, settings)), settings, None


def begin(args: Namespace, settings: Any) -> Run:
    """A new run. UserError where it exists, unless --overwrite is given."""
    run = Run.named(settings.model.name)
    if run.files() and not args.overwrite:
        raise UserError(
            f"{shown(run.checkpoints)} exists: --resume goes on with it, "
            "--overwrite starts it anew, --ckpt_name RUN takes another name"
        )
    return run


def go_on(
    kind: str, settings: Any, overrides: Mapping[tuple[str, str], Any]
) -> tuple[Run, Any, dict[str, Any]]:
    """A run to be resumed -> the run, its own settings with the overrides, its last checkpoint.

    The settings are those the run began with: of what was typed, only what may change is taken.
    UserError where there is nothing to resume, or where an override would change the model or data.
    """
    run = Run.named(settings.model.name)
    last = run.checkpoints / "last.pt"
    content = distributed.from_first(lambda: last_checkpoint(kind, run))
    saved = config.build(content["config"], type(settings), shown(last))
    for (section, name), value in overrides.items():
        before = getattr(getattr(saved, section), name)
        if (section in FIXED or (section, name) in FIXED_KEYS) and value != before:
            raise UserError(f"{section}.{name} was {before!r} and cannot change with --resume")
    resumed = config.override(saved, overrides)
    distributed.check_batch(resumed.training.batch_size)
    if content["epoch"] >= resumed.training.epochs:
        print(f"{run.name} is finished: only more training.epochs than {content['epoch']} go on")
    for section, values in config.plain(resumed).items():
        for name, value in values.items():
            wanted = getattr(getattr(settings, section), name)
            if wanted != value:
                print(f"resumed with {section}.{name} {value!r} of the run, not {wanted!r}")
    return run, resumed, content


def last_checkpoint(kind: str, run: Run) -> dict[str, Any]:
    """A run's last.pt. UserError where there is none that could be resumed."""
    last = run.checkpoints / "last.pt"
    if not last.is_file():
        way = "--overwrite starts the run anew" if run.files() else "leave --resume out"
        raise UserError(f"{shown(last)} is not there, so there is nothing to resume: {way}")
    content = checkpoint.load(last, kind)
    if "training" not in content:
        raise UserError(f"{shown(last)} holds no training state to resume from")
    return content


def load_model(
    kind: str,
    run: str,
    epoch: str | None,
    config_type: type,
    build: Callable[[Any, dict[str, Any]], nn.Module],
    device: str = "auto",
) -> tuple[nn.Module, Any, dict[str, Any]]:
    """A run's checkpoint -> its model on the device, its settings, its content. It needs no more.

    `build(settings, content)` makes the model that the weights are put into. UserError where there
    is no such run, or not a sound one of this kind.
    """
    where = choose_device(device)
    path = checkpoint.find(run, epoch)
    content = checkpoint.load(path, kind)
    settings = config.build(content.get("config"), config_type, shown(path))
    model = build(settings, content)
    checkpoint.rebuild(model, content, path)
    return model.to(where), settings, content
