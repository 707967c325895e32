"""Checkpoints, damaged, swapped or changed: each is loaded, or one line says why not.

How many and how: tests/test_fuzz.py.
"""

import contextlib
import copy
import io
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import utils.errors
from main import USES
from report.runs import read_run
from tests.helpers.every_command import COMMANDS, RUNS, Command, call
from tests.helpers.fuzzing import PLACES, damaged, no_file, survives
from tests.helpers.repository import REPOSITORY
from utils import files


@pytest.fixture(scope="module", autouse=True)
def ladder(as_commands):
    """Trains a ladder, which no command trains by its defaults."""
    words = ["--dataset=digits", "--network=ladder", "--ckpt_name=ladder"]
    call(COMMANDS["main"].main, [*COMMANDS["main"].small, *words])


# Checkpoints

LOADING = [
    (name, index)
    for name, command in COMMANDS.items()
    if name != "benchmarks.studies.faces"  # it renders 5,000 faces first
    for index, _ in enumerate(command.loading("fuzzed"))
]


def brief(command: Command, argv: list[str]) -> list[str]:
    """Returns the options that make what is asked for short, of those that have an effect on it."""
    short = {"--num_samples": 1, "--length": 4, "--device": "cpu"}
    if command.name == "main" and argv[0].partition("=")[2] not in USES.of("num_samples"):
        del short["--num_samples"]
    return [f"{option}={value}" for option, value in short.items() if command.takes(option)]


@st.composite
def bad_checkpoints(draw: st.DrawFn, run: str, name: str, place: Path) -> str:
    """A run's file damaged, another one in its place, or one with an entry of another kind.

    It is written to its place; of what is drawn hypothesis keeps a copy, so that is a word.
    """
    folder = files.ROOT / "checkpoints"
    whole = (folder / run / name).read_bytes()
    ways = ["bytes", "bytes", "bytes", "file", "entry", "drop", "entries", "no file"]
    how = draw(st.sampled_from(ways))
    if how == "no file":
        no_file(place, draw(st.sampled_from(PLACES)))
        return how
    if how == "bytes":
        place.write_bytes(draw(damaged(whole)))
        return how
    other = folder / draw(st.sampled_from(RUNS)) / draw(st.sampled_from(["best.pt", "last.pt"]))
    if how == "file":
        shutil.copy(other, place)
        return how
    content = torch.load(io.BytesIO(whole), weights_only=True)
    content["config"]["model"]["name"] = "fuzzed"
    others = torch.load(other, weights_only=True)
    known = sorted(content.keys() | others.keys())
    keys = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3 if how == "entries" else 1))
    for key in keys:
        if how == "drop" or key not in others:
            content.pop(key, None)
        else:
            content[key] = others[key]
    torch.save(content, place)
    return how


@given(data=st.data())
def test_checkpoints(data, as_commands):
    """Loads it in every way there is: a test.py, a task of main.py, --resume, ship.py."""
    name, index = data.draw(st.sampled_from(LOADING), label="command")
    command = COMMANDS[name]
    argv = list(command.loading("fuzzed"))[index]
    file = "last.pt" if "--resume" in argv else "best.pt"
    folder = files.ROOT / "checkpoints" / "fuzzed"
    files.remove(folder)
    folder.mkdir()
    data.draw(bad_checkpoints(command.run, file, folder / file), label="how")
    survives(command, [*argv, *brief(command, argv)], as_commands)


# Checkpoints that are wrong in one place, anywhere in them, by kind

KINDS = [*RUNS, "ladder", "classifier"]


def itself() -> list:
    content: list = [1]
    content.append(content)
    return content


def round_about() -> dict:
    content: dict = {"a": 1}
    content["b"] = {"c": content}
    return content


def doubled() -> list:
    part = [0]
    for _ in range(60):
        part = [part, part]
    return part


