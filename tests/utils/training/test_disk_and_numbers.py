"""A disk that takes no more, a loss that is no number: one line, and the last good checkpoint."""

import errno
import io
import math
import os
import signal

import pytest
import torch
from tensorboard.summary.writer.record_writer import RecordWriter

from models.palindrome.train import LastDigit
from models.palindrome.train import main as train
from tests.helpers.comparing import assert_same, rows
from tests.helpers.stopping import after_epoch
from utils import files
from utils.training import checkpoint

SMALL = "--hidden_size 8 --batches 3 --batch_size 8 --epochs 4 --device cpu"


def start(*options):
    return train([*SMALL.split(), *options])


def go_on():
    """As the messages say: --resume, or --overwrite where nothing was saved yet."""
    saved = os.path.isfile("checkpoints/palindrome/last.pt")
    return train(["--resume"]) if saved else start("--overwrite")


@pytest.fixture
def run(repository, monkeypatch):
    monkeypatch.chdir(repository)
    return repository / "checkpoints" / "palindrome"


def the_error(capsys):
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").removesuffix("\n")


class Full(io.BufferedWriter):
    """A file on a disk with room for half of it."""

    def write(self, content):
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(path, mode):
    return Full(io.FileIO(path, mode))


def read_only(path, mode):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@pytest.mark.parametrize("trouble", [full, read_only])
def test_any_file_may_be_the_one_that_cannot_be_written(trouble, run, monkeypatch, capsys):
    """The n-th attempt fails at its n-th file. After each the run is sound, and goes on."""
    assert start("--ckpt_name", "whole") == 0
    capsys.readouterr()
    status, attempts, failed, last_epoch = 2, 0, set(), 0
    while status == 2:
        attempts += 1
        written = []

        def opened(path, mode, written=written, attempts=attempts):
            written.append(path)
            return trouble(path, mode) if len(written) == attempts else open(path, mode)

        with monkeypatch.context() as patch:
            patch.setattr(files, "open", opened, raising=False)
            status = go_on()
        if status == 2:
            name = written[-1].name.removesuffix(".partial")
            code = errno.ENOSPC if trouble is full else errno.EACCES
            assert the_error(capsys) == f"{os.strerror(code)}: checkpoints/palindrome/{name}"
            failed.add(name)
        assert not any(run.glob("*.partial"))
        for file in run.glob("*.pt"):
            content = checkpoint.load(file, "palindrome")
            if file.name == "last.pt":
                assert content["epoch"] >= last_epoch
                last_epoch = content["epoch"]
    assert status == 0
    assert failed >= {"config.json", "best.pt", "last.pt", "history.csv"}
    whole = run.with_name("whole")
    assert rows(run) == rows(whole)
    a, b = (checkpoint.load(folder / "last.pt", "palindrome") for folder in (run, whole))
    for part in ("model", "training"):
        assert_same(a[part], b[part], part)


