"""Everything that can be trained: stopped, it goes on as if it had not been; spoilt, it stops."""

import csv
import importlib
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from tests.conftest import REPOSITORY, training_files
from utils import files
from utils.images import mnist
from utils.training import checkpoint, loop
from vae.losses import OBJECTIVES

EPOCHS = 4


class Trainable(NamedTuple):
    """A training command with small settings; `kind` as in its checkpoints."""

    module: str
    kind: str
    options: str


TEXT = "--training.batch_size 16 --training.length 32 --training.warmup_steps 2 --training.epochs 4"
TEXT += " --protocol.epochs 1,3 --protocol.prompts 1 --training.device cpu --model.dropout 0.2"
DIGITS = "--data.dataset digits --training.batch_size 48 --training.epochs 4 --model.z_dim 3"
DIGITS += " --training.device cpu"
VAE = "--dataset digits --images 96 --batch_size 32 --epochs 4 --pictures 1 --z_dim 3 --device cpu"
# A new model joins by a line here. Each has what a resume could lose: dropout and other noise,
# a state that is carried on, schedules, two optimisers.
TRAINABLE = {
    "lstm": f"{TEXT} --model.hidden_size 8 --model.layers 2",
    "tcn": f"{TEXT} --model.channels 8 --model.levels 2",
    "transformer": (
        f"{TEXT} --model.width 8 --model.heads 2 --model.layers 1 --model.context 16 "
        "--training.carry_state true --training.optimizer muon"
    ),
    "palindrome": (
        "--model.hidden_size 8 --data.batches 6 --training.batch_size 8 --training.epochs 4 "
        "--training.device cpu"
    ),
    "gan": DIGITS,
    "aae": f"{DIGITS} --model.hidden_size 32",
}
TRAINABLE = {kind: Trainable(f"models.{kind}.train", kind, o) for kind, o in TRAINABLE.items()}
for objective in OBJECTIVES:
    options = f"{VAE} --objective {objective} --beta_warmup 9"
    TRAINABLE[f"vae {objective}"] = Trainable("main", "vae", options)
every_trainable = pytest.mark.parametrize("name", TRAINABLE)


def train(name, *options):
    """The command's exit status; the run is called "run"."""
    main = importlib.import_module(TRAINABLE[name].module).main
    return main([*options, "--ckpt_name", "run"])


def start(name):
    return train(name, *TRAINABLE[name].options.split())


