"""Digits as they are read: MNIST's files, whole, damaged or absent, and the small offline set."""

import gzip
import math
import shutil
import urllib.request
import zlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from benchmarks.raw_data import find_mnist
from tests.helpers.repository import REPOSITORY
from utils import files
from utils.digits.classifier import load_classifier, measure_accuracy
from utils.digits.quality import Judge
from utils.errors import UserError
from utils.images import mnist
from utils.images.data import to_unit_range
from utils.images.files import load_images
from utils.images.mnist import digits


@pytest.fixture
def raw(repository):
    """Makes the folder of MNIST's files in a repository of its own."""
    folder = repository / "data" / "raw" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def offline(monkeypatch):
    """Lets nobody open a connection: whoever tries is told so."""

    def refuse(*args, **options):
        raise URLError("no connection")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def small_files(raw, monkeypatch):
    """Writes unpacked files of MNIST's names and format, of six and four pictures."""
    shapes = ((6, 28, 28), (6,), (4, 28, 28), (4,))
    monkeypatch.setattr(mnist, "FILES", dict(zip(mnist.FILES, shapes, strict=True)))
    for name, shape in mnist.FILES.items():
        header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
        content = bytes(n % 10 for n in range(math.prod(shape)))
        (raw / name).write_bytes(header + content)
    sums = [zlib.crc32(mnist.read_idx(raw / name)) for name in mnist.FILES]
    monkeypatch.setattr(mnist, "CHECKSUMS", tuple(sums))
    return raw


def test_idx_files_are_read_as_they_are(small_files, offline):
    training, test = digits("mnist")
    assert (training.pixels.shape, test.pixels.shape) == ((6, 1, 28, 28), (4, 1, 28, 28))
    assert training.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert training.pixels[1, 0, 0, :4].tolist() == [4, 5, 6, 7]  # 784 % 10 is 4


@pytest.mark.parametrize("name", mnist.FILES)
@pytest.mark.parametrize("damage", ["cut", "longer", "header", "empty", "flipped"])
def test_a_damaged_file_is_named(name, damage, small_files, offline):
    file = small_files / name
    whole = file.read_bytes()
    file.write_bytes(
        {
            "cut": whole[:-1],
            "longer": whole + b"0",
            "header": b"<htm" + whole[4:],
            "empty": b"",
            "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
        }[damage]
    )
    with pytest.raises(UserError, match=f"data/raw/MNIST/raw/{name} is damaged"):
        digits("mnist")


def idx(array):
    """Bytes of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def write_relative(folder, brightness, packed, rare=False):
    """Writes four files of MNIST's names and shapes, not its content, of a mean brightness."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in mnist.FILES.items():
        array = np.arange(math.prod(shape), dtype=np.int64).reshape(shape) % 10
        if len(shape) == 3:
            array = np.zeros(shape)
            array[:, :, :14] = 2 * 255 * brightness  # the left half
            array[::2] = array[::2, :, ::-1]
        array.flat[0] += rare
        content = idx(array.astype(np.uint8))
        file = folder / (f"{name}.gz" if packed else name)
        file.write_bytes(gzip.compress(content, 1) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("dataset", "brightness"), [("fashion_mnist", 0.286), ("kmnist", 0.1918), (None, 0.5)]
)
def test_a_relative_under_the_names_of_mnist(
    dataset, brightness, packed, raw, offline, monkeypatch
):
    """It is neither damaged nor MNIST: the error names what trains on it, which does."""
    shapes = ((600, 28, 28), (600,), (100, 28, 28), (100,))
    monkeypatch.setattr(mnist, "FILES", dict(zip(mnist.FILES, shapes, strict=True)))
    write_relative(raw, brightness, packed)
    way = f"--dataset {dataset}" if dataset else "--data data/raw/MNIST/raw"
    with pytest.raises(UserError, match=f"under the names of MNIST: {way} trains on") as stop:
        digits("mnist")
    assert "damaged" not in str(stop.value)
    if dataset:
        training, test = digits(dataset)
        assert training.source == f"{mnist.RELATIVES[dataset]}'s training set"
        assert (len(training), len(test)) == (600, 100)
        own = raw.parents[1] / mnist.RELATIVES[dataset] / "raw"
        own.parent.mkdir(parents=True)
        raw.rename(own)
        assert np.array_equal(digits(dataset)[0].pixels, training.pixels)
        other = "kmnist" if dataset == "fashion_mnist" else "fashion_mnist"
        own.parent.rename(raw.parents[1] / mnist.RELATIVES[other])
        with pytest.raises(UserError, match=f"--dataset {dataset} trains on them"):
            digits(other)
    else:
        assert len(load_images(raw, 28, 1)) == 600


def test_a_damaged_download_is_named_and_kept(raw, offline):
    file = raw / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"MNIST/raw/t10k-images-idx3-ubyte.gz is damaged"):
        digits("mnist")
    assert file.read_bytes() == b"no gzip"


