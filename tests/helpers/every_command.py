"""Every command of the project, found in its tree, and a small repository for them to run in.

A command is a file with a `main` that `utils.errors.command` has wrapped. One that is added later
is found here, and so joins the tests of mistakes and the fuzzing by itself.
"""

import argparse
import contextlib
import importlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from tests.helpers.repository import REPOSITORY, training_files
from utils import files
from utils.command_line import Parser

FOLDERS = ("", "models/*/", "vae/**/", "utils/**/", "docs/", "explorer/", "benchmarks/**/")
FOLDERS += ("report/",)
# What makes a training small, by the last part of an option's name.
SMALL = {
    **{"epochs": 1, "batch_size": 16, "length": 16, "warmup_steps": 1, "pictures": 1},
    **{"hidden_size": 8, "layers": 1, "channels": 8, "levels": 2, "width": 8, "heads": 2},
    **{"context": 16, "z_dim": 2, "T": 3, "batches": 2, "validation": 20, "images": 16},
    **{"held_out": 8, "prompts": 1, "prompt_length": 10, "device": "cpu"},
}


class Outcome(NamedTuple):
    """What a call leaves: its exit status and what it wrote to the two streams."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """A command and its options, each by its first spelling; a positional argument by its name."""

    name: str  # "models.lstm.train"
    main: Callable[[list[str]], int]
    options: dict[str, argparse.Action]

    @property
    def run(self) -> str:
        """The run of `small_repository` that is of this command's kind."""
        return self.name.split(".")[1] if self.name.startswith("models.") else "vae"

    @property
    def trains(self) -> bool:
        return self.takes("--resume")

    @property
    def has_digits(self) -> bool:
        """Whether it trains on digits alone, so that their data set must be named to be offline."""
        return self.takes("--data.dataset") and not self.takes("--task")

    def takes(self, *words: str) -> bool:
        """Tells whether one of these options or positional arguments is its, in any spelling."""
        spelled = {word for action in self.options.values() for word in action.option_strings}
        return not spelled.union(self.options).isdisjoint(words)

    @property
    def required(self) -> list[str]:
        """Returns what its positional arguments need, so that something else is at fault."""
        positional = [action for action in self.options.values() if not action.option_strings]
        needed = [action.choices for action in positional if action.required]
        return [next(iter(choices)) if choices else "x" for choices in needed]

    @property
    def small(self) -> list[str]:
        """Returns the options of a short training of a tiny model."""
        argv = ["--data.dataset=digits"] if self.has_digits else []
        for option in self.options:
            key = option.split(".")[-1].removeprefix("--")
            if key in SMALL:
                argv.append(f"{option}={SMALL[key]}")
        return argv

    def option(self, key: str) -> str | None:
        """Finds an option by the last part of its name: "seed" is --training.seed, or --seed."""
        return next((name for name in self.options if name.split(".")[-1].strip("-") == key), None)

    def loading(self, run: str) -> Iterator[list[str]]:
        """Yields every way to ask it for a run's checkpoint."""
        if self.trains:
            yield ["--resume", f"--ckpt_name={run}"]
        if self.takes("--task"):
            for task in self.options["--task"].choices:
                ends = ["--image", "a.png", "b.png"] if task == "interpolation" else []
                if task != "train":
                    yield [f"--task={task}", f"--ckpt_name={run}", *ends]
        elif self.takes("--ckpt_name") and not self.trains:
            yield [f"--ckpt_name={run}"]
        elif "runs" in self.options:
            yield [run]
        elif "run" in self.options:
            yield [run, "a command"]


class Caught(Exception):
    """Carries a parser out of the command that has just made it."""


def commands() -> list[Command]:
    """Finds all of them, by where they lie; options that no help shows are left out."""

    def catch(parser: Parser, argv: list[str] | None = None) -> None:
        raise Caught(parser)

    found = []
    for file in sorted(file for folder in FOLDERS for file in REPOSITORY.glob(f"{folder}*.py")):
        if "\n@command\n" not in file.read_text(encoding="utf-8"):
            continue
        name = ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        main = importlib.import_module(name).main
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Parser, "parse_args", catch)
            with pytest.raises(Caught) as caught:
                main([])
        actions = [a for a in caught.value.args[0]._actions if a.help != argparse.SUPPRESS]
        options = {(*a.option_strings, a.dest)[0]: a for a in actions if a.dest != "help"}
        found.append(Command(name, main, options))
    return found


COMMANDS = {command.name: command for command in commands()}
RUNS = sorted(command.run for command in COMMANDS.values() if command.trains)


def call(main: Callable[[list[str]], int], argv: list[str]) -> Outcome:
    """Calls main(argv) with streams as a terminal has them: only UTF-8 goes through."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        status = main(argv)
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))
    return Outcome(status, *texts)


def small_repository(root):
    """Makes a repository in which every training command has left a small finished run.

    files.ROOT must be `root`. What the commands read of the project itself is copied.
    """
    training_files(root)
    assert root == files.ROOT
    for command in COMMANDS.values():
        if command.trains:
            outcome = call(command.main, [*command.small, f"--ckpt_name={command.run}"])
            assert outcome.status == 0, outcome.err


def small_config(command: Command) -> dict:
    """Reads the settings of its run in `small_repository`, as they are in config.json."""
    return json.loads((files.ROOT / "checkpoints" / command.run / "config.json").read_text("utf-8"))
