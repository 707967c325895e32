"""What two runs left, compared bit for bit; and a run's history as it is read back."""

import csv
from pathlib import Path

import torch

from utils.training import checkpoint
from utils.training.progress import TIMINGS


def rows(folder: Path) -> list[dict[str, str]]:
    """Reads history.csv of a folder of checkpoints, without its timings."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in TIMINGS}
            for row in csv.DictReader(file)
        ]


def assert_same(a: object, b: object, where: str) -> None:
    """Compares nested structures of dicts, lists, numbers and tensors bit for bit, but timings."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a.keys() - set(TIMINGS):
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


def assert_same_run(kind: str, root: Path, other: Path) -> None:
    """Compares the run "run" of two repositories: all files, byte for byte but for timings."""
    checkpoints = "checkpoints/run"
    assert rows(root / checkpoints) == rows(other / checkpoints)
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
