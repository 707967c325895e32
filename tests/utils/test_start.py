"""What happens to a command while it still imports, before its first line of work."""

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers.repository import REPOSITORY

COMMANDS = ["main.py", "data_preparation.py"]
COMMANDS += [f"models/{file.parent.name}/{file.name}" for file in REPOSITORY.glob("models/*/t*.py")]


def run_with_torch(command, torch, tmp_path, shell="exec {}"):
    """Runs a command whose `import torch` (and numpy) executes the code given; then it ends."""
    for name in ("torch", "numpy"):  # whichever the command imports first
        (tmp_path / f"{name}.py").write_text(torch, encoding="utf-8")
    line = shell.format(f'"{sys.executable}" {command}')
    return subprocess.run(
        ["sh", "-c", line],
        cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_importing_is_one_line(command, tmp_path):
    torch = "import signal, sys; signal.raise_signal(signal.SIGINT); print('went on'); sys.exit(9)"
    done = run_with_torch(command, torch, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
    torch = "import sys; print(end='', file=sys.stderr); sys.exit(open(__file__).fileno())"
    done = run_with_torch("main.py", torch, tmp_path, "exec {} <&- >&- 2>&-")
    assert done.returncode >= 3


def test_another_program_keeps_its_signals():
    code = "import signal, utils.start; raise SystemExit(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stderr == "default_int_handler\n"
    assert signal.getsignal(signal.SIGINT).__module__ != "utils.start"
