"""The runs that a report is about: found, read and checked before anything is said of them."""

import dataclasses
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from report import facts
from report.facts import Fact, plain, read_rows
from report.kinds import KINDS, Kind, default_file
from utils import files
from utils.config import Config, build, read_json, spell
from utils.errors import UserError
from utils.files import show
from utils.training import checkpoint
from utils.training.content import Misfit
from utils.training.fitting import no_larger_than
from utils.training.run import FIXED, FIXED_KEYS

TIMES = ("seconds", "per_second")


@dataclass(frozen=True)
class Run:
    """A finished training: its checkpoint, its settings and, if it is not a shipped one, its rows.

    What is shipped is one file: the weights of the best epoch, and the numbers of that epoch.
    """

    name: str
    best: Path  # the checkpoint of the best epoch
    config: Config
    content: dict[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        return self.config.kind

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]

    @property
    def shipped(self) -> bool:
        return self.best.parent.name == "pretrained"

    @property
    def history(self) -> Path | None:
        return None if self.shipped else self.best.with_name("history.csv")

    @property
    def results(self) -> Path:
        return files.find("results", self.name)

    @cached_property
    def epochs(self) -> int:
        """How many epochs are known."""
        return len(read_rows(self.history)) if self.history else self.content["epoch"]

    def number(self, column: str, epoch: int | None = None, way: str = "") -> Fact | None:
        """Takes a number of an epoch, the best one by default; None where it was not measured."""
        if self.history is None:
            return facts.take_number(self.best, f"row.{column}", way)
        epoch = epoch or self.content["epoch"]
        return facts.take_number(self.history, f"epoch={epoch}/{column}", way)

    def setting(self, section: str, name: str) -> Fact | None:
        """Takes a setting; None where it is one that came after this run."""
        if self.shipped:
            return facts.take_text(self.best, f"config.{section}.{name}")
        return facts.take_text(self.best.with_name("config.json"), f"{section}.{name}")

    def entry(self, name: str) -> Fact | None:
        """Takes an entry of its checkpoint: torch, machine, trained_by."""
        return facts.take_text(self.best, name)

    @cached_property
    def defaults(self) -> Config:
        """The settings of a training like this one without any option."""
        return build(read_json(default_file(self.kind, self.config)), self.of.config, self.best)

    @cached_property
    def changed(self) -> list[tuple[str, str]]:
        """Lists the settings that are not the default, but for its name."""
        return [
            (section.name, name)
            for section in dataclasses.fields(self.config)
            for name, value in vars(getattr(self.config, section.name)).items()
            if value != getattr(getattr(self.defaults, section.name), name)
            and (section.name, name) != ("model", "name")
        ]

    @property
    def command(self) -> Fact:
        """Returns the command that made it: as the file says it, else as its settings have it."""
        if self.shipped and "trained_by" in self.content:
            return self.entry("trained_by")
        words = ["python", self.of.script]
        for section, name in self.changed:
            value = plain(getattr(getattr(self.config, section), name))
            words += [spell(self.config, section, name), shlex.quote(value.replace(", ", ","))]
        if self.name != self.defaults.model.name:
            words += ["--ckpt_name", self.name]
        file = self.best if self.shipped else self.best.with_name("config.json")
        return Fact(" ".join(words), file, "command")


def find_names() -> list[str]:
    """Lists every run there is that has finished an epoch: own ones, then the shipped ones."""
    own = {file.parent.name for root in roots() for file in root.glob("*/best.pt")}
    shipped = {file.stem for file in (files.ROOT / "pretrained").glob("*.pt")}
    return sorted(own) + sorted(shipped - own)


def roots() -> set[Path]:
    """Returns the folders that runs are in: where they are written to, and the project's own."""
    return {files.output("checkpoints"), files.ROOT / "checkpoints"}


def find_unfinished() -> list[str]:
    """Lists the runs that have not finished their first epoch."""
    found = {file.parent for root in roots() for file in root.glob("*/last.pt")}
    return sorted(folder.name for folder in found if not (folder / "best.pt").is_file())


