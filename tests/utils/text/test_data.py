"""Batches of a text: which characters they hold, and in which order."""

import dataclasses
import itertools

import numpy as np
import torch

from utils.text.data import Streams


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
