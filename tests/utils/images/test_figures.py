"""Figures of pictures, read back pixel by pixel."""

import numpy as np
import torch
from PIL import Image

from utils.images.figures import draw_animation, draw_pictures, frame_rows


def numbered(R, N, C=1, H=3, W=5):
    """Pictures whose value is their number, but for a bright pixel at the top left."""
    pictures = (torch.arange(R * N).float() / 255).view(R, N, 1, 1, 1).repeat(1, 1, C, H, W)
    pictures[..., 0, 0] = 100 / 255
    return pictures


def test_pictures_stand_in_rows():
    """Picture n of a row: its pixel (y, x) is at (2 + y, n (W + 4) + 2 + x), in a white frame."""
    rows = frame_rows(numbered(2, 3))
    assert rows.shape == (2, 3 + 4, 3 * (5 + 4), 3)
    assert rows.dtype == np.uint8
    for r in range(2):
        for n in range(3):
            whole = rows[r, :, n * 9 : (n + 1) * 9]
            inside = whole[2:-2, 2:-2]
            assert (inside[0, 0] == 100).all()
            assert (inside[1:] == 3 * r + n).all()
            assert (inside[0, 1:] == 3 * r + n).all()
            assert whole.sum() - inside.sum() == 255 * 3 * (7 * 9 - 15)


def test_colours_stay_in_their_order():
    pictures = torch.zeros(1, 1, 3, 2, 2)
    pictures[0, 0, 0], pictures[0, 0, 2] = 1.0, 2.0  # beyond the range: white
    assert frame_rows(pictures)[0, 2, 2].tolist() == [255, 0, 255]


def test_a_figure_shows_the_pictures(tmp_path):
    path = draw_pictures(numbered(2, 3, H=20, W=20), tmp_path / "new" / "a.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (2 * 2 * 24, 2 * 3 * 24), "each pixel twice"
    for r in range(2):
        for n in range(3):
            assert pixels[2 * (24 * r + 12), 2 * (24 * n + 12)] == 3 * r + n


def test_an_animation_goes_forth_and_back(tmp_path):
    """Frames 0 1 2 3 2 1, for ever: neither end is shown twice in a row."""
    frames = (torch.arange(4) / 3).view(4, 1, 1, 1, 1, 1).expand(-1, 1, 1, 1, 8, 8)
    path = draw_animation(frames, tmp_path / "a.gif", milliseconds=70)
    shown = []
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        assert image.info["duration"] == 70
        for index in range(image.n_frames):
            image.seek(index)
            assert image.size == (24, 24)
            shown.append(round(np.asarray(image.convert("L"))[12, 12] / 85))
    assert shown == [0, 1, 2, 3, 2, 1]
