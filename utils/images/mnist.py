"""Handwritten digits, 28 x 28: MNIST (LeCun et al. 1998), or scikit-learn's small set, offline.

    training, test = digits("mnist")        # 60,000 and 10,000 pictures, from data/raw/MNIST/raw/
    training, test = digits("digits")       # 1,438 and 359 pictures, 8 x 8 enlarged

MNIST's four files are downloaded by torchvision where they are not there, or put there by hand.
"""

import contextlib
import io
import math
import zlib
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch

from utils import files
from utils.errors import UserError
from utils.files import lock, show
from utils.images.data import Images, split

DATASETS = ("mnist", "digits")
# An IDX file: 0, 0, 8 (for bytes), the number of axes, each axis as four bytes, then the bytes.
FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


def digits(dataset: str) -> tuple[Images, Images]:
    """Loads training and test pictures, uint8 (N, 1, 28, 28), with the digits (N,) as labels.

    UserError where MNIST is neither there nor can be downloaded, or one of its files is damaged.
    """
    return {"mnist": _load_mnist, "digits": _load_small}[dataset]()


def _load_mnist() -> tuple[Images, Images]:
    folder = files.find("data", "raw", "MNIST", "raw")
    if not all((folder / name).is_file() for name in FILES):
        with lock(folder):  # what another process unpacks meanwhile is not fetched again
            _unpack(folder)
    train_x, train_y, test_x, test_y = (_read_idx(folder / name, FILES[name]) for name in FILES)
    return (
        Images(train_x[:, None], "MNIST's training set", train_y.astype(np.int64)),
        Images(test_x[:, None], "MNIST's test set", test_y.astype(np.int64)),
    )


def _unpack(folder: Path) -> None:
    """Lets torchvision unpack the four files, and fetch those that are not there."""
    from torchvision.datasets import MNIST  # slow to import
    from torchvision.datasets.utils import check_integrity

    packed = {folder / name: md5 for name, md5 in MNIST.resources}
    for file, md5 in packed.items():  # torchvision would write a new one over a damaged one
        if file.exists() and not check_integrity(file, md5):
            raise UserError(f"{show(file)} is damaged: delete it, or put the original there")
    missing = [file for file in packed if not file.exists()]
    if missing:
        print(f"downloading MNIST (11 MB) to {show(folder)}/")
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            MNIST(str(folder.parents[1]), download=True)
    except (RuntimeError, OSError, HTTPException, EOFError, zlib.error):
        for file in missing:
            if file.exists() and not check_integrity(file, packed[file]):
                file.unlink()  # half a download
        raise UserError(
            f"MNIST cannot be downloaded: put {', '.join(file.name for file in packed)} "
            f"into {show(folder)}/, or choose the dataset digits"
        ) from None


def _read_idx(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Reads an unpacked IDX file as uint8 of this shape. UserError where it is damaged."""
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">i4").tobytes()
    content = file.read_bytes()
    if not content.startswith(header) or len(content) != len(header) + math.prod(shape):
        raise UserError(f"{show(file)} is damaged: delete it, it is unpacked or fetched anew")
    return np.frombuffer(content, dtype=np.uint8, offset=len(header)).reshape(shape)


def _load_small() -> tuple[Images, Images]:
    from sklearn.datasets import load_digits  # slow to import

    found = load_digits()
    small = torch.from_numpy(found.images).float()[:, None]  # (1797, 1, 8, 8) in 0 ... 16
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    pixels = (255 / 16 * large).round().byte().numpy()
    whole = Images(pixels, "scikit-learn's digits", found.target.astype(np.int64))
    order = np.random.default_rng(0).permutation(len(whole))  # neighbours have the same writer
    return split(whole.take(order), share=0.2, seed=0)
