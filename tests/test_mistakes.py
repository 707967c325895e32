"""Every command and every mistake: one line that names what is wrong and a way out, status 2.

Most rows are made by crossing all commands with the mistakes that can be made with any of them, so
that a command which is added later has its rows at once; the others are written out below.
"""

import json
import os
import re
import shutil
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

import data_preparation
from tests.helpers.every_command import COMMANDS, RUNS, Command, call
from utils import files
from utils.command_line import epoch
from utils.config import DEVICES
from utils.errors import UserError
from utils.training import checkpoint
from utils.training.device import choose_device


class Row(NamedTuple):
    """A mistake: the command, its arguments, and what the line says; {} is the repository."""

    command: str
    argv: list[str]
    fault: str
    way_out: str
    prints: bool = False  # something on stdout before it is noticed


def absent_device() -> str:
    for name in DEVICES:
        try:
            choose_device(name)
        except UserError:
            return name
    pytest.skip("this machine has every device")


# Names that leave the folder they belong in, or that some system cannot have.
NAMES = ["../x", "/x", "", ".", "..", "a/b", "a\\b", "con", "NUL.txt", "com1", "a b", "x.", ".x"]
NAMES += ["a:b", "-x", "é", "x" * 101]


def set_to(place: str, value: Any) -> Callable[[dict], dict]:
    section, key = place.split(".")
    return lambda config: config | {section: config[section] | {key: value}}


def without(section: str, key: str | None = None) -> Callable[[dict], dict]:
    def change(config: dict) -> dict:
        kept = {name: value for name, value in config.items() if name != section}
        if key is not None:
            kept[section] = {n: v for n, v in config[section].items() if n != key}
        return kept

    return change


# What is wrong with a config file: its content, or a change of a sound one; what the line says.
CONFIGS = {
    "empty": (b"", "is not a JSON file"),
    "cut": (b'{"model": {', "is not a JSON file: Expecting"),
    "bytes": (b"\xff\xfe", "is not a JSON file"),
    "too deep": (b"[" * 100_000, "is not a JSON file"),
    "too many digits": (b"1" * 5000, "is not a JSON file"),
    "list": (b"[]", "expected {...} with each section of model, "),
    "number": (b"7", "expected {...} with each section of model, "),
    "unknown section": (lambda c: c | {"modle": {}}, "unknown section 'modle' (known: model, "),
    "long section": (lambda c: c | {"m" * 9999: {}}, "unknown section 'mmm"),
    "missing section": (without("training"), "missing section 'training'"),
    "section is a list": (lambda c: c | {"training": []}, "expected {...} with each training key"),
    "unknown key": (set_to("training.epoch", 3), "unknown training key 'epoch' (known: epochs, "),
    "missing key": (without("training", "epochs"), "missing training key 'epochs'"),
    "text": (set_to("training.epochs", "3"), 'epochs is "3", not a whole number >= 1'),
    "long text": (set_to("training.epochs", "3" * 9999), "3, not a whole number >= 1"),
    "null": (set_to("training.epochs", None), "epochs is null, not a whole number >= 1"),
    "true": (set_to("training.epochs", True), "epochs is true, not a whole number >= 1"),
    "part": (set_to("training.epochs", 1.5), "epochs is 1.5, not a whole number >= 1"),
    "numbers": (set_to("training.epochs", [1]), "epochs is [1], not a whole number >= 1"),
    "zero": (set_to("training.epochs", 0), "epochs is 0, not a whole number >= 1"),
    "large": (
        set_to("training.seed", 10**30),
        "not a whole number >= 0 of at most 9007199254740992",
    ),
    "very large": (set_to("training.learning_rate", 10**400), "not a number > 0 of at most"),
    "nan": (set_to("training.learning_rate", float("nan")), "is NaN, not a number > 0"),
    "infinite": (set_to("training.learning_rate", float("inf")), "is Infinity, not a number > 0"),
    "name": (set_to("model.name", 7), "model.name is 7, not a text"),
    "device": (set_to("training.device", "tpu"), 'is "tpu", not one of auto, cuda, mps, cpu'),
}

