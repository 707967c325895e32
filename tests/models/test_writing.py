"""What test.py of a text model does with a prompt, a file, a text to score; what it refuses."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers.repository import REPOSITORY
from tests.helpers.text_commands import TEST, TRAIN, small
from utils import files
from utils.text import testing
from utils.text.streaming import write
from utils.text.testing import TAKES
from utils.training import checkpoint
from utils.words import escape

VALUES = {
    "prompt": "the",
    "prompt_file": "{}/prompt.txt",
    "text": "{}/prompt.txt",
    "encoding": "utf-8",
    "split": "training",
    "num_samples": "2",
    "prompt_length": "5",
    "length": "6",
    "stop": "e",
    "temperature": "0.5",
    "top_k": "3",
    "top_p": "0.5",
    "seed": "1",
    "output": "{}/out.txt",
}


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """A repository with a small run of each kind, and its text."""
    root = tmp_path_factory.mktemp("writing") / "repository"
    (root / "data").mkdir(parents=True)
    text = (REPOSITORY / "data" / "text.txt").read_text(encoding="utf-8")
    (root / "data" / "text.txt").write_text(text[:9000], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        for kind in TRAIN:
            assert TRAIN[kind](small(kind, "--training.epochs", "1")) == 0
    return root


@pytest.fixture
def trained(trained_once, tmp_path, monkeypatch, capsys):
    root = tmp_path / "repository"
    shutil.copytree(trained_once, root)
    monkeypatch.setattr(files, "ROOT", root)
    (root / "prompt.txt").write_text("the bridge\n", encoding="utf-8")
    capsys.readouterr()
    return root


def lstm(root, *argv):
    return TEST["lstm"]([word.replace("{}", str(root)) for word in argv])


def test_a_prompt_needs_neither_data_nor_matplotlib(trained):
    """Nor what only pictures and figures need: in a process where importing them fails."""
    shutil.rmtree(trained / "data")
    code = """
