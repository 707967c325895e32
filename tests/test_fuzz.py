"""Damaged input of four kinds, each case given to a command: it works, or one line says why not.

    pytest tests/test_fuzz.py                                     40 cases of each, as in the suite
    pytest tests/test_fuzz.py --hypothesis-profile=whole          2,500 of each
    pytest tests/test_fuzz.py --hypothesis-profile=commands       100 of each, each a real command

The cases are the same every time. `python benchmarks/trust/fuzz.py` tries all of them, kind by
kind and side by side, and counts how they ended.
"""

import contextlib
import copy
import io
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from PIL import Image

from main import USES
from tests.helpers.every_command import COMMANDS, RUNS, Command, Outcome, call, small_config
from tests.helpers.repository import REPOSITORY
from utils import files
from utils.digits import testing
from utils.errors import LONGEST
from utils.text.data import DataConfig, decode, load_text
from utils.words import escape
from vae import training

ROOMS = ("models", "utils", "vae", "benchmarks")


@pytest.fixture(scope="module", autouse=True)
def as_commands(every_run, tmp_path_factory, request):
    """A copy of the small repository to work in. Gives whether cases are real commands there."""
    root = tmp_path_factory.mktemp("fuzz") / "repository"
    shutil.copytree(every_run, root)
    real = request.config.getoption("--hypothesis-profile") == "commands"
    if real:
        for pattern in ("*.py", *(f"{room}/**/*.py" for room in ROOMS)):
            for file in REPOSITORY.glob(pattern):
                target = root / file.relative_to(REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        patch.setattr(testing, "EVALUATED", 100)
        patch.setattr(training, "WEIGHTED_DRAWS", 1)
        patch.chdir(root)
        ladder = ["--dataset=digits", "--network=ladder", "--ckpt_name=ladder"]
        call(COMMANDS["main"].main, [*COMMANDS["main"].small, *ladder])
        yield real
    if counts := os.environ.get("FUZZ_COUNTS"):
        Path(counts).write_text(json.dumps(ENDS))


def survives(command: Command, argv: list[str], real: bool) -> Outcome:
    """Calls the command; it must end well or with one line. Returns what came of it."""
    if real:
        file = command.name.replace(".", "/") + ".py"
        launched = ["-m", command.name] if file.startswith("utils/") else [str(files.ROOT / file)]
        done = subprocess.run(
            [sys.executable, *launched, *argv],
            **{"cwd": files.ROOT, "capture_output": True, "timeout": 600, "check": False},
        )
        streams = (stream.decode("utf-8") for stream in (done.stdout, done.stderr))
        outcome = Outcome(done.returncode, *streams)
    else:
        with limited():
            outcome = call(command.main, argv)
    ENDS[f"exit status {outcome.status}"] += 1
    assert outcome.status in (0, 2), outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == (outcome.status == 2), outcome.err
    assert all(line.startswith("error: ") for line in lines)
    for line in [*lines, *outcome.out.split("\n")]:
        assert len(line) <= LONGEST
        assert line == escape(line)
    return outcome


ENDS: Counter[str] = Counter()  # how many cases ended in which exit status


class HangError(BaseException):
    """A command that goes on and on; no `except Exception` keeps it."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Ends what computes for longer than 10 seconds, or waits for something for a minute.

    Where others keep the processor busy a minute may pass, too, but not without any computing.
    """
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    began = time.process_time()

    def end(number: int, frame: object) -> None:
        nonlocal began
        earlier, began = began, time.process_time()
        if number == signal.SIGPROF or began - earlier < 0.02:
            raise HangError

    timers = [(signal.ITIMER_PROF, signal.SIGPROF, 10), (signal.ITIMER_REAL, signal.SIGALRM, 60)]
    try:
        for timer, number, seconds in timers:
            signal.signal(number, end)
            signal.setitimer(timer, seconds, seconds)
        yield
    finally:
        for timer, number, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, signal.SIG_DFL)


# Damage to bytes of any kind


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some flipped, cut off, put in or repeated."""
    place = st.integers(0, max(0, len(content) - 1))
    how = draw(st.sampled_from(["flip", "cut", "insert", "blank", "repeat", "append"]))
    at = draw(place)
    if how == "flip":
        changed = bytearray(content)
        for index in [at, *draw(st.lists(place, max_size=7))] if content else []:
            changed[index] ^= draw(st.integers(1, 255))
        return bytes(changed)
    if how == "cut":
        return content[:at]
    if how == "append":
        return content + draw(st.binary(max_size=30))
    if how == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=30)) + content[at:]
    length = draw(st.integers(1, 300))
    middle = bytes(length) if how == "blank" else 2 * content[at : at + length]
    return content[:at] + middle + content[at + length :]


PLACES = ["pipe", "socket", "folder", "/dev/zero", "/dev/full", "sparse", "closed"]


def no_file(place: Path, what: str) -> None:
    """Puts something in a file's place that is none, or one of 10 GB of nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if what == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(place)
    elif what == "socket" and hasattr(socket, "AF_UNIX"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))  # its path may be too long
    elif what == "sparse":
        with open(place, "wb") as file:
            file.truncate(10 * 2**30)
    elif what.startswith("/"):
        place.symlink_to(what)
    else:
        place.mkdir()
        place.chmod(0o500 if what == "closed" else 0o700)


