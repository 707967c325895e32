"""Signals, and streams that nobody reads: what they do to a command and to a training."""

import io
import os
import signal
import subprocess
import sys

import pytest
import torch

from tests.helpers.comparing import rows
from tests.helpers.repository import REPOSITORY, training_files
from tests.helpers.stopping import after_epoch, at_batch
from tests.helpers.trainable import TRAINABLE
from utils import files
from utils.errors import Lasting, command
from utils.text import training as text_training
from utils.training import checkpoint
from utils.training.progress import StopSignals


@pytest.fixture
def repository(tmp_path, monkeypatch):
    root = training_files(tmp_path / "repository", characters=4000)
    monkeypatch.setattr(files, "ROOT", root)
    return root


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_outside_training_ends_a_command_in_order(number, tmp_path, capsys):
    tidied = []

    @command
    def main(argv):
        try:
            signal.raise_signal(number)
        finally:
            tidied.append(True)

    before = signal.getsignal(number)
    assert main([]) == 128 + number
    assert tidied
    assert capsys.readouterr().err == f"ended by {number.name}\n"
    assert signal.getsignal(number) is before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        seen = []

        @command
        def main(argv):
            with StopSignals() as stop:
                signal.raise_signal(signal.SIGHUP)
                seen.append(stop.received)

        assert main([]) == 0
        assert seen == [None]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["a step", "validation", "saving"])
def test_training_saves_whichever_signal_comes(number, moment, repository, monkeypatch, capsys):
    """In validation and while it saves, the epoch that was learned is finished first."""
    lstm, sent = TRAINABLE["lstm"], []

    def send():
        if not sent:
            sent.append(signal.raise_signal(number))

    if moment == "a step":
        with at_batch(2, send):
            assert lstm.start() == 128 + number
    elif moment == "saving":
        with after_epoch(1, send):
            assert lstm.start() == 128 + number
    else:
        score = text_training.score_blocks
        monkeypatch.setattr(text_training, "score_blocks", lambda *a: send() or score(*a))
        assert lstm.start() == 128 + number
    where = "in epoch 1 of 4, batch 2" if moment == "a step" else "in epoch 1;"
    assert f"stopped {where}" in capsys.readouterr().err
    last = checkpoint.load(repository / "checkpoints" / "run" / "last.pt", "lstm")
    assert last["epoch"] == (0 if moment == "a step" else 1)
    assert lstm.train("--resume") == 0


def test_a_second_ctrl_c_ends_at_once_and_leaves_whole_files(repository, monkeypatch, capsys):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with at_batch(2, twice):
        assert TRAINABLE["lstm"].start() == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    assert not list((repository / "checkpoints").glob("run/*.p*"))


class Terminal(io.TextIOWrapper):
    def isatty(self):  # so that there is a progress bar
        return True


def broken_pipe():
    """Makes a stream that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return Terminal(open(writer, "wb"), encoding="utf-8", line_buffering=True)


@pytest.mark.parametrize("names", [["stdout"], ["stderr"], ["stdout", "stderr"]])
def test_training_goes_on_where_nobody_reads(names, repository, monkeypatch):
    streams = [broken_pipe() for _ in names]
    for name, stream in zip(names, streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    assert TRAINABLE["lstm"].start() == 0
    for stream in streams:
        stream.close()
    assert len(rows(repository / "checkpoints" / "run")) == 4


def test_an_error_that_nobody_reads_has_its_status(repository, monkeypatch):
    with broken_pipe() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert TRAINABLE["lstm"].train("--resume") == 2


def test_a_lasting_stream_is_the_stream_while_it_is_read():
    text = io.StringIO()
    stream = Lasting(text)
    assert stream.write("né") == 2
    stream.flush()
    assert (text.getvalue(), stream.encoding) == ("né", text.encoding)


def test_denormal_numbers_are_zero_in_every_thread():
    """In a process of its own: torch's threads start once, at the first large operation."""
    code = """
import threading, torch
from concurrent.futures import ThreadPoolExecutor
from utils.errors import command

def left(x):  # a comparison would take a denormal number for 0
    return int((x.view(torch.int32) != 0).sum())

@command
def main(argv):
    small, w = torch.full((2**20,), 2e-38), torch.full((2**20,), 2e-38, requires_grad=True)
    (w * w).backward(torch.full((2**20,), 0.05))
    with ThreadPoolExecutor(2) as pool:
        rendered = sum(pool.map(lambda _: left(torch.full((9,), 2e-38) * 0.1), range(4)))
    print(torch.get_num_threads(), left(small * 0.1), left(w.grad), rendered)

torch.set_num_threads(2)
main()
"""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "2 0 0 0\n"), done.stderr


def test_a_processor_that_keeps_denormal_numbers_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch, "set_flush_denormal", lambda on: False)
    assert command(lambda argv: None)([]) == 0
    expected = "note: this processor cannot take denormal numbers for 0, steps may become slow\n"
    assert capsys.readouterr().err == expected
