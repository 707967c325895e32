"""The command line: every key of a configuration as an option, and the options all commands share."""

import argparse
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn

from utils.config import (
    DEVICES,
    LARGEST,
    C,
    Config,
    check,
    describe_misfit,
    describe_values,
    override,
    read_config,
)
from utils.errors import UserError
from utils.files import shown

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

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


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

    def __init__(self, parser: Parser, defaults: Config, source: str) -> None:
        sections = {f.name: dataclasses.fields(f.type) for f in dataclasses.fields(defaults)}
        shared = Counter(field.name for fields in sections.values() for field in fields)
        taken = {word for action in parser._actions for word in action.option_strings}
        self.fields = {}
        for section, fields in sections.items():
            group = parser.add_argument_group(f"{section} (defaults: {source})")
            for field in fields:
                place = (section, field.name)
                if place == ("model", "name") and "--ckpt_name" in taken:
                    continue  # the command has its own: several runs, say
                self.fields[place] = field
                words = [f"--{section}.{field.name}"]
                if place == ("model", "name"):
                    words.append("--ckpt_name")
                elif shared[field.name] == 1 and f"--{field.name}" not in taken:
                    words.append(f"--{field.name}")
                default = json.dumps(getattr(getattr(defaults, section), field.name))
                meaning = f"{field.metadata['meaning']}; {describe_values(field)}"
                group.add_argument(
                    *words,
                    action=Typed,
                    dest=".".join(place),
                    metavar="VALUE",
                    help=f"{meaning} (default: {default})".replace("%", "%%"),
                )
        for name in (name for name, count in shared.items() if count > 1):
            meant = [f"--{section}.{key}" for section, key in self.fields if key == name]
            parser.add_argument(
                f"--{name}", action=Ambiguous, const=meant, help=argparse.SUPPRESS
            )

    def given(self, args: argparse.Namespace) -> Overrides:
        """Collects the keys that the command line overrides. UserError names a wrong option."""
        typed = {place: getattr(args, ".".join(place)) for place in self.fields}
        return {
            place: parse_value(found[1], self.fields[place], found[0])
            for place, found in typed.items()
            if found is not None
        }


def parse_value(text: str, field: dataclasses.Field, option: str) -> Any:
    """Turns an option's text into a value of its field: JSON where it is JSON, else the text.

    UserError where it does not fit.
    """
    value: Any = text
    is_text = field.type is str or (field.type == str | None and text != "null")
    if not is_text:
        listed = field.type == list[int] and not text.startswith("[")
        try:
            value = json.loads(f"[{text}]" if listed else text)  # 1,10,100
        except (ValueError, RecursionError):
            pass
    try:
        return check(value, field)
    except ValueError:
        raise UserError(f"{option} is {text!r:.80}, {describe_misfit(value, field)}") from None


def add_run_options(parser: Parser) -> argparse._ArgumentGroup:
    """Adds the options that decide whether a run starts, goes on or starts anew."""
    run = parser.add_argument_group("the run")
    run.add_argument("--resume", action="store_true", help="go on from checkpoints/<run>/last.pt")
    run.add_argument("--overwrite", action="store_true", help="start anew where the run exists")
    run.add_argument(
        "--dry-run", action="store_true", help="one tiny pass of everything; no run is written"
    )
    return run


def make_call(config: C, overrides: Overrides, args: argparse.Namespace) -> Call[C]:
    """Puts a training's settings and run options together. UserError where two contradict."""
    if args.resume + args.overwrite + args.dry_run > 1:
        raise UserError("--resume goes on, --overwrite starts anew, --dry-run tries: give one")
    config = override(config, overrides)
    return Call(config, overrides, args.resume, args.overwrite, args.dry_run)


def parse(
    argv: list[str] | None, description: str | None, config_type: type[C], default_file: Path
) -> Call[C]:
    """Reads the command line of a train.py, on top of --config or the default file."""
    first = Parser(add_help=False)
    first.add_argument("--config", type=Path, default=default_file)
    file = first.parse_known_args(argv)[0].config
    defaults = read_config(file, config_type)

    parser = Parser(description=description)
    run = add_run_options(parser)
    run.add_argument(
        "--config", type=Path, metavar="FILE", help=f"settings (default: {shown(default_file)})"
    )
    options = Options(parser, defaults, shown(file))
    args = parser.parse_args(argv)
    return make_call(defaults, options.given(args), args)


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
