"""A checkpoint that an earlier version of the project wrote, before optimisers had names."""

import shutil

import pytest

from models.lstm import train as lstm
from tests.helpers.comparing import rows
from tests.helpers.repository import REPOSITORY
from utils.text.preparation import prepare
from utils.training import checkpoint

OLD = REPOSITORY / "tests" / "helpers" / "old_form_last.pt"  # stopped in epoch 2, after 4 of 8
TEXT = "".join("ab"[n * n % 7 % 2] for n in range(600))
# What that version's own run came to, which nobody had stopped.
THEIRS = {
    "train_nats": [0.7297365963459015, 0.6112736463546753, 0.5869680941104889],
    "val_nats": [0.6097317711781647, 0.5759964635816671, 0.5754852294921875],
    "learning_rate": [0.08274303669726427, 0.029229249349905687, 0.0],
}


def test_it_goes_on_to_the_end_that_it_had_then(repository):
    """To the rounding of another processor; dropout, a carried state and the protocol go on."""
    (repository / "two.txt").write_text(TEXT, encoding="utf-8")
    prepare(repository / "two.txt", "two", raw=True, form="codes")
    run = repository / "checkpoints" / "run"
    run.mkdir(parents=True)
    shutil.copy(OLD, run / "last.pt")
    before = checkpoint.load(OLD, "lstm")
    assert before["training"]["task"].keys() == {"optimizer", "random", "state", "protocol"}
    assert lstm.main(["--resume", "--ckpt_name", "run"]) == 0
    history = rows(run)
    for column, values in THEIRS.items():
        found = [float(row[column]) for row in history]
        assert found == pytest.approx(values, rel=1e-4, abs=1e-9), column
    content = checkpoint.load(run / "last.pt", "lstm")
    assert content["training"]["task"]["optimizers"].keys() == {"adamw"}
    assert [entry["epoch"] for entry in content["training"]["task"]["protocol"]] == [1, 3]