ODD = [None, True, -1, 0, 1, 1.5, -0.5, 2**31, 2**63, 10**30, 10**5000, 1e300, "", "x", [], {}]
ODD += [float("nan"), float("inf"), -float("inf"), "x" * 10**5, "\x1b[2J\r\u202e", "\ud800", (1, 2)]
ODD += [[-1, 28, 28], ["a", "a"], ["ab"], [1, [2]], {"a": [1]}, {1: 2}, {(1, 2): 3}, [None] * 999]
ODD += [torch.ones(3), torch.tensor(float("nan")), torch.zeros(0), torch.ones(2, 2).to_sparse()]
ODD += [torch.ones(1).expand(10**6, 10**6), torch.ones(2, dtype=torch.complex64), torch.tensor(3)]
ODD += [torch.ones(2, device="meta"), "/dev/zero", "../../x", itself(), round_about(), doubled()]
CHANGES = {
    "NaN": lambda tensor: tensor * float("nan"),
    "infinite": lambda tensor: tensor / 0,
    "huge": lambda tensor: tensor.double().clamp(-1, 1).mul(3e38).to(tensor.dtype),
    "large": lambda tensor: torch.full_like(tensor, 60_000 if tensor.is_floating_point() else 99),
    "negative": lambda tensor: torch.full_like(tensor, -1 if tensor.dtype != torch.uint8 else 255),
    "zeros": torch.zeros_like,
    "float64": torch.Tensor.double,
    "float16": torch.Tensor.half,
    "whole": torch.Tensor.long,
    "bytes": lambda tensor: tensor.to(torch.uint8),
    "longer": lambda tensor: torch.cat([tensor, tensor]) if tensor.ndim else tensor[None],
    "shorter": lambda tensor: tensor[:-1] if tensor.ndim else tensor,
    "turned": lambda tensor: tensor.mT if tensor.ndim > 1 else tensor[None],
    "spread": lambda tensor: tensor.new_ones(1).expand(tensor.shape),
    "list": torch.Tensor.tolist,
    "learning": lambda tensor: tensor.float().requires_grad_(),
}
# A training with these is a long one, not a wrong one.
LONG = {"epochs", "batches", "steps"}


