"""The two-core record: when it looks, when it ends, what it counts, and its table."""

import importlib

import numpy as np
import pytest

from benchmarks.records import run
from benchmarks.tasks import read_settings
from docs import records, tables
from tests.helpers.repository import training_files
from utils import files
from utils.config import read_config
from utils.text.streaming import score_blocks

SMALL = {
    ("model", "hidden_size"): 4,
    ("training", "epochs"): 4,
    ("training", "batch_size"): 10,
    ("training", "length"): 16,
    ("training", "warmup_steps"): 2,
    ("training", "device"): "cpu",
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", training_files(tmp_path / "repository", characters=2000))
    return read_settings("lstm", SMALL)  # 4 epochs of 11 steps


def read_looks(log):
    return np.genfromtxt(log, delimiter=",", names=True)


def test_it_looks_from_60_percent_on_and_at_the_end(config, tmp_path, monkeypatch):
    seen = []

    def score(model, codes):
        seen.append((score_blocks(model, codes), len(codes)))
        return seen[-1][0]

    monkeypatch.setattr(run, "score_blocks", score)
    monkeypatch.setattr(run, "TARGET", 0.0)
    run.race(config, run.time.time() - 100, tmp_path / "log.csv", quick=False)
    looks = read_looks(tmp_path / "log.csv")
    assert looks["step"].tolist() == sorted({round(44 * n / 40) for n in range(24, 41)})
    assert looks["nats"] == pytest.approx([nats for nats, _ in seen], abs=1e-4)
    assert {count for _, count in seen} == {200}  # the whole validation text, never less
    assert (looks["seconds"] > 100).all()  # the clock began before this process did its imports
    assert run.read_log(tmp_path / "log.csv")["reached"] == "no"


def test_the_first_look_that_is_good_enough_ends_it(config, tmp_path, monkeypatch):
    nats = iter([2.0, 1.5, 1.4697, 1.0])
    monkeypatch.setattr(run, "score_blocks", lambda model, codes: next(nats))
    run.race(config, run.time.time(), tmp_path / "log.csv", quick=False)
    assert read_looks(tmp_path / "log.csv")["nats"].tolist() == [2.0, 1.5, 1.4697]
    found = run.read_log(tmp_path / "log.csv")
    assert (found["reached"], found["nats"], found["step"]) == ("yes", "1.4697", 29)


def test_the_ratio_is_to_todays_of_the_same_session(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RECORDS", tmp_path)
    assert "not taken yet" in records.two_cores()
    for name, session, seconds, reached in (
        ("tinyshakespeare", "1", 900, "yes"),
        ("tinyshakespeare", "2", 200, "yes"),
        ("tinyshakespeare", "2", 100, "yes"),
        ("mine", "2", 60, "yes"),
        ("mine", "2", 90, "no"),
    ):
        row = {"track": "tcn", "config": name, "seed": 0, "session": session, "reached": reached}
        row |= {"seconds": seconds, "processor_seconds": 2 * seconds, "nats": "1.4690"}
        run.add_record(tmp_path / "two_cores.csv", row | {"processor": "a chip"}, "track")
    today, mine = records.two_cores().splitlines()[2:]
    assert "| 2 | 150 (100 to 200) | 300 (200 to 400) | 1.4690 | 1.00 | a chip |" in today
    assert "| 75 (60 to 90), 1 of them not there | 150 (120 to 180) |" in mine
    assert mine.endswith("| 0.50 | a chip |")


def test_what_is_to_race_is_a_configuration_of_its_track():
    for file in sorted(run.RECORDS.glob("*.json")):
        if file.stem in run.TRACKS:
            module = importlib.import_module(f"models.{file.stem}.train")
            assert read_config(file, module.Config).data.name == "tinyshakespeare"
