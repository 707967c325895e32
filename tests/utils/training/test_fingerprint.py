"""A run does not go on with data that is other than it began with, and says what changed."""

import importlib

import numpy as np
import pytest

import data_preparation
from tests.helpers.trainable import TRAINABLE
from utils import files
from utils.images.data import Images
from utils.text.data import DataConfig, load_text
from utils.training import checkpoint
from utils.training.fingerprint import describe_change, digest

SMALL = "--batch_size 4 --training.length 16 --warmup_steps 1 --prompts 1 --device cpu"
SMALL += " --prompt_length 4 --protocol.length 4 --training.epochs 1 --hidden_size 4"
SAMPLES = "--num_samples 1 --length 4 --prompt_length 4"


def prepare(text, *options):
    file = files.ROOT / "book.txt"
    file.write_text(text, encoding="utf-8")
    assert data_preparation.main(["--text", str(file), *options]) == 0


def train(*options):
    return TRAINABLE["lstm"].train("--data.name", "book", *options)


def write_samples():
    test = importlib.import_module("models.lstm.test")
    return test.main(["--ckpt_name", "run", *SAMPLES.split()])


TEXT = 60 * "the honest bridge hums at noon\n"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (TEXT.replace("hums", "mush", 1), "as much of it, but another content"),
        (TEXT[31:] + TEXT[:30] + "e", "as much of it, but another content"),
        (TEXT + "the noon\n", "characters 1,869, not 1,860"),
        (TEXT.replace("hums", "hu+s"), "the alphabet is with '+' and without 'm'"),
    ],
)
def test_a_changed_text_is_refused(changed, says, repository, capsys):
    prepare(TEXT)
    assert train(*SMALL.split()) == 0
    prepare(changed)
    capsys.readouterr()
    assert train("--resume", "--training.epochs", "2") == 2
    refused = capsys.readouterr().err
    assert f"error: the data has changed since the run began ({says}): put back" in refused
    assert write_samples() == 2
    expected = (
        f"error: data/book is not the text this model was trained on: {says}; or give a --prompt\n"
    )
    assert capsys.readouterr().err == expected
    prepare(TEXT, "--format", "codes")  # the same text in the other form
    assert train("--resume", "--training.epochs", "2") == 0
    assert write_samples() == 0


def test_a_run_from_before_goes_on(repository):
    prepare(TEXT)
    assert train(*SMALL.split()) == 0
    last = files.ROOT / "checkpoints" / "run" / "last.pt"
    content = dict(checkpoint.load(last))
    assert content.pop("data")["characters"] == 1860
    checkpoint.save(last, content)
    prepare(TEXT.replace("hums", "mush", 1))
    assert train("--resume", "--training.epochs", "2") == 0


def test_changed_pictures_are_refused(repository, capsys):
    pixels = np.random.default_rng(0).integers(256, size=(40, 28, 28, 1), dtype=np.uint8)
    file = files.ROOT / "mine.npz"
    np.savez(file, images=pixels)
    vae = TRAINABLE["vae beta_vae"]
    small = "--network digits --batch_size 8 --epochs 1 --z_dim 2 --device cpu"
    assert vae.train("--data", str(file), *small.split()) == 0
    other = pixels.copy()
    other[17, 3, 3] ^= 64
    for there, says in ((other, "another content"), (pixels[1:], "training pictures 35, not 36")):
        np.savez(file, images=there)
        capsys.readouterr()
        assert vae.train("--resume", "--data", str(file), "--epochs", "2") == 2
        assert says in capsys.readouterr().err
    np.savez(file, images=pixels)
    assert vae.train("--resume", "--data", str(file), "--epochs", "2") == 0


def test_a_digest_is_that_of_the_content_alone(repository):
    codes = np.arange(9, dtype=np.uint8)
    assert digest([codes]) == digest([codes[:4], codes[4:]]) != digest([codes[::-1]])
    pictures = np.zeros((5, 1, 2, 2), dtype=np.uint8)
    labels = np.arange(5)
    named = Images(pictures, "digits", labels)
    assert named.digest() == Images(pictures + 1, "digits", labels).digest()
    assert named.digest() != Images(pictures, "digits", labels[::-1]).digest()
    prepare(TEXT)
    form = load_text(DataConfig("book")).fingerprint()
    prepare(TEXT, "--format", "codes")
    assert load_text(DataConfig("book")).fingerprint() == form
    assert describe_change({"data": form}, form) == ""