# Config files

NUMBERS = [0, -1, 1, 2, 3, 7, 64, 0.5, -0.0, 1.0, 1e-300, 1e300, float("nan"), float("inf")]
NUMBERS += [2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30, 10**400]
WORDS = ["", "auto", "none", "../x", "/x", "a/b", "con", "x" * 300, "text", "digits", "\ud800"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.integers()
    | st.floats(allow_subnormal=False)  # torch is told to take them for 0
    | st.sampled_from(WORDS)
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def changed_configs(draw: st.DrawFn, config: dict) -> Any:
    """The settings with up to three keys or sections set to anything, dropped, renamed, added."""
    config = copy.deepcopy(config)
    for _ in range(draw(st.integers(0, 3))):
        section = draw(st.sampled_from(sorted(config))) if config else None
        whole = section is None or not isinstance(config[section], dict)
        holder = config if whole or draw(st.integers(0, 5)) == 0 else config[section]
        key = draw(st.sampled_from(sorted(holder))) if holder else "model"
        how = draw(st.sampled_from(["set", "set", "set", "drop", "add", "rename"]))
        if how == "set":
            holder[key] = draw(values)
        elif how == "add":
            holder[draw(st.text(max_size=9) | st.sampled_from(["epochs", "name"]))] = draw(values)
        else:
            value = holder.pop(key, None)
            if how == "rename":
                holder[draw(st.text(max_size=9))] = value
    return config


def modest(value: Any) -> bool:
    """Whether a training with these settings is short and small."""
    if isinstance(value, dict | list):
        return all(map(modest, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int) or abs(value) <= 64 or abs(value) > 2**53


@given(data=st.data())
def test_config_files(data, as_commands):
    """Half of the cases only read the file (there is nothing to resume), half train a little."""
    names = [name for name, command in COMMANDS.items() if command.takes("--config")]
    command = COMMANDS[data.draw(st.sampled_from(names), label="command")]
    config = data.draw(changed_configs(small_config(command)), label="config")
    content = json.dumps(config, indent=data.draw(st.sampled_from([None, 2]))).encode()
    mode = "--dry-run" if modest(config) and data.draw(st.booleans()) else "--resume"
    ways = ["as it is"] * 5 + ["damaged", "nested", "digits", "utf-16", "no file"]
    how = data.draw(st.sampled_from(ways))
    if how == "damaged":
        content, mode = data.draw(damaged(content)), "--resume"
    elif how == "nested":
        depth = data.draw(st.integers(1, 3000))
        content = content.replace(b"1", b"[" * depth + b"1" + b"]" * depth, 1)
    elif how == "digits":
        content = content.replace(b"1", b"1" * data.draw(st.integers(17, 9000)), 1)
    elif how == "utf-16":
        content = content.decode().encode("utf-16")
    file = files.ROOT / "fuzzed.json"
    files.remove(file)
    if how == "no file":
        no_file(file, data.draw(st.sampled_from(PLACES)))
    else:
        file.write_bytes(content)
    argv = [f"--config={file}", mode, *(["--ckpt_name=none"] if mode == "--resume" else [])]
    survives(command, argv, as_commands)


# Texts

characters = st.characters(exclude_categories=["Cs"])
controls = [chr(point) for point in [*range(33), 127, 0x85, 0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFF]]
pieces = st.one_of(
    st.text(characters, max_size=40).map(str.encode),
    st.text(st.sampled_from(controls), max_size=20).map(str.encode),
    st.sampled_from(["\r\n", "\n\n", "a", "İ", "ß", "e\u0301", "👩\u200d🚀", "道可道"]).map(
        str.encode
    ),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=4).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=20),
)
# Most cases leave out the pieces that are no UTF-8, which end a case at once.
texts = st.one_of(
    st.text(characters, max_size=2000).map(str.encode),
    st.lists(st.text(characters | st.sampled_from(controls), max_size=60), max_size=30).map(
        lambda lines: "\n".join(lines).encode()
    ),
    st.lists(pieces, max_size=20).map(b"".join),
    st.text(characters, max_size=300).map(lambda text: text.encode("utf-16")),
)
TEXT_NAMES = ["t.txt", "-t.txt", "a b.txt", "é.txt", "t", ".txt", "x\n.txt", "$HOME.txt", "%s.txt"]
TEXT_NAMES += ["--raw", "con.txt", "t" * 120, "text.txt", os.fsdecode(b"\xff.txt")]


