"""The commands, called as main(argv) in a repository of their own: what they write and say."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import data_preparation
from tests.helpers.comparing import rows
from tests.helpers.repository import REPOSITORY
from tests.helpers.text_commands import TEST, TRAIN, small
from utils.training import checkpoint

every_kind = pytest.mark.parametrize("kind", TRAIN)


@every_kind
def test_train_and_test_write_what_they_say(kind, repository, capsys):
    assert TRAIN[kind](small(kind)) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"best \(epoch \d of 4\): validation \d\.\d+ nats, \d\.\d+ bits per character", out
    )
    run, results = repository / "checkpoints" / kind, repository / "results" / kind
    milestones = {"epoch_0001.pt", "epoch_0003.pt", "epoch_0004.pt"}
    kept = {"config.json", "history.csv", "last.pt", "best.pt"} | milestones
    assert {file.name for file in run.iterdir()} == kept
    assert {file.name for file in results.iterdir()} == {"protocol.md", "loss.png", "tensorboard"}
    assert any((results / "tensorboard").iterdir())
    history = rows(run)
    assert list(history[0]) == ["epoch", "step", "train_nats", "val_nats", "learning_rate"]
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    # lower by 0.29, 0.46, 0.45 with standard deviations of 0.04, 0.10, 0.06 over five seeds
    assert float(history[-1]["train_nats"]) < float(history[0]["train_nats"])
    resolved = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert resolved["training"]["epochs"] == 4
    protocol = (results / "protocol.md").read_text(encoding="utf-8")
    assert [f"epoch {n}  " in protocol for n in (1, 2, 3, 4)] == [True, False, True, True]
    assert protocol.count("original") == 4

    assert TEST[kind](["--num_samples", "2", "--epoch", "last", "--temperature", "0"]) == 0
    out, err = capsys.readouterr()
    titles = {"lstm": "LSTM", "tcn": "TCN", "transformer": "Transformer"}
    for block in ("Initialization:", "Original:", f"{titles[kind]}:"):
        assert out.count(f"\n{block}\n") == 2
    assert re.search(r"\nvalidation \d\.\d{4} nats, \d\.\d{4} bits per character, \d+\.\d % ", out)
    assert err == ""
    nats = float(re.search(r"\nvalidation (\d\.\d+) nats", out)[1])
    last = checkpoint.load(run / "last.pt", kind)
    assert last["row"]["val_nats"] == pytest.approx(float(history[-1]["val_nats"]))
    assert abs(nats - last["row"]["val_nats"]) < 0.2


@every_kind
def test_a_prompt_of_ones_own(kind, repository, capsys):
    assert TRAIN[kind](small(kind, "--training.epochs", "1")) == 0
    capsys.readouterr()
    argv = ["--prompt", "the bridge", "--length", "40", "--temperature", "0.9", "--top_k", "5"]
    texts = []
    for seed in ("1", "1", "2"):
        assert TEST[kind]([*argv, "--num_samples", "1", "--seed", seed]) == 0
        out = capsys.readouterr().out
        assert "Initialization:\nthe bridge\n" in out
        assert "Original:" not in out
        texts.append(out)
    assert texts[0] == texts[1] != texts[2]


def test_resume_goes_on_beyond_the_end(repository, capsys):
    assert TRAIN["lstm"](small("lstm")) == 0
    assert TRAIN["lstm"](["--resume"]) == 0, "a finished run has nothing left to do"
    assert len(rows(repository / "checkpoints" / "lstm")) == 4
    capsys.readouterr()
    assert TRAIN["lstm"](["--resume", "--training.epochs", "6"]) == 0
    out = capsys.readouterr().out
    assert "resumed with the run's own" in out
    assert "--training.batch_size 16" in out or "--batch_size 16" in out
    assert "--training.epochs" not in out.split("resumed with")[1].split("\n")[0]  # it was typed
    assert len(rows(repository / "checkpoints" / "lstm")) == 6


def test_overwrite_starts_anew(repository):
    assert TRAIN["lstm"](small("lstm")) == 0
    run = repository / "checkpoints" / "lstm"
    (run / "notes.txt").write_text("mine", encoding="utf-8")
    assert TRAIN["lstm"](small("lstm", "--overwrite", "--training.epochs", "2")) == 0
    assert len(rows(run)) == 2
    assert not (run / "epoch_0004.pt").exists()
    assert (run / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_seed_decides_everything(repository):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert TRAIN["lstm"](small("lstm", "--ckpt_name", name, "--seed", seed)) == 0
    a, b, c = (rows(repository / "checkpoints" / name) for name in "abc")
    assert a == b != c


@every_kind
def test_dry_run_keeps_nothing(kind, repository, capsys):
    assert TRAIN[kind](["--dry-run"]) == 0
    assert "nothing was kept" in capsys.readouterr().out
    assert not (repository / "checkpoints").exists()
    assert not (repository / "results").exists()


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rotary"])
def test_every_kind_of_positions_trains_and_writes(positions, repository, capsys):
    argv = small("transformer", "--model.positions", positions, "--training.length", "16")
    if positions == "learned":
        argv += ["--training.carry_state", "false"]
    assert TRAIN["transformer"](argv) == 0
    capsys.readouterr()
    assert TEST["transformer"](["--num_samples", "1", "--prompt", "the"]) == 0
    assert ("positions ended" in capsys.readouterr().out) == (positions == "learned")


@pytest.mark.parametrize("file", ["alphabet.npy", "codes.npy"])
def test_broken_data_is_named(file, repository, capsys):
    text = str(repository / "data" / "text.txt")
    assert data_preparation.main(["--text", text, "--name", "d", "--format", "codes"]) == 0
    path = repository / "data" / "d" / file
    for content in (path.read_bytes()[:100], b"", b"no numpy file"):
        path.write_bytes(content)
        assert TRAIN["lstm"](small("lstm", "--data.name", "d")) == 2
        assert "data/d cannot be read" in capsys.readouterr().err
    np.save(path, np.array(["a"]) if file == "alphabet.npy" else np.array([200]))
    assert TRAIN["lstm"](small("lstm", "--data.name", "d")) == 2
    assert "data/d does not fit its alphabet" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["models/lstm/train.py", "-m models.tcn.train"])
def test_scripts_run_from_anywhere(command, tmp_path):
    where = REPOSITORY if command.startswith("-m") else tmp_path
    argv = command.split() if command.startswith("-m") else [str(REPOSITORY / command)]
    done = subprocess.run(
        [sys.executable, *argv, "--dry-run"],
        cwd=where, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nothing was kept" in done.stdout
