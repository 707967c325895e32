"""The commands, called as main(argv) in a repository of their own: runs, resume, mistakes."""

import csv
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import data_preparation
import models.lstm.test
import models.lstm.train
import models.tcn.test
import models.tcn.train
import models.transformer.test
import models.transformer.train
from tests.conftest import REPOSITORY
from utils import checkpoint, loop, paths
from utils.text_training import TextTask

TRAIN = {kind: getattr(models, kind).train.main for kind in ("lstm", "tcn", "transformer")}
TEST = {kind: getattr(models, kind).test.main for kind in TRAIN}
SMALL = {
    "lstm": ["--model.hidden_size", "8", "--model.layers", "2", "--model.dropout", "0.2"],
    "tcn": ["--model.channels", "8", "--model.levels", "2", "--model.dropout", "0.2"],
    "transformer": [
        *("--model.width", "8", "--model.heads", "2", "--model.layers", "1"),
        *("--model.context", "16", "--model.dropout", "0.2", "--training.carry_state", "true"),
    ],
}
SHORT = ["--training.batch_size", "16", "--training.length", "32", "--training.epochs", "4"]
SHORT += ["--training.warmup_steps", "2", "--protocol.epochs", "1,3", "--training.device", "cpu"]
every_kind = pytest.mark.parametrize("kind", TRAIN)


def small(kind, *more):
    return [*SMALL[kind], *SHORT, *more]


def rows(run):
    with open(run / "history.csv", encoding="utf-8", newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in loop.TIMINGS}
            for row in csv.DictReader(file)
        ]


