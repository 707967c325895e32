"""Decodes one picture of any format, kind and size, within a limit of memory.

    with quiet_pillow():
        pixels = decode_picture(Path("me.jpg"), (3, 64, 64), levels)    # uint8 (C, H, W)

A file of some kilobytes can call for gigabytes. So its header says first what decoding will take;
all threads together take no more than MEMORY, and what would take more is not decoded.
"""

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from utils.images.data import Shape
from utils.images.levels import BYTES, FLOAT, WHOLE, Levels

# Pillow looks into a file, not at its name. With this list no file reaches the formats that run
# other programs (EPS) or fetch other files.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
MEMORY = 500 * 10**6  # bytes for all pictures under way
MOST_PIXELS = 250 * 10**6  # a JPEG is decoded in an eighth of its size, but in its full time
BAND = 2**19  # pixels that are converted at a time
# Bytes for a pixel beside the decoded picture itself, measured with Pillow 13.
BESIDE = {"WEBP": 12, "JPEG2000": 20, "AVIF": 16, "HEIF": 16, "GIF": 4}
NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}  # bytes; other modes have 4
SIGNS = {b"ftypheic": "HEIC", b"ftypheix": "HEIC", b"ftypmif1": "HEIC", b"ftypavif": "AVIF"}
ORIENTATION = 0x0112  # the EXIF tag, and TIFF's own
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Unreadable(Exception):
    """A file that gives no picture. Its text is the kind of reason, and `kind` that of the file."""

    UNKNOWN = "Pillow here cannot read it"
    DAMAGED = "damaged"
    CLOSED = "not allowed to be read"
    LARGE = f"beyond {MEMORY // 10**6} MB of memory or {MOST_PIXELS // 10**6} million pixels"
    NO_NUMBERS = "with values that are no finite numbers"

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.reason, self.kind = reason, kind


class Budget:
    """Bytes that threads share: who wants more than are left waits for the others."""

    def __init__(self, total: int) -> None:
        self.free = total
        self.changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        with self.changed:
            self.changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self.changed:
                self.free += amount
                self.changed.notify_all()


BUDGET = Budget(MEMORY)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drops Pillow's remarks on odd files, and its own limit of size, in place of which is ours.

    It must be entered outside of threads, since both belong to the whole process. Nothing reaches
    stderr meanwhile: libraries in C write there by themselves.
    """
    limit = Image.MAX_IMAGE_PIXELS
    Image.init()  # all formats: threads must not import them at once
    with suppress(ImportError):  # a plugin reads an iPhone's pictures, where there is one
        from pillow_heif import register_heif_opener

        register_heif_opener()
    with warnings.catch_warnings(), _closed_stderr():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _closed_stderr() -> Iterator[None]:
    """Lets nothing through what the system calls stderr, where it is open."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def decode_picture(file: Path | BytesIO, shape: Shape, levels: Levels) -> np.ndarray:
    """Decodes an image file into uint8 (C, H, W); `levels` say what is black and white in it.

    Unreadable where that fails, whatever Pillow raises for it.
    """
    try:
        image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except PermissionError:
        raise Unreadable(Unreadable.CLOSED) from None
    except Exception:  # each format of Pillow raises its own for a broken header
        kind = name_kind(file) if isinstance(file, Path) else ""
        raise Unreadable(Unreadable.UNKNOWN, kind) from None
    with image:
        try:
            pixels = image.width * image.height
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, many times faster. Twice the
            # wanted size is left for the smooth filter of `fit`.
            image.draft(None, (2 * shape[2], 2 * shape[1]))
            size = os.path.getsize(file) if isinstance(file, Path) else file.getbuffer().nbytes
            needed = estimate_memory(image, pixels, size)
        except Exception:
            raise Unreadable(Unreadable.DAMAGED) from None
        if needed > MEMORY or pixels > MOST_PIXELS:
            raise Unreadable(Unreadable.LARGE)
        with BUDGET.take(needed):
            try:
                image.load()
                return fit(image, shape, levels)
            except ValueError as problem:
                finite = "finite" not in str(problem)
                raise Unreadable(Unreadable.DAMAGED if finite else Unreadable.NO_NUMBERS) from None
            except Exception:
                raise Unreadable(Unreadable.DAMAGED) from None


