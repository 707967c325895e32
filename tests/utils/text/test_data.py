"""Batches of a text: which characters they hold, and in which order."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from utils.errors import UserError
from utils.text.data import DataConfig, Streams, cut, decode, encode, load_text
from utils.text.preparation import encode_text, write


def test_batches_are_contiguous_streams_with_shifted_targets():
    streams = Streams(np.arange(103), batch_size=4, length=6, seed=1)
    assert streams.steps == 103 // 4 // 6 == 4
    batches = list(streams.epoch(1))
    assert len(batches) == 4
    for x, y in batches:
        assert x.shape == y.shape == (4, 6)
        assert torch.equal((x + 1) % 103, y)
    for (x, _), (after, _) in itertools.pairwise(batches):
        assert torch.equal((x[:, -1] + 1) % 103, after[:, 0])
    read = torch.cat([x for x, _ in batches]).flatten()
    assert len(read.unique()) == len(read), "a character is read twice in an epoch"


def test_batches_depend_on_seed_and_epoch_alone():
    streams = Streams(np.arange(1000), batch_size=4, length=6, seed=1)
    whole, rest = list(streams.epoch(3)), list(streams.epoch(3, first=30))
    for (x, y), (x_, y_) in zip(whole[30:], rest, strict=True):
        assert torch.equal(x, x_)
        assert torch.equal(y, y_)
    assert not torch.equal(whole[0][0], next(streams.epoch(4))[0])
    assert not torch.equal(whole[0][0], next(dataclasses.replace(streams, seed=2).epoch(3))[0])


def test_shuffled_windows_are_read_once_each_in_random_order():
    streams = Streams(np.arange(103), batch_size=4, length=6, seed=1, shuffle=True)
    batches = list(streams.epoch(1))
    for x, y in batches:
        assert torch.equal((x + 1) % 103, y)
        assert torch.equal((x[:, :-1] + 1) % 103, x[:, 1:])
    read = torch.cat([x for x, _ in batches]).flatten()
    assert len(read.unique()) == len(read) == 4 * 4 * 6
    pairs = itertools.pairwise(batches)
    assert not all(torch.equal((x[:, -1] + 1) % 103, z[:, 0]) for (x, _), (z, _) in pairs)


@pytest.mark.parametrize("shuffle", [False, True])
def test_windows_are_cut_elsewhere_in_every_epoch(shuffle):
    """Of a ring of 102 characters, 17 windows of 6: where one starts says where all do."""
    streams = Streams(np.arange(102), batch_size=1, length=6, seed=3, shuffle=shuffle)
    places = []
    for epoch in range(1, 13):
        starts = {int(x[0, 0]) % 6 for x, _ in streams.epoch(epoch)}
        assert len(starts) == 1
        places.append(starts.pop())
    assert len(set(places)) >= 4
    assert places[:4] != places[4:8]


def test_an_epoch_may_start_anywhere_and_the_end_runs_on_into_the_start():
    streams = Streams(np.arange(20), batch_size=2, length=5, seed=0)
    firsts = {int(next(streams.epoch(epoch))[0][0, 0]) for epoch in range(1, 200)}
    assert firsts == set(range(20))
    for epoch in range(1, 20):
        x = torch.cat([x for x, _ in streams.epoch(epoch)], dim=1)
        assert torch.equal(x, (x[0, 0] + torch.tensor([[0], [10]]) + torch.arange(10)) % 20)


def test_shuffled_windows_come_in_another_order_in_every_epoch():
    streams = Streams(np.arange(600), batch_size=5, length=6, seed=3, shuffle=True)
    orders = []
    for epoch in (1, 2):
        starts = torch.cat([x[:, 0] for x, _ in streams.epoch(epoch)])
        orders.append((starts - starts.min()).argsort().tolist())
    assert orders[0] != orders[1]
    neighbours = (starts.diff() == 6).sum()
    assert neighbours < 10, "a batch is a mix of the whole text"


def test_a_text_too_short_for_its_windows_is_refused():
    assert Streams(np.arange(24), batch_size=4, length=6, seed=0).steps == 1
    with pytest.raises(UserError, match=r"23 characters, too few for 4 streams of 6"):
        Streams(np.arange(23), batch_size=4, length=6, seed=0)


def test_the_last_tenth_is_for_validation(repository):
    write(repository / "data" / "small", *encode_text(["abc" * 67]), "codes")
    text = load_text(DataConfig(name="small"))
    assert text.alphabet == ["a", "b", "c"]
    assert (len(text.training), len(text.validation)) == (180, 21)
    assert np.concatenate([text.training, text.validation]).tolist() == [0, 1, 2] * 67


@pytest.mark.parametrize(
    ("test", "validation", "sizes"),
    [
        (0.0, 0.1, (900, 100, 0)),
        (0.1, 0.1, (810, 90, 100)),
        (0.5, 0.2, (400, 100, 500)),
        (0.1, 0.0, (900, 0, 100)),
        (0.0, 0.0, (1000, 0, 0)),
    ],
)
def test_what_is_tested_on_is_cut_off_before_all_else(test, validation, sizes, repository):
    """A tenth of validation is one of the nine tenths that are left."""
    write(repository / "data" / "some", *encode_text(["abcd" * 250]), "codes")
    data = DataConfig("some", validation_share=validation, test_share=test)
    text = load_text(data)
    parts = text.training, text.validation, text.test
    assert tuple(map(len, parts)) == sizes
    assert np.concatenate(parts).tolist() == [0, 1, 2, 3] * 250
    assert text.fingerprint() == load_text(DataConfig("some")).fingerprint()
    assert "".join(cut("abcd" * 250, data)) == "abcd" * 250


def test_codes_are_places_in_the_alphabet():
    codes = encode("cab", ["a", "b", "c"])
    assert codes.tolist() == [2, 0, 1]
    assert codes.dtype == torch.int64
    assert decode(codes, ["a", "b", "c"]) == "cab"
    with pytest.raises(UserError, match="'x' 'z'"):
        encode("zax", ["a", "b", "c"])
