"""The network that reads digits: the shipped ones, and how one is trained."""

import pytest
import torch

from utils.digits import classifier
from utils.digits.classifier import (
    DigitClassifier,
    load_classifier,
    locate_classifier,
    measure_accuracy,
    train_classifier,
)
from utils.errors import UserError
from utils.images.data import to_unit_range
from utils.images.mnist import digits


def test_shipped_classifiers_are_small_and_read_their_digits():
    for dataset in classifier.EPOCHS:
        assert locate_classifier(dataset).stat().st_size < 1_000_000
    images = digits("digits")[1]
    reader = load_classifier("digits")
    assert measure_accuracy(reader, images) > 0.97
    features, found = reader.read(to_unit_range(images.pixels))
    assert features.shape == (359, 128)
    assert found.shape == (359,)
    assert torch.equal(reader.head(features).argmax(dim=1), found)


def test_a_classifier_learns_and_is_written(repository, monkeypatch, capsys):
    images = digits("digits")[0].take(slice(0, 640))
    torch.manual_seed(0)
    before = measure_accuracy(DigitClassifier(), images)
    # 0.68 more, with a standard deviation of 0.07 over five seeds
    assert measure_accuracy(train_classifier(images, epochs=3), images) > before + 0.3

    with pytest.raises(UserError, match=r"python -m utils\.digits\.classifier digits trains"):
        load_classifier("digits")
    monkeypatch.setattr(classifier, "EPOCHS", {"digits": 1})
    assert classifier.main(["digits"]) == 0
    assert "wrote pretrained/classifiers/digits.pt" in capsys.readouterr().out
    assert isinstance(load_classifier("digits"), DigitClassifier)
