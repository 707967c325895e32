"""Digits: what is read, what is refused by name, the classifier, and the measures made with it."""

import math
import shutil
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch

from benchmarks.raw_data import find_mnist
from tests.helpers.repository import REPOSITORY
from utils.digits import classifier
from utils.digits.classifier import (
    DigitClassifier,
    accuracy,
    load_classifier,
    shipped,
    train_classifier,
)
from utils.digits.quality import (
    Judge,
    describe_shares,
    discrepancy,
    frechet_distance,
    moments,
    root,
)
from utils.errors import UserError
from utils.images import mnist
from utils.images.data import unit_range
from utils.images.mnist import digits


@pytest.fixture
def raw(repository):
    """The folder of MNIST's files in a repository of its own."""
    folder = repository / "data" / "raw" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def offline(monkeypatch):
    """No connection: whoever opens one is told so."""

    def refuse(*args, **options):
        raise URLError("no connection")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def small_files(raw, monkeypatch):
    """Unpacked files of MNIST's names and format, of six and four pictures."""
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
    assert accuracy(load_classifier("mnist"), test) >= 0.985
    judge = Judge("mnist", test.take(slice(0, None, 4)))  # the second half is harder to read
    distance, shares = judge.score(unit_range(test.take(slice(1, None, 4)).pixels))
    noise = torch.rand(500, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert 50 * distance < judge.score(noise)[0]
    assert min(shares) > 0.05


def test_shipped_classifiers_are_small_and_read_their_digits():
    for dataset in mnist.DATASETS:
        assert shipped(dataset).stat().st_size < 1_000_000
    images = digits("digits")[1]
    classifier = load_classifier("digits")
    assert accuracy(classifier, images) > 0.97
    features, found = classifier.read(unit_range(images.pixels))
    assert features.shape == (359, 128)
    assert found.shape == (359,)
    assert torch.equal(classifier.head(features).argmax(dim=1), found)


def test_a_classifier_learns_and_is_written(repository, monkeypatch, capsys):
    images = digits("digits")[0].take(slice(0, 640))
    torch.manual_seed(0)
    before = accuracy(DigitClassifier(), images)
    # 0.68 more, with a standard deviation of 0.07 over five seeds
    assert accuracy(train_classifier(images, epochs=3), images) > before + 0.3

    with pytest.raises(UserError, match=r"python -m utils\.digits\.classifier digits trains"):
        load_classifier("digits")
    monkeypatch.setattr(classifier, "EPOCHS", {"digits": 1})
    assert classifier.main(["digits"]) == 0
    assert "wrote pretrained/classifiers/digits.pt" in capsys.readouterr().out
    assert isinstance(load_classifier("digits"), DigitClassifier)


def test_frechet_distance_by_hand():
    # one feature: (3 - 1)² + (2 - 5)²
    one = (torch.tensor([3.0]).double(), torch.tensor([[4.0]]).double())
    two = (torch.tensor([1.0]).double(), torch.tensor([[25.0]]).double())
    assert frechet_distance(one, two) == pytest.approx(13)
    # covariances that do not commute: trace((S T)^½) from the eigenvalues of S T itself
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 4))
    S, T, m = a @ a.T, b @ b.T, rng.normal(size=4)
    expected = (
        (m**2).sum() + np.trace(S + T) - 2 * np.sqrt(np.linalg.eigvals(S @ T).astype(complex)).sum()
    ).real
    gaussians = [
        (torch.from_numpy(mean), torch.from_numpy(matrix))
        for mean, matrix in ((m, S), (np.zeros(4), T))
    ]
    assert frechet_distance(*gaussians) == pytest.approx(expected)
    assert torch.allclose(root(torch.from_numpy(S)) @ root(torch.from_numpy(S)), gaussians[0][1])


def test_frechet_distance_of_a_set_to_itself_is_nothing():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 128, generator=generator).relu()
    features[:, ::3] = 0  # features that are never on make the covariance singular
    assert frechet_distance(moments(features), moments(features)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(moments(features), moments(features + 1)) == pytest.approx(128)
    mean, covariance = moments(features)
    assert mean.dtype == torch.float64
    assert np.allclose(covariance.numpy(), np.cov(features.numpy().T), atol=1e-6)


def test_discrepancy_is_unbiased_and_sees_a_shift():
    generator = torch.Generator().manual_seed(0)
    same = [
        discrepancy(
            torch.randn(200, 3, generator=generator), torch.randn(150, 3, generator=generator)
        )
        for _ in range(40)
    ]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(40)
    x, y = torch.randn(2, 500, 3, generator=generator)
    assert discrepancy(x, y + 0.5) > 5 * max(same)
    assert discrepancy(x, y, part=7) == pytest.approx(discrepancy(x, y))
    # by hand, Z = 1: distance 1 within x, 2 within y, and between them 0, 2, 1 and 1
    k0, k1, k2 = 1.0, math.exp(-0.5), math.exp(-2.0)
    found = discrepancy(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]]))
    assert found == pytest.approx(k1 + k2 - 2 * (k0 + k2 + 2 * k1) / 4)


def test_shares_in_words():
    assert describe_shares([0.1] * 10).endswith("9: 10.0 %; every digit above 5 %")
    few = describe_shares([0.04, 0.86, 0.05, 0, 0, 0, 0, 0, 0, 0])
    assert few.endswith("below 5 %: 0, 3, 4, 5, 6, 7, 8, 9")
