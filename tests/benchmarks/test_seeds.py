"""Records of trainings with several seeds, and the tables made from them."""

import csv

import pytest

from benchmarks.studies import seeds
from docs import records

ORIGIN = ("seed", "seconds", "processor", "versions", "commit", "command")  # of every line
RECORDS = [file for file in sorted(seeds.RECORDS.glob("*.csv")) if file.stem in seeds.SHIPPED]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Gives a folder of records with three seeds of one run, in whatever order they ended."""
    monkeypatch.setattr(records, "RECORDS", tmp_path)
    for seed, right in ((2, 0.75), (0, 0.25), (1, 0.5)):
        row = {"seed": seed, "right": right, "nats": 0.5, "best_epoch": 2 + seed, "seconds": 90}
        seeds.add_record(tmp_path / "palindrome.csv", row)
    return tmp_path


def test_a_record_is_sorted_by_seed_and_keeps_every_line(folder):
    with open(folder / "palindrome.csv", encoding="utf-8", newline="") as file:
        found = [(row["seed"], row["right"]) for row in csv.DictReader(file)]
    assert found == [("0", "0.25"), ("1", "0.5"), ("2", "0.75")]


def test_a_table_has_the_mean_the_lowest_and_the_highest(folder):
    assert records.seeds("palindromes", "palindrome") == (
        "| run | seeds | validation accuracy | validation nats | best epoch | processor minutes |\n"
        "|---|---|---|---|---|---|\n"
        "| `palindrome` | 3 | 50 % (25 % to 75 %) | 0.5000 | 3 (2 to 4) | 1.5 |\n"
    )


@pytest.mark.parametrize("file", RECORDS, ids=lambda path: path.stem)
def test_every_line_of_a_record_says_where_it_comes_from(file):
    rows = seeds.read_records(file)
    assert len({row["seed"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row[name] for name in ORIGIN), f"{file.name}: an empty cell"
        assert f"--training.seed {row['seed']}" in row["command"]
        assert float(row["seconds"]) > 0
        assert not row["commit"].endswith("+"), "trained by files that no commit has"