def written(folder: Path, name: str, content: bytes) -> Path:
    """The file with that name, or, on a system that cannot have it, with another one."""
    file = folder / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError:
        file = folder / "other"
        file.write_bytes(content)
    return file


@given(data=st.data())
def test_texts(data, as_commands):
    """Prepared, and what was kept raw comes back; then, of some, trained on, or continued."""
    content = data.draw(texts, label="text")
    if content and data.draw(st.integers(0, 9), label="megabyte of it") == 0:
        content *= 1 + 2**20 // len(content)
    lines = sum(content.count(end) for end in (b"\n", b"\r"))
    large = lines > 300 or len(content) * len(set(content)) > 10**7
    raw = data.draw(st.booleans(), label="raw")
    form = "codes" if large else data.draw(st.sampled_from(["one_hot", "codes"]))
    name = data.draw(st.sampled_from(["fuzzed"] * 9 + [None, *WORDS[:-1]]), label="--name")
    with tempfile.TemporaryDirectory(dir=files.ROOT) as folder:
        file = written(Path(folder), data.draw(st.sampled_from(TEXT_NAMES)), content)
        if data.draw(st.integers(0, 19), label="no file") == 0:
            file.unlink()
            no_file(file, data.draw(st.sampled_from(PLACES)))
        argv = [f"--text={file}", f"--format={form}", *(["--raw"] if raw else [])]
        argv += [] if name is None else [f"--name={name}"]
        status = survives(COMMANDS["data_preparation"], argv, as_commands).status
    if status == 0 and raw and name == "fuzzed":
        text = load_text(DataConfig(name="fuzzed"))
        codes = np.concatenate([text.training, text.validation])
        assert decode(codes, text.alphabet).encode() == content
    then = data.draw(st.sampled_from(["nothing"] * 6 + ["train", "prompt", "prompt"]))
    if then == "train" and status == 0 and name == "fuzzed":
        names = [name for name, command in COMMANDS.items() if command.takes("--data.name")]
        command = COMMANDS[data.draw(st.sampled_from(names))]
        argv = [*command.small, "--data.name=fuzzed", "--dry-run"]
        survives(command, argv, as_commands)
    elif then == "prompt":
        names = [name for name, command in COMMANDS.items() if command.takes("--prompt_length")]
        prompt = os.fsdecode(content[:1000].replace(b"\0", b""))
        argv = [f"--prompt={prompt}", "--num_samples=1", "--length=4", "--device=cpu"]
        survives(COMMANDS[data.draw(st.sampled_from(names))], argv, as_commands)


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


# Folders of pictures

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
}
SIZES = [(1, 1), (1, 300), (300, 1), (2, 3), (64, 64), (65, 33), (70, 90)]
BOMBS = [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (0, 0), (0, 5), (30_000, 3), (9000, 9000)]
PICTURES = ["a.png", "b.jpg", "c.JPEG", "d.gif", "-x.png", "--help.png", "a b.png", "é.png"]
PICTURES += ["x\n.png", "$x$.png", "{}.png", "%s.png", ".hidden.png", "deep/er/y.png", "t.txt"]
PICTURES += ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "\x1b[2J.png"]
PICTURES += ["n" * 200 + ".png", "none", "celeba/img_align_celeba/1.jpg", os.fsdecode(b"\xff.png")]
FOLDERS = ["photos", "-photos", "--help", "a b", "é", "$p$", "$x^$", "x\n", "celeba", "\\x"]
FOLDERS += ["\x1b[2J", "n" * 200, os.fsdecode(b"\xff")]


def bomb(size: tuple[int, int], bits: int, colour: int) -> bytes:
    """A small PNG that says it is a large one, with as much data as fits into a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A picture in any format and mode, whole, cut, damaged, animated, or one that is none."""
    how = draw(st.sampled_from(["whole"] * 4 + ["damaged"] * 4 + ["bomb", "none"]))
    if how == "none":
        return draw(st.binary(max_size=50))
    if how == "bomb":
        bits, colour = (
            draw(st.sampled_from([1, 8, 8, 16, 3])),
            draw(st.sampled_from([0, 2, 3, 6, 9])),
        )
        return bomb(draw(st.sampled_from(BOMBS)), bits, colour)
    form = draw(st.sampled_from(sorted(MODES)))
    mode, size = draw(st.sampled_from(MODES[form])), draw(st.sampled_from(SIZES))
    shades = np.linspace(0, 60_000 if mode == "I;16" else 255, size[0] * size[1])
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(shades.reshape(size[::-1]).astype(dtype))
    else:
        grey = Image.fromarray(shades.reshape(size[::-1]).astype(np.uint8))
        picture = grey.convert("RGB").convert(mode)
    options = {}
    if form in ("GIF", "WEBP", "TIFF", "PNG") and draw(st.booleans()) and mode not in ("I;16", "1"):
        options = {"save_all": True, "append_images": [picture.rotate(180)] * 2}
    if form == "JPEG" and draw(st.booleans()):
        options = {"exif": b"Exif\0\0" + draw(st.binary(max_size=40))}
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue() if how == "whole" else draw(damaged(buffer.getvalue()))