# What several sections have: the short form is refused with a line that names the candidates.
SHARED = {
    "name": ["--model.name", "--data.name"],
    "epochs": ["--training.epochs", "--protocol.epochs"],
    "length": ["--training.length", "--protocol.length"],
}

DAMAGED = "cut short or no checkpoint: train again, or take another epoch"
# What is wrong with the checkpoints of a run named <kind>-<mistake>.
CHECKPOINTS = {
    "cut": DAMAGED,
    "empty": DAMAGED,
    "text": DAMAGED,
    "flipped": DAMAGED,
    "code": DAMAGED,
    "list": "is no checkpoint of this project: take another --ckpt_name",
    "format": "has format 999, this version reads 1: train again",
    "config": "missing section 'model'",
    "weights": "weights do not fit its own config: train again",
    "training": "holds no training state to resume from",
}


class Code:
    """What a pickle may hold: a call, here of one that would leave a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def damage(folder: Path, file: Path, mistake: str) -> None:
    """Writes the file into the folder with that mistake."""
    folder.mkdir(exist_ok=True)
    content = torch.load(file, map_location="cpu", weights_only=True)
    changes = {
        "format": {"format": 999},
        "config": {"config": without("model")(content["config"]), "training": {}},
        "weights": {"model": {}},
        "training": {},
    }
    if mistake in changes:
        kept = {name: value for name, value in content.items() if name not in ("training", "model")}
        checkpoint.save(folder / file.name, kept | {"model": {}} | changes[mistake])
    elif mistake in ("list", "code"):
        torch.save([1] if mistake == "list" else [Code(folder / "ran")], folder / file.name)
    else:
        whole = file.read_bytes()
        weights = max(content["model"].values(), key=torch.Tensor.numel)
        place = whole.index(weights.contiguous().numpy().tobytes())
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        damaged = {"cut": whole[:5000], "empty": b"", "text": b"no checkpoint", "flipped": flipped}
        (folder / file.name).write_bytes(damaged[mistake])


# Rows that every command has


def rows_of_options(command: Command) -> Iterator[Row]:
    """An option that is not there, one without its value, one with a value that does not fit."""

    def row(argv: list[str], fault: str, way_out: str) -> Row:
        return Row(command.name, [*command.required, *argv], fault, way_out)

    lists = "--help lists the options"
    yield row(["--no-such-option"], "unrecognized arguments: --no-such-option", lists)
    longest = max(command.options, key=len)
    if longest.startswith("-"):  # never guessed from a prefix
        yield row([longest[:-1]], f"unrecognized arguments: {longest[:-1]}", lists)
    if not command.takes("runs"):
        yield row(["stray"], "unrecognized arguments: stray", lists)
    if command.required:
        yield Row(command.name, [], "the following arguments are required", lists)
    for name, action in command.options.items():
        if not action.option_strings:
            if action.choices:
                one = repr(next(iter(action.choices)))
                yield Row(command.name, ["no-such"], f"argument {name}: invalid choice", one)
            continue
        if action.nargs != 0:
            yield row([name], f"argument {'/'.join(action.option_strings)}: expected", lists)
        for value, way_out in misfits(name, action):
            yield row([f"{name}={value}"], name, way_out)


def misfits(name: str, action: Any) -> Iterator[tuple[str, str]]:
    """Values that an option does not take, and what the line says that is right.

    Options of a kind are read alike: what only a few people will try is tried with two of them.
    """
    strange = name.endswith(("seed", "learning_rate"))
    if action.choices:
        yield "no-such", f"choose from {next(iter(action.choices))!r}"[:12]
    elif action.type is epoch:
        for value in ("first", "-1", "1.5", "9" * 5000):
            yield value, "give last, best or a number"
    elif action.type is int:
        yield "none", "invalid int value: 'none' (--help lists the options)"
    elif getattr(action.type, "__name__", "") in ("whole number", "number"):
        yield "none", f"invalid {action.type.__name__} value: 'none' (--help lists the options)"
        yield "-100000", "-100000 is not a number "
        if action.type.__name__ == "number":
            yield "nan", "nan is not a number "
            yield "1e999", "1e999 is not a number "
        elif strange:
            yield "9" * 400, "is larger than 9007199254740992"
    elif action.metavar == "VALUE":  # a key of the configuration
        right = action.help.split("; ")[-1].split(" (default")[0]
        kinds = {
            "whole number": ("1.5", "ten", "", "9" * 30, "9" * 5000, "[" * 100_000, "{}"),
            "a number": ("nan", "much", "", "1e999", "true", "9" * 400),
            "one of": ("other",),
            "true or false": ("maybe",),
        }
        for kind, values in kinds.items():
            for value in values[: None if strange else 1] if kind in right else ():
                yield value, f"not {right}"
        beyond = {">=": -1, ">": 0, "<=": 1, "<": 0}
        for sign, limit in re.findall(r"(>=|<=|>|<) ([-.e\d]+)", right):
            yield f"{float(limit) + beyond[sign]:.9g}", f"not {right}"


def rows_of_names(command: Command) -> Iterator[Row]:
    """A name that is no folder's: nothing may be written or read outside the project."""
    options = ("--ckpt_name", "--name", "--data.name")
    options = [name for name in options if command.takes(name)]
    for name in NAMES:
        ways = [
            [f"{option}={name}"] for option in options if command.name != "benchmarks.studies.faces"
        ]
        if command.takes("run", "runs") and not name.startswith("-"):
            ways += command.loading(name)
        if command.trains:
            ways.append(["--resume", f"--ckpt_name={name}"])
        for argv in ways[:1] if name != NAMES[0] else ways:  # all ways are the same function
            argv = [*argv, *(["--ckpt_name=new"] if "--data.name" in argv[0] else [])]
            yield Row(command.name, argv, f"{name!r} cannot be", "use letters")


