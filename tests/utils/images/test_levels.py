"""Which values are black and white: decided by the whole set, and said."""

import numpy as np
import pytest
from PIL import Image

from utils.errors import UserError
from utils.images.data import split
from utils.images.files import load_images, load_picture
from utils.images.levels import BYTES, FLOAT, WHOLE, choose_levels

HALVES = np.zeros((3, 16, 16))
HALVES[0, :8] = HALVES[1, :, :8] = HALVES[2, 4:12] = 1  # three pictures of black and white


@pytest.mark.parametrize(
    ("lowest", "highest", "kind", "levels"),
    [
        (0, 1, BYTES, (0, 1)),
        (0, 2, BYTES, (0, 3)),
        (3, 15, BYTES, (0, 15)),
        (0, 16, BYTES, (0, 16)),
        (0, 17, BYTES, (0, 255)),
        (0, 0, BYTES, (0, 255)),
        (0, 1, WHOLE, (0, 1)),
        (0, 200, WHOLE, (0, 255)),
        (5, 900, WHOLE, (0, 1023)),
        (0, 4095, WHOLE, (0, 4095)),
        (0, 4096, WHOLE, (0, 16383)),
        (0, 21845, WHOLE, (0, 65535)),
        (-1, 1, WHOLE, (-1, 1)),
        (-3, 90, WHOLE, (-128, 127)),
        (-128, 127, WHOLE, (-128, 127)),
        (-1000, 3000, WHOLE, (-4096, 4095)),
        (0, 2**64 - 1, WHOLE, (0, 2**64 - 1)),
        (0, 1, FLOAT, (0, 1)),
        (0.1, 0.9, FLOAT, (0, 1)),
        (-0.001, 1.004, FLOAT, (0, 1)),
        (0, 1 / 255, FLOAT, (0, 1 / 255)),
        (0, 4, FLOAT, (0, 4)),
        (0, 255, FLOAT, (0, 255)),
        (0, 140.5, FLOAT, (0, 255)),
        (0, 60000, FLOAT, (0, 65535)),
        (0, 1e9, FLOAT, (0, 1e9)),
        (-1, 1, FLOAT, (-1, 1)),
        (-0.97, 0.8, FLOAT, (-1, 1)),
        (-0.5, 0.5, FLOAT, (-0.5, 0.5)),
        (-2.1, 2.6, FLOAT, (-2.1, 2.6)),
        (-5, -5, FLOAT, (0, 1)),
    ],
)
def test_the_smallest_and_the_largest_value_decide(lowest, highest, kind, levels):
    assert choose_levels(lowest, highest, kind) == levels