SHAPES = [(10**9, 3, 64, 64), (2**63, 3), (10**6,) * 4, (-1, 28, 28), (2, 3, 64, 64), (), (0,)]


@st.composite
def lies(draw: st.DrawFn) -> bytes:
    """A .npy file, or one of MNIST's format, that says of itself what it is not."""
    shape, content = draw(st.sampled_from(SHAPES)), draw(st.binary(max_size=100))
    if draw(st.booleans()):
        sizes = [size % 2**32 for size in shape[:4]]
        kind = draw(st.sampled_from([8, 9, 13, 14, 7]))
        head = struct.pack(f">BBBB{len(sizes)}I", 0, 0, kind, len(sizes), *sizes)
        return head + content
    buffer = io.BytesIO()
    descr = draw(st.sampled_from(["|u1", "|O", ">f8", "<U10", "<c16", "<M8[s]", "|V0"]))
    header = {"descr": descr, "fortran_order": draw(st.booleans()), "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + content


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """A .npy or .npz file of any shape and type, or a damaged one."""
    if draw(st.integers(0, 3)) == 0:
        return draw(lies())
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 9, 64]), max_size=5)))
    dtype = draw(st.sampled_from([np.uint8] * 5 + [np.float32, np.int64, bool, object, "U3"]))
    array = np.zeros(shape[:4], dtype=dtype)
    buffer = io.BytesIO()
    if draw(st.booleans()):
        np.savez(buffer, **{draw(st.sampled_from(["x", "arr_0", "é", "a/b"])): array, "n": array})
    else:
        np.save(buffer, array)
    return buffer.getvalue() if draw(st.booleans()) else draw(damaged(buffer.getvalue()))


def link(place: Path, target: str) -> None:
    try:
        place.symlink_to(target)
    except OSError:  # it is there already, or this system has no links
        return


@given(data=st.data())
def test_image_folders(data, as_commands):
    """Most cases read the folder and then ask for a picture beyond its last, which is cheap."""
    tasks = ["--index=999999"] * 12 + ["reconstruction", "image", "train"]
    task = data.draw(st.sampled_from(tasks), label="task")
    with tempfile.TemporaryDirectory(dir=files.ROOT) as place:
        folder = Path(place) / data.draw(st.sampled_from(FOLDERS), label="folder")
        source = folder
        if data.draw(st.integers(0, 7), label="an array") == 0:
            ending = data.draw(st.sampled_from([".npy", ".npz", ".NPZ"]))
            source = written(folder, f"a{ending}", data.draw(arrays()))
        else:
            folder = written(folder, "notes.txt", b"").parent
            source = folder
            for name in data.draw(st.lists(st.sampled_from(PICTURES), max_size=6, unique=True)):
                written(folder, name, data.draw(pictures()))
            for name in data.draw(st.lists(st.sampled_from(["l.png", "loop", "deep/up"]))):
                targets = [name, ".", "..", "/nowhere", "a.png", "loop", str(folder)]
                (folder / name).parent.mkdir(exist_ok=True)
                link(folder / name, data.draw(st.sampled_from(targets)))
            if data.draw(st.integers(0, 9), label="no file") == 0:
                no_file(folder / "p.png", data.draw(st.sampled_from(PLACES)))
        command = COMMANDS["main"]
        if task == "train":
            small = [word for word in command.small if "images" not in word and "held" not in word]
            argv = [*small, "--dry-run", f"--data={source}"]
        else:
            argv = ["--ckpt_name=vae", "--device=cpu"]
            some = ["--task=reconstruction", "--num_samples=1"]
            argv += some if task == "reconstruction" else ["--task=rotate"]
            if task == "image":
                found = sorted(file for file in folder.rglob("*") if file.is_file())
                argv += [f"--image={data.draw(st.sampled_from(found))}", "--angles", "0"]
            else:
                argv += [f"--data={source}", *([task] if task.startswith("--") else [])]
        survives(command, argv, as_commands)
