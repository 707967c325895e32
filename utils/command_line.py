"""The command line: every key of a configuration as an option, and what all commands share."""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn

from utils import files
from utils.config import (
    DEVICES,
    LARGEST,
    C,
    Key,
    list_keys,
    override,
    parse_value,
    read_config,
    refuse_idle,
    shorten,
)
from utils.errors import UserError

Overrides = dict[tuple[str, str], Any]  # what was typed: (section, key) -> value


@dataclass(frozen=True)
class Call(Generic[C]):
    """What a training command was asked for: its settings, and how the run begins."""

    config: C
    overrides: Overrides
    resume: bool = False
    overwrite: bool = False
    dry_run: bool = False


class Parser(argparse.ArgumentParser):
    """An argparse parser whose mistakes are one line, and which never guesses from a prefix."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self.add_argument(
            "--output-dir",
            type=Path,
            metavar="DIR",
            help="where data, checkpoints and results go (default: $NETWORKS_OUTPUT_DIR, "
            "else the project)",
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses, and says where from now on everything is written."""
        found, unknown = super().parse_known_args(args, namespace)
        files.ASKED = found.output_dir
        return found, unknown

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the command line, and says which of an option's values counts, of several."""
        typed = [word.split("=")[0] for word in (sys.argv[1:] if args is None else args)]
        found = super().parse_args(args, namespace)
        actions = [(self._option_string_actions.get(word), word) for word in typed]
        words = {action.dest: word for action, word in actions if action and action.nargs is None}
        repeated = Counter(action.dest for action, _ in actions if action)
        for dest, word in words.items():
            if repeated[dest] > 1:
                print(f"note: {word} is given more than once: the last value counts")
        return found

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")

    def typed(self, argv: list[str] | None) -> dict[str, str]:
        """Finds the options that were typed: what each sets (argparse's `dest`) -> its spelling.

        UserError for one of several values that was typed twice: the first ones would be lost.
        """
        found: dict[str, str] = {}
        for word in (word.split("=")[0] for word in (sys.argv[1:] if argv is None else argv)):
            action = self._option_string_actions.get(word)
            if action and action.dest in found and action.nargs == "+":
                raise UserError(f"{word} is there twice: give it once, with all its values")
            if action:
                found[action.dest] = word
        return found


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], Any]:
    """Makes an argparse type: a finite number of this kind, int or float, in low..high."""
    limits = f">= {low}" if high == math.inf else f"in {low}..{high}"

    def parse(text: str) -> Any:
        value = kind(text)
        if kind is int and value > LARGEST:
            raise argparse.ArgumentTypeError(f"{text:.40} is larger than {LARGEST}")
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"{text:.40} is not a number {limits}")
        return value

    parse.__name__ = {int: "whole number", float: "number"}[kind]  # argparse's word for it
    return parse


def epoch(text: str) -> str:
    """Parses an argparse value: "last", "best" or a number."""
    if text not in ("last", "best") and not (text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r:.40}: give last, best or a number")
    return text


@dataclass(frozen=True)
class Uses:
    """What a command can be asked for, its tasks, and which of them each option serves.

    Options are named by what they set: "image", "training.seed". One that `serves` does not name
    serves the first task. `hidden` lists options that have no effect beside another one, (option,
    other), and in which tasks: a picture's number beside the picture itself.
    """

    tasks: tuple[str, ...]
    serves: Mapping[str, tuple[str, ...]]
    hidden: Mapping[tuple[str, str], tuple[str, ...]]

    def of(self, option: str) -> tuple[str, ...]:
        """Returns the tasks that an option serves, in their order."""
        return tuple(task for task in self.tasks if task in self.serves.get(option, self.tasks[:1]))

    def name(self, option: str) -> str:
        """Names the tasks that an option serves, for a message or a table."""
        tasks = self.of(option)
        return "all tasks" if tasks == self.tasks else ", ".join(tasks)

    def check(self, typed: Mapping[str, str], task: str) -> None:
        """Raises a UserError for an option without effect on a task; `typed` has its spelling."""
        for option, word in typed.items():
            if task not in self.of(option):
                raise UserError(f"{word} has no effect on {task}: it serves {self.name(option)}")
        for (option, other), tasks in self.hidden.items():
            if task in tasks and {option, other} <= typed.keys():
                both = f"{typed[option]} has no effect on {task} beside {typed[other]}"
                raise UserError(f"{both}: give one of them")