def assert_same(a, b, where=""):
    """Two nested structures of dicts, lists, numbers and tensors, bit for bit."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a:
            if name not in loop.TIMINGS:
                assert_same(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


@every_kind
def test_train_and_test_write_what_they_say(kind, repository, capsys):
    assert TRAIN[kind](small(kind)) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"best \(epoch \d of 4\): validation \d\.\d+ nats, \d\.\d+ bits per character", out
    )
    run, results = repository / "checkpoints" / kind, repository / "results" / kind
    assert {file.name for file in run.iterdir()} == {
        *("config.json", "history.csv", "last.pt", "best.pt"),
        *("epoch_0001.pt", "epoch_0003.pt", "epoch_0004.pt"),
    }
    assert {file.name for file in results.iterdir()} == {"protocol.md", "loss.png", "tensorboard"}
    assert any((results / "tensorboard").iterdir())
    history = rows(run)
    assert list(history[0]) == ["epoch", "step", "train_nats", "val_nats", "learning_rate"]
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
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


@every_kind
def test_resume_is_exact(kind, repository):
    """4 epochs at once, 2 + 2, and stopped in the middle of an epoch: bit for bit the same."""
    assert TRAIN[kind](small(kind, "--ckpt_name", "whole")) == 0
    task_step, stop_at = TextTask.step, {"once": 7, "twice": 10}

    for name, at in (*stop_at.items(), ("between", None)):
        argv = small(kind, "--ckpt_name", name)
        calls = 0

        def step(self, batch, number, at=at, name=name):
            nonlocal calls
            calls += 1
            per_epoch = len(self)
            if number == (2 * per_epoch if at is None else at) or (
                name == "twice" and number == 13
            ):
                os.kill(os.getpid(), signal.SIGTERM if name == "twice" else signal.SIGINT)
            return task_step(self, batch, number)

        TextTask.step = step
        try:
            status = TRAIN[kind](argv)
            assert status == (143 if name == "twice" else 130)
            while status != 0:
                status = TRAIN[kind]([*argv, "--resume"])
                assert status in (0, 143)
        finally:
            TextTask.step = task_step
        whole, run = repository / "checkpoints" / "whole", repository / "checkpoints" / name
        assert rows(whole) == rows(run)
        for file in ("last.pt", "best.pt", "epoch_0001.pt", "epoch_0004.pt"):
            a, b = checkpoint.load(whole / file, kind), checkpoint.load(run / file, kind)
            a["config"]["model"]["name"] = name
            assert_same(a, b, file)


def test_resume_goes_on_beyond_the_end(repository, capsys):
    assert TRAIN["lstm"](small("lstm")) == 0
    assert TRAIN["lstm"](["--resume"]) == 0, "a finished run has nothing left to do"
    assert len(rows(repository / "checkpoints" / "lstm")) == 4
    capsys.readouterr()
    assert TRAIN["lstm"](["--resume", "--training.epochs", "6"]) == 0
    assert "resumed with training.batch_size 16 of the run, not" in capsys.readouterr().out
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


def test_a_loss_that_is_no_number_stops_the_run(repository, capsys, monkeypatch):
    step = TextTask.step
    monkeypatch.setattr(
        TextTask, "step", lambda *a: step(*a) if a[2] < 20 else {"train_nats": math.nan}
    )
    assert TRAIN["lstm"](small("lstm")) == 2
    err = capsys.readouterr().err
    assert err == (
        "error: train_nats became nan at step 20: lower training.learning_rate "
        "(checkpoints/lstm/last.pt is the last good checkpoint)\n"
    )
    assert checkpoint.load(repository / "checkpoints" / "lstm" / "last.pt", "lstm")["epoch"] == 1


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rotary"])
def test_every_kind_of_positions_trains_and_writes(positions, repository, capsys):
    argv = small("transformer", "--model.positions", positions, "--training.length", "16")
    if positions == "learned":
        argv += ["--training.carry_state", "false"]
    assert TRAIN["transformer"](argv) == 0
    capsys.readouterr()
    assert TEST["transformer"](["--num_samples", "1", "--prompt", "the"]) == 0
    assert ("positions ended" in capsys.readouterr().out) == (positions == "learned")


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """A repository with a trained lstm, a broken run, and files that are no texts."""
    repository = tmp_path_factory.mktemp("trained") / "repository"
    (repository / "data").mkdir(parents=True)
    start = (REPOSITORY / "data" / "text.txt").read_text(encoding="utf-8")[:9000]
    (repository / "data" / "text.txt").write_text(start, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "ROOT", repository)
        assert TRAIN["lstm"](small("lstm", "--training.epochs", "1")) == 0
    broken = repository / "checkpoints" / "broken"
    broken.mkdir()
    whole = (repository / "checkpoints" / "lstm" / "best.pt").read_bytes()
    (broken / "best.pt").write_bytes(whole[: len(whole) // 2])
    for name, content in (
        ("empty.txt", b""),
        ("blank.txt", b" \n\t\n\n"),
        ("latin.txt", b"caf\xe9\n"),
        ("zero.txt", b"one\0two\n"),
        ("tiny.txt", b"too short\n"),
        ("good.txt", b"a good text\n" * 200),
        ("list.json", b"[]"),
        ("cut.json", b'{"model": {'),
        ("binary.json", b"\xff\xfe"),
    ):
        (repository / name).write_bytes(content)
    (repository / "data" / "mine").mkdir()
    (repository / "data" / "mine" / "diary.txt").write_text("dear diary", encoding="utf-8")
    for name, change in (
        ("unknown", lambda c: c["training"].update(epoch=3)),
        ("missing", lambda c: c["training"].pop("epochs")),
        ("mistyped", lambda c: c["model"].update(hidden_size="big")),
        ("section", lambda c: c.pop("data")),
    ):
        values = json.loads((REPOSITORY / "models/lstm/config.json").read_text(encoding="utf-8"))
        change(values)
        (repository / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
    return repository


@pytest.fixture
def trained(trained_once, repository, capsys):
    """A copy of that repository for one test."""
    shutil.copytree(trained_once, repository, dirs_exist_ok=True)
    capsys.readouterr()
    return repository


LSTM, TRANSFORMER = TRAIN["lstm"], TRAIN["transformer"]
MISTAKES = {
    # data_preparation.py
    "no such text": (data_preparation.main, "--text {}/nothing.txt", "no such file"),
    "a folder": (data_preparation.main, "--text {}/data", "is a folder"),
    "empty": (data_preparation.main, "--text {}/empty.txt", "no text in it"),
    "empty raw": (data_preparation.main, "--text {}/empty.txt --raw", "no text in it"),
    "blank": (data_preparation.main, "--text {}/blank.txt", "no text in it"),
    "blank raw": (data_preparation.main, "--text {}/blank.txt --raw", "no text in it"),
    "not UTF-8": (data_preparation.main, "--text {}/latin.txt", "not UTF-8"),
    "NUL": (data_preparation.main, "--text {}/zero.txt", "NUL"),
    "format": (data_preparation.main, "--format both", "invalid choice"),
    "name leaves": (data_preparation.main, "--text {}/good.txt --name ../x", "'../x' cannot be"),
    "no name": (data_preparation.main, "--text {}/good.txt --name ''", "'' cannot be"),
    "others' files": (data_preparation.main, "--text {}/good.txt --name mine", "other files"),
    "option": (data_preparation.main, "--txt x", "unrecognized"),
    # train.py
    "no config": (LSTM, "--config {}/nothing.json", "no such file"),
    "config is a folder": (LSTM, "--config {}/data", "is a folder"),
    "config is cut": (LSTM, "--config {}/cut.json", "not a JSON file"),
    "config is binary": (LSTM, "--config {}/binary.json", "not a JSON file"),
    "config is a list": (LSTM, "--config {}/list.json", "list.json: expected"),
    "unknown key": (LSTM, "--config {}/unknown.json", "unknown.json: unknown training key"),
    "missing key": (LSTM, "--config {}/missing.json", "missing training key 'epochs'"),
    "mistyped key": (LSTM, "--config {}/mistyped.json", "mistyped.json: model.hidden_size is"),
    "missing section": (LSTM, "--config {}/section.json", "section.json: missing section 'data'"),
    "unknown option": (LSTM, "--training.epoch 3", "unrecognized arguments: --training.epoch 3"),
    "bad value": (LSTM, "--training.epochs ten", "--training.epochs is 'ten', not a whole number"),
    "out of range": (LSTM, "--training.epochs 0", "--training.epochs is '0'"),
    "dropout 1": (LSTM, "--model.dropout 1", "--model.dropout is '1', not a number >= 0 < 1"),
    "choice": (LSTM, "--model.recurrent_init zero", "one of orthogonal, xavier"),
    "seed": (LSTM, "--seed -1", "--training.seed is '-1'"),
    "run exists": (LSTM, "", "checkpoints/lstm exists: --resume"),
    "both": (LSTM, "--resume --overwrite", "give one"),
    "nothing to resume": (LSTM, "--resume --ckpt_name other", "nothing to resume"),
    "resume another model": (TRAIN["tcn"], "--resume --ckpt_name lstm", "of lstm, not of tcn"),
    "resume changed": (LSTM, "--resume --model.hidden_size 9", "cannot change with --resume"),
    "run leaves": (LSTM, "--ckpt_name ../x", "'../x' cannot be"),
    "run absolute": (LSTM, "--ckpt_name /x", "'/x' cannot be"),
    "run reserved": (LSTM, "--ckpt_name con", "'con' cannot be"),
    "no data": (LSTM, "--ckpt_name a --data.name nothing", "prepare it with data_preparation.py"),
    "text too short": (LSTM, "--ckpt_name a --data.name tiny", "too few for"),
    "window too long": (LSTM, "--ckpt_name a --training.length 5000", "too few for"),
    "validation too short": (
        LSTM, "--ckpt_name a --training.batch_size 2 --training.length 2000", "the validation text"
    ),
    "device": (LSTM, "--ckpt_name a --training.device mps", "no mps device"),
    "heads": (TRANSFORMER, "--model.heads 7", "not a multiple"),
    "learned and carried": (
        TRANSFORMER, "--model.positions learned --training.carry_state true",
        "learned positions end"
    ),
    # test.py
    "unseen characters": (TEST["lstm"], "--prompt Ärger", "alphabet: 'Ä'"),
    "empty prompt": (TEST["lstm"], "--prompt ''", "--prompt is empty"),
    "no such run": (TEST["lstm"], "--ckpt_name none", "no run 'none'; there is: broken, lstm"),
    "no such epoch": (TEST["lstm"], "--epoch 99", "there is: best, epoch_0001, last"),
    "no epoch at all": (TEST["lstm"], "--epoch first", "give last, best or a number"),
    "negative temperature": (TEST["lstm"], "--temperature -1", "--temperature"),
    "no temperature": (TEST["lstm"], "--temperature hot", "--temperature"),
    "infinite temperature": (TEST["lstm"], "--temperature inf", "--temperature"),
    "top-k": (TEST["lstm"], "--top_k 0", "--top_k"),
    "no length": (TEST["lstm"], "--length 0", "--length"),
    "passage too long": (TEST["lstm"], "--length 90000", "fewer than a prompt"),
    "another model": (TEST["tcn"], "--ckpt_name lstm", "of lstm, not of tcn"),
    "cut short": (TEST["lstm"], "--ckpt_name broken", "broken/best.pt is cut short"),
    "test device": (TEST["lstm"], "--device mps", "no mps device"),
    "test device unknown": (TEST["lstm"], "--device tpu", "--device"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(mistake, trained, capsys):
    main, argv, words = MISTAKES[mistake]
    if "tiny" in argv:
        data_preparation.main(["--text", str(trained / "tiny.txt")])
        capsys.readouterr()
    before = {file: file.stat().st_mtime_ns for file in trained.rglob("*")}
    status = main(shlex.split(argv.format(shlex.quote(str(trained)))))
    out, err = capsys.readouterr()
    assert status == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert out == ""
    assert {file: file.stat().st_mtime_ns for file in trained.rglob("*")} == before


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
