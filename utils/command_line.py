"""The command line: options for every key of a configuration, and those that all commands share."""

import argparse
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from utils.config import DEVICES, checked, defaults_of, expected, misfit, override
from utils.errors import LARGEST, UserError
from utils.files import shown


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are one line too, and which never guesses an option from a prefix."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], Any]:
    """An argparse type: a finite number of this kind, int or float, in low..high."""
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


def from_text(text: str, field: dataclasses.Field) -> Any:
    """An option's text -> its value: JSON where it is JSON, else the text itself."""
    if field.type is str or (field.type == str | None and text != "null"):
        return text
    if field.type == list[int] and not text.startswith("["):
        text = f"[{text}]"  # 1,10,100
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class Options:
    """Every key of a configuration as an option: --training.epochs, or --epochs where `flat`."""

    def __init__(
        self, parser: argparse.ArgumentParser, defaults: Any, source: str, *, flat: bool
    ) -> None:
        self.fields = {}
        for section in dataclasses.fields(defaults):
            group = parser.add_argument_group(f"{section.name} (defaults: {source})")
            for field in dataclasses.fields(section.type):
                name = field.name if flat else f"{section.name}.{field.name}"
                if flat and (section.name, field.name) == ("model", "name"):
                    continue  # --ckpt_name
                self.fields[name] = (section.name, field)
                default = json.dumps(getattr(getattr(defaults, section.name), field.name))
                help_text = f"{field.metadata['meaning']}; {expected(field)} (default: {default})"
                group.add_argument(f"--{name}", metavar="VALUE", help=help_text.replace("%", "%%"))

    def given(self, args: argparse.Namespace) -> dict[tuple[str, str], Any]:
        """The keys that the command line overrides, checked. UserError names the option."""
        return {
            (section, field.name): parsed(text, field, f"--{name}")
            for name, (section, field) in self.fields.items()
            if (text := getattr(args, name)) is not None
        }


def parsed(text: str, field: dataclasses.Field, option: str) -> Any:
    """An option's text -> the checked value of its field. UserError where it does not fit."""
    value = from_text(text, field)
    try:
        return checked(value, field)
    except ValueError:
        raise UserError(f"{option} is {text!r:.80}, {misfit(value, field)}") from None


def run_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options that decide whether a run starts, goes on or starts anew."""
    run = parser.add_argument_group("the run")
    run.add_argument("--resume", action="store_true", help="go on from checkpoints/<run>/last.pt")
    run.add_argument("--overwrite", action="store_true", help="start anew where the run exists")
    run.add_argument(
        "--dry-run", action="store_true", help="one tiny pass of everything; no run is written"
    )
    return run


def model_options(parser: argparse.ArgumentParser, default_run: str) -> None:
    """The options that say which checkpoint a test.py loads."""
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--ckpt_name",
        metavar="RUN",
        default=default_run,
        help=f"checkpoints/RUN/, else pretrained/RUN.pt (default: {default_run})",
    )
    model.add_argument("--epoch", type=epoch, metavar="last|best|N", help="default: best")
    model.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")


def epoch(text: str) -> str:
    """An argparse type: "last", "best" or a number."""
    if text not in ("last", "best") and not (text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r:.40}: give last, best or a number")
    return text


def check_run_options(args: argparse.Namespace) -> None:
    """UserError where two of them contradict each other."""
    if args.resume + args.overwrite + args.dry_run > 1:
        raise UserError("--resume goes on, --overwrite starts anew, --dry-run tries: give one")


def parse(
    argv: list[str] | None,
    *,
    description: str,
    config_type: type,
    default_file: Path,
) -> tuple[Any, argparse.Namespace, dict[tuple[str, str], Any]]:
    """The command line of a train.py -> (configuration, the other options, the keys overridden)."""
    first = Parser(add_help=False)
    first.add_argument("--config", type=Path, default=default_file)
    file = first.parse_known_args(argv)[0].config
    defaults = defaults_of(file, config_type)

    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    run = run_options(parser)
    run.add_argument(
        "--config", type=Path, metavar="FILE", help=f"settings (default: {shown(default_file)})"
    )
    run.add_argument("--ckpt_name", metavar="RUN", help="short for --model.name")
    run.add_argument("--seed", metavar="S", help="short for --training.seed")
    options = Options(parser, defaults, shown(file), flat=False)
    args = parser.parse_args(argv)
    check_run_options(args)
    for short, name in (("ckpt_name", "model.name"), ("seed", "training.seed")):
        if getattr(args, short) is not None:
            setattr(args, name, getattr(args, short))
    overrides = options.given(args)
    return override(defaults, overrides), args, overrides