def rows_of_runs(command: Command) -> Iterator[Row]:
    """A run that is there already, one that is not, options that contradict each other."""
    run, place = [f"--ckpt_name={command.run}"], f"checkpoints/{command.run}"
    new = [*command.small, "--ckpt_name=new"]
    device = absent_device()
    if command.trains:
        yield Row(command.name, run, f"{place} exists", "--overwrite starts it anew")
        for two in (
            ["--resume", "--overwrite"],
            ["--resume", "--dry-run"],
            ["--overwrite", "--dry-run"],
        ):
            yield Row(command.name, [*run, *two], "--resume goes on, --overwrite", "give one")
        fixed = [("batch_size", 17), ("seed", 5)]
        if command.option("optimizer"):
            fixed.append(("optimizer", "adam" if command.name == "main" else "muon"))
        for key, other in fixed:
            argv = ["--resume", *run, f"{command.option(key)}={other}"]
            fault = f"--{key} was"
            yield Row(command.name, argv, fault, "cannot change with --resume")
        argv = [*new, f"{command.option('device')}={device}"]
        yield Row(command.name, argv, f"no {device} device", "use auto or cpu")
        argv = [*new, f"{command.option('seed')}=-1"]
        yield Row(command.name, argv, "seed is '-1'", "not a whole number >= 0")
        size = next(
            filter(None, map(command.option, ("hidden_size", "channels", "width", "z_dim")))
        )
        key = size.removeprefix("--model.")
        argv = ["--resume", *run, f"{size}=9"]
        yield Row(command.name, argv, f"--{key} was", "cannot change with --resume")
        argv = [*new, f"{size}={10**15}"]
        yield Row(command.name, argv, "not enough memory", "take a smaller model")
    for argv in command.loading(command.run):
        if "--resume" in argv or not command.takes("--device"):
            continue
        argv = [*argv, f"--device={device}"]
        yield Row(command.name, argv, f"no {device} device", "use auto or cpu")
        argv = [*argv[:-1], "--epoch=99"]
        there = "there is: best, epoch_0001, last"
        yield Row(command.name, argv, f"{place} has no epoch '99'", there)


