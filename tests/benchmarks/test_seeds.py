"""Records of trainings with several seeds, and the tables made from them."""

import csv

import pytest

from benchmarks import record
from benchmarks.studies import seeds
from docs import records, tables
from utils import files

ORIGIN = ("seed", "seconds", "processor", "versions", "commit", "command")  # of every line
NAMES = {*seeds.SHIPPED, *(f"{name}_test" for name in seeds.SHIPPED)}
RECORDS = [file for file in sorted(record.RECORDS.glob("*.csv")) if file.stem in NAMES]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Gives a folder of records with three seeds of one run, in whatever order they ended."""
    monkeypatch.setattr(tables, "RECORDS", tmp_path)
    for seed, right in ((2, 0.75), (0, 0.25), (1, 0.5)):
        row = {"seed": seed, "right": right, "nats": 0.5, "best_epoch": 2 + seed, "seconds": 90}
        record.add_record(tmp_path / "palindrome.csv", row)
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
        "\nThe shipped checkpoint was trained on another machine, and no seed here equals it: "
        "`palindrome`.\n"
    )


def test_a_table_has_what_is_there_and_names_what_is_not(folder):
    table = records.seeds("palindromes", "palindrome_20", "palindrome", "palindrome_40")
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(lines) == 1
    assert "| `palindrome` | 3 |" in lines[0]
    assert table.endswith("\nNot recorded yet: `palindrome_20`, `palindrome_40`.\n")
    assert records.seeds("text", "lstm") == "Not recorded yet: `lstm`.\n"
    for page in records.TABLES.values():
        assert all(make() for make in page.values()), "each can be made of what there is"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"nats": "4.88e-05"}, False),
        ({"best_epoch": "19"}, False),
        ({"seed": "1"}, None),
    ],
)
def test_seed_0_is_the_shipped_one_where_epoch_and_loss_are_equal(folder, change, same):
    """The shipped palindrome_20 was best at epoch 20, with 4.870757e-05 nats."""
    row = {"seed": "0", "best_epoch": "20", "nats": "4.87076e-05", "right": "1", "seconds": "9"}
    record.add_record(folder / "palindrome_20.csv", row | change)
    assert records.is_shipped("palindrome_20") is same
    said = "Seed 0 is the shipped checkpoint: `palindrome_20`." in records.seeds(
        "palindromes", "palindrome_20"
    )
    assert said == (same is True)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Has commands and those that they start write to a folder of the test's own."""
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a second one waits for the first
    monkeypatch.setattr(seeds, "RECORDS", tmp_path / "records")
    for name in ("find_mnist", "find_raw_data"):
        monkeypatch.setattr(seeds, name, lambda *anything: None)
    return tmp_path


def test_the_quick_form_trains_measures_and_keeps_a_line(elsewhere, capfd):
    assert seeds.main(["--quick"]) == 0
    file = elsewhere / "results" / "seeds_quick" / "palindrome.csv"
    (row,) = record.read_records(file)
    assert all(row[name] for name in ORIGIN)
    assert row["command"].endswith(" --training.seed 0 --training.epochs 1")
    assert (row["best_epoch"], float(row["seconds"]) > 0) == ("1", True)
    assert 0 < float(row["nats"]) < 1  # log 10 without training
    assert (elsewhere / "checkpoints" / "seeds_quick_palindrome_0" / "best.pt").is_file()
    assert not (elsewhere / "records").exists()


def test_a_seed_that_has_its_line_is_not_trained_again(elsewhere, monkeypatch, capsys):
    trained = []

    def train(name, seed, run, options):
        trained.append((name, seed, run, options))
        return "the command", 1.0

    monkeypatch.setattr(seeds, "train", train)
    monkeypatch.setattr(seeds, "choose_measure", lambda name: lambda run: {"nats": 0.123456789})
    assert seeds.main(["--what=lstm", "--seeds=1", "--test"]) == 0
    assert seeds.main(["--what=lstm", "--seeds=2", "--test"]) == 0
    assert "lstm, seed 0: has its line" in capsys.readouterr().out
    options = "--data.test_share 0.1"
    assert trained == [("lstm", seed, f"seeds_lstm_test_{seed}", options) for seed in (0, 1)]
    rows = record.read_records(elsewhere / "records" / "lstm_test.csv")
    assert [(row["seed"], row["nats"]) for row in rows] == [("0", "0.123457"), ("1", "0.123457")]


def test_a_test_text_is_for_texts(capsys):
    assert seeds.main(["--what=gan", "--test"]) == 2
    assert capsys.readouterr().err == "error: --test is for texts, not for gan\n"


@pytest.mark.parametrize("file", RECORDS, ids=lambda path: path.stem)
def test_every_line_of_a_record_says_where_it_comes_from(file):
    rows = record.read_records(file)
    assert len({row["seed"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row[name] for name in ORIGIN), f"{file.name}: an empty cell"
        assert f"--training.seed {row['seed']}" in row["command"]
        assert float(row["seconds"]) > 0
        assert not row["commit"].endswith("+"), "trained by files that no commit has"
