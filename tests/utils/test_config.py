"""The configuration: what a section takes, how a misfit is named, and that every key is read."""

import ast
import dataclasses
import importlib
import json
import re
from pathlib import Path

import pytest

from tests.helpers.repository import REPOSITORY
from utils import config
from utils.config import Config, TrainingSection, key
from utils.errors import UserError
from utils.files import check_name
from vae.training import VAEConfig


@dataclasses.dataclass(frozen=True)
class Section:
    count: int = key("a count", low=1)
    rate: float = key("a rate", above=0, below=1)
    name: str = key("a name", choices=("x", "y"))
    on: bool = key("a switch")
    epochs: list[int] = key("a list", low=1)
    maybe: int | None = key("an optional number", low=1)


@dataclasses.dataclass(frozen=True)
class OneSection(Config):
    kind = "test"
    part: Section


GOOD = {"count": 3, "rate": 0.5, "name": "x", "on": True, "epochs": [1, 2], "maybe": None}


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    file = tmp_path / "large.json"
    with open(file, "wb") as made:
        made.truncate(2**40)  # of nothing: it takes no place on the disk
    with pytest.raises(UserError, match=r"has 1,099,511,627,776 bytes, too many for settings"):
        config.read_json(file)


def test_config_is_frozen_and_plain():
    built = config.build({"part": GOOD}, OneSection, Path("file.json"))
    assert dataclasses.asdict(built) == {"part": GOOD}
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.part.count = 4
    assert config.override(built, {("part", "count"): 5}).part.count == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "part.count is 0, not a whole number >= 1"),
        ({"count": 1.5}, "part.count is 1.5"),
        ({"count": True}, "part.count is true"),
        ({"count": "3"}, 'part.count is "3"'),
        ({"count": None}, "part.count is null"),
        ({"rate": 0}, "part.rate is 0"),
        ({"rate": 1.0}, "part.rate is 1.0, not a number > 0 < 1"),
        ({"rate": float("nan")}, "part.rate is NaN"),
        ({"name": "z"}, 'part.name is "z", not one of x, y'),
        ({"on": 1}, "part.on is 1, not true or false"),
        ({"epochs": [0]}, "part.epochs is [0], not a list of whole numbers >= 1"),
        ({"epochs": 3}, "part.epochs is 3"),
        ({"maybe": 0}, "part.maybe is 0, not a whole number or null >= 1"),
        ({"cuont": 3}, "unknown part key 'cuont' (known: count, rate"),
    ],
)
def test_config_names_the_key_and_the_file(change, words):
    with pytest.raises(UserError, match=re.escape(f"file.json: {words}")):
        config.build({"part": GOOD | change}, OneSection, Path("file.json"))


def test_config_names_what_is_missing():
    without = {name: value for name, value in GOOD.items() if name != "rate"}
    for values, words in (
        ({"part": without}, "missing part key 'rate'"),
        ({}, "missing section 'part'"),
        ({"part": GOOD, "more": {}}, "unknown section 'more'"),
        ([], "expected {...}"),
        ({"part": 3}, "expected {...}"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            config.build(values, OneSection, Path("file.json"))


def test_a_dry_run_takes_no_more_than_its_keys_say():
    @dataclasses.dataclass(frozen=True)
    class Training(TrainingSection):
        epochs: int = key("epochs", low=1, dry=1)
        batch_size: int = key("B", low=1, dry=12)
        rate: float = key("a rate", above=0)

    @dataclasses.dataclass(frozen=True)
    class One(Config):
        kind = "test"
        training: Training

    whole = One(Training(epochs=9, batch_size=64, rate=0.5))
    assert config.shorten(whole) == One(Training(epochs=1, batch_size=12, rate=0.5))
    assert whole.training.epochs == 9
    small = One(Training(epochs=2, batch_size=3, rate=0.5))
    assert config.shorten(small).training.batch_size == 3, "never more than asked for"
    assert (whole.training.final_rate, whole.training.warmup_steps) == (1.0, 0), "the defaults"


MODELS = sorted(file.parent.name for file in (REPOSITORY / "models").glob("*/train.py"))
CONFIG_FILES = [file for name in MODELS for file in (REPOSITORY / "models" / name).glob("*.json")]
CONFIG_FILES += sorted((REPOSITORY / "vae").glob("*.json"))


@pytest.mark.parametrize("file", CONFIG_FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_shipped_configs_are_sound(file):
    kind = file.parent.name
    train = None if kind == "vae" else importlib.import_module(f"models.{kind}.train")
    built = config.read_config(file, train.Config if train else VAEConfig)
    assert built.kind == kind


def keys_read(folders):
    """Collects what is read of settings: (owner, key) of `config.training.epochs`.

    The owner is the last word before the key; a name that a section was assigned to stands for it.
    """
    found = set()
    for file in (file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        sections = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                target, value = node.targets[0], node.value
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = zip(target.elts, value.elts, strict=False)
                for name, part in pairs:
                    if isinstance(name, ast.Name) and isinstance(part, ast.Attribute):
                        sections[name.id] = part.attr
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = getattr(node.value, "attr", getattr(node.value, "id", None))
                found.add((sections.get(owner, owner), node.attr))
    return found


@pytest.mark.parametrize("file", CONFIG_FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_key_is_read_somewhere(file):
    """By the model's own files, or by the rooms of utils/ that it trains with."""
    kind = file.parent.name
    rooms = {"gan": ["utils/digits"], "aae": ["utils/digits"], "vae": ["vae"]}
    own = [] if kind == "vae" else [f"models/{kind}"]
    read = keys_read(["utils/training", *rooms.get(kind, ["utils/text"]), *own])
    values = json.loads(file.read_text(encoding="utf-8"))
    for section, keys in values.items():
        for name in keys:
            assert {(section, name), ("config", name)} & read, f"{section}.{name} is never read"


def test_names_stay_inside_their_folder():
    for name in ("lstm", "a", "_x", "run-1.5", "9"):
        assert check_name(name, "the name") == name
    wrong = ["", ".", "..", "../x", "/x", "a/b", "a\\b", "-x", "a b", "a:b", "con", "NUL.txt", "x."]
    for name in wrong:
        with pytest.raises(UserError, match="cannot be a folder's name"):
            check_name(name, "the name")


def test_a_byte_order_mark_is_no_part_of_a_config_file(tmp_path):
    """Some editors put one before whatever they save."""
    file = tmp_path / "config.json"
    file.write_text('{"a": 1}', encoding="utf-8-sig")
    assert config.read_json(file) == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "place", "option"),
    [
        ("lstm", ("training", "epochs"), "--training.epochs"),
        ("lstm", ("training", "batch_size"), "--batch_size"),
        ("gan", ("training", "epochs"), "--epochs"),
        ("gan", ("model", "name"), "--ckpt_name"),
        ("transformer", ("model", "heads"), "--heads"),
    ],
)
def test_a_key_is_spelled_as_the_command_takes_it(kind, place, option):
    kept = importlib.import_module(f"models.{kind}.train").Config
    file = REPOSITORY / "models" / kind / "config.json"
    assert config.spell(config.read_config(file, kept), *place) == option