def rows_of_checkpoints(command: Command) -> Iterator[Row]:
    """A checkpoint that is not there, of another kind, of another time, damaged, or a trap."""
    if command.name == "benchmarks.studies.faces":
        return
    for mistake, way_out in CHECKPOINTS.items():
        run = f"{command.run}-{mistake}"
        for argv in command.loading(run):
            resumes, ships = "--resume" in argv, command.takes("run")
            if {"weights": resumes or ships, "training": not resumes, "config": ships}.get(mistake):
                continue  # it does not look there
            if resumes:
                argv = [*argv, *command.small]
            fault = f"checkpoints/{run}/{'last' if resumes else 'best'}.pt"
            yield Row(command.name, argv, fault, way_out)
    other = next(name for name in RUNS if name != command.run)
    for argv in command.loading(other):
        if not command.takes("run"):
            fault = f"is a checkpoint of {other}, not of {command.run}"
            yield Row(command.name, argv, fault, "take another --ckpt_name")
    for argv in command.loading("nothing"):
        if "--resume" in argv:
            yield Row(command.name, argv, "checkpoints/nothing/last.pt", "nothing to resume")
        elif command.takes("run"):
            yield Row(command.name, argv, "checkpoints/nothing/best.pt", "train it first")
        else:
            yield Row(command.name, argv, "no run 'nothing'", f"there is: {RUNS[0]}")


def rows_of_configs(command: Command) -> Iterator[Row]:
    """A config file that is not there, or not as it should be."""
    if not command.takes("--config"):
        return

    races = not command.takes("--ckpt_name")  # a text model that it is told first
    first, run = (["lstm"], "lstm") if races else (["--ckpt_name=new"], command.run)

    def row(file: str, fault: str, way_out: str) -> Row:
        return Row(command.name, [*first, f"--config={{}}/{file}"], fault, way_out)

    yield row("nothing.json", "no such file: nothing.json", "give a JSON file")
    yield row("data", "data is a folder", "give the JSON file in it")
    for mistake, (_, way_out) in CONFIGS.items():
        file = f"configs/{run}/{mistake}.json"
        yield row(file, file, way_out)


# Rows of one command