def change(content: dict, rng: random.Random) -> None:
    """Puts something else at one, two or three places of a checkpoint, at any depth."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        holder: Any = content
        while True:
            keys = sorted(holder if isinstance(holder, dict) else range(len(holder)), key=str)
            if holder is content:  # most of it is in these
                keys += [name for name in ("model", "config", "training") if name in content] * 5
            key = rng.choice(keys)
            inner = holder[key]
            if not (isinstance(inner, dict | list) and inner) or rng.random() < 0.2:
                break
            holder = inner
        how = rng.choice(["odd", "change", "change", "drop", "add"])
        odd = copy.deepcopy(rng.choice(ODD))
        if isinstance(inner, torch.Tensor) and how in ("odd", "change"):
            with contextlib.suppress(RuntimeError, UserWarning):  # not each is one of every tensor
                holder[key] = rng.choice(list(CHANGES.values()))(inner)
        elif how == "drop" and isinstance(holder, dict) and len(content) > 1:
            del holder[key]
        elif how == "add" and isinstance(holder, dict):
            holder[rng.choice(["more", "\x1b[2J", 7])] = odd
        else:
            holder[key] = 2 if key in LONG and type(odd) is int else odd


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=settings.default.max_examples // 5)
@given(data=st.data())
def test_bad_checkpoints(data, kind, as_commands):
    """Half of them are resumed where there is a last.pt, the others loaded in every other way."""
    root = files.ROOT
    command = {"ladder": "main", "vae": "main", "classifier": "models.gan.test"}.get(kind)
    resumed = kind != "classifier" and data.draw(st.booleans(), label="resumed")
    if command is None:
        command = f"models.{kind}.{'train' if resumed else 'test'}"
    ways = list(COMMANDS[command].loading("fuzzed"))
    argv = ways[0] if resumed else data.draw(st.sampled_from(ways[1:] or ways), label="way")
    file = root / "checkpoints" / "fuzzed" / ("last.pt" if resumed else "best.pt")
    source = root / "checkpoints" / kind / file.name
    if kind == "classifier":
        source, file = CLASSIFIER, root / "pretrained" / "classifiers" / "digits.pt"
        argv = ["--ckpt_name=gan", "--num_samples=1"]
    content = torch.load(source, weights_only=True)
    if "config" in content:
        content["config"]["model"]["name"] = "fuzzed"
        content["config"]["training"]["epochs"] = 1 + resumed  # it has one, and goes on for another
    change(content, random.Random(data.draw(st.integers(0, 2**32), label="seed")))
    shutil.rmtree(root / "checkpoints" / "fuzzed", ignore_errors=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.save(content, file)
    except (RuntimeError, NotImplementedError, ValueError, RecursionError):
        reject()  # torch has its limits
    try:
        survives(COMMANDS[command], [*argv, *brief(COMMANDS[command], argv)], as_commands)
    finally:
        if kind == "classifier":
            shutil.copy(CLASSIFIER, file)


CLASSIFIER = REPOSITORY / "pretrained" / "classifiers" / "digits.pt"


# Runs whose files are those of other runs

PARTS = ["last.pt", "best.pt", "epoch_0001.pt", "config.json", "history.csv"]
TABLES = [b"", b"epoch,step\n", b"\0", b"epoch,step,train_nats\n1,NaN,x\n", b"\xff" * 99, b"{}"]
TABLES += [b"epoch,step,seconds,per_second\n1,2,3,4,5,6\n", b"epoch,step,seconds,per_second\n1\n"]
TABLES += [b"epoch,epoch\n1,1\n", b"\n\n", b'"', b"epoch,step,seconds,per_second\n\xd9\xa1,2,3,4\n"]


@given(data=st.data())
def test_swapped_runs(data, as_commands):
    """One run's folder with up to three files of others; any command goes on with it or loads it.

    Every second one keeps its name, so that it is its own run still.
    """
    folder, own = files.ROOT / "checkpoints", data.draw(st.sampled_from(KINDS[:-1]), label="run")
    name = own if data.draw(st.booleans(), label="keeps its name") else "fuzzed"
    kept = folder / "kept"
    shutil.copytree(folder / own, kept)
    try:
        shutil.copytree(kept, folder / name, dirs_exist_ok=True)
        for part in data.draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3)):
            place, how = folder / name / part, data.draw(st.sampled_from(["swap"] * 6 + WAYS))
            other = data.draw(st.sampled_from(KINDS[:-1]), label="other")
            source = kept if other == own else folder / other
            files.remove(place)
            if how == "swap":
                shutil.copy(source / data.draw(st.sampled_from([part, part, *PARTS[:3]])), place)
            elif how == "no file":
                no_file(place, data.draw(st.sampled_from(PLACES)))
            elif how == "table":
                place.write_bytes(data.draw(st.sampled_from(TABLES)))
        if data.draw(st.integers(0, 4), label="for a report") == 0:
            survives(REPORT, [name], real=False)
        else:
            asked, index = data.draw(st.sampled_from(SHORT), label="command")
            command = COMMANDS[asked]
            ways = [*command.loading(name), [*command.small, f"--init={name}", "--dry-run"]]
            argv = ways[index]
            if "--resume" in argv and data.draw(st.booleans()):
                argv = [*argv, f"--training.epochs={data.draw(st.integers(1, 3))}"]
            if not command.trains or "--resume" in argv:
                argv = [*argv, *brief(command, argv)]
            survives(command, argv, as_commands)
    finally:
        files.remove(folder / name)
        if name == own:
            kept.rename(folder / own)
        files.remove(kept)


WAYS = ["missing", "no file", "table"]
REPORT = Command("reading", utils.errors.command(lambda argv: read_run(argv[0]) and None), {})
SHORT = [(name, index) for name, index in LOADING if not name.startswith("benchmarks.studies")]
SHORT += [(name, -1) for name, command in COMMANDS.items() if command.takes("--training.init")]
