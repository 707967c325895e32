"""Figures that a command wrote, read back."""

import re
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path) -> np.ndarray:
    """Reads a figure (H, W, 3): it is there, larger than a thumbnail and not blank."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) >= 60
    assert pixels.std() > 5
    return pixels


def picture_in_pdf(path: Path) -> np.ndarray:
    """Reads the one picture in a PDF file: uint8 (H, W), unpacked from its palette."""
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.rstrip().endswith(b"%%EOF")
    start = content.index(b"/Subtype /Image")
    head, _, rest = content[start - 200 :].partition(b"stream\n")
    height = int(re.search(rb"/Height (\d+)", head)[1])
    data = zlib.decompressobj().decompress(rest)
    lines = np.frombuffer(data, dtype=np.uint8).reshape(height, -1)
    assert not lines[:, 0].any(), "no line is stored as a difference"
    palette = re.search(rb"/Indexed /DeviceRGB \d+\s+\((.*)\)\s*\]", head, re.DOTALL)[1]
    special = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    palette = re.sub(rb"\\(.)", lambda m: special.get(m[1], m[1]), palette, flags=re.DOTALL)
    return np.frombuffer(palette, dtype=np.uint8).reshape(-1, 3)[lines[:, 1:], 0].astype(int)
