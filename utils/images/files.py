"""Reads pictures of a folder (at any depth), of a .npy or .npz file, or of CelebA.

    images = load_images(Path("photos"))        # (N, 3, 64, 64), however they were stored

CelebA is read as torchvision lays it out: <folder>/celeba/img_align_celeba and its lists.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from utils.errors import UserError
from utils.files import show
from utils.images.data import MEMORY_LIMIT, Images, Shape
from utils.images.store import collect, first_names, quiet_pillow, stamp

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
# Pillow looks into a file, not at its name. With this list, a file that calls itself .png never
# reaches the formats that run other programs (EPS) or fetch other files.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")
ARRAYS = "uint8 (N, H, W), (N, H, W, 3), (N, H, W, 1), (N, 3, H, W) or (N, 1, H, W)"


def load_images(
    path: Path, size: int = 64, channels: int = 3, memory_limit: int = MEMORY_LIMIT
) -> Images:
    """Loads images, each cropped to its centre square and resized to (channels, size, size).

    Above memory_limit bytes of pixels they are decoded once, into data/images/, and stay on disk.
    UserError where there is nothing to read.
    """
    path = Path(path)
    if size < 1 or channels not in (1, 3):
        raise UserError(
            f"images of size {size} and {channels} channels: "
            "the size is at least 1, the channels are 1 (grey) or 3 (colour)"
        )
    if not path.exists():
        raise UserError(
            f"no such folder or file: {show(path)}; images are a folder, a .npy or a .npz file"
        )
    shape = (channels, size, size)
    if path.is_dir():
        for celeba in (path, path / "celeba"):
            if celeba.name == "celeba" and (celeba / "img_align_celeba").is_dir():
                return _load_files(celeba, _celeba_files(celeba), shape, memory_limit)
        return _load_files(path, _image_files(path), shape, memory_limit)
    if path.suffix.lower() in (".npy", ".npz"):
        return _load_array(path, shape, memory_limit)
    raise UserError(
        f"{show(path)} is no source of images: "
        "right would be a folder of images, or one uint8 array in a .npy or .npz file"
    )


def load_picture(path: Path, shape: Shape = (3, 64, 64)) -> np.ndarray:
    """Loads a picture of any size and kind as uint8 (C, H, W). UserError if it cannot be read."""
    if not Path(path).is_file():
        raise UserError(f"no such picture: {show(path)}")
    try:
        with quiet_pillow():
            return decode_picture(Path(path), shape)
    except Exception:  # each format of Pillow raises its own for a broken file
        raise UserError(
            f"{show(path)} is no picture that can be read ({', '.join(FORMATS)})"
        ) from None


def _load_files(folder: Path, files: Sequence[str], shape: Shape, memory_limit: int) -> Images:
    """Loads files of a folder; those that cannot be read are left out, with a printed line."""

    def read(name: str) -> np.ndarray | None:
        try:
            return decode_picture(folder / name, shape)
        except Exception:  # each format of Pillow raises its own for a broken file
            return None

    source = show(folder) + "/"
    key = (str(folder.resolve()), [(name, stamp(folder / name)) for name in files])
    pixels, broken = collect(read, files, shape, key, source, memory_limit)
    missing = len(files) - len(pixels)
    if missing:
        names = f": {first_names(broken)}" if broken else ""  # unknown if decoded earlier
        print(f"skipped {missing:,} of {len(files):,} files in {source}, no readable images{names}")
    return Images(pixels, source)


def _image_files(folder: Path) -> list[str]:
    """Lists the images below a folder, sorted, without hidden ones. UserError where none is."""
    names, seen = [], set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link back to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        for file in (Path(here, name) for name in files if name[0] != "."):
            if file.suffix.lower() in ENDINGS and file.is_file():
                names.append(file.relative_to(folder).as_posix())
    if not names:
        raise UserError(f"{show(folder)}/ has no images in it ({', '.join(ENDINGS)})")
    return sorted(names)


def _celeba_files(folder: Path) -> list[str]:
    """Lists CelebA's images in its folder. UserError where torchvision misses a list."""
    from torchvision.datasets import CelebA  # here: no other source of images needs it

    try:
        names = CelebA(folder.parent, split="all", download=False).filename
    except RuntimeError:
        lists = [name for _, _, name in CelebA.file_list if name.endswith(".txt")]
        raise UserError(
            f"{show(folder)}/ is no whole CelebA: beside img_align_celeba/ belong, unchanged, "
            f"{', '.join(lists)}; or name {show(folder / 'img_align_celeba')}, which needs none"
        ) from None
    return [f"img_align_celeba/{name}" for name in names]


