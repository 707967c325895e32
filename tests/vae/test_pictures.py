"""Which pictures a task looks at: those that are typed, the run's own, or others to learn from."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from utils import files
from utils.config import read_config
from utils.errors import UserError
from utils.images.attributes import Attributes
from utils.images.data import Images
from vae.pictures import FEW, find_enough, find_known, find_pictures
from vae.training import VAEConfig

SHAPE = (3, 64, 64)


@pytest.fixture
def config():
    found = read_config(files.ROOT / "vae" / "faces.json", VAEConfig)
    return dataclasses.replace(found, data=dataclasses.replace(found.data, images=32, held_out=8))


def named(config, folder):
    """The settings of a run that has learned from a folder."""
    return dataclasses.replace(config, data=dataclasses.replace(config.data, data=str(folder)))


def make_images(count, *, known=False):
    attributes = Attributes(
        ("age",), ((),), np.arange(count)[:, None] * 1.0, np.ones((count, 1), bool)
    )
    pixels = np.zeros((count, *SHAPE), np.uint8)
    return Images(pixels, "photos/", attributes=attributes if known else None)


def test_a_dataset_takes_the_place_of_a_folder(config, tmp_path):
    """The run's own folder is not there any more, and nobody asks for it."""
    gone = named(config, tmp_path / "gone")
    digits = find_pictures(gone, (1, 28, 28), {("data", "dataset"): "digits"})
    assert digits.shape == (1, 28, 28)
    with pytest.raises(UserError, match="opened only where you name it"):
        find_pictures(gone, SHAPE, {})


def test_pictures_of_another_size_are_refused(config):
    assert find_pictures(config, SHAPE, {}).shape == SHAPE
    with pytest.raises(UserError, match="takes pictures of"):
        find_pictures(config, (1, 28, 28), {})


def test_a_table_without_pictures_is_refused(config):
    with pytest.raises(UserError, match="--attributes has no effect without --data"):
        find_known(config, SHAPE, {}, "table.csv")


def test_a_typed_folder_is_taken_whole_and_its_own_is_said(config, tmp_path, capsys):
    for n in range(3):
        Image.new("RGB", (64, 64), (80 * n, 0, 0)).save(tmp_path / f"{n}.png")
    typed = {("data", "data"): str(tmp_path)}
    assert len(find_pictures(config, SHAPE, typed)) == 3
    assert "was trained on most of" not in capsys.readouterr().out
    assert len(find_pictures(named(config, tmp_path), SHAPE, typed)) == 3
    assert "was trained on most of" in capsys.readouterr().out


def test_few_pictures_or_unknown_ones_are_not_learned_from(config, tmp_path, capsys):
    enough, few = make_images(FEW), make_images(5)
    assert find_enough(config, SHAPE, enough, "a turn") is enough
    known = make_images(FEW, known=True)
    assert find_enough(config, SHAPE, known, "a direction") is known
    assert find_enough(config, SHAPE, few, "a turn").source != few.source
    assert "too few to learn a turn from" in capsys.readouterr().out
    assert find_enough(config, SHAPE, enough, "a direction").source != enough.source
    assert "nothing is known of them to learn a direction from" in capsys.readouterr().out
    assert find_enough(named(config, tmp_path), SHAPE, few, "a turn") is few, "asked for by none"