def estimate_memory(image: Image.Image, pixels: int, size: int) -> int:
    """Estimates the bytes that decoding takes, from the header alone.

    `pixels` are those of the file, of which a JPEG may have been told to decode a part, and `size`
    the file's bytes.
    """
    area, each = image.width * image.height, NARROW.get(image.mode, 4)
    needed = area * (each + BESIDE.get(image.format, 0))
    if image.format in BESIDE:
        needed += size  # these read the whole file
    if image.info.get("progressive"):
        needed += 2 * len(image.getbands()) * pixels  # all coefficients of a JPEG
    if image.format == "TIFF":
        tags = image.tag_v2
        if tags.get(ORIENTATION, 1) > 1:
            needed += area * each  # Pillow turns it by itself
        if image.info.get("compression") != "raw":  # a strip or tile is unpacked beside it
            wide = tags.get(322, image.width)
            high = tags.get(323, min(tags.get(278, image.height), image.height))
            deep = max(each, sum(tags.get(258, (8,))) / 8)  # bytes of a pixel in the file
            needed += int(wide * high * deep) + size
    return needed + 64 * min(BAND, area)


def fit(image: Image.Image, shape: Shape, levels: Levels) -> np.ndarray:
    """Fits a picture of any size and mode: its centre square, resized, as uint8 (C, H, W).

    It is converted and shrunk by a whole factor in bands, so that it is never there twice.
    """
    channels, height, width = shape
    upright = Upright(image)
    side = min(upright.size)
    left, top = ((length - side) // 2 for length in upright.size)
    factor = tuple(int(side / length / 3) or 1 for length in (width, height))
    mode = "L" if channels == 1 else "RGB"
    small = Image.new(mode, tuple(-(-side // each) for each in factor))
    rows = max(1, BAND // side // factor[1]) * factor[1]
    for y in range(0, side, rows):
        band = upright.cut(left, top + y, left + side, top + min(y + rows, side))
        band = make_opaque(to_eight_bits(band, levels)).convert(mode)
        small.paste(band if factor == (1, 1) else band.reduce(factor), (0, y // factor[1]))
    box = (0, 0, side / factor[0], side / factor[1])
    pixels = np.asarray(small.resize((width, height), Image.Resampling.LANCZOS, box=box))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)  # (C, H, W)


class Upright:
    """A picture as the camera was held: boxes are cut out of it without turning all of it."""

    def __init__(self, image: Image.Image) -> None:
        self.image, self.way = image, 1
        with suppress(Exception):  # broken EXIF data beside a sound picture
            self.way = image.getexif().get(ORIENTATION, 1)
        self.size = image.size[::-1] if self.way in (5, 6, 7, 8) else image.size

    def cut(self, x0: int, y0: int, x1: int, y1: int) -> Image.Image:
        if self.way in (5, 6, 7, 8):
            x0, y0, x1, y1 = y0, x0, y1, x1
        if self.way in (2, 3, 7, 8):
            x0, x1 = self.image.width - x1, self.image.width - x0
        if self.way in (3, 4, 6, 7):
            y0, y1 = self.image.height - y1, self.image.height - y0
        part = self.image.crop((x0, y0, x1, y1))
        return part.transpose(TURNS[self.way]) if self.way in TURNS else part


def to_eight_bits(image: Image.Image, levels: Levels) -> Image.Image:
    """Takes note of a picture's values, and converts them to 0 ... 255 as `levels` assume."""
    if image.mode.startswith(("I", "F")):
        kind = FLOAT if image.mode == "F" else WHOLE
        values = np.asarray(image)
        levels.see(values.min(), values.max(), kind)
        return Image.fromarray(levels.to_bytes(values, kind))
    table = levels.table()
    if image.mode == "1" or (table is None and not levels.asks(BYTES)):
        return image
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA" if is_transparent(image) else "RGB")
    colours, alpha = len(image.mode.rstrip("A")), list(range(256)) * image.mode.endswith("A")
    extrema = image.getextrema()
    for lowest, highest in [extrema] if image.mode == "L" else extrema[:colours]:
        levels.see(lowest, highest, BYTES)
    return image if table is None else image.point(table * colours + alpha)


def is_transparent(image: Image.Image) -> bool:
    """Tells whether parts of a picture may be transparent."""
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def make_opaque(image: Image.Image) -> Image.Image:
    """Lays a picture with transparent parts on white; leaves others as they are."""
    if not is_transparent(image):
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def name_kind(path: Path) -> str:
    """Names the kind of a file that is no picture: by its first bytes, else by its ending."""
    with suppress(OSError), open(path, "rb") as file:
        start = file.read(12)
        if start[4:] in SIGNS:
            return SIGNS[start[4:]]
    ending = path.suffix.lower()
    return ending if re.fullmatch(r"\.[a-z0-9]{1,9}", ending) else "without a usual ending"