def written_out() -> Iterator[Row]:
    def rows(command: str, *mistakes: tuple) -> Iterator[Row]:
        for line, *words in mistakes:
            yield Row(command, line.split(" ") if line else [], *words)

    yield from rows(
        "data_preparation",
        ("--text={}/nothing.txt", "no such file", "give a text file"),
        ("--text={}/data", "data is a folder", "give one text file"),
        ("--text={}/mine/empty.txt", "empty.txt has no text in it", "nothing to learn from"),
        ("--text={}/mine/empty.txt --raw", "empty.txt has no text in it", "nothing to learn"),
        ("--text={}/mine/blank.txt", "blank.txt has no text in it", "nothing to learn from"),
        ("--text={}/mine/blank.txt --raw", "blank.txt has no text in it", "nothing to learn"),
        ("--text={}/mine/latin.txt", "is not UTF-8 text (byte 3)", "--encoding latin-1"),
        ("--text={}/mine/latin.txt --raw", "latin.txt is not UTF-8", "--encoding latin-1"),
        ("--text={}/mine/utf16.txt", "is not UTF-8 text (byte 0)", "--encoding utf-16"),
        ("--text={}/mine/surrogate.txt", "surrogate.txt is not UTF-8 text", "(byte 2)"),
        ("--text={}/mine/picture.png", "picture.png is not UTF-8 text", "convert it"),
        ("--text={}/mine/zero.txt", "zero.txt contains NUL characters", "it is no text file"),
        ("--text={}/mine/good.txt --name=diary", "data/diary holds other files", "choose another"),
        ("--text={}/mine/two\nlines.txt --name=two", "two lines.txt", "give a text file"),
        ("--text={}/mine/good.txt --encoding=utf-99", "'utf-99' is no encoding", "latin-1"),
        ("--text={}/mine/good.txt --encoding=hex", "'hex' is no encoding", "give utf-8"),
        ("--text={}/mine/good.txt --encoding=", "'' is no encoding", "give utf-8"),
        ("--text={}/mine/good.txt --encoding=utf-16", "is not utf-16 text", "--encoding utf-8"),
        ("--text={}/mine/latin.txt --encoding=ascii", "is not ascii", "--encoding latin-1"),
        (f"--text={'n' * 300} --name=n", "File name too long", "nnn"),
    )
    for command in COMMANDS.values():
        if not command.takes("--data.name"):
            continue
        yield from rows(
            command.name,
            ("--ckpt_name=new --data.name=none", "data/none/alphabet.npy", "data_preparation.py"),
            ("--ckpt_name=new --data.name=tiny", "too few for", "or take a longer text"),
            ("--ckpt_name=new --data.name=zip", "data/zip cannot be read", "prepare it again"),
            ("--ckpt_name=new --data.name=cut", "data/cut cannot be read", "prepare it again"),
            ("--ckpt_name=new --data.name=flat", "data/flat cannot be read", "prepare it again"),
            ("--ckpt_name=new --data.name=other", "does not fit its alphabet", "prepare it again"),
            ("--ckpt_name=new --training.length=5000", "too few for", "training.length"),
            ("--ckpt_name=new --training.batch_size=5000", "too few for", "--batch_size"),
            (
                "--ckpt_name=new --training.batch_size=2 --training.length=2000",
                "the validation text",
                "lower --training.length",
            ),
        )
    for command in COMMANDS.values():
        if not command.takes("--split"):
            continue
        yield from rows(
            command.name,
            ("--prompt=Ärger", "not in this model's alphabet: 'Ä'", "it knows"),
            ("--prompt=", "--prompt is empty", "give at least one character"),
            ("--prompt=the --split=training", "--split has no effect", "leave it out"),
            ("--prompt_length=3 --prompt=the", "--prompt_length has no effect", "leave it out"),
            ("--temperature=0 --seed=3", "--seed has no effect", "leave one of them"),
            ("--temperature=0 --top_k=3", "--top_k has no effect", "leave one of them"),
            ("--length=90000", "fewer than a prompt", "90030"),
            ("--prompt_length=90000", "fewer than a prompt", "90100"),
            ("--split=all", "argument --split", "'validation'"),
            ("--split=test", "no test text for this model", "--split training"),
            (
                "--ckpt_name=shipped --epoch=3",
                "pretrained/shipped.pt is a shipped",
                "leave --epoch",
            ),
        )
    yield from rows(
        "models.transformer.train",
        ("--ckpt_name=new --model.heads=7", "heads", "not a multiple"),
        (
            "--ckpt_name=new --model.positions=learned --training.carry_state=true",
            "learned positions end",
            "take --carry_state false",
        ),
    )
    yield from rows(
        "main",
        (
            "--ckpt_name=new --dataset=digits --network=ladder --objective=beta_tcvae",
            "beta_tcvae needs latents that are drawn independently",
            "take objective beta_vae, or network digits",
        ),
        ("--ckpt_name=new --data={}/nothing", "no such folder or file", "images are a folder"),
        ("--ckpt_name=new --data={}/empty", "empty/ has no images in it", "a folder of pictures"),
        (
            "--ckpt_name=new --data={}/broken",
            "none of its 1 file can be read",
            "pictures that an image",
        ),
        (
            "--ckpt_name=new --data={}/mine/good.txt",
            "is no source of images",
            "a folder of pictures, a .npy",
        ),
        (
            "--ckpt_name=new --data={}/mine/complex.npz",
            "complex64 (9, 64, 64)",
            "right would be one array of numbers",
        ),
        (
            "--ckpt_name=new --data={}/mine/cut.npz",
            "cut.npz cannot be read",
            "right would be one array of numbers",
        ),
        (
            "--ckpt_name=new --data={}/mine/objects.npz",
            "of Python objects",
            "right would be one array of numbers",
        ),
        (
            "--ckpt_name=new --data={}/mine/good.npy",
            "good.npy cannot be read",
            "right would be one array of numbers",
        ),
        ("--ckpt_name=new --data={}/celeba", "has no images in it", "a folder of pictures"),
        (
            "--ckpt_name=new --data={}/photos --batch_size=64",
            "fewer than",
            "lower --batch_size",
            True,
        ),
        (
            "--ckpt_name=new --data={}/photos/one --batch_size=2",
            "too few to keep some",
            "take at least 2",
        ),
        ("--ckpt_name a b", "train takes one --ckpt_name", "not 2"),
        ("--task=rotate --ckpt_name vae other", "rotate takes one --ckpt_name", "not 2"),
        ("--task=rotate --ckpt_name=vae --angles=91", "91 is not a number", "in -90..90"),
        ("--task=rotate --ckpt_name=vae --index=8", "--index 8 is beyond", "the 8 validation"),
        (
            "--task=rotate --ckpt_name=vae --beta=20",
            "--beta has no effect on rotate",
            "it serves train",
        ),
        ("--task=rotate --ckpt_name=vae --image={}/no.png", "no such picture", "no.png"),
        ("--task=rotate --ckpt_name=vae --image={}/mine", "no such picture", "mine"),
        (
            "--task=rotate --ckpt_name=vae --image={}/broken/notes.png",
            "notes.png is no picture that can be read",
            "Pillow here cannot read it",
        ),
        ("--task=rotate --ckpt_name=vae-size", "pictures are 32 x 32", "not 64 x 64"),
        ("--task=random_generation --num_samples=0", "0 is not a number", ">= 1"),
    )
    for command in COMMANDS.values():
        if command.has_digits:
            yield from rows(
                command.name,
                ("--ckpt_name=new", "MNIST cannot be downloaded", "the dataset digits", True),
                (
                    "--ckpt_name=new --data.dataset=digits --training.batch_size=2000",
                    "fewer than a batch of 2000",
                    "lower --batch_size",
                ),
            )
    yield from rows("models.gan.test", ("--steps=1", "1 is not a number", ">= 2"))
    for command in COMMANDS.values():
        for key, places in SHARED.items():
            if all(command.takes(place) for place in places) and command.trains:
                fault = f"--{key} may be {' or '.join(places)}"
                yield Row(command.name, [f"--{key}=3"], fault, "give one of them in full")
    changed = ("--batches was 2", "cannot change with --resume")
    yield from rows("models.palindrome.train", ("--resume --data.batches=7", *changed))
    yield from rows("benchmarks.studies.palindromes", ("--T=1", "1 is not a number", "in 2..1000"))
    yield from rows(
        "benchmarks.studies.likelihood",
        ("vae", "vae has no exact likelihood", "take a model of mnist"),
    )
    for name in ("benchmarks.studies.aae", "benchmarks.studies.gan"):
        yield from rows(name, ("", "MNIST cannot be downloaded", "the dataset digits", True))
    yield from rows(
        "utils.digits.classifier",
        ("mnist", "MNIST cannot be downloaded", "the dataset digits", True),
    )