ARRAYS = {
    "two bytes": (HALVES.astype(np.uint8), "bytes from 0 to 1, taken for black 0 to white 1"),
    "bool": (HALVES.astype(bool), "black 0 to white 1"),
    "0 and 255": ((255 * HALVES).astype(np.uint8), ""),
    "0 to 15": ((15 * HALVES).astype(np.uint8), "black 0 to white 15"),
    "int64": ((255 * HALVES).astype(np.int64), "whole numbers from 0 to 255"),
    "int16": ((2 * HALVES - 1).astype(np.int16), "black -1 to white 1"),
    "int8": ((255 * HALVES - 128).astype(np.int8), "black -128 to white 127"),
    "12 bits": ((4095 * HALVES).astype(">u2"), "whole numbers from 0 to 4095"),
    "16 bits": ((65535 * HALVES).astype(np.uint16), ""),
    "floats": (HALVES.astype(np.float32), "floats from 0 to 1, taken for black 0 to white 1"),
    "half floats": ((2 * HALVES - 1).astype(np.float16), "floats from -1 to 1"),
    "floats to 255": (255 * HALVES, "floats from 0 to 255, taken for black 0 to white 255"),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("size", [16, 8])
def test_arrays_of_every_type_become_the_same_pictures(kind, ending, size, tmp_path, capsys):
    stack, words = ARRAYS[kind]
    file = tmp_path / f"a.{ending}"
    (np.save if ending == "npy" else np.savez)(file, stack)
    pixels = load_images(file, size=size, channels=1).pixels
    said = capsys.readouterr().out
    assert len(said.splitlines()) == (words != "")
    assert words in said
    np.savez(tmp_path / "usual.npz", (255 * HALVES).astype(np.uint8))
    assert np.array_equal(pixels, load_images(tmp_path / "usual.npz", size=size, channels=1).pixels)
    assert (pixels.min(), pixels.max()) == (0, 255)


# What a folder holds: pictures of `HALVES`, where white has this value.
FOLDERS = {
    "two bytes": lambda x: Image.fromarray(x.astype(np.uint8)),
    "in colour": lambda x: Image.fromarray(np.stack([x.astype(np.uint8)] * 3, axis=2)),
    "with alpha": lambda x: Image.merge("LA", [Image.fromarray(x.astype(np.uint8)), SOLID]),
    "a palette": lambda x: Image.fromarray(x.astype(np.uint8)).convert("RGB").quantize(),
    "one bit": lambda x: Image.fromarray((255 * x).astype(np.uint8)).convert("1"),
    "4 bits": lambda x: Image.fromarray((15 * x).astype(np.uint8)),
    "10 bits": lambda x: Image.fromarray((1023 * x).astype(np.uint16)),
    "12 bits": lambda x: Image.fromarray((4095 * x).astype(np.uint16)),
    "16 bits": lambda x: Image.fromarray((65535 * x).astype(np.uint16)),
}
SOLID = Image.new("L", (16, 16), 255)


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("size", [16, 8])
def test_files_of_every_kind_become_the_same_pictures(kind, size, tmp_path, capsys):
    for name, x in enumerate(HALVES):
        FOLDERS[kind](x).save(tmp_path / f"{name}.png")
    pixels = load_images(tmp_path, size=size).pixels
    usual = kind in ("one bit", "16 bits")
    assert capsys.readouterr().out.count("taken for black 0 to white") == (not usual)
    np.savez(tmp_path / "usual.npz", (255 * HALVES).astype(np.uint8))
    assert np.array_equal(pixels, load_images(tmp_path / "usual.npz", size=size).pixels)


def test_the_set_decides_and_not_each_picture(tmp_path, capsys):
    """The last of 300 is bright, so that the others were dark: a sample has not seen it."""
    for name in range(300):
        Image.fromarray(HALVES[name % 3].astype(np.uint8)).save(tmp_path / f"{name:03}.png")
    assert load_images(tmp_path, size=16, channels=1).pixels[:3].max() == 255
    assert "black 0 to white 1" in capsys.readouterr().out
    Image.fromarray((200 * HALVES[0]).astype(np.uint8)).save(tmp_path / "299.png")
    pixels = load_images(tmp_path, size=16, channels=1).pixels
    assert pixels[:299].max() == 1
    assert pixels[299].max() == 200
    assert capsys.readouterr().out == ""


def test_a_set_on_the_disk_is_decided_and_said_alike(repository, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for name in range(300):
        top = 4095 if name == 299 else 1000
        picture = Image.fromarray((top * HALVES[name % 3]).astype(np.uint16))
        picture.save(tmp_path / "photos" / f"{name:03}.png")
    held = load_images(tmp_path / "photos", size=16, channels=1)
    words = capsys.readouterr().out
    assert "whole numbers from 0 to 4095, taken for black 0 to white 4095" in words
    for line in (1, 0):  # decoded, then used again
        mapped = load_images(tmp_path / "photos", size=16, channels=1, memory_limit=100)
        assert isinstance(mapped.pixels, np.memmap)
        assert np.array_equal(mapped.pixels, held.pixels)
        said = capsys.readouterr().out.splitlines(keepends=True)
        assert "".join(said[line:]) == words


def test_one_picture_is_its_own_set(tmp_path, capsys):
    Image.fromarray((4095 * HALVES[0]).astype(np.uint16)).save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png", (3, 16, 16)).max() == 255
    assert "black 0 to white 4095" in capsys.readouterr().out


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value, tmp_path, capsys):
    stack = HALVES.astype(np.float32)
    stack[1, 3, 3] = value
    np.savez(tmp_path / "a.npz", stack)
    with pytest.raises(UserError, match=r"a.npz has values that are no finite numbers"):
        load_images(tmp_path / "a.npz")
    for name, x in enumerate(stack):
        Image.fromarray(x).save(tmp_path / f"{name}.tif")
    (tmp_path / "a.npz").unlink()
    assert len(load_images(tmp_path, size=16)) == 2
    assert "1 with values that are no finite numbers: '1.tif'" in capsys.readouterr().out


@pytest.mark.parametrize("value", [0, 1, 77])
def test_pictures_that_are_all_alike(value, tmp_path):
    np.savez(tmp_path / "a.npz", np.full((300, 8, 8), value, np.uint8))
    images = load_images(tmp_path / "a.npz", size=8, channels=1)
    with pytest.raises(UserError, match="all 300 images are alike, with values"):
        split(images, 0.1, seed=0)
    images.pixels[299, 0, 0, 0] ^= 1
    split(images, 0.1, seed=0)
