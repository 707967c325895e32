"""Checkpoints that are handed in: measured as we measure ours; foreign ones end in a line."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.trust.odd_checkpoints import ODD_CHECKPOINTS, save, shipped
from course import grading, measures
from course.exercises import read_course
from course.grading import Measured, read_numbers
from course.judging import Verdict
from course.pages import choose_best
from course.submissions import choose_checkpoints, name_run, read_checkpoint, read_class
from course.worker import measure_safely
from models.lstm.modules import Model
from models.lstm.train import Config
from utils.config import build
from utils.text.streaming import score_blocks, score_stream
from vae.analysis.reader import Reader, check_reader, load_reader
from vae.faces.head import render_faces

WHOLE = read_course()
SHEET = WHOLE.sheet(1)


@pytest.fixture(scope="module")
def content():
    return torch.load(io.BytesIO(shipped("lstm")), weights_only=True)


@pytest.fixture
def data(tmp_path, content):
    """Writes a text of a few characters to measure on."""
    folder = tmp_path / "data"
    (folder / "text").mkdir(parents=True)
    np.save(folder / "text" / measures.ALPHABET, np.array(content["alphabet"]))
    np.save(folder / "text" / measures.CODES, np.arange(90) % 40)
    (folder / "faces").mkdir()
    return folder


@pytest.mark.parametrize("odd", ODD_CHECKPOINTS, ids=lambda odd: odd.name)
def test_a_foreign_checkpoint_ends_in_a_line(odd, tmp_path, data):
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(odd.make())
    found = measure_safely(file, data, SHEET.kinds)
    assert isinstance(found, Verdict)
    assert odd.said in found.sentence
    assert str(tmp_path) not in found.sentence
    assert not list(tmp_path.glob("EVIDENCE*"))


def test_a_text_model_is_measured_as_test_py_measures_it(tmp_path, data, content):
    file = tmp_path / "checkpoint.pt"
    config = build(content["config"], Config, file)
    model = Model(len(content["alphabet"]), config.model)
    model.load_state_dict(content["model"])
    codes = np.arange(90) % 40
    file.write_bytes(shipped("lstm"))
    found = measures.measure(file, data, SHEET.kinds)
    assert measures.KINDS[found.pop("kind")] == "lstm"
    assert list(found.values()) == [score_stream(model, codes)[0], score_blocks(model, codes)]


def test_what_is_not_prepared_is_asked_for(tmp_path, data, monkeypatch):
    """A child finds no text: the parent prepares it, once, and asks again."""
    (file := tmp_path / "checkpoint.pt").write_bytes(shipped("lstm"))
    store = grading.Data(tmp_path / "none")
    made = []
    monkeypatch.setattr(grading, "prepare", lambda *asked: made.append(asked))
    found = measure_safely(file, store.folder, SHEET.kinds)
    assert store.lacks(found)
    assert made == [(store.folder, "lstm")]
    assert not store.lacks(measure_safely(file, data, SHEET.kinds))
    for forged in (np.array(99.0), np.array(np.nan), np.array([0.0, 1.0])):
        assert not store.lacks({"kind": forged})


def test_the_text_that_is_prepared_is_the_default_one_and_whole(tmp_path, monkeypatch):
    text = SimpleNamespace(alphabet=["a", "b"], validation=np.array([0, 1]))
    monkeypatch.setattr("utils.text.data.load_text", lambda config: {"text": text}[config.name])
    measures.prepare(tmp_path, "tcn")
    assert [file.name for file in tmp_path.iterdir()] == ["text"]
    assert np.load(tmp_path / "text" / measures.CODES).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"kind": 0, "nats per character": 1.5, "nats on cold blocks": 1.6}, ""),
        ({"kind": 0, "nats per character": np.inf, "nats on cold blocks": 1.6}, "infinite"),
        ({"kind": 0}, "no numbers"),
        ({"kind": np.nan}, "no numbers"),
        ({"kind": 99}, "no numbers"),
        ({"kind": [0, 1]}, "no numbers"),
        ({"kind": measures.KINDS.index("palindrome"), "share right": 1, "nats": 0}, "another kind"),
    ],
)
def test_only_numbers_of_a_kind_that_is_asked_for_count(found, problem):
    arrays = {name: np.array(value, dtype=float) for name, value in found.items()}
    measured = read_numbers("x", arrays, SHEET.kinds)
    assert bool(measured.numbers) == (problem == "")
    assert problem in measured.problem


def test_the_best_run_of_a_kind_is_chosen():
    runs = [
        Measured(str(n), "lstm", {"nats per character": nats, "nats on cold blocks": 0.0})
        for n, nats in enumerate((1.5, 1.4, 1.6))
    ]
    assert choose_best([*runs, Measured("broken", "lstm", {}, "damaged")], "lstm").run == "1"
    vaes = [Measured(str(n), "vae of faces", {"MIG": mig}) for n, mig in enumerate((0.2, 0.5, 0))]
    assert choose_best([*runs, *vaes], "vae of faces").run == "1"
    assert choose_best(runs, "tcn") is None


def test_of_a_run_the_best_epoch_counts():
    names = ["checkpoints/a/best.pt", "checkpoints/a/last.pt", "checkpoints/a/epoch_0001.pt"]
    names += [
        "e/checkpoints/b/last.pt",
        "e/checkpoints/b/epoch_0001.pt",
        "lstm.pt",
        "vae/beta_4.pt",
    ]
    names += ["pretrained/classifiers/mnist.pt", "e/pretrained/classifiers/digits.pt", "best.py"]
    chosen = choose_checkpoints(names)
    assert sorted(map(name_run, chosen)) == ["a", "b", "beta_4", "lstm"]
    assert {name for name in chosen if "/a/" in name} == {"checkpoints/a/best.pt"}


def test_checkpoints_are_found_in_a_submission(tmp_path):
    for n in range(25):
        place = tmp_path / "Ann" / "checkpoints" / f"run_{n:02}"
        place.mkdir(parents=True)
        (place / "best.pt").write_bytes(b"x" * n)
    (found,) = read_class(tmp_path, ["a.py"])
    assert len(found.checkpoints) == 20
    assert "of 25 checkpoints 20 are measured" in found.notes
    name = "checkpoints/run_07/best.pt"
    assert read_checkpoint(found, name) == b"x" * 7
    (tmp_path / "Ann" / name).unlink()
    with pytest.raises(ValueError, match="not there"):
        read_checkpoint(found, name)


def test_every_kind_that_a_sheet_asks_for_is_measured():
    asked = {kind for number in WHOLE.titles for kind in WHOLE.sheet(number).kinds}
    assert asked == set(measures.MEASURES)


def test_the_shipped_reader_reads_faces():
    """About 0.5 degrees off on average over 5,000 faces; a constant guess is off by 20."""
    faces = render_faces(64, seed=11)
    assert float(check_reader(load_reader(), faces).split("yaw ")[1].split()[0]) < 1.5
    torch.manual_seed(0)
    assert float(check_reader(Reader().eval(), faces).split("yaw ")[1].split()[0]) > 10


def test_a_vae_of_faces_is_measured(tmp_path, monkeypatch):
    """On few faces, so the numbers are rough; MIG of the shipped model is 0.44, its error 3°."""
    monkeypatch.setattr(measures, "FACES", 300)
    monkeypatch.setattr(measures, "TURNED", 6)
    measures.prepare(tmp_path, "vae of faces")
    (file := tmp_path / "checkpoint.pt").write_bytes(shipped("vae_beta_4"))
    found = measures.measure(file, tmp_path, SHEET.kinds)
    assert measures.KINDS[found["kind"]] == "vae of faces"
    assert 0.1 < found["MIG"] < 0.9
    assert found["angle error in degrees"] < 8
    assert 5 <= found["active latents"] <= 32


def test_palindromes_are_measured(tmp_path):
    (tmp_path / "digits").mkdir()
    (file := tmp_path / "checkpoint.pt").write_bytes(shipped("palindrome"))
    found = measures.measure(file, tmp_path, WHOLE.sheet(3).kinds)
    assert found["share right"] > 0.99
    content = torch.load(io.BytesIO(shipped("palindrome")), weights_only=True)
    for weight in content["model"].values():
        weight.zero_()
    file.write_bytes(save(content))
    assert measures.measure(file, tmp_path, WHOLE.sheet(3).kinds)["share right"] < 0.2