def resume(name):
    """As a new process would, with none of this one's random numbers and no option repeated."""
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    return train(name, "--resume")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A repository with the finished run of a name; trained when it is first asked for."""
    repositories = {}
    training, test = mnist.digits("digits")
    few = training.take(slice(160)), test.take(slice(10))

    def of(name):
        if name not in repositories:
            root = tmp_path_factory.mktemp("finished")
            training_files(root, characters=4000)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(files, "ROOT", root)
                assert start(name) == 0
            repositories[name] = root
        return repositories[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "_digits", lambda: few)
        yield of


@pytest.fixture
def repository(finished, name, tmp_path, monkeypatch, capsys):
    """The same repository without the run."""
    root = tmp_path / "repository"
    leave_out = shutil.ignore_patterns("checkpoints", "results")
    shutil.copytree(finished(name), root, ignore=leave_out)
    monkeypatch.setattr(files, "ROOT", root)
    capsys.readouterr()
    return root


@contextmanager
def at_batch(number, action):
    """Calls `action` when the number-th batch since the start of training has been learned."""

    class Bar(loop.tqdm):
        def __init__(self, *args, initial, **options):
            self.done = initial
            super().__init__(*args, initial=initial, **options)

        def update(self, units):
            self.done += units
            if self.done == number * units:
                action()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "tqdm", Bar)
        yield


@contextmanager
def after_epoch(number, action):
    """Calls `action` while the epoch is saved, after all of its batches."""
    save, calls = checkpoint.save, []

    def acting(path, content):
        save(path, content)
        if path.name == "last.pt" and content["epoch"] == number and not calls:
            calls.append(path)
            action()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", acting)
        yield


def rows(root):
    with open(root / "checkpoints/run/history.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_timings(rows):
    return [
        {name: value for name, value in row.items() if name not in loop.TIMINGS} for row in rows
    ]


def assert_same(a, b, where):
    """Two nested structures of dicts, lists, numbers and tensors, bit for bit."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a.keys() - set(loop.TIMINGS):
            assert_same(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def assert_same_run(kind, root, other):
    """Their files: checkpoints and history but for the timings, all others byte for byte."""
    assert without_timings(rows(root)) == without_timings(rows(other))
    files = {
        file.relative_to(root)
        for folder in ("checkpoints", "results")
        for file in (root / folder).rglob("*")
        if file.is_file() and file.parent.name != "tensorboard" and file.name != "history.csv"
    }
    assert all((other / file).is_file() for file in files)
    for file in files:
        if file.suffix == ".pt":
            a, b = (checkpoint.load(folder / file, kind) for folder in (root, other))
            assert_same(a, b, file.name)
        else:
            assert (root / file).read_bytes() == (other / file).read_bytes(), file


def test_every_model_is_in_the_table():
    there = {f"models.{file.parent.name}.train" for file in REPOSITORY.glob("models/*/train.py")}
    assert {row.module for row in TRAINABLE.values()} == {*there, "main"}


@every_trainable
def test_resume_is_exact(name, finished, repository, capsys):
    """Four epochs at once, and stopped three times: within epoch 2, after it, at the end of 3."""
    whole = finished(name)
    per_epoch = int(rows(whole)[0]["step"])
    assert per_epoch > 2
    with at_batch(per_epoch + 2, lambda: signal.raise_signal(signal.SIGINT)):
        assert start(name) == 130
    assert f"epoch 2 of 4, batch 2 of {per_epoch}; go on with --resume" in capsys.readouterr().err
    with after_epoch(2, lambda: signal.raise_signal(signal.SIGTERM)):
        assert resume(name) == 143
    assert "stopped in epoch 2; go on with --resume" in capsys.readouterr().err
    with at_batch(3 * per_epoch, lambda: signal.raise_signal(signal.SIGINT)):
        assert resume(name) == 130
    assert f"epoch 3 of 4, batch {per_epoch} of {per_epoch};" in capsys.readouterr().err
    assert resume(name) == 0
    assert_same_run(TRAINABLE[name].kind, whole, repository)


@every_trainable
def test_weights_that_are_no_numbers_are_not_saved(name, finished, repository, capsys):
    """Spoilt by the last step of an epoch, when only the next one's loss would show it."""
    per_epoch = int(rows(finished(name))[0]["step"])
    spoilt = []

    def spoil(optimizer, *_):
        if spoilt:
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0].fill_(torch.inf)

    hook = register_optimizer_step_post_hook(spoil)
    try:
        with at_batch(2 * per_epoch - 1, lambda: spoilt.append(True)):
            assert start(name) == 2
    finally:
        hook.remove()
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert f" at step {2 * per_epoch}: lower training.learning_rate " in err
    assert "(checkpoints/run/last.pt is the last good checkpoint)" in err
    run = repository / "checkpoints" / "run"
    assert not any(run.glob("epoch_0002.pt"))
    assert without_timings(rows(repository)) == without_timings(rows(finished(name))[:1])
    for file in ("last.pt", "best.pt"):
        content = checkpoint.load(run / file, TRAINABLE[name].kind)
        assert content["epoch"] == 1
        assert all(tensor.isfinite().all() for tensor in content["model"].values())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")
def test_killed_it_loses_no_epoch():
    done = subprocess.run(
        [sys.executable, "-W", "error", str(REPOSITORY / "benchmarks" / "kill.py"), "--quick"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "| in a save | 2 |" in done.stdout
