"""The runs that can be looked at: what is in checkpoints/ and pretrained/, listed and kept loaded.

A page names a run by its entry in this list, "lstm" or, for one of several epochs, "mine@10"; no
path is ever made of what it says. The models used last stay in memory.
"""

import importlib
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from explorer.beside import Beside
from utils import files
from utils.errors import UserError
from utils.text.testing import load_text_model
from utils.text.training import TEXT_KINDS, import_kind
from utils.training import checkpoint
from utils.training.checkpoint import Loaded, load_model

IMAGE_KINDS = ("vae", "gan", "aae")
MOST_LOADED = 20
MOST_RUNS = 500


@dataclass(frozen=True)
class Entry:
    """A run: what kind of model it is and of what form, its epochs ("best", "10"), none if shipped.

    A model that draws pictures has `z_dim` latents, and a vae its `network`.
    """

    name: str
    kind: str
    data: str
    network: str = ""
    z_dim: int = 0
    epochs: tuple[str, ...] = ()


@cache
def peek(path: Path, changed: int) -> tuple[str, str, str, int] | None:
    """Reads what a checkpoint's entry says of it; None where it is not a sound one."""
    try:
        content = checkpoint.load(path)
        data, model = content["config"]["data"], content["config"]["model"]
        name = data.get("name") or data.get("dataset") or ""
        form = str(model.get("network") or ""), int(model.get("z_dim") or 0)
        return str(content["kind"]), str(name), *form
    except Exception:  # whatever it is, it is not in the list
        return None


def look(path: Path) -> tuple[str, str, str, int] | None:
    try:
        return peek(path, path.stat().st_mtime_ns)
    except OSError:
        return None


def is_name(name: str) -> bool:
    """Tells whether a folder is named as runs are: what is beside them, .mine.preparing, is not."""
    with suppress(UserError):
        return bool(files.check_name(name, "the run's name"))
    return False


class Library:
    """Lists runs, and loads their models when they are asked for."""

    def __init__(self) -> None:
        self.loaded: OrderedDict[tuple[str, str, int], Any] = OrderedDict()
        self.beside = Beside()

    def entries(self) -> dict[str, Entry]:
        """Lists all runs, shipped ones first."""
        shipped = sorted(file.stem for file in (files.ROOT / "pretrained").glob("*.pt"))
        names = dict.fromkeys([*shipped, *(folder.name for folder in self.folders())])
        found = ((name, self.entry(name)) for name in names)
        return {name: entry for name, entry in islice(found, MOST_RUNS) if entry}

    def entry(self, name: str) -> Entry | None:
        """Looks at one run: a folder of the user's, else a shipped file. None where it is none."""
        if not is_name(name):
            return None
        folder = files.find("checkpoints", name)
        epochs = sorted(file.stem for file in folder.glob("*.pt"))
        if epochs:
            names = tuple(epoch.removeprefix("epoch_").lstrip("0") for epoch in epochs)
            known = look(folder / f"{epochs[0]}.pt")
            return Entry(name, *known, epochs=names) if known else None
        known = look(files.ROOT / "pretrained" / f"{name}.pt")
        return Entry(name, *known) if known else None

    def folders(self, *, training: bool = False) -> list[Path]:
        """Lists the folders of runs: one of a name, the user's own, stands for all.

        With `training` those that a process has been training, which may not be there yet.
        """
        places = dict.fromkeys((files.output("checkpoints"), files.ROOT / "checkpoints"))
        if training:
            owners = (file for place in reversed(places) for file in place.glob(".*.owner"))
            paths = (file.with_name(file.stem.removeprefix(".")) for file in owners)
        else:
            paths = (path for place in reversed(places) for path in place.glob("*/"))
        found = {path.name: path for path in paths if is_name(path.name)}
        return [found[name] for name in sorted(found)]

    def find(self, run: str, kinds: tuple[str, ...]) -> tuple[Entry, str | None]:
        """Finds a run and its epoch in the list. UserError says what is there."""
        name, _, epoch = run.partition("@")
        entry = self.entry(name)
        if entry is None or entry.kind not in kinds:
            there = ", ".join(name for name, e in self.entries().items() if e.kind in kinds)
            raise UserError(f"there is no run {run!r:.60} here: choose one of {there}")
        if epoch and epoch not in entry.epochs:
            there = ", ".join(entry.epochs) or "one epoch only"
            raise UserError(f"{name} has no epoch {epoch!r:.20}: there is {there}")
        default = "best" if "best" in entry.epochs else (entry.epochs or (None,))[0]
        return entry, epoch or default

    def text_model(self, run: str) -> Loaded:
        """Loads a text model. UserError where there is no such run, or it cannot be read."""
        entry, epoch = self.find(run, TEXT_KINDS)

        def load() -> Loaded:
            return load_text_model(*import_kind(entry.kind), entry.name, epoch)

        return self.keep(f"{entry.name}@{epoch}", entry, load)

    def image_model(self, run: str, kinds: tuple[str, ...] = IMAGE_KINDS) -> Loaded:
        """Loads a vae, a GAN's generator or an aae. UserError as for a text model."""
        entry, epoch = self.find(run, kinds)

        def load() -> Loaded:
            if entry.kind == "vae":
                from vae.training import VAEConfig, build_model

                return load_model(
                    VAEConfig,
                    entry.name,
                    epoch,
                    lambda config, c: build_model(c.get("shape"), config),
                )
            config = importlib.import_module(f"models.{entry.kind}.train").Config
            modules = importlib.import_module(f"models.{entry.kind}.modules")
            model = modules.Generator if entry.kind == "gan" else modules.Autoencoder
            return load_model(config, entry.name, epoch, lambda config, _: model(config.model))

        return self.keep(f"{entry.name}@{epoch}", entry, load)

    def keep(self, name: str, entry: Entry, load: Any, what: str = "model") -> Any:
        """Returns what `load` makes of a run, or made of it before, while its file is the same."""
        name_of_epoch = name.partition("@")[2]
        stem = f"epoch_{int(name_of_epoch):04}" if name_of_epoch.isdecimal() else name_of_epoch
        file = files.find("checkpoints", entry.name) / f"{stem}.pt"
        changed = file.stat().st_mtime_ns if file.is_file() else 0
        if (name, what, changed) not in self.loaded:
            self.loaded[name, what, changed] = load()
        self.loaded.move_to_end((name, what, changed))
        while len(self.loaded) > MOST_LOADED:
            self.loaded.popitem(last=False)
        return self.loaded[name, what, changed]
