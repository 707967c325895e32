"""The GAN and the adversarial autoencoder on pictures of one's own, as main.py takes them."""

import shutil

import numpy as np
import pytest
from PIL import Image

import models.aae.test
import models.aae.train
import models.gan.test
import models.gan.train
from tests.helpers.every_command import call
from tests.helpers.pictures import picture
from tests.helpers.repository import REPOSITORY
from utils.digits import testing

COMMANDS = {
    "gan": (models.gan.train.main, models.gan.test.main, []),
    "aae": (models.aae.train.main, models.aae.test.main, ["--hidden_size=8"]),
}


@pytest.fixture
def pictures(repository, tmp_path, monkeypatch):
    """Folders and arrays of colour pictures, by how many they hold."""
    classifiers = "pretrained/classifiers"
    shutil.copytree(REPOSITORY / classifiers, repository / classifiers)
    monkeypatch.setattr(testing, "EVALUATED", 40)
    rng = np.random.default_rng(0)
    for count in (3, 30):
        stack = rng.integers(0, 256, (count, 40, 50, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{count}.npz", stack)
        (tmp_path / str(count)).mkdir()
        for number, pixels in enumerate(stack):
            Image.fromarray(pixels).save(tmp_path / str(count) / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("source", ["3", "3.npz", "30"])
def test_trained_and_tested_on_pictures_of_ones_own(kind, source, pictures, repository):
    train, test, size = COMMANDS[kind]
    argv = [f"--data={pictures / source}", "--batch_size=2", "--epochs=1", "--z_dim=2", *size]
    for how in (["--dry-run"], ["--ckpt_name=own"]):
        status, out, err = call(train, [*argv, *how])
        assert (status, err) == (0, "")
        assert "images of 28 x 28, 1 channel" in out
        assert "nan" not in out
    status, out, err = call(test, ["--ckpt_name=own"])
    assert (status, err) == (0, "")
    assert "nothing was measured, for want of test pictures: it was trained on" in out
    picture(repository / "results" / "own" / "samples.png")
    status, out, err = call(test, ["--ckpt_name=own", f"--data={pictures / '30.npz'}"])
    assert (status, err) == (0, "")
    assert "Fréchet distance of 40 draws to" in out
    assert "digits drawn" not in out


@pytest.mark.parametrize("kind", COMMANDS)
def test_mistakes_with_ones_own_pictures(kind, pictures):
    train = COMMANDS[kind][0]
    np.savez(pictures / "alike.npz", np.ones((9, 28, 28), np.uint8))
    for argv, words in {
        f"--data={pictures / 'nothing'}": "no such folder or file",
        f"--data={pictures / 'alike.npz'}": "all 9 images are alike",
    }.items():
        status, _, err = call(train, [argv, "--batch_size=2", "--ckpt_name=new"])
        assert (status, len(err.splitlines())) == (2, 1)
        assert words in err