def test_a_limit_of_the_system_itself(run, capsys):
    """No file may be as long as last.pt: the other files can be written, this one cannot."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    with after_epoch(2, lambda: signal.raise_signal(signal.SIGINT)):
        assert start() == 130
    capsys.readouterr()
    before = (run / "last.pt").read_bytes()
    assert (run / "best.pt").stat().st_size < len(before) - 1
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - 1, limits[1]))
    try:
        assert go_on() == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert the_error(capsys) == f"{os.strerror(errno.EFBIG)}: checkpoints/palindrome/last.pt"
    assert (run / "last.pt").read_bytes() == before
    assert not any(run.glob("*.partial"))
    assert go_on() == 0
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4"]


def test_tensorboard_cannot_write(run, monkeypatch, capsys):
    """It does so in a thread of its own: what goes wrong there is one line all the same."""
    write, calls = RecordWriter.write, []

    def third_fails(self, data):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write", third_fails)
        assert start() == 2
    assert the_error(capsys) == os.strerror(errno.ENOSPC)
    assert checkpoint.load(run / "last.pt", "palindrome")["epoch"] >= 1
    assert go_on() == 0


@pytest.mark.parametrize("folder", ["checkpoints", "results"])
def test_no_folder_can_be_made(folder, run, repository, capsys):
    (repository / folder).write_text("in the way", encoding="utf-8")
    assert start() == 2
    assert folder in the_error(capsys)
    assert not any(run.parent.rglob("*.pt"))
    assert (repository / folder).read_text(encoding="utf-8") == "in the way"


def test_what_a_killed_run_was_writing_is_removed(run, repository):
    """Also where the run goes on in another way, and so does not write this file again."""
    with after_epoch(2, lambda: signal.raise_signal(signal.SIGINT)):
        assert start() == 130
    for file in (run / "epoch_0004.pt.partial", repository / "results/palindrome/x.md.partial"):
        file.write_bytes(b"half a")
    assert train(["--resume", "--epochs", "3"]) == 0
    assert not any(repository.rglob("*.partial"))


def test_nothing_to_resume_says_what_to_do(run, capsys):
    """After a kill within the first epoch --resume is refused, and so is a plain start."""
    assert train(["--resume"]) == 2
    assert the_error(capsys).endswith("nothing to resume: leave --resume out")
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}", encoding="utf-8")
    assert train(["--resume"]) == 2
    assert the_error(capsys).endswith("nothing to resume: --overwrite starts the run anew")
    assert start("--overwrite") == 0


def spoil(task):
    with torch.no_grad():
        task.model.head.weight[0, 0] = math.nan


def good_until(run, epoch):
    content = checkpoint.load(run / "last.pt", "palindrome")
    assert content["epoch"] == len(rows(run)) == epoch
    assert content["training"]["place"]["index"] == 0
    assert checkpoint.load(run / "best.pt", "palindrome")["epoch"] <= epoch
    kept = {"config.json", "last.pt", "best.pt", "history.csv"}
    assert {file.name for file in run.iterdir()} == kept


LAST = "lower --learning_rate (checkpoints/palindrome/last.pt is the last good checkpoint)"


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run(loss, run, capsys, monkeypatch):
    step = LastDigit.step
    monkeypatch.setattr(
        LastDigit, "step", lambda *a: step(*a) if a[2] < 8 else {"train_nats": loss}
    )
    assert start() == 2
    assert the_error(capsys) == f"train_nats became {loss} at step 8: {LAST}"
    good_until(run, 2)


def test_a_loss_that_is_no_number_at_the_first_step(run, capsys, monkeypatch):
    monkeypatch.setattr(LastDigit, "step", lambda *_: {"train_nats": math.nan})
    assert start() == 2
    assert the_error(capsys) == (
        "train_nats became nan at step 1: lower --learning_rate (none was saved yet)"
    )
    assert not any(run.glob("*.pt"))


def test_a_validation_loss_that_is_no_number(run, capsys, monkeypatch):
    validate, calls = LastDigit.validate, []

    def third_is_infinite(self):
        calls.append(1)
        return validate(self) | ({"val_nats": math.inf} if len(calls) == 3 else {})

    monkeypatch.setattr(LastDigit, "validate", third_is_infinite)
    assert start() == 2
    assert the_error(capsys) == f"val_nats became inf at step 9: {LAST}"
    good_until(run, 2)


@pytest.mark.parametrize("where", ["at the end of an epoch", "when stopped by a signal"])
def test_weights_that_are_no_numbers_are_not_saved(where, run, capsys, monkeypatch):
    """The loss is that of the weights before the step, so it may be finite all the same."""
    step, at = LastDigit.step, 6 if where == "at the end of an epoch" else 5

    def spoiling(self, batch, number):
        losses = step(self, batch, number)
        if number == at:
            spoil(self)
            if where == "when stopped by a signal":
                signal.raise_signal(signal.SIGTERM)
        return losses

    monkeypatch.setattr(LastDigit, "step", spoiling)
    assert start() == 2
    assert the_error(capsys) == f"a weight became infinite or no number at step {at}: {LAST}"
    good_until(run, 1)
