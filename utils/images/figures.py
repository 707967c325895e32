"""Figures of pictures, written as files; nothing needs a screen."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageDraw, ImageFont, ImageOps

from utils.files import write_whole
from utils.training.curves import save
from utils.words import escape

INK = "#333333"
LONGEST_ROW = 16  # pictures
MOST_ROWS = 20  # of a figure: those of 64 x 64 are then 2,720 pixels high
# Words in an animation, which no figure draws: pixels of a line, and matplotlib's own font.
LINE, FONT = 24, Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
RESAMPLING = Image.Resampling.NEAREST


def to_bytes(pictures: torch.Tensor) -> np.ndarray:
    """Turns pictures of any shape in [0, 1] into uint8 in 0 ... 255."""
    return (255 * pictures.clamp(0, 1)).round().byte().numpy()


def frame_rows(pictures: torch.Tensor, frame: int = 2) -> np.ndarray:
    """Frames pictures (R, N, C, H, W) in [0, 1] and joins each row: uint8 (R, height, width, 3)."""
    pictures = torch.nn.functional.pad(pictures, [frame] * 4, value=1.0)
    R, N, C, H, W = pictures.shape
    rows = pictures.permute(0, 3, 1, 4, 2).reshape(R, H, N * W, C)  # (R, H, N W, C)
    return np.repeat(to_bytes(rows), 3, axis=3) if C == 1 else to_bytes(rows)


def wrap_rows(pictures: torch.Tensor, longest: int = LONGEST_ROW) -> torch.Tensor:
    """Breaks rows of pictures (R, N, C, H, W) into K parts of n <= `longest`: (K, R, n, C, H, W).

    The last part is filled up with white.
    """
    R, N, *shape = pictures.shape
    n = min(N, longest)
    white = pictures.new_ones(R, -N % n, *shape)
    return torch.cat([pictures, white], dim=1).unflatten(1, (-1, n)).transpose(0, 1)


def draw_pictures(
    pictures: torch.Tensor, path: Path, *, rows: Sequence[str] = (), columns: Sequence[str] = ()
) -> Path:
    """Writes pictures (R, N, C, H, W) in [0, 1] as R rows of N, labelled; returns the path.

    Longer rows are broken after 16 pictures, all R of them, and go on below. What would then be
    beyond 20 rows in all is left out, and a line is printed that says so.
    """
    R, N = pictures.shape[:2]
    shown = LONGEST_ROW * max(1, MOST_ROWS // R)
    if shown < N:
        print(f"{path.name} shows the first {shown} of {N:,}")
    parts = [frame_rows(part) for part in wrap_rows(pictures[:, :shown])]  # (R, H, W, 3) each
    (_, H, W, _), K, n = parts[0].shape, len(parts), min(N, LONGEST_ROW)
    beside = 0.08 * max((len(line) for label in rows for line in label.split("\n")), default=0)
    above = 0.25 if columns else 0.0
    width, height = W / 72, R * H / 72  # inches of a part: 72 pixels each
    whole = (width + beside, K * (height + above))
    figure = Figure(figsize=whole, dpi=144)
    # A label names data: $x^$ is no formula.
    style = {"fontsize": 8, "color": INK, "parse_math": False}
    for k, part in enumerate(parts):
        low = (K - 1 - k) * (height + above)
        box = (beside / whole[0], low / whole[1], width / whole[0], height / whole[1])
        axes = figure.add_axes(box)
        axes.imshow(part.reshape(R * H, W, 3), interpolation="nearest", aspect="auto")
        axes.axis("off")
        for row, label in enumerate(rows):
            axes.text(-4, (row + 0.5) * H, escape(label), ha="right", va="center", **style)
        for column, label in enumerate(columns[k * n : (k + 1) * n]):
            x = (column + 0.5) * W / n
            axes.text(x, -3, escape(label), ha="center", va="bottom", **style)
    return save(figure, path)


def write_pictures(pictures: torch.Tensor, folder: Path) -> Path:
    """Writes pictures (N, C, H, W) in [0, 1] as 0000.png, ... in a folder; returns the folder.

    What an earlier call left there is removed.
    """
    for old in (file for file in folder.glob("*.png") if file.stem.isdecimal()):
        old.unlink()
    digits = max(4, len(str(len(pictures) - 1)))
    for n, pixels in enumerate(to_bytes(pictures)):
        file, grey = io.BytesIO(), len(pixels) == 1
        Image.fromarray(pixels[0] if grey else pixels.transpose(1, 2, 0)).save(file, "PNG")
        write_whole(folder / f"{n:0{digits}}.png", file.getvalue())
    return folder


def draw_shares(
    shares: np.ndarray,
    path: Path,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    boxes: Sequence[tuple[int, int]] = (),
) -> Path:
    """Writes shares (R, N) in 0 ... 1 as a table in shades, `boxes` framed; returns the path.

    The last row stands a little apart. Of more than 20 columns those below 0.1 have no number.
    """
    R, N = shares.shape
    cell, few = (0.5, True) if N <= 20 else (0.34, False)
    left, longest = (0.08 * max(map(len, labels)) + 0.2 for labels in (rows, columns))
    above = 0.87 * longest  # columns' labels stand at 60 degrees
    whole = (left + cell * N + 0.5 * longest, above + 0.32 * (R + 0.4) + 0.1)
    figure = Figure(figsize=whole, dpi=144)
    box = (left / whole[0], 0.1 / whole[1], cell * N / whole[0], 0.32 * (R + 0.4) / whole[1])
    axes = figure.add_axes(box)
    edges = [*range(R), R + 0.4]
    places = [*(np.arange(R - 1) + 0.5), R - 0.1]
    style = {"color": INK, "parse_math": False}
    for r, (place, values) in enumerate(zip(places, shares, strict=True)):
        low = place - 0.5
        axes.pcolormesh(
            np.arange(N + 1), [low, low + 1], values[None], vmin=0, vmax=1, cmap="Blues"
        )
        for n, value in enumerate(values):
            if few or value >= 0.1:
                shade = "white" if value > 0.6 else INK
                text = f"{value:.2f}" if few else f"{value:.1f}".removeprefix("0")
                axes.text(n + 0.5, place, text, ha="center", va="center", fontsize=7, color=shade)
        axes.text(-0.2, place, escape(rows[r]), ha="right", va="center", fontsize=8, **style)
    for n, label in enumerate(columns):
        axes.text(n + 0.5, -0.15, escape(label), rotation=60, fontsize=8, rotation_mode="anchor",
                  ha="left", va="center", **style)  # fmt: skip
    for r, n in boxes:
        axes.add_patch(
            Rectangle((n, places[r] - 0.5), 1, 1, fill=False, edgecolor=INK, clip_on=False)
        )
    axes.set(xlim=(0, N), ylim=(edges[-1], 0))
    axes.axis("off")
    return save(figure, path, dpi=144)


def draw_scatter(points: torch.Tensor, labels: np.ndarray, path: Path) -> Path:
    """Writes points (N, 2), coloured by their labels (N,), whole numbers; returns the path."""
    figure = Figure(figsize=(6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    for label in np.unique(labels):
        x, y = points[labels == label].T.numpy()
        axes.scatter(x, y, s=3, color=f"C{label}", label=str(label))
    axes.set_aspect("equal")
    axes.set(xlabel="first latent", ylabel="second latent")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3)
    return save(figure, path, dpi=130)


def draw_animation(
    frames: torch.Tensor,
    path: Path,
    *,
    captions: Sequence[str] = (),
    labels: Sequence[str] = (),
    milliseconds: int = 120,
) -> Path:
    """Writes frames (T, R, N, C, H, W) in [0, 1] as a GIF, forth and back, enlarged.

    `captions` stand above the T frames, `labels` above the first pictures, row by row.
    """
    words = captions or [None] * len(frames)
    pictures = [_draw_frame(*both, labels) for both in zip(frames, words, strict=True)]
    pictures += pictures[-2:0:-1]
    content = io.BytesIO()
    pictures[0].save(
        content, "gif", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0
    )
    return write_whole(path, content.getvalue())


def _draw_frame(pictures: torch.Tensor, caption: str | None, labels: Sequence[str]) -> Image.Image:
    """Draws pictures (R, N, C, H, W) twice their size, below words at least 128 pixels wide.

    An empty caption keeps its place, so that nothing jumps between one with words and one without.
    """
    captioned = caption is not None
    scale = max(2, math.ceil(128 / pictures.shape[-1])) if captioned or labels else 2
    rows = [ImageOps.scale(Image.fromarray(row), scale, RESAMPLING) for row in frame_rows(pictures)]
    above, between = LINE * captioned, LINE * bool(labels)
    width, height = rows[0].width, rows[0].height + between
    frame = Image.new("RGB", (width, above + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(frame), ImageFont.truetype(FONT, 16)
    draw.text((width / 2, LINE / 2), caption or "", fill=INK, font=font, anchor="mm")
    for r, row in enumerate(rows):
        frame.paste(row, (0, above + r * height + between))
    N = pictures.shape[1]
    for place, label in enumerate(labels):
        x, y = (place % N + 0.5) * width / N, above + place // N * height + LINE / 2
        draw.text((x, y), label, fill=INK, font=font, anchor="mm")
    return frame