def test_without_a_connection_it_says_which_files_go_where(raw, offline, capsys):
    with pytest.raises(UserError) as stop:
        digits("mnist")
    for name in mnist.FILES:
        assert f"{name}.gz" in str(stop.value)
    assert "into data/raw/MNIST/raw/, or choose the dataset digits" in str(stop.value)
    assert list(raw.iterdir()) == []
    assert capsys.readouterr() == ("downloading MNIST to data/raw/MNIST/raw/\n", "")


def test_half_a_download_is_not_kept(raw, monkeypatch, capsys):
    class Response:
        url, length = None, 100

        def __init__(self, *args, **options):
            self.parts = [b"half of it", b""]

        def read(self, size):
            return self.parts.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

    monkeypatch.setattr(urllib.request, "urlopen", Response)
    with pytest.raises(UserError, match="cannot be downloaded"):
        digits("mnist")
    assert list(raw.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_killed_while_it_downloads_it_leaves_no_file_of_a_set(raw, monkeypatch):
    """What is half there lies beside its place, and the next command removes it."""
    half = b"half of it"

    def killed(url, root, filename, md5):
        Path(root, filename).write_bytes(half)
        raise SystemExit

    monkeypatch.setattr("torchvision.datasets.utils.download_url", killed)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            digits("mnist")
    assert [file.read_bytes() for file in raw.glob(".*.preparing")] == [half]
    assert not list(raw.glob("[!.]*"))
    files.choose_output.cache_clear()
    files.output("data")
    assert list(raw.iterdir()) == []


def test_what_a_read_only_project_lacks_is_fetched_elsewhere(raw, monkeypatch, tmp_path):
    """Its own files are read where they are."""
    shapes = ((600, 28, 28), (600,), (100, 28, 28), (100,))
    monkeypatch.setattr(mnist, "FILES", dict(zip(mnist.FILES, shapes, strict=True)))
    theirs = raw.parents[1] / "FashionMNIST" / "raw"
    theirs.mkdir(parents=True)
    write_relative(theirs, 0.286, packed=True)
    lacking = ["t10k-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"]
    for name in lacking:
        (theirs / name).rename(tmp_path / name)

    def fetch(url, root, filename, md5):
        Path(root).mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / url.rpartition("/")[2], Path(root, filename))

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fetch)
    monkeypatch.setattr(files, "ASKED", tmp_path / "mine")
    training, test = digits("fashion_mnist")
    assert (len(training), len(test)) == (600, 100)
    mine = tmp_path / "mine" / "data" / "raw" / "FashionMNIST" / "raw"
    assert sorted(file.name for file in mine.iterdir()) == lacking
    assert len(list(theirs.iterdir())) == 2


def test_digits_are_a_fixed_shuffled_fifth_apart():
    training, test = digits("digits")
    assert (len(training), len(test)) == (1438, 359)
    for images in (training, test):
        assert images.shape == (1, 28, 28)
        assert (images.pixels.min(), images.pixels.max()) == (0, 255)
        assert set(images.labels) == set(range(10))
        assert np.bincount(images.labels).min() > 0.05 * len(images)
    assert np.array_equal(digits("digits")[1].pixels, test.pixels)
    whole = np.concatenate([training.pixels, test.pixels]).reshape(1797, -1)
    assert len(np.unique(whole, axis=0)) == 1797, "no picture is in both"
    for images in (training, test):  # a writer wrote 0 to 9 in order, one after another
        follow = (images.labels[1:] - images.labels[:-1]) % 10 == 1
        assert follow.mean() < 0.2, "the first few are those of a few people"


def test_tests_find_no_mnist_where_there_is_none(raw):
    assert not find_mnist()


@pytest.mark.skipif(not find_mnist(), reason="MNIST is not in data/raw/MNIST/raw/")
def test_the_real_mnist_is_read_packed_and_read_by_the_shipped_classifier(
    raw, offline, capsys, monkeypatch
):
    for name in mnist.FILES:
        source = REPOSITORY / "data" / "raw" / "MNIST" / "raw" / f"{name}.gz"
        if not source.is_file():
            pytest.skip(f"{source.name} is not there, only what was unpacked from it")
        shutil.copy(source, raw)
    training, test = digits("mnist")
    assert capsys.readouterr() == ("", "")
    assert len(list(raw.iterdir())) == 4, "nothing is unpacked onto the disk"
    assert (training.pixels.shape, test.pixels.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert training.labels[:5].tolist() == [5, 0, 4, 1, 9]
    pixels = training.pixels / np.float32(255)
    assert (pixels.mean(), pixels.std()) == pytest.approx((0.1307, 0.3081), abs=1e-4)

    shutil.copytree(REPOSITORY / "pretrained", raw.parents[3] / "pretrained")
    assert measure_accuracy(load_classifier("mnist"), test) >= 0.985
    judge = Judge("mnist", test.take(slice(0, None, 4)))  # the second half is harder to read
    distance, shares = judge.score(to_unit_range(test.take(slice(1, None, 4)).pixels))
    noise = torch.rand(500, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert 50 * distance < judge.score(noise)[0]
    assert min(shares) > 0.05
