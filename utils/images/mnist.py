"""Pictures of 28 x 28: MNIST (LeCun et al. 1998), its relatives, or scikit-learn's small digits.

    training, test = digits("mnist")        # 60,000 and 10,000 pictures, from data/raw/MNIST/raw/
    training, test = digits("digits")       # 1,438 and 359 pictures, 8 x 8 enlarged, offline

Fashion-MNIST and KMNIST have MNIST's file names: what the files are is told by their content. They
are downloaded where they are not there, or put there by hand, as .gz or unpacked.
"""

import contextlib
import io
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch

from utils import files
from utils.errors import UserError
from utils.files import lock, preparing, show
from utils.images.arrays import read_idx
from utils.images.data import Images, split

# By torchvision's names, which are those of the folders in data/raw/ as well.
RELATIVES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
DATASETS = (*RELATIVES, "digits")
FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
CHECKSUMS = (0xF3639B56, 0xBA07E8EF, 0xE4CA5F57, 0xEE8604D9)  # crc32 of MNIST's four arrays
BRIGHTNESS = {"fashion_mnist": 0.2860, "kmnist": 0.1918}  # mean of the training pixels, 0 to 1


def digits(dataset: str) -> tuple[Images, Images]:
    """Loads training and test pictures, uint8 (N, 1, 28, 28), with their classes (N,) as labels.

    UserError where they are neither there nor can be downloaded, where a file is damaged, or where
    the files are those of a relative.
    """
    return _load_small() if dataset == "digits" else _load_relative(dataset)


def is_there(dataset: str) -> bool:
    """Tells whether `digits` would load a set without downloading it."""
    return dataset == "digits" or None not in _find_four(RELATIVES[dataset])


def _load_relative(dataset: str) -> tuple[Images, Images]:
    name = RELATIVES[dataset]
    found = _find_four(name)
    if None in found and dataset != "mnist" and None not in (shared := _find_four("MNIST")):
        arrays = _read_four(shared)
        if _recognise(arrays) == dataset:  # under MNIST's names, in MNIST's folder
            return _make_images(arrays, name)
    if None in found:
        for file, shape in zip(found, FILES.values(), strict=True):
            if file is not None:  # before the others are fetched
                _read(file, shape)
        _download(name)
        found = _find_four(name)
    arrays = _read_four(found)
    folder = found[0].parent
    is_known = [zlib.crc32(a) == known for a, known in zip(arrays, CHECKSUMS, strict=True)]
    if dataset == "mnist" and any(is_known) and not all(is_known):
        file = show(found[is_known.index(False)])
        raise UserError(f"{file} is damaged: delete it, or put the original there")
    found_set = "mnist" if all(is_known) else _recognise(arrays)
    if found_set != dataset and (found_set or dataset == "mnist"):
        what = RELATIVES.get(found_set, "other pictures of its format")
        way = f"--dataset {found_set}" if found_set else f"--data {show(folder)}"
        raise UserError(
            f"{show(folder)} holds {what} under the names of {name}: {way} trains on them"
        )
    return _make_images(arrays, name)


def _find(name: str, file: str) -> Path | None:
    """Finds a file of a set, unpacked or packed: each may be in the project or elsewhere."""
    places = [files.find("data", "raw", name, "raw", file + ending) for ending in ("", ".gz")]
    return next((place for place in places if place.is_file()), None)


def _find_four(name: str) -> list[Path | None]:
    return [_find(name, file) for file in FILES]


def _read_four(found: list[Path]) -> list[np.ndarray]:
    return [_read(file, shape) for file, shape in zip(found, FILES.values(), strict=True)]


def _read(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Reads a file as uint8 of this shape. UserError where it is damaged."""
    try:
        array = read_idx(file)
    except UserError:  # no room for it
        raise
    except Exception:  # gzip, zlib and struct each raise their own
        array = None
    if array is None or array.dtype != np.uint8 or array.shape != shape:
        raise UserError(
            f"{show(file)} is damaged, or not of {shape}: delete it, or put the original there"
        )
    return array


def _recognise(arrays: list[np.ndarray]) -> str | None:
    """Names the relative that four arrays are: each class is as frequent, and the brightness."""
    pixels, labels = arrays[0], arrays[1]
    if len(set(np.bincount(labels, minlength=10))) > 1:
        return None
    mean = pixels.mean() / 255
    return next((name for name, known in BRIGHTNESS.items() if abs(mean - known) < 0.002), None)


def _make_images(arrays: list[np.ndarray], name: str) -> tuple[Images, Images]:
    train_x, train_y, test_x, test_y = arrays
    return (
        Images(train_x[:, None], f"{name}'s training set", train_y.astype(np.int64)),
        Images(test_x[:, None], f"{name}'s test set", test_y.astype(np.int64)),
    )


def _download(name: str) -> None:
    """Lets torchvision fetch the files that are not there. UserError where that fails."""
    from torchvision import datasets  # slow to import
    from torchvision.datasets.utils import download_url

    source, folder = getattr(datasets, name), files.output("data") / "raw" / name / "raw"
    print(f"downloading {name} to {show(folder)}/")
    for file, md5 in source.resources:
        with lock(folder / file):
            if _find(name, file.removesuffix(".gz")):  # by another process meanwhile, too
                continue
            urls = [f"{mirror}{file}" for mirror in source.mirrors]
            if not any(_fetch(download_url, url, folder / file, md5) for url in urls):
                raise UserError(
                    f"{name} cannot be downloaded: put {', '.join(f for f, _ in source.resources)} "
                    f"into {show(folder)}/, or choose the dataset digits"
                )


def _fetch(download: Callable[..., None], url: str, file: Path, md5: str) -> bool:
    """Fetches a file without a word, whole or not at all; tells whether that went well."""
    silence, partial = io.StringIO(), preparing(file)
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            download(url, file.parent, filename=partial.name, md5=md5)
        partial.replace(file)
    except (RuntimeError, OSError, HTTPException, EOFError):
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def _load_small() -> tuple[Images, Images]:
    from sklearn.datasets import load_digits  # slow to import

    found = load_digits()
    small = torch.from_numpy(found.images).float()[:, None]  # (1797, 1, 8, 8) in 0 ... 16
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    pixels = (255 / 16 * large).round().byte().numpy()
    whole = Images(pixels, "scikit-learn's digits", found.target.astype(np.int64))
    order = np.random.default_rng(0).permutation(len(whole))  # neighbours have the same writer
    return split(whole.take(order), share=0.2, seed=0)
