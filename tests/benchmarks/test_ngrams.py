"""The n-gram under the text models: it gives probabilities, and those of its formula."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from benchmarks.studies.ngrams import (
    KneserNey,
    blocks_nats,
    discount,
    known_in_blocks,
    stream_nats,
    unigrams,
)
from utils.text.streaming import score_blocks, score_stream

V = 5
TEXT = "abracadabra, a cab, a bad crab; a raccab"
LETTERS = sorted(set(TEXT))
CODES = np.array([LETTERS.index(letter) for letter in TEXT])


def chance(model, context, n):
    """The probabilities (V,) of every character after a context."""
    sequences = [np.array([*context, c]) for c in range(model.V)]
    return np.array(
        [model.probabilities(s, n, np.arange(len(s)))[-1] for s in sequences], dtype=float
    )


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10])
def test_the_probabilities_sum_to_one(n):
    random = np.random.default_rng(0)
    codes = random.integers(V, size=400) % random.integers(1, V + 1, size=400)
    model = KneserNey(codes, V, longest=10)
    seen = [codes[i : i + m] for m in range(10) for i in (0, 7, 390 - m)]
    unseen = [random.integers(V, size=m) for m in range(10)]
    for context in [*seen, *unseen, codes[-4:]]:
        p = chance(model, context, n)
        assert p.sum() == pytest.approx(1, abs=1e-12)
        assert p.min() > 0


def by_hand(text, context, c, n, letters):
    """The formula of ngrams.py, with strings and counters."""

    def p(h, top):
        k = len(h) + 1
        grams = [text[i : i + k] for i in range(len(text) - k + 1)]
        if top:
            counts = Counter(grams)
        else:
            before = defaultdict(set)
            for i in range(1, len(text) - k + 1):
                before[text[i : i + k]].add(text[i - 1])
            counts = Counter({gram: len(before[gram]) for gram in set(grams)})
        after = {gram: count for gram, count in counts.items() if gram[:-1] == h}
        shorter = p(h[1:], False) if h else 1 / len(letters)
        if not sum(after.values()):
            return shorter
        values = list(counts.values())
        D = values.count(1) / (values.count(1) + 2 * values.count(2)) if 1 in values else 0.5
        followers = sum(count > 0 for count in after.values())
        return (max(after.get(h + c, 0) - D, 0) + D * followers * shorter) / sum(after.values())

    return p(context[len(context) - (n - 1) :] if n > 1 else "", True)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("context", ["abra", "ccab", "; a ", "zzbr".replace("z", ";"), "raccab"])
def test_it_is_the_formula(n, context):
    model = KneserNey(CODES, len(LETTERS), longest=4)
    found = chance(model, [LETTERS.index(letter) for letter in context], n)
    expected = [by_hand(TEXT, context, c, n, LETTERS) for c in LETTERS]
    assert found == pytest.approx(expected, abs=1e-12)


def test_discounts_by_hand():
    assert discount(np.array([1, 1, 2, 5])) == 2 / 4
    assert discount(np.array([2, 2])) == 0.5


def test_unigrams_by_hand():
    assert unigrams(np.array([0, 0, 1]), np.array([0, 1, 2]), 3).tolist() == [3 / 6, 2 / 6, 1 / 6]


class Pairs(torch.nn.Module):
    """A text model that knows the last character alone."""

    position_limit, vocabulary, outer = None, V, ()

    def __init__(self, table):
        super().__init__()
        self.table = torch.nn.Parameter(torch.from_numpy(table).log())

    def forward(self, x, state=None):
        return self.table[x], state


@pytest.mark.parametrize("length", [40, 513, 600])
def test_nats_are_those_of_the_models(length):
    """The same numbers as utils/text/streaming.py finds for a model of the same probabilities."""
    random = np.random.default_rng(1)
    model = KneserNey(random.integers(V, size=300), V, longest=2)
    codes = random.integers(V, size=length)
    table = np.array([chance(model, [c], 2) for c in range(V)])
    blocks = model.probabilities(codes, 2, known_in_blocks(length))
    stream = model.probabilities(codes, 2, np.arange(length))
    assert blocks_nats(blocks) == pytest.approx(score_blocks(Pairs(table), codes), abs=1e-9)
    assert stream_nats(stream, V) == pytest.approx(score_stream(Pairs(table), codes)[0], abs=1e-9)


def test_a_cold_block_does_not_know_what_is_before_it():
    known = known_in_blocks(600)
    assert known[[0, 1, 256, 257, 512, 513]].tolist() == [0, 1, 256, 1, 256, 1]
    model = KneserNey(CODES, len(LETTERS), longest=4)
    codes = np.tile(CODES, 20)
    other = codes.copy()
    other[:256] = CODES[0]  # the block before, but for the character that the next one starts with
    found = [model.probabilities(c, 4, known_in_blocks(len(c)))[257:512] for c in (codes, other)]
    assert np.array_equal(*found)
    long = [model.probabilities(c, 4, np.arange(len(c)))[257:512] for c in (codes, other)]
    assert not np.array_equal(*long)


def test_more_text_before_it_helps():
    model = KneserNey(CODES, len(LETTERS), longest=4)
    nats = [
        stream_nats(model.probabilities(CODES, n, np.arange(len(CODES))), 10) for n in (1, 2, 4)
    ]
    assert nats[0] > nats[1] > nats[2]
