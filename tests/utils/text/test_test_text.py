"""The test text: the end of a text, cut off before all else, read only where one asks for it."""

import re

import numpy as np
import pytest
import torch

import data_preparation
from benchmarks.studies.measure import measure_text
from explorer.units import held_out
from models.lstm.modules import Model
from models.lstm.train import Config
from tests.helpers.comparing import rows
from tests.helpers.text_commands import TEST, TRAIN, small
from utils import files
from utils.text.data import Text
from utils.text.streaming import score_stream
from utils.text.testing import load_text_model
from utils.training import checkpoint

every_kind = pytest.mark.parametrize("kind", TRAIN)
LETTERS = "the quick brown fox jumps over the lazy dog. "
BEGINNING, END, OTHER_END = 81 * LETTERS, 9 * LETTERS, 9 * LETTERS[::-1]  # nine tenths and one
ONE = ("--test_share=0.1", "--training.epochs=2")


@pytest.fixture
def texts(repository):
    """Prepares two texts of 4,050 characters whose last tenth alone is another."""
    for name, end in (("a", END), ("b", OTHER_END)):
        (repository / f"{name}.txt").write_text(BEGINNING + end, encoding="utf-8")
        argv = ["--text", str(repository / f"{name}.txt"), "--raw", "--format", "codes"]
        assert data_preparation.main(argv) == 0
    return repository


def test_a_text_of_another_end_is_another():
    codes = np.arange(4)
    whole = Text(list("abcd"), codes[:2], codes[2:3], codes[3:])
    other = Text(list("abcd"), codes[:2], codes[2:3], codes[:1])
    assert whole.fingerprint() != other.fingerprint()


def test_no_training_reads_it(texts, capsys):
    """Two texts that differ in it alone give the same weights, history, protocol and choice."""
    for name in ("a", "b"):
        assert TRAIN["lstm"](small("lstm", f"--data.name={name}", f"--ckpt_name={name}", *ONE)) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "3,280 characters to train on, 365 to validate, 405 kept to test" in out
    checkpoints, results = texts / "checkpoints", texts / "results"
    a, b = (checkpoint.load(checkpoints / name / "last.pt") for name in ("a", "b"))
    assert all(torch.equal(a["model"][key], b["model"][key]) for key in a["model"])
    assert a["row"]["val_nats"] == b["row"]["val_nats"]
    losses = ("train_nats", "val_nats")
    histories = [[[row[key] for key in losses] for row in rows(checkpoints / n)] for n in "ab"]
    assert histories[0] == histories[1]
    written = [(results / n / "protocol.md").read_text().splitlines()[3:] for n in "ab"]
    assert written[0] == written[1]
    assert a["data"]["digest"] != b["data"]["digest"]


@every_kind
def test_it_is_measured_where_one_asks_for_it(kind, texts, capsys):
    assert TRAIN[kind](small(kind, "--data.name=a", *ONE)) == 0
    capsys.readouterr()
    asked = ["--num_samples=1", "--length=5", "--temperature=0"]
    assert TEST[kind](asked) == 0
    assert "\ntest " not in capsys.readouterr().out
    assert TEST[kind]([*asked, "--split=test"]) == 0
    out = capsys.readouterr().out
    found = float(re.search(r"\nvalidation .*\ntest (\d\.\d{4}) nats, ", out)[1])
    numbers = measure_text(kind, kind)
    assert found == pytest.approx(numbers["test_stream_nats"], abs=1e-4)
    assert numbers["test_stream_nats"] != numbers["stream_nats"]
    original = re.search(r"Initialization:\n(.*)\n", out)[1]
    assert original in END
    assert TRAIN[kind](["--resume", "--training.epochs=3", "--test_share=0.2"]) == 2
    assert capsys.readouterr().err.endswith(
        "error: --test_share was 0.1 and cannot change with --resume\n"
    )


def test_measured_numbers_are_those_of_the_end_and_cells_are_looked_for_before_it(texts, capsys):
    assert TRAIN["lstm"](small("lstm", "--data.name=a", *ONE)) == 0
    loaded = load_text_model(Config, Model, "lstm")
    alphabet = loaded.content["alphabet"]
    end = np.array([alphabet.index(char) for char in END])
    expected = score_stream(loaded.model, end)[0]
    assert measure_text("lstm", "lstm")["test_stream_nats"] == pytest.approx(expected)
    codes, name = held_out(loaded)
    start = np.array([alphabet.index(char) for char in BEGINNING])
    assert (codes.tolist(), name) == (start[3280:].tolist(), "a")


def test_a_run_without_one_says_so(repository, capsys):
    assert TRAIN["lstm"](small("lstm", "--training.epochs=1")) == 0
    assert "kept to test" not in capsys.readouterr().out
    assert "test_stream_nats" not in measure_text("lstm", "lstm")
    assert TEST["lstm"](["--split=test"]) == 2
    said = "error: data/text has no test text for this model: --split training, or a --prompt\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("way", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("share", "why"),
    [
        ("1", "--test_share is '1', not a number >= 0 < 1"),
        ("-0.1", "--test_share is '-0.1', not a number >= 0 < 1"),
        ("NaN", "--test_share is 'NaN', not a number >= 0 < 1"),
        ("1e-20", "the test text has 0 characters, nothing to measure: raise --test_share"),
        ("0.0001", "the test text has 1 character, nothing to measure: raise --test_share"),
        ("0.999", "the training text has"),
        ("0.99", "the validation text has"),
    ],
)
def test_a_bad_share_is_refused_in_a_line(share, why, way, repository, capsys):
    assert TRAIN["lstm"](small("lstm", "--batch_size=1", f"--test_share={share}", *way)) == 2
    err = capsys.readouterr().err
    assert why in err
    assert len(err.splitlines()) == 1
    assert not (files.ROOT / "checkpoints" / "lstm").exists()