def read_run(name: str) -> Run:
    """Reads a run. UserError where there is none, or where its files contradict each other."""
    path = checkpoint.find(name)
    content = facts.read(path)
    if content["kind"] not in KINDS:
        known = ", ".join(KINDS)
        raise UserError(f"{show(path)} is of kind {content['kind']!r:.40}, none of {known}")
    kind = KINDS[content["kind"]]
    config = build(content.get("config"), kind.config, path)
    content = checkpoint.Content(content, path)
    with no_larger_than(content["model"], path):
        model = kind.build(config, content)
    checkpoint.rebuild(model, content, path)
    if path.parent.name != "pretrained":
        config = check_settings(path, config)
        check_history(path, content)
    elif not isinstance(content["row"], dict) or not content["row"]:
        raise UserError(f"{show(path)} has no numbers of its epoch in it: ship it anew")
    return Run(name, path, config, content)


def check_settings(best: Path, config: Config) -> Config:
    """Returns the settings of config.json. UserError where the checkpoint has others.

    A run that was resumed may have learned on for longer, or with another rate.
    """
    file = best.with_name("config.json")
    last = build(facts.read(file), type(config), file)
    for section in dataclasses.fields(last):
        for name, value in vars(getattr(last, section.name)).items():
            before = getattr(getattr(config, section.name), name)
            fixed = section.name in FIXED or (section.name, name) in FIXED_KEYS
            if value != before and fixed and name != "name":
                raise UserError(
                    f"{show(file)} does not fit its checkpoint: {section.name}.{name} is "
                    f"{plain(value):.40}, in {best.name} {plain(before):.40}: put it back, or "
                    "train again"
                )
    return last


def check_history(best: Path, content: dict[str, Any]) -> None:
    """Raises a UserError where history.csv is not what the checkpoints of its run say."""
    file, epoch = best.with_name("history.csv"), content["epoch"]
    rows = read_rows(file)
    last = best.with_name("last.pt")
    try:
        check_rows(rows)
        if epoch > len(rows):
            raise Misfit(f"it ends at epoch {len(rows)}, {best.name} is of epoch {epoch}")
        agree(rows[epoch - 1], content["row"], epoch, best.name)
        if last.is_file():
            kept = checkpoint.load(last, content["kind"])["training"]["place"]["history"]
            if len(kept) != len(rows):
                raise Misfit(f"it has {len(rows)} epochs, last.pt {len(kept)}")
            for row, own in zip(rows, kept, strict=True):
                agree(row, own, own["epoch"], last.name)
    except Misfit as problem:
        way = "train again, or --resume, which writes it anew from last.pt"
        raise UserError(f"{show(file)} is broken: {problem}: {way}") from None


def check_rows(rows: list[dict[str, str]]) -> None:
    """Raises Misfit where a table is not a row of numbers for each epoch from 1 on."""
    if missing := {"epoch", "step", *TIMES} - rows[0].keys():
        raise Misfit(f"it has no column {min(missing)}")
    for number, row in enumerate(rows, 1):
        if row["epoch"] != str(number):
            raise Misfit(f"line {number + 1} is of epoch {row['epoch']!r:.40}, not {number}")
        for column, value in row.items():
            try:
                finite = value == "" or abs(float(value)) < float("inf")
            except ValueError:
                finite = False
            if not finite:
                raise Misfit(f"{column} of epoch {number} is {value!r:.40}, not a number")
        if not row["seconds"]:
            raise Misfit(f"seconds of epoch {number} are missing")


def agree(row: dict[str, str], own: dict[str, Any], epoch: int, source: str) -> None:
    """Raises Misfit where a row is not the one that a checkpoint has."""
    for column, value in own.items():
        found = row.get(column)
        if found != ("" if value is None else str(value)):
            raise Misfit(f"{column} of epoch {epoch} is {found!s:.40}, in {source} {value!s:.40}")