def decode_picture(path: Path, shape: Shape) -> np.ndarray:
    """Decodes an image file into uint8 (C, H, W). Raises what Pillow raises for a broken one."""
    with Image.open(path, formats=FORMATS) as image:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, many times faster. Twice the wanted
        # size is left for the smooth filter of `_fit`.
        image.draft(None, (2 * shape[2], 2 * shape[1]))
        return _fit(ImageOps.exif_transpose(image), shape)  # turned as the camera was held


def _fit(image: Image.Image, shape: Shape) -> np.ndarray:
    """Fits a picture of any size and mode: its centre square, resized, as uint8 (C, H, W)."""
    channels, height, width = shape
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = _make_opaque(_to_eight_bits(image.crop((left, top, left + side, top + side))))
    image = image.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)  # (C, H, W)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Converts grey of 16 bits or floats in [0, 1] to 8 bits, where Pillow would clip at 255."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    top = 65535 if image.mode.startswith("I") else max(1.0, values.max())
    return Image.fromarray(np.rint(255 * (values / top).clip(0, 1)).astype(np.uint8))


def _make_opaque(image: Image.Image) -> Image.Image:
    """Lays a picture with transparent parts on white; leaves others as they are."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _load_array(path: Path, shape: Shape, memory_limit: int) -> Images:
    """Loads the one array of a .npy or .npz file that holds images; UserError for none or many."""
    arrays = _read_arrays(path)
    stacks = [array for array in arrays.values() if _is_stack(array)]
    if len(stacks) != 1:
        found = ", ".join(f"{name} {_describe(array)}" for name, array in arrays.items())
        raise UserError(
            f"{show(path)} has {len(stacks) or 'no'} arrays of images (found: "
            f"{found or 'nothing'}): right would be one array, {ARRAYS}"
        )
    (stack,) = stacks
    if stack.ndim == 3:
        stack = stack[:, None]  # (N, 1, H, W)
    elif stack.shape[3] in (1, 3):
        stack = np.moveaxis(stack, 3, 1)  # (N, H, W, C) -> (N, C, H, W)
    if stack.shape[1:] == shape:
        small = stack.nbytes <= memory_limit
        return Images(np.array(stack, order="C") if small else stack, show(path))

    def read(row: int) -> np.ndarray:
        picture = stack[row]
        picture = picture[0] if len(picture) == 1 else np.moveaxis(picture, 0, 2)  # (H, W[, 3])
        return _fit(Image.fromarray(np.ascontiguousarray(picture)), shape)

    key = (str(path.resolve()), stamp(path))
    pixels, _ = collect(read, range(len(stack)), shape, key, show(path), memory_limit)
    return Images(pixels, show(path))


def _read_arrays(path: Path) -> dict[str, np.ndarray | None]:
    """Reads the arrays of a .npy (a memory map) or .npz file by name; None for Python objects.

    Objects are never unpickled: that would run code out of the file. UserError for a broken file.
    """
    try:
        if path.suffix.lower() == ".npy":
            return {"array": np.lib.format.open_memmap(path, mode="r")}
        arrays = {}
        # Opened here, since np.load leaves a broken file open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                try:
                    arrays[name] = archive[name]
                except ValueError as problem:
                    if "allow_pickle" not in str(problem):
                        raise
                    arrays[name] = None
        return arrays
    except Exception as problem:  # numpy, zipfile and zlib each raise their own
        raise UserError(
            f"{show(path)} cannot be read ({type(problem).__name__}: it is cut short, pickled, or "
            f"no {path.suffix} file): right would be one array, {ARRAYS}"
        ) from None


def _is_stack(array: Any) -> bool:
    """Tells whether this is (N, H, W), (N, C, H, W) or (N, H, W, C); (H, W, 3) is one picture."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.size == 0:
        return False
    if array.ndim == 3:
        return array.shape[2] > 4
    return array.ndim == 4 and (array.shape[3] in (1, 3) or array.shape[1] in (1, 3))


def _describe(array: Any) -> str:
    """Describes an array for a message: its type and shape."""
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {array.shape}"
    return "of Python objects" if array is None else type(array).__name__
