"""Everything that can be trained: stopped, it goes on as if it had not been; spoilt, it stops."""

import random
import shutil
import signal

import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.utils import Bunch
from torch.optim.optimizer import register_optimizer_step_post_hook

from tests.helpers.comparing import assert_same_run, rows
from tests.helpers.old_form import to_old_form
from tests.helpers.repository import REPOSITORY, training_files
from tests.helpers.stopping import after_epoch, at_batch
from tests.helpers.trainable import TRAINABLE
from utils import files
from utils.training import checkpoint

every_trainable = pytest.mark.parametrize("name", TRAINABLE)


def start(name):
    return TRAINABLE[name].start()


def resume(name):
    """Goes on as a new process would: other random numbers, no option repeated."""
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    return TRAINABLE[name].train("--resume")


def rows_of(root):
    return rows(root / "checkpoints" / "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Gives a repository with the finished run of a name; trained when it is first asked for."""
    repositories = {}
    digits = datasets.load_digits()
    few = Bunch(images=digits.images[:200], target=digits.target[:200])

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
        patch.setattr(datasets, "load_digits", lambda: few)
        yield of


@pytest.fixture
def repository(finished, name, tmp_path, monkeypatch, capsys):
    """Gives the same repository without the run."""
    root = tmp_path / "repository"
    leave_out = shutil.ignore_patterns("checkpoints", "results")
    shutil.copytree(finished(name), root, ignore=leave_out)
    monkeypatch.setattr(files, "ROOT", root)
    capsys.readouterr()
    return root


def test_every_model_is_in_the_table():
    there = {f"models.{file.parent.name}.train" for file in REPOSITORY.glob("models/*/train.py")}
    assert {row.module for row in TRAINABLE.values()} == {*there, "main"}


@every_trainable
def test_resume_is_exact(name, finished, repository, capsys):
    """Four epochs at once, and stopped three times: within epoch 2, after it, at the end of 3."""
    whole = finished(name)
    per_epoch = int(rows_of(whole)[0]["step"])
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
def test_a_file_of_the_old_form_goes_on_exactly(name, finished, repository):
    """Stopped within epoch 2, and the file rewritten as it was before tasks named their parts."""
    per_epoch = int(rows_of(finished(name))[0]["step"])
    with at_batch(per_epoch + 2, lambda: signal.raise_signal(signal.SIGINT)):
        assert start(name) == 130
    last = repository / "checkpoints" / "run" / "last.pt"
    content = checkpoint.load(last, TRAINABLE[name].kind)
    checkpoint.save(last, to_old_form(content))
    assert resume(name) == 0
    assert_same_run(TRAINABLE[name].kind, finished(name), repository)


@every_trainable
def test_weights_that_are_no_numbers_are_not_saved(name, finished, repository, capsys):
    """Spoilt by the last step of an epoch, when only the next one's loss would show it."""
    per_epoch = int(rows_of(finished(name))[0]["step"])
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
    assert f" at step {2 * per_epoch}: lower --learning_rate (" in err
    assert "(checkpoints/run/last.pt is the last good checkpoint)" in err
    run = repository / "checkpoints" / "run"
    assert not any(run.glob("epoch_0002.pt"))
    assert rows_of(repository) == rows_of(finished(name))[:1]
    for file in ("last.pt", "best.pt"):
        content = checkpoint.load(run / file, TRAINABLE[name].kind)
        assert content["epoch"] == 1
        assert all(tensor.isfinite().all() for tensor in content["model"].values())
