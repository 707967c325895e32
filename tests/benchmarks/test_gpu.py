"""The command that fills the GPU section: without a GPU it says so, or tries itself on the CPU."""

import pytest
import torch

from benchmarks.record import read_records
from benchmarks.speed import gpu
from docs import records, tables
from tests.helpers.repository import training_files
from utils import files


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "RECORDS", tmp_path)
    assert gpu.main([]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert (out, err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_a_little_of_it_makes_every_kind_of_line(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "ROOT", training_files(tmp_path / "repository"))
    assert gpu.main(["--quick"]) == 0
    rows = read_records(tmp_path / "repository" / "results" / "gpu_quick" / "gpu.csv")
    found = {(row["part"], row["precision"]): row for row in rows}
    assert set(found) >= {("epochs", "float32"), ("epochs", "bfloat16"), ("equal", "float32")}
    assert 1 < float(found["epochs", "float32"]["nats"]) < 3
    assert float(found["equal", "float32"]["difference"]) < 1e-3
    for row in rows:
        assert float(row["seconds"]) > 0
        assert row["card"]
        assert row["versions"]
        assert row["command"].startswith("python models/palindrome/train.py")


HISTORY = [{"epoch": 1.0, "train_nats": 2.0, "val_nats": 1.5}, {"epoch": 2.0, "train_nats": 200.0}]


@pytest.mark.parametrize(
    ("epoch", "nats", "difference"), [(0, 2.5, 0.25), (1, 202.0, 0.01), (1, float("nan"), 1e999)]
)
def test_the_largest_difference_counts(epoch, nats, difference):
    others = [dict(row) for row in HISTORY]
    others[epoch]["train_nats"] = nats
    assert gpu.compare(HISTORY, HISTORY) == 0
    assert gpu.compare(others, HISTORY) == pytest.approx(difference)


def test_the_tables_show_every_line(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RECORDS", tmp_path)
    assert "No GPU was at hand" in records.gpu()
    record = gpu.Record(tmp_path / "gpu.csv", "cpu")
    record.add("tests", "all", "-m pytest", 60, result="9 passed")
    record.add("epochs", "gan", "a", 2.5, precision="bfloat16", megabytes="80", best_epoch=2)
    record.add("whole", "lstm", "b", 90, nats="1.4745", best_epoch=7)
    record.add("torchrun", "faces", "c", 9, difference="2.0e-07")
    page = records.gpu()
    for line in (
        "all: 9 passed.",
        "| gan | bfloat16 | 2.5 | 80 | - |",
        "| lstm | 1.5 | 7 | 1.4745 |",
        "| faces, with torchrun and without, on the GPU | 2.0e-07 |",
    ):
        assert f"\n{line}\n" in page
    assert page.startswith("no GPU: the CPU, Python ")
