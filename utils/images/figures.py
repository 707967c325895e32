"""Figures of pictures, written as files; nothing needs a screen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from utils.words import escape

INK = "#333333"


def frame_rows(pictures: torch.Tensor, frame: int = 2) -> np.ndarray:
    """Frames pictures (R, N, C, H, W) in [0, 1] and joins each row: uint8 (R, height, width, 3)."""
    pictures = torch.nn.functional.pad(pictures, [frame] * 4, value=1.0)
    R, N, C, H, W = pictures.shape
    rows = pictures.permute(0, 3, 1, 4, 2).reshape(R, H, N * W, C)  # (R, H, N W, C)
    rows = (255 * rows.clamp(0, 1)).round().byte().numpy()
    return np.repeat(rows, 3, axis=3) if C == 1 else rows


def draw_pictures(
    pictures: torch.Tensor, path: Path, *, rows: Sequence[str] = (), columns: Sequence[str] = ()
) -> Path:
    """Writes pictures (R, N, C, H, W) in [0, 1] as R rows of N, labelled; returns the path."""
    strips = frame_rows(pictures)
    R, H, W, _ = strips.shape
    beside = 0.08 * max((len(line) for label in rows for line in label.split("\n")), default=0)
    above = 0.25 if columns else 0.0
    width, height = W / 72, R * H / 72  # inches: 72 pixels each
    whole = (width + beside, height + above)
    figure = Figure(figsize=whole, dpi=144)
    axes = figure.add_axes((beside / whole[0], 0, width / whole[0], height / whole[1]))
    axes.imshow(strips.reshape(R * H, W, 3), interpolation="nearest", aspect="auto")
    axes.axis("off")
    # A label names data: $x^$ is no formula.
    style = {"fontsize": 8, "color": INK, "parse_math": False}
    for row, label in enumerate(rows):
        axes.text(-4, (row + 0.5) * H, escape(label), ha="right", va="center", **style)
    for column, label in enumerate(columns):
        x = (column + 0.5) * W / len(columns)
        axes.text(x, -3, escape(label), ha="center", va="bottom", **style)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


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
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def draw_animation(frames: torch.Tensor, path: Path, milliseconds: int = 120) -> Path:
    """Writes frames (T, R, N, C, H, W) in [0, 1] as a GIF, forth and back, twice their size."""
    pictures = [Image.fromarray(np.concatenate(frame_rows(rows))) for rows in frames]
    pictures = [ImageOps.scale(picture, 2, Image.Resampling.NEAREST) for picture in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures += pictures[-2:0:-1]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    return path