ROWS = list(written_out())
for crossed in (rows_of_options, rows_of_names, rows_of_runs, rows_of_checkpoints, rows_of_configs):
    ROWS += [row for command in COMMANDS.values() for row in crossed(command)]


@pytest.fixture(scope="module")
def world(every_run, tmp_path_factory):
    """A small repository with a run of each kind, and everything that a row may point to."""
    root = tmp_path_factory.mktemp("mistakes") / "repository"
    shutil.copytree(every_run, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        for run in RUNS:
            folder = root / "checkpoints" / run
            for mistake in CHECKPOINTS:
                for file in ("best.pt", "last.pt"):
                    damage(root / "checkpoints" / f"{run}-{mistake}", folder / file, mistake)
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            for mistake, (change, _) in CONFIGS.items():
                content = (
                    change if isinstance(change, bytes) else json.dumps(change(config)).encode()
                )
                files.write_whole(root / "configs" / run / f"{mistake}.json", content)
        vae = checkpoint.load(root / "checkpoints" / "vae" / "best.pt")
        small = root / "checkpoints" / "vae-size" / "best.pt"
        checkpoint.save(small, vae | {"shape": [3, 32, 32]})
        (root / "data" / "raw" / "MNIST" / "raw").mkdir(parents=True)
        shutil.copy(root / "checkpoints" / "lstm" / "best.pt", root / "pretrained" / "shipped.pt")
        texts(root)
        pictures(root)
        yield root


def texts(root: Path) -> None:
    """Texts that are none, and prepared texts that are damaged."""
    mine = root / "mine"
    mine.mkdir()
    for name, content in (
        ("empty.txt", b""),
        ("blank.txt", b" \n\t\n\n"),
        ("latin.txt", b"caf\xe9\n"),
        ("utf16.txt", "a text".encode("utf-16")),
        ("surrogate.txt", "a \ud800 text".encode("utf-8", "surrogatepass")),
        ("zero.txt", b"one\0two\n"),
        ("tiny.txt", b"too short\n"),
        ("good.txt", b"a good text\n" * 200),
        ("a:b.txt", b"a good text\n" * 200),
    ):
        (mine / name).write_bytes(content)
    (root / "data" / "diary").mkdir()
    (root / "data" / "diary" / "diary.txt").write_text("dear diary", encoding="utf-8")
    for name in ("tiny", "zip", "cut", "flat", "other"):
        text = mine / ("tiny.txt" if name == "tiny" else "good.txt")
        data_preparation.prepare(text, name, form="codes")
    alphabets = {name: root / "data" / name / "alphabet.npy" for name in ("zip", "cut", "flat")}
    with zipfile.ZipFile(alphabets["zip"], "w") as archive:
        archive.writestr("a", "b")
    alphabets["cut"].write_bytes(alphabets["cut"].read_bytes()[:100])
    np.save(alphabets["flat"], np.array("a"))
    np.save(root / "data" / "other" / "codes.npy", np.array([200]))


def pictures(root: Path) -> None:
    """Pictures, some of them none, and arrays that hold no pictures."""
    rng = np.random.default_rng(0)
    for name in ("photos", "photos/one", "broken", "empty", "celeba/img_align_celeba"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for file in [root / "photos" / f"{n}.png" for n in range(8)] + [root / "photos/one/a.png"]:
        Image.fromarray(rng.integers(256, size=(9, 7, 3), dtype=np.uint8)).save(file)
    (root / "broken" / "notes.png").write_bytes(b"no picture")
    mine = root / "mine"
    shutil.copy(root / "photos" / "0.png", mine / "picture.png")
    np.savez(mine / "complex.npz", faces=np.zeros((9, 64, 64), dtype=np.complex64))
    np.savez(mine / "objects.npz", faces=np.array([{"a": 1}], dtype=object))
    (mine / "cut.npz").write_bytes((mine / "complex.npz").read_bytes()[:999])
    (mine / "good.npy").write_bytes(b"no array")


def tree_of(root: Path) -> dict[str, tuple[int, int]]:
    """Lists every file and folder below, with its size, and when a file was written.

    Of folders no time is asked for: locks come and go in them.
    """
    found = {}
    for folder, _, names in os.walk(root):  # several times as fast as rglob
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            stat = os.stat(path)
            found[path] = (stat.st_size, 0 if os.path.isdir(path) else stat.st_mtime_ns)
    return found


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{row.command} {' '.join(row.argv)}"[:90] for row in ROWS]
)
def test_a_mistake_is_one_line_and_writes_nothing(row, world, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise URLError("no connection")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.chdir(tmp_path)
    before = tree_of(world)
    argv = [argument.replace("{}", str(world), 1) for argument in row.argv]
    status, out, err = call(COMMANDS[row.command].main, argv)
    assert status == 2, (out, err)
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1, err
    assert err.endswith("\n")
    assert len(err) < 2000
    assert row.fault in err
    assert row.way_out in err
    twice = "is given more than once: the last value counts"  # a row's own after the command's
    assert row.prints or all(twice in line for line in out.splitlines()), out
    assert tree_of(world) == before
    assert not list(tmp_path.iterdir())


def test_there_are_enough_of_them():
    assert len(ROWS) >= 120
    assert {row.command for row in ROWS} == set(COMMANDS)


@pytest.mark.parametrize("name", [c.name for c in COMMANDS.values() if c.trains])
def test_a_finished_run_is_not_trained_again(name, world):
    """--resume does no step of it, and says so; nor is it begun anew without --overwrite."""
    command = COMMANDS[name]
    folder = world / "checkpoints" / command.run
    before = tree_of(folder)
    outcome = call(command.main, ["--resume", f"--ckpt_name={command.run}"])
    assert outcome.status == 0, outcome.err
    assert "is finished" in outcome.out
    after = tree_of(folder)
    assert before.keys() == after.keys()
    assert all(after[str(file)] == before[str(file)] for file in folder.glob("*.pt"))
