"""The command line: every key as an option, in a long and a short form that mean the same."""

import dataclasses
import importlib
import json
from pathlib import Path

import pytest

import main as vae
from solver import Solver
from tests.helpers.repository import REPOSITORY
from utils import command_line
from utils.command_line import parse
from utils.config import Config, ModelSection, TrainingSection, key
from utils.errors import UserError

MODELS = sorted(file.parent.name for file in (REPOSITORY / "models").glob("*/train.py"))


@dataclasses.dataclass(frozen=True)
class Model(ModelSection):
    name: str = key("name of the run")
    width: int = key("a width", low=1)


@dataclasses.dataclass(frozen=True)
class Training(TrainingSection):
    epochs: int = key("how long", low=1, dry=1)
    length: int = key("a length", low=1)


@dataclasses.dataclass(frozen=True)
class Protocol:
    length: int = key("another length", low=1)
    places: list[int] = key("some places", low=1)
    end: str | None = key("where it ends, or null")


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    kind = "test"
    model: Model
    training: Training
    protocol: Protocol


@pytest.fixture
def file(tmp_path):
    values = {
        "model": {"name": "m", "width": 3},
        "training": {"epochs": 9, "length": 5},
        "protocol": {"length": 7, "places": [1, 2], "end": None},
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def overrides(file, *argv):
    return parse(list(argv), "what it does", Settings, file).overrides


@pytest.mark.parametrize(
    ("long", "short", "value"),
    [
        ("--model.width=4", "--width=4", 4),
        ("--training.epochs=2", "--epochs=2", 2),
        ("--protocol.places=1,10,100", "--places=[1, 10, 100]", [1, 10, 100]),
        ("--protocol.end=null", "--end=null", None),
        ("--protocol.end=here", "--end=here", "here"),
        ("--model.name=other", "--ckpt_name=other", "other"),
    ],
)
def test_both_forms_mean_the_same(long, short, value, file):
    place = tuple(long.partition("=")[0].removeprefix("--").split("."))
    assert overrides(file, long) == overrides(file, short) == {place: value}


def test_a_short_form_that_two_sections_share_is_refused(file):
    with pytest.raises(UserError) as stop:
        overrides(file, "--length=3")
    assert str(stop.value) == (
        "--length may be --training.length or --protocol.length: give one of them in full"
    )
    assert overrides(file, "--training.length=3", "--protocol.length=4") == {
        ("training", "length"): 3,
        ("protocol", "length"): 4,
    }


@pytest.mark.parametrize("option", ["--width", "--model.width"])
def test_a_mistake_names_the_option_as_it_was_typed(option, file):
    with pytest.raises(UserError) as stop:
        overrides(file, option, "0")
    assert str(stop.value) == f"{option} is '0', not a whole number >= 1"


@pytest.mark.parametrize("option", ["--model.widt", "--widt", "--model.depth"])
def test_no_prefix_is_guessed(option, file):
    with pytest.raises(UserError, match=f"unrecognized arguments: {option}"):
        overrides(file, option, "3")


def test_a_call_has_the_settings_and_how_the_run_begins(file):
    call = parse(["--epochs=3", "--resume"], "", Settings, file)
    assert (call.config.training.epochs, call.config.model.width) == (3, 3)
    assert (call.resume, call.overwrite, call.dry_run) == (True, False, False)
    assert parse(["--dry-run"], "", Settings, file).config.training.epochs == 1
    with pytest.raises(UserError, match="--resume goes on, --overwrite starts anew"):
        parse(["--resume", "--overwrite"], "", Settings, file)


def test_a_config_file_of_ones_own_gives_the_defaults(file, tmp_path):
    mine = json.loads(file.read_text(encoding="utf-8"))
    mine["model"]["width"] = 99
    other = tmp_path / "mine.json"
    other.write_text(json.dumps(mine), encoding="utf-8")
    call = parse([f"--config={other}", "--epochs=4"], "", Settings, file)
    assert (call.config.model.width, call.config.training.epochs) == (99, 4)


class Caught(Exception):
    """Carries a call out of the command that was about to train."""


def call_of(name, argv, monkeypatch):
    """Returns the Call that a training command comes to, and trains nothing."""

    def catch(call):
        raise Caught(call)

    if name == "vae":
        command = vae.main
        monkeypatch.setattr(Solver, "train", catch)
    else:
        command = importlib.import_module(f"models.{name}.train").main
        monkeypatch.setattr(f"models.{name}.train.open_run", catch)
    with pytest.raises(Caught) as caught:
        command(argv)
    return caught.value.args[0]


def keys_of(name):
    """Yields the settings of a training command: (section, key, default, short form or None)."""
    folder = REPOSITORY / ("vae" if name == "vae" else f"models/{name}")
    file = folder / ("faces.json" if name == "vae" else "config.json")
    config = call_of_defaults(name, file)
    keys = [(section, name) for section in config for name in config[section]]
    for section, word in keys:
        alone = sum(other == word for _, other in keys) == 1
        short = "ckpt_name" if (section, word) == ("model", "name") else word if alone else None
        yield section, word, config[section][word], short


def call_of_defaults(name, file):
    """Reads a settings file with the keys that it may leave out."""
    module = "vae.training" if name == "vae" else f"models.{name}.train"
    kind = getattr(importlib.import_module(module), "VAEConfig" if name == "vae" else "Config")
    return dataclasses.asdict(command_line.read_config(Path(file), kind))


KEYS = [
    (name, section, key, default, short)
    for name in (*MODELS, "vae")
    for section, key, default, short in keys_of(name)
]


@pytest.mark.parametrize(
    ("name", "section", "key", "default", "short"),
    KEYS,
    ids=[f"{name} {section}.{key}" for name, section, key, *_ in KEYS],
)
def test_every_key_of_every_command_has_its_forms(
    name, section, key, default, short, monkeypatch, capsys
):
    """Each with its default, and in help; or refused by the names of those that share it."""
    text = default if isinstance(default, str) else json.dumps(default)
    long = call_of(name, [f"--{section}.{key}={text}"], monkeypatch)
    assert long.overrides == {(section, key): default}
    if short is not None:
        assert call_of(name, [f"--{short}={text}"], monkeypatch) == long
    else:
        module = "main" if name == "vae" else f"models.{name}.train"
        assert importlib.import_module(module).main([f"--{key}={text}"]) == 2
        err = capsys.readouterr().err
        shared = [f"--{s}.{k}" for n, s, k, *_ in KEYS if (n, k) == (name, key)]
        assert err == f"error: --{key} may be {' or '.join(shared)}: give one of them in full\n"


@pytest.mark.parametrize("name", [*MODELS, "vae"])
def test_help_lists_every_key_with_its_default(name, capsys):
    command = vae.main if name == "vae" else importlib.import_module(f"models.{name}.train").main
    with pytest.raises(SystemExit) as stop:
        command(["--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for section, word, default, short in keys_of(name):
        assert f"--{section}.{word} " in text
        if (name, section, word) != ("vae", "model", "name"):  # --ckpt_name is a task's as well
            described = text.split(f"--{section}.{word} ")[-1]
            assert f"(default: {json.dumps(default)})" in described, f"{section}.{word}"
        if short is None:
            assert f"--{word} " not in text, "an ambiguous form is offered"
