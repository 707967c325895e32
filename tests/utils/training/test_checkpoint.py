"""Checkpoints: written whole, read back, and nothing in them is run."""

from pathlib import Path

import pytest
import torch

from utils.errors import UserError
from utils.training import checkpoint


def test_checkpoint_round_trip_leaves_no_other_file(tmp_path):
    path = tmp_path / "run" / "last.pt"
    for number in (1, 2):
        checkpoint.save(path, {"kind": "lstm", "number": number, "model": torch.ones(3)})
        assert checkpoint.load(path, "lstm")["number"] == number
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]
    assert checkpoint.load(path, "lstm")["torch"] == torch.__version__


class Trap:
    """Would write a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    trap = tmp_path / "trap"
    torch.save({"format": 1, "kind": "lstm", "trap": Trap(trap)}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.load(tmp_path / "last.pt", "lstm")
    assert not trap.exists()
