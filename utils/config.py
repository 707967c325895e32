"""config.json -> frozen dataclasses, every key an option of the command line.

A command writes its configuration down as a dataclass of sections (model, data, training, ...),
each a dataclass whose fields are made by `key`. A key that is unknown, missing, of another type or
out of range is an error that names it and its file; `--training.epochs 5` overrides one.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from utils.errors import SettingError, UserError
from utils.files import show

DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("float32", "bfloat16")
MOST_BYTES = 2**20  # of a file of settings: a file may say that it has terabytes
LARGEST = 2**53  # beyond it JSON's readers, and soon torch, no longer keep a whole number exactly


class ModelSection:
    """What every "model" section has. SettingError for a value that is out of its range."""

    name: str

    def __post_init__(self) -> None:  # an engineer makes one without a file or an option
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                check(value, field)
            except ValueError:
                problem = f"{field.name} is {value!r:.80}, {describe_misfit(value, field)}"
                raise SettingError(problem) from None


class TrainingSection:
    """What every "training" section has. One that leaves a key out trains by the default here."""

    epochs: int
    batch_size: int
    seed: int
    device: str
    warmup_steps: int = 0
    final_rate: float = 1.0
    precision: str = "float32"
    init: str | None = None


class Config:
    """What every configuration has. Each command writes down its own, with further sections."""

    kind: ClassVar[str]  # of the model, as its checkpoints say it: "lstm", "vae"
    model: ModelSection
    training: TrainingSection
    # Keys that others leave without effect: (section, key) -> (when, why)
    idle: ClassVar[Mapping[tuple[str, str], tuple[Callable[["Config"], bool], str]]] = {}


C = TypeVar("C", bound=Config)


def key(
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    default: Any = dataclasses.MISSING,
    dry: int | None = None,
    is_path: bool = False,
) -> Any:
    """Makes a field of a section: what it means, and its range (low and high are inside it).

    A default is for a key that came later: files and checkpoints from before do without it. `dry`
    is the most that a dry run takes. `is_path` marks a place outside the project.
    """
    limits = {">=": low, "<=": high, ">": above, "<": below}
    limits = {sign: limit for sign, limit in limits.items() if limit is not None}
    metadata = {"meaning": meaning, "limits": limits, "choices": choices, "dry": dry}
    metadata["is_path"] = is_path
    return dataclasses.field(default=default, metadata=metadata)


def describe_values(field: dataclasses.Field) -> str:
    """Says which values fit: "a whole number >= 1", "one of none, rotary"."""
    choices, limits = field.metadata["choices"], field.metadata["limits"]
    if choices:
        return "one of " + ", ".join(choices)
    words = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        list[int]: "a list of whole numbers",
    }
    text = " or ".join("null" if part is types.NoneType else words[part] for part in _types(field))
    return " ".join([text, *(f"{sign} {limit}" for sign, limit in limits.items())])


def check(value: Any, field: dataclasses.Field) -> Any:
    """Returns the value as the field's type (a whole number may stand for a number).

    ValueError where it does not fit.
    """
    parts = _types(field)
    if value is None and types.NoneType in parts:
        return None
    if _too_large(value):
        raise ValueError
    if float in parts and type(value) is int:
        value = float(value)
    if list[int] in parts and type(value) is list and all(type(item) is int for item in value):
        numbers = value
    elif type(value) in parts:
        numbers = [value]
    else:
        raise ValueError
    limits, choices = field.metadata["limits"], field.metadata["choices"]
    compare = {
        ">=": lambda number, limit: number >= limit,
        "<=": lambda number, limit: number <= limit,
        ">": lambda number, limit: number > limit,
        "<": lambda number, limit: number < limit,
    }
    for number in numbers:
        if type(number) is float and not abs(number) < float("inf"):
            raise ValueError
        if not all(compare[sign](number, limit) for sign, limit in limits.items()):
            raise ValueError
    if choices and value not in choices:
        raise ValueError
    return value


def _types(field: dataclasses.Field) -> tuple[type, ...]:
    """Lists the types that a field allows: int | None has two."""
    return typing.get_args(field.type) if isinstance(field.type, types.UnionType) else (field.type,)


def _too_large(value: Any) -> bool:
    items = value if type(value) is list else [value]
    return any(type(item) is int and abs(item) > LARGEST for item in items)


def describe_misfit(value: Any, field: dataclasses.Field) -> str:
    """Says why `check` refused the value."""
    return f"not {describe_values(field)}" + (f" of at most {LARGEST}" if _too_large(value) else "")


def build(values: Any, config_type: type[C], source: Path) -> C:
    """Turns plain dictionaries, read from `source`, into a configuration.

    UserError names the key at fault and the source.
    """
    sections = {field.name: field.type for field in dataclasses.fields(config_type)}
    _check_keys(values, sections, source, "section")
    built = {}
    for name, section in sections.items():
        fields = {field.name: field for field in dataclasses.fields(section)}
        later = {field.name for field in fields.values() if _has_default(field)}
        _check_keys(values[name], fields, source, f"{name} key", later)
        built[name] = {}
        for field in fields.values():
            value = values[name].get(field.name, field.default)
            try:
                built[name][field.name] = check(value, field)
            except ValueError:
                found = json.dumps(value, default=repr, skipkeys=True)
                raise UserError(
                    f"{show(source)}: {name}.{field.name} is {found:.80}, "
                    f"{describe_misfit(value, field)}"
                ) from None
        built[name] = section(**built[name])
    return config_type(**built)


def _has_default(field: dataclasses.Field) -> bool:
    return field.default is not dataclasses.MISSING


def _check_keys(
    values: Any, known: Mapping[str, Any], source: Path, what: str, optional: Collection[str] = ()
) -> None:
    if not isinstance(values, dict):
        raise UserError(f"{show(source)}: expected {{...}} with each {what} of {', '.join(known)}")
    for name in values:
        if name not in known:
            raise UserError(
                f"{show(source)}: unknown {what} {name!r:.80} (known: {', '.join(known)})"
            )
    for name in known:
        if name not in values and name not in optional:
            raise UserError(f"{show(source)}: missing {what} {name!r}")


def read_json(path: Path) -> Any:
    """Reads a JSON file. UserError where there is none, or something else in it."""
    try:
        path = Path(path)
        if path.exists() and not (path.is_file() or path.is_dir()):  # it might never end
            raise UserError(f"{show(path)} is a pipe, a socket or a device: give a JSON file")
        if path.is_file() and (size := path.stat().st_size) > MOST_BYTES:
            raise UserError(f"{show(path)} has {size:,} bytes, too many for settings")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"no such file: {show(path)}: give a JSON file, as config.json") from None
    except IsADirectoryError:
        raise UserError(f"{show(path)} is a folder: give the JSON file in it") from None
    except (ValueError, RecursionError) as problem:  # bytes, syntax, a number too long, nesting
        raise UserError(f"{show(path)} is not a JSON file: {problem}") from None


def read_config(file: Path, config_type: type[C]) -> C:
    """Reads a config file. UserError names the file and the key at fault."""
    return build(read_json(file), config_type, file)


class Key(NamedTuple):
    """A key of a configuration, as its option needs it."""

    section: str
    field: dataclasses.Field
    help: str  # what it means, its values, its default


def list_keys(defaults: Config) -> list[Key]:
    """Lists every key of a configuration, section by section."""
    keys = []
    for section in dataclasses.fields(defaults):
        for field in dataclasses.fields(section.type):
            default = json.dumps(getattr(getattr(defaults, section.name), field.name))
            meaning = f"{field.metadata['meaning']}; {describe_values(field)}"
            keys.append(Key(section.name, field, f"{meaning} (default: {default})"))
    return keys


def parse_value(text: str, field: dataclasses.Field, option: str) -> Any:
    """Turns an option's text into a value of its field: JSON where it is JSON, else the text.

    UserError where it does not fit.
    """
    value: Any = text
    if not (field.type is str or (field.type == str | None and text != "null")):
        listed = field.type == list[int] and not text.startswith("[")
        try:
            value = json.loads(f"[{text}]" if listed else text)  # 1,10,100
        except (ValueError, RecursionError):
            value = text
    try:
        return check(value, field)
    except ValueError:
        raise UserError(f"{option} is {text!r:.80}, {describe_misfit(value, field)}") from None


def spell(config: Config, section: str, name: str) -> str:
    """Spells a key as the command line does: short where one section alone has it."""
    if (section, name) == ("model", "name"):
        return "--ckpt_name"
    sections = [getattr(config, each.name) for each in dataclasses.fields(config)]
    alone = sum(hasattr(each, name) for each in sections) == 1
    return f"--{name}" if alone else f"--{section}.{name}"


def shorten(config: C) -> C:
    """Returns a copy for a dry run: no key above its `dry`, batches as large as training's."""
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        limits = {f.name: f.metadata["dry"] for f in dataclasses.fields(values)}
        short = {
            name: min(limit, getattr(values, name))
            for name, limit in limits.items()
            if limit is not None
        }
        config = dataclasses.replace(config, **{section.name: dataclasses.replace(values, **short)})
    return config


def override(config: C, values: Mapping[tuple[str, str], Any]) -> C:
    """Returns a copy of the configuration with {(section, key): value} put in."""
    for (section, name), value in values.items():
        changed = dataclasses.replace(getattr(config, section), **{name: value})
        config = dataclasses.replace(config, **{section: changed})
    return config


def refuse_idle(config: C, overrides: Mapping[tuple[str, str], Any], before: C) -> None:
    """Raises a UserError where an override changes a key that has no effect in this configuration.

    `before` is the configuration without the overrides: what only repeats it is no mistake.
    """
    for (section, name), (is_idle, why) in config.idle.items():
        was = getattr(getattr(before, section), name)
        if overrides.get((section, name), was) != was and is_idle(config):
            raise UserError(f"{spell(config, section, name)} has no effect {why}")