class Typed(argparse.Action):
    """Keeps how an option was spelled beside its text, so that an error can repeat it."""

    def __call__(
        self, parser: object, found: argparse.Namespace, text: Any, spelled: str | None = None
    ) -> None:
        setattr(found, self.dest, (spelled, text))


class Ambiguous(argparse.Action):
    """Refuses a short form that several keys share, and names them (`const`)."""

    def __call__(
        self, parser: object, found: argparse.Namespace, text: Any, spelled: str | None = None
    ) -> NoReturn:
        raise UserError(f"{spelled} may be {' or '.join(self.const)}: give one of them in full")


class Options:
    """Every key of a configuration as an option: --training.epochs, or --epochs for short.

    A short form exists where one section alone has the key and the command has no option of that
    name. The run's name, model.name, is --ckpt_name for short.
    """

    def __init__(self, parser: Parser, keys: list[Key], source: str) -> None:
        shared = Counter(field.name for _, field, _ in keys)
        taken = {word for action in parser._actions for word in action.option_strings}
        groups, self.fields = {}, {}
        for section, field, meaning in keys:
            words = [f"--{section}.{field.name}"]
            if words == ["--model.name"]:
                words.append("--ckpt_name")
            elif shared[field.name] == 1:
                words.append(f"--{field.name}")
            if section not in groups:
                groups[section] = parser.add_argument_group(f"{section} (defaults: {source})")
            if not taken.intersection(words):
                self.fields[section, field.name] = field
                groups[section].add_argument(
                    *words,
                    action=Typed,
                    dest=f"{section}.{field.name}",
                    metavar="VALUE",
                    help=meaning.replace("%", "%%"),
                )
        for name in (name for name, count in shared.items() if count > 1):
            meant = [f"--{section}.{name}" for section, key in self.fields if key == name]
            parser.add_argument(f"--{name}", action=Ambiguous, const=meant, help=argparse.SUPPRESS)

    def given(self, args: argparse.Namespace) -> Overrides:
        """Collects the keys that the command line overrides. UserError names a wrong option."""
        return {
            place: parse_value(typed[1], field, typed[0])
            for place, field in self.fields.items()
            if (typed := getattr(args, ".".join(place))) is not None
        }


def add_run_options(parser: Parser) -> argparse._ArgumentGroup:
    """Adds the options that decide whether a run starts, goes on or starts anew."""
    run = parser.add_argument_group("the run")
    run.add_argument("--resume", action="store_true", help="go on from checkpoints/<run>/last.pt")
    run.add_argument("--overwrite", action="store_true", help="start anew where the run exists")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="two of training's steps and a little of the rest; no run is written",
    )
    return run


def check_run_options(args: argparse.Namespace) -> None:
    """Raises a UserError where two run options contradict each other."""
    if args.resume + args.overwrite + args.dry_run > 1:
        raise UserError("--resume goes on, --overwrite starts anew, --dry-run tries: give one")


def parse(
    argv: list[str] | None, description: str | None, config_type: type[C], default_file: Path
) -> Call[C]:
    """Reads the command line of a train.py, on top of --config or the default file."""
    first = Parser(add_help=False)
    first.add_argument("--config", type=Path, default=default_file)
    file = first.parse_known_args(argv)[0].config
    defaults = read_config(file, config_type)
    keys = list_keys(defaults)

    parser = Parser(description=description)
    run = add_run_options(parser)
    run.add_argument(
        "--config", type=Path, metavar="FILE", help=f"settings (default: {default_file.name})"
    )
    options = Options(parser, keys, file.name)
    args = parser.parse_args(argv)
    check_run_options(args)
    overrides = options.given(args)
    config = override(defaults, overrides)
    if not args.resume:  # a run that goes on has settings of its own
        refuse_idle(config, overrides, defaults)
    if args.dry_run:
        config = shorten(config)
    return Call(config, overrides, args.resume, args.overwrite, args.dry_run)


def add_model_options(parser: Parser, default_run: str) -> None:
    """Adds the options that say which checkpoint a test.py loads."""
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--ckpt_name",
        metavar="RUN",
        default=default_run,
        help=f"checkpoints/RUN/, else pretrained/RUN.pt (default: {default_run})",
    )
    model.add_argument("--epoch", type=epoch, metavar="last|best|N", help="default: best")
    model.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
