"""What is promised of a run, as benchmarks/trust proves it: shipped, made again, killed."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

from benchmarks.trust import fuzz, reproduce, ship
from tests.helpers.every_command import RUNS
from tests.helpers.repository import REPOSITORY
from tests.helpers.text_commands import TEST, TRAIN, small
from utils.config import read_json
from utils.training import checkpoint


def test_shipping_a_run(repository, capsys):
    assert TRAIN["lstm"](small("lstm")) == 0
    assert ship.main(["lstm", "a command"]) == 0
    best = checkpoint.load(repository / "checkpoints" / "lstm" / "best.pt", "lstm")
    small_file = checkpoint.load(repository / "pretrained" / "lstm.pt", "lstm")
    assert small_file["trained_by"] == "a command"
    for name, weight in best["model"].items():
        assert small_file["model"][name].dtype == torch.float16
        assert torch.allclose(small_file["model"][name].float(), weight, atol=2e-3)
    shutil.rmtree(repository / "checkpoints")
    capsys.readouterr()
    assert TEST["lstm"](["--num_samples", "1"]) == 0
    assert TEST["lstm"](["--epoch", "3"]) == 2
    assert "leave --epoch out" in capsys.readouterr().err
    assert ship.main(["none", "a command"]) == 2


def test_the_command_in_a_checkpoint_gives_what_it_gave(shipped, capsys):
    """The shortest of them; benchmarks/reproduce.py has them all."""
    assert reproduce.main(["--quick"]) == 0
    assert "| `palindrome` | train_nats | " in capsys.readouterr().out
    recorded = read_json(reproduce.RECORDED)
    assert recorded.keys() <= reproduce.SHORT.keys()
    assert all(len(values) == len(reproduce.SEEDS) for values in recorded.values())


def test_a_checkpoint_that_is_no_longer_reproduced_is_named(shipped, capsys, monkeypatch, tmp_path):
    record = tmp_path / "reproduce.json"
    record.write_text('{"palindrome": [0.01, 0.0101, 0.0102]}', encoding="utf-8")
    monkeypatch.setattr(reproduce, "RECORDED", record)
    assert reproduce.main(["--quick"]) == 2
    assert "error: not as recorded: palindrome" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")
def test_killed_it_loses_no_epoch():
    script = REPOSITORY / "benchmarks" / "trust" / "kill.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--quick"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "| in a save | 2 |" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")
def test_killed_in_preparing_or_decoding_what_is_there_is_whole():
    script = REPOSITORY / "benchmarks" / "trust" / "kill_data.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--quick"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "| preparing a text | 3 |" in done.stdout
    assert "| decoding pictures | 3 |" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is open cannot be moved")
@pytest.mark.parametrize("tool", ["together", "read_only"])
def test_beside_others_and_without_leave_to_write(tool):
    if tool == "read_only" and (os.geteuid() != 0 or shutil.which("setpriv") is None):
        pytest.skip("only root can run commands as another user")
    script = REPOSITORY / "benchmarks" / "trust" / f"{tool}.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--quick"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") > 2


def test_the_fuzzing_knows_every_kind():
    """Those of tests/test_fuzz*.py, and bad checkpoints of everything that can be trained."""
    tests = set()
    for file in (REPOSITORY / "tests").glob("test_fuzz*.py"):
        found = re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        tests |= {f"{file.name}::{name}" for name in found}
    assert {test.partition("[")[0] for test in fuzz.KINDS.values()} == tests
    assert set(fuzz.MODELS) == {*RUNS, "ladder", "classifier"}
