"""One process trains a run at a time; what a command says when it opens one, or loads it."""

import os
import platform
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from models.lstm.train import Config as LSTMConfig
from solver import Solver
from tests.helpers.repository import REPOSITORY
from tests.helpers.stopping import at_batch
from tests.helpers.trainable import TRAINABLE
from utils.config import read_config, spell
from utils.errors import UserError
from utils.images import mnist
from utils.training.run import claim, place_run
from vae.training import VAEConfig, VAETask

LSTM = TRAINABLE["lstm"]


def settings(name):
    config = read_config(REPOSITORY / "models" / "lstm" / "config.json", LSTMConfig)
    object.__setattr__(config.model, "name", name)
    return config


@pytest.mark.parametrize("how", ["start", "--resume", "--overwrite"])
def test_a_run_is_trained_by_one_process_at_a_time(how, repository, capsys):
    with claim(place_run(settings("run"))):
        status = LSTM.start() if how == "start" else LSTM.train(how)
    assert status == 2
    err = capsys.readouterr().err
    who = f"process {os.getpid()} on {platform.node()} since 20"
    assert err.startswith(f"error: run is being trained by {who}")
    assert "take another --ckpt_name" in err
    assert not (repository / "checkpoints" / "run").exists()


def test_a_training_holds_its_run_until_it_ends(repository, capsys):
    refused = []
    with at_batch(1, lambda: refused.append(LSTM.train("--overwrite"))):
        assert LSTM.start() == 0
    assert refused == [2]
    assert LSTM.train("--resume") == 0
    assert [file.name for file in (repository / "checkpoints").iterdir()] == ["run"]


def test_the_lock_of_a_dead_process_is_taken_over(repository):
    code = """
import os, signal, sys
from pathlib import Path
from tests.utils.training.test_run import settings
from utils import files
from utils.images import mnist
from utils.training.run import claim, place_run
files.ROOT = Path(sys.argv[1])
with claim(place_run(settings("run"))):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(repository)], cwd=REPOSITORY, timeout=100, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert (repository / "checkpoints" / ".run.owner").is_file()
    with claim(place_run(settings("run"))):
        assert str(os.getpid()) in (repository / "checkpoints" / ".run.owner").read_text()
    assert not list((repository / "checkpoints").iterdir())


@pytest.mark.parametrize("folder", ["checkpoints", "results"])
def test_a_run_whose_folder_is_read_only_is_refused_before_it_starts(
    folder, repository, monkeypatch
):
    own, access = repository / folder / "run", os.access
    own.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, how: path != own and access(path, how))
    with pytest.raises(UserError, match=rf"^{folder}/run/ cannot be written to: take another"):
        place_run(settings("run"))


def test_a_dry_run_needs_no_lock(repository):
    with claim(place_run(settings("run"))):
        assert LSTM.train("--dry-run", "--prompts", "1") == 0


@pytest.mark.parametrize(
    ("kind", "place", "option"),
    [
        ("lstm", ("training", "epochs"), "--training.epochs"),  # protocol.epochs is another
        ("lstm", ("training", "batch_size"), "--batch_size"),
        ("vae", ("training", "epochs"), "--epochs"),
        ("vae", ("model", "name"), "--ckpt_name"),
    ],
)
def test_a_key_is_called_as_its_option_is(kind, place, option):
    file = "vae/faces.json" if kind == "vae" else "models/lstm/config.json"
    config = read_config(REPOSITORY / file, VAEConfig if kind == "vae" else LSTMConfig)
    assert spell(config, *place) == option


def test_a_run_that_goes_on_names_options_and_nothing_untyped(repository, capsys):
    vae = TRAINABLE["vae beta_vae"]
    small = "--dataset digits --images 64 --batch_size 32 --epochs 1 --z_dim 1 --device cpu"
    assert vae.train(*small.split(), "--beta_warmup", "9", "--beta", "2") == 0
    assert "note: beta climbs for 9 steps, longer than the training of 2" in capsys.readouterr().out
    assert vae.train("--resume", "--dataset", "digits") == 0
    out = capsys.readouterr().out
    assert "run is finished: --epochs 2 or more would go on with it\n" in out
    said = next(line for line in out.splitlines() if "resumed with" in line)
    assert "--z_dim 1" in said
    assert "not" not in said.split()
    assert vae.train("--resume", "--z_dim", "20") == 2
    assert capsys.readouterr().err == "error: --z_dim was 1 and cannot change with --resume\n"
    longer = "--overwrite --warmup_steps 500 --training.epochs 1"
    assert LSTM.train(*LSTM.options.split(), *longer.split()) == 0
    assert "note: the learning rate climbs for 500 steps, longer than" in capsys.readouterr().out


def test_a_loaded_model_is_in_evaluation_mode_and_learns_on_in_training_mode(
    repository, monkeypatch
):
    shutil.copytree(REPOSITORY / "pretrained", repository / "pretrained")
    model = Solver.load("mnist_2d", device="cpu").model
    assert not any(module.training for module in model.modules())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pictures = torch.rand(8, 1, 28, 28)
    with torch.no_grad():
        together = model.encode(pictures).mu
        alone = torch.cat([model.encode(one[None]).mu for one in pictures])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    modes, step = [], VAETask.step

    def watch(self, *args):
        modes.append(self.model.training)
        return step(self, *args)

    monkeypatch.setattr(VAETask, "step", watch)
    monkeypatch.setattr("solver.build_model", lambda *_: model)
    small = "--dataset mnist --images 64 --batch_size 32 --epochs 1 --z_dim 2 --device cpu"
    monkeypatch.setattr(mnist, "_load_relative", lambda dataset: mnist._load_small())
    assert TRAINABLE["vae beta_vae"].train(*small.split()) == 0
    assert modes == [True, True]
