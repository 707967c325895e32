"""Digits as they are read: MNIST's files, whole, damaged or absent, and the small offline set."""

import math
import shutil
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch

from benchmarks.raw_data import find_mnist
from tests.helpers.repository import REPOSITORY
from utils.digits.classifier import load_classifier, measure_accuracy
from utils.digits.quality import Judge
from utils.errors import UserError
from utils.images import mnist
from utils.images.data import to_unit_range
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
    return raw


def test_idx_files_are_read_as_they_are(small_files, offline):
    training, test = digits("mnist")
    assert (training.pixels.shape, test.pixels.shape) == ((6, 1, 28, 28), (4, 1, 28, 28))
    assert training.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert training.pixels[1, 0, 0, :4].tolist() == [4, 5, 6, 7]  # 784 % 10 is 4


@pytest.mark.parametrize("name", mnist.FILES)
@pytest.mark.parametrize("damage", ["cut", "longer", "header", "empty"])
def test_a_damaged_file_is_named(name, damage, small_files, offline):
    file = small_files / name
    whole = file.read_bytes()
    file.write_bytes(
        {"cut": whole[:-1], "longer": whole + b"0", "header": b"<htm" + whole[4:], "empty": b""}[
            damage
        ]
    )
    with pytest.raises(UserError, match=f"data/raw/MNIST/raw/{name} is damaged"):
        digits("mnist")


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
    assert capsys.readouterr() == ("downloading MNIST (11 MB) to data/raw/MNIST/raw/\n", "")


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
def test_the_real_mnist_unpacks_offline_and_is_read_by_the_shipped_classifier(
    raw, offline, capsys, monkeypatch
):
    for name in mnist.FILES:
        source = REPOSITORY / "data" / "raw" / "MNIST" / "raw" / f"{name}.gz"
        if not source.is_file():
            pytest.skip(f"{source.name} is not there, only what was unpacked from it")
        shutil.copy(source, raw)
    training, test = digits("mnist")
    assert capsys.readouterr() == ("", "")
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