import importlib, sys
from pathlib import Path
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("matplotlib", "tensorboard", "sklearn", "PIL", "torchvision"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
from utils import files
files.ROOT = Path(sys.argv[1])
for kind in ("lstm", "tcn", "transformer"):
    test = importlib.import_module(f"models.{kind}.test")
    assert test.main(["--prompt", "The", "--num_samples", "1", "--length", "5"]) == 0
test = importlib.import_module("models.palindrome.test")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(trained)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("note: --prompt is put in the model's alphabet: lower-cased\n") == 3
    assert done.stdout.count("Initialization:\nthe\n") == 3
    assert not (trained / "data").exists()


@pytest.mark.parametrize("source", TAKES)
@pytest.mark.parametrize("option", VALUES)
def test_an_option_without_effect_is_refused(source, option, trained, capsys):
    """Every option crossed with all that test.py can be asked for."""
    argv = [f"--{source}", VALUES[source]] if source else ["--split", "training"]
    if option not in (source, "split" if source is None else None):
        argv += [f"--{option}", VALUES[option]]
    fits = option in TAKES[source] or (source is None and option in TAKES)
    status = lstm(trained, *argv)
    out, err = capsys.readouterr()
    if source is None and option in TAKES:  # then it is that which is asked for
        assert (status, err) == (2, f"error: --split has no effect with --{option}: leave it out\n")
    elif source is not None and option in TAKES and option != source:
        assert status == 2
        assert re.fullmatch(r"error: --\w+ and --\w+: give one of them\n", err)
    elif fits:
        assert (status, err) == (0, "")
    else:
        assert (status, out) == (2, "")
        assert re.fullmatch(rf"error: --{option} has no effect with.*: leave it out\n", err)


@pytest.mark.parametrize("likeliest", ["--temperature 0", "--top_k 1"])
@pytest.mark.parametrize("option", ["temperature", "top_k", "top_p", "seed"])
def test_nothing_is_sampled_where_the_likeliest_is_taken(option, likeliest, trained, capsys):
    if likeliest.startswith(f"--{option}"):
        pytest.skip("an option beside itself")
    assert lstm(trained, *likeliest.split(), f"--{option}", VALUES[option]) == 2
    assert f"--{option} has no effect at {likeliest}" in capsys.readouterr().err


@pytest.mark.parametrize("likeliest", ["--temperature 0", "--top_k 1"])
def test_a_prompt_has_one_likeliest_continuation(likeliest, trained, capsys):
    """Which is written once. Passages of a text are different prompts, so they all are."""
    argv = [*likeliest.split(), "--prompt", "the ", "--length", "5"]
    assert lstm(trained, *argv, "--num_samples", "2") == 2
    assert f"2 would be the same text every time at {likeliest}" in capsys.readouterr().err
    assert lstm(trained, *argv) == 0
    assert capsys.readouterr().out.count("Initialization:") == 1
    assert lstm(trained, *argv[:2], "--length", "5", "--num_samples", "2") == 0
    assert capsys.readouterr().out.count("Initialization:") == 2


def test_a_sample_ends_at_a_text_and_goes_to_a_file(trained, capsys):
    argv = ["--prompt_file", "{}/prompt.txt", "--num_samples", "1", "--length", "500"]
    assert lstm(trained, *argv, "--stop", "E", "--output", "{}/out.txt") == 0
    out = capsys.readouterr().out
    assert "note: --stop is put in the model's alphabet: lower-cased\n" in out
    text = (trained / "out.txt").read_text(encoding="utf-8")
    assert text.startswith("the bridge\n")
    written = text.removeprefix("the bridge\n")
    assert written.index("e") == len(written) - 1
    assert f"LSTM:\n{written}\n\nwrote 1 sample to out.txt\n" in out
    argv[3] = "2"
    assert lstm(trained, *argv, "--length", "7", "--output", "{}/two.txt") == 0
    lines = (trained / "two.txt").read_text(encoding="utf-8")
    assert re.fullmatch(
        r"=== sample 1 ===\nthe bridge\n.{7}\n=== sample 2 ===\nthe bridge\n.{7}\n",
        lines,
        re.DOTALL,
    )


def test_a_long_text_appears_while_it_is_written(trained, monkeypatch):
    """Each character is sent and flushed before the next one is chosen, also into a pipe.

    What a terminal would obey is shown, and a long line stays whole.
    """
    events, best = [], trained / "checkpoints" / "lstm" / "best.pt"
    content = checkpoint.load(best)
    alphabet = content["alphabet"] = [*content["alphabet"][:-3], "\r", "\x1b", "\x07"]
    checkpoint.save(best, content)

    class Pipe:
        def write(self, text):
            events.append(text)

        def flush(self):
            events.append(None)

    def write_and_look(*args, watch, **how):
        def look(code):
            stop = watch(code)
            assert events[-2:] == [escape(alphabet[code]), None]
            return stop

        return write(*args, watch=look, **how)

    monkeypatch.setattr(testing, "write", write_and_look)
    monkeypatch.setattr(sys, "stdout", Pipe())
    argv = ["--prompt", "the", "--num_samples", "1", "--length", "400", "--temperature", "9"]
    assert lstm(trained, *argv) == 0
    text = "".join(event for event in events if event)
    assert not set(text) & {"\r", "\x1b", "\x07"}
    assert all(shown in text for shown in (r"\r", r"\x1b", r"\x07"))
    written = text.split("LSTM:\n")[1].removesuffix("\n\n")
    assert len(written.replace(r"\r", "r").replace(r"\x1b", "e").replace(r"\x07", "b")) == 400


def test_any_text_is_scored(trained, capsys):
    """Its own text as validation is; another one with what was left out; one of nothing."""
    whole = (trained / "data" / "text.txt").read_text(encoding="utf-8")
    assert lstm(trained, "--text", "{}/data/text.txt") == 0
    out = capsys.readouterr().out
    assert "note: data/text.txt is read lower-cased and without empty lines\n" in out
    assert re.search(
        r"\n[\d,]+ characters of data/text.txt: \d\.\d{4} nats, \d\.\d{4} bits per character", out
    )
    (trained / "other.txt").write_bytes(whole[:500].encode() + "ЖЖЖ\n".encode())
    assert lstm(trained, "--text", "{}/other.txt") == 0
    assert "3 left out, not in this model's alphabet: 'ж'\n" in capsys.readouterr().out
    (trained / "other.txt").write_text("ЖЖЖ", encoding="utf-8")
    assert lstm(trained, "--text", "{}/other.txt") == 2
    err = capsys.readouterr().err
    assert "other.txt has 0 characters of the model's alphabet: right would be" in err
    (trained / "other.txt").write_text("the café\n", encoding="latin-1")
    assert lstm(trained, "--text", "{}/other.txt") == 2
    assert "--encoding latin-1" in capsys.readouterr().err
    assert lstm(trained, "--text", "{}/other.txt", "--encoding", "latin-1") == 0


def test_the_table_in_the_docs_is_that_of_the_command():
    """Each option once, with what it has an effect on."""
    lines = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8").splitlines()
    sources = (None, "prompt", "prompt_file", "text")
    assert set(VALUES) == set().union(*TAKES.values())
    for option in VALUES:
        marks = " | ".join("×" if option in TAKES[source] else " " for source in sources)
        assert lines.count(f"| `--{option}` | {marks} |") == 1
