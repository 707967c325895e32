"""Figures of pictures, read back pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from utils.images.figures import draw_animation, draw_pictures, frame_rows, write_pictures


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


@pytest.mark.parametrize(
    ("R", "N", "rows", "width"),
    [(1, 5, 1, 5), (1, 16, 1, 16), (1, 37, 3, 16), (2, 40, 6, 16), (3, 17, 6, 16), (1, 17, 2, 16)],
)
def test_rows_have_at_most_sixteen_pictures_and_the_last_is_short(R, N, rows, width, tmp_path):
    """Picture n of row r is in part n // 16, below the R rows of the part before; then white."""
    path = draw_pictures(numbered(R, N, H=20, W=20), tmp_path / "a.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (48 * rows, 48 * width)
    middles = pixels[24::48, 24::48]
    for part in range(rows // R):
        for r in range(R):
            numbers = [r * N + n for n in range(16 * part, min(N, 16 * (part + 1)))]
            assert middles[part * R + r].tolist() == numbers + [255] * (width - len(numbers))


def test_labels_go_with_their_part(tmp_path):
    pictures = torch.ones(2, 20, 1, 20, 20)
    labels = {"rows": ["upper", "lower"], "columns": [f"{n}" for n in range(20)]}
    with Image.open(draw_pictures(pictures, tmp_path / "a.png", **labels)) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[0] == 2 * (2 * 48 + 36)
    strip = pixels[:36, -16 * 48 :], pixels[132:168, -16 * 48 :]  # of column labels
    inked = [[(part[:, 48 * n : 48 * (n + 1)] < 200).any() for n in range(16)] for part in strip]
    assert inked == [[True] * 16, [True] * 4 + [False] * 12]
    beside = pixels[:, : -16 * 48] < 200
    assert [beside[36 + 48 * row : 84 + 48 * row].any() for row in range(2)] == [True, True]


@pytest.mark.parametrize(("R", "N", "shown"), [(1, 321, 320), (2, 1000, 160), (30, 17, 16)])
def test_no_figure_is_larger_than_sensible(R, N, shown, tmp_path, capsys):
    path = draw_pictures(torch.zeros(R, N, 1, 8, 8), tmp_path / "a.png")
    assert capsys.readouterr().out == f"a.png shows the first {shown} of {N:,}\n"
    with Image.open(path) as image:
        assert image.height == 24 * R * shown // 16


def test_an_animation_carries_what_it_shows(tmp_path):
    """A line with the frame's value above it, legible: 128 pixels of a picture, 16 of a letter."""
    frames = torch.ones(3, 1, 2, 1, 28, 28)
    captions = ["z = -3", "z = 0", "z = 3"]
    path = draw_animation(frames, tmp_path / "a.gif", captions=captions, labels=["z7", "z1"])
    lines = []
    with Image.open(path) as image:
        assert image.size == (2 * 32 * 5, 24 + 24 + 32 * 5)
        for index in range(image.n_frames):
            image.seek(index)
            pixels = np.asarray(image.convert("L"))
            lines.append(pixels[:24] < 128)
            assert (pixels[24:48, :160] < 128).any()
            assert (pixels[24:48, 160:] < 128).any()
            assert (pixels[48:] > 250).all()
    assert len(lines) == 4
    assert all(line.any() for line in lines)
    assert not np.array_equal(lines[0], lines[1])
    assert not np.array_equal(lines[0], lines[2])
    assert np.array_equal(lines[1], lines[3]), "forth and back"
    heights = np.flatnonzero(lines[0].any(axis=1))
    assert heights.max() - heights.min() >= 9


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_written_one_by_one(channels, tmp_path):
    pictures = torch.rand(3, channels, 5, 7, generator=torch.Generator().manual_seed(0))
    folder = tmp_path / "all"
    write_pictures(pictures.repeat(2, 1, 1, 1), folder)
    (folder / "2020 trip.png").write_bytes(b"mine")
    assert write_pictures(pictures, folder) == folder
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["0000.png", "0001.png", "0002.png", "2020 trip.png"]
    for n, whole in enumerate(pictures):
        with Image.open(folder / f"{n:04}.png") as image:
            assert image.mode == ("L" if channels == 1 else "RGB")
            pixels = np.asarray(image).reshape(5, 7, channels).transpose(2, 0, 1)
        assert np.array_equal(pixels, (255 * whole).round().byte().numpy())


def test_frames_without_words_stand_where_the_others_do(tmp_path):
    frames = torch.linspace(0.2, 0.8, 3).view(3, 1, 1, 1, 1, 1).expand(3, 1, 1, 3, 64, 64)
    file = draw_animation(frames, tmp_path / "a.gif", captions=["no", "", "yes"])
    with Image.open(file) as animation:
        animation.seek(1)
        pixels = np.asarray(animation.convert("RGB"))
    assert (pixels[:16] == 255).all(), "the place of the caption"
    assert (pixels[-20, 20:-20] < 250).all()
