"""Reading a text through the state: scores of known models, choosing a character, writing."""

import math

import numpy as np
import pytest
import torch

from tests.helpers.small_models import MODELS
from utils.text.streaming import choose, score_blocks, score_stream, write
from utils.text.training import describe_score
from utils.training.device import evaluating


class Counting(torch.nn.Module):
    """Predicts perfectly what follows in 0, 1, ..., V-1, 0, ...; its state counts what it read."""

    position_limit = None

    def __init__(self, vocabulary, sure):
        super().__init__()
        self.vocabulary, self.sure = vocabulary, torch.nn.Parameter(torch.tensor(sure))

    def forward(self, x, state=None):
        read = (0 if state is None else state) + x.shape[1]
        self.longest = read
        return self.sure * torch.nn.functional.one_hot(
            (x + 1) % self.vocabulary, self.vocabulary
        ), read


def test_scores_of_known_models():
    codes = np.arange(1000) % 8
    for piece in (1000, 64, 7):
        model = Counting(8, 0.0)  # knows nothing: ln V, whatever is read
        assert score_stream(model, codes, piece)[0] == pytest.approx(math.log(8))
        model = Counting(8, 100.0)  # knows all but the first character
        nats, right = score_stream(model, codes, piece)
        assert nats == pytest.approx(math.log(8) / 1000)
        assert right == pytest.approx(0.999)
        assert model.longest == 999
    assert score_blocks(Counting(8, 0.0), codes) == pytest.approx(math.log(8))
    model = Counting(8, 100.0)
    assert score_blocks(model, codes, block=100) == pytest.approx(0.0)
    assert model.longest <= 100
    assert score_blocks(Counting(8, 0.0), codes[:5]) == pytest.approx(math.log(8))


def test_blocks_count_every_character_once():
    """A model that is right on all but one character is wrong exactly once."""
    codes = np.zeros(700, dtype=np.int64)
    codes[650] = 1  # in the last, shorter block
    model = Counting(1, 0.0)
    model.vocabulary = 2
    model.forward = lambda x, state=None: (
        torch.tensor([math.log(3.0), 0.0]).expand(*x.shape, 2),
        None,
    )
    expected = (698 * math.log(4 / 3) + math.log(4)) / 699
    assert score_blocks(model, codes) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_stream_score_does_not_depend_on_its_pieces(model):
    codes = np.random.default_rng(0).integers(11, size=60)
    scores = [score_stream(model, codes, piece) for piece in (60, 13, 1)]
    assert scores[1] == pytest.approx(scores[0], rel=1e-9)
    assert scores[2] == pytest.approx(scores[0], rel=1e-9)


@pytest.mark.parametrize("model", ["lstm", "tcn", "rotary"], indirect=True)
@pytest.mark.parametrize("count", [2, 5, 20, 21, 22, 41, 50])
def test_blocks_know_all_of_themselves_and_nothing_before(model, count):
    """Window by window: each of 20 predictions, the last one shorter, from its own start on."""
    codes = np.random.default_rng(0).integers(11, size=count)
    nats = 0.0
    for start in range(0, count - 1, 20):
        x = torch.from_numpy(codes[start : min(start + 20, count - 1)])
        y = torch.from_numpy(codes[start + 1 : start + 21])
        nats -= model(x[None])[0][0].log_softmax(dim=1)[torch.arange(len(y)), y].sum().item()
    expected = nats / (count - 1)
    assert score_blocks(model, codes, block=20, batch=2) == pytest.approx(expected, rel=1e-9)


def test_evaluating_restores_the_mode():
    model = torch.nn.Linear(1, 1)
    for mode in (True, False):
        model.train(mode)
        with evaluating(model):
            assert not model.training
            assert not torch.is_grad_enabled()
        assert model.training is mode
        assert torch.is_grad_enabled()


def test_choosing_the_next_character():
    logits = torch.tensor([0.0, 2.0, 1.0, 2.0])
    random = torch.Generator().manual_seed(0)

    def shares(**options):
        drawn = [choose(logits, generator=random, **options) for _ in range(4000)]
        return np.bincount(drawn, minlength=4) / 4000

    expected = torch.softmax(logits, 0).numpy()
    assert shares() == pytest.approx(expected, abs=0.03)
    assert shares(top_k=99) == pytest.approx(expected, abs=0.03)
    assert shares(temperature=0.5) == pytest.approx(torch.softmax(2 * logits, 0).numpy(), abs=0.03)
    assert choose(logits, temperature=0) == 1
    assert choose(logits, temperature=1e-9, top_k=1) in (1, 3)
    assert (shares(top_k=2) > 0).sum() == 2, "ties must keep exactly k"
    assert (shares(top_k=3) > 0).sum() == 3
    for wrong in ({"temperature": -1}, {"top_k": 0}):
        with pytest.raises(ValueError, match="below"):
            choose(logits, **wrong)


@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_writing_is_the_greedy_rerun_of_the_prefix(model):
    prompt = torch.tensor([3, 1, 4])
    length = 5 if model.position_limit else 20
    written, restarts = write(model, prompt, length, temperature=0)
    assert restarts == 0
    text = prompt.tolist()
    for _ in range(length):
        text.append(int(model(torch.tensor([text]))[0][0, -1].argmax()))
    assert written.tolist() == text[3:]
    one, _ = write(model, prompt, 20, temperature=1.0, seed=5)
    two, _ = write(model, prompt, 20, temperature=1.0, seed=5)
    other, _ = write(model, prompt, 20, temperature=1.0, seed=6)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("model", ["learned"], indirect=True)
def test_writing_beyond_learned_positions_starts_anew(model):
    written, restarts = write(model, torch.tensor([3, 1, 4]), 20, temperature=0)
    assert len(written) == 20
    assert restarts == 4  # 3 + 19 characters are read: at 8, 12, 16 and 20


def test_a_score_in_words():
    """Right in all but the first character: ln 8 nats for one of 1000, 3 bits."""
    line = describe_score(Counting(8, 100.0), np.arange(1000) % 8)
    nats, bits = math.log(8) / 1000, 3 / 1000
    assert line == (
        f"validation {nats:.4f} nats, {bits:.4f} bits per character, "
        "99.9 % of next characters right; on cold blocks of 256: 0.0000 nats"
    )


def nucleus_by_definition(logits, temperature, top_k, top_p):
    """Sorts, adds up, cuts off: the probabilities that are left of each code, in float64."""
    weights = np.exp(np.asarray(logits, dtype=np.float64) / temperature)
    order = sorted(range(len(weights)), key=lambda code: -weights[code])[: top_k or len(weights)]
    whole, kept, total = sum(weights[code] for code in order), [], 0.0
    for code in order:
        kept.append(code)
        total += weights[code] / whole
        if top_p is not None and total >= top_p:
            break
    left = np.zeros(len(weights))
    left[kept] = weights[kept] / weights[kept].sum()
    return left


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 99])
@pytest.mark.parametrize("top_p", [None, 1e-9, 0.3, 0.7, 0.9, 1.0])
def test_the_nucleus_is_what_its_definition_says(temperature, top_k, top_p):
    """Temperature, then top_k, then top_p: 1,500 draws, bounds of four standard deviations."""
    logits = torch.tensor([0.3, 2.0, -1.0, 1.1, 0.9, -4.0])
    random = torch.Generator().manual_seed(1)
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": random}
    shares = np.bincount([choose(logits, **how) for _ in range(1500)], minlength=6) / 1500
    expected = nucleus_by_definition(logits.tolist(), temperature, top_k, top_p)
    assert (shares[expected == 0] == 0).all()
    assert (abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / 1500) + 1e-12).all()


def test_a_nucleus_of_nothing_or_of_more_than_all_is_refused():
    for top_p in (0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="not above 0 and at most 1"):
            choose(torch.zeros(3), top_p=top_p)


@pytest.mark.parametrize("model", ["lstm"], indirect=True)
def test_writing_can_be_watched_and_ended(model):
    prompt, seen = torch.tensor([3, 1, 4]), []
    whole, _ = write(model, prompt, 20, seed=5)
    same, _ = write(model, prompt, 20, seed=5, watch=seen.append)
    assert seen == same.tolist() == whole.tolist()
    seen.clear()
    ended, _ = write(model, prompt, 20, seed=5, watch=lambda c: seen.append(c) or len(seen) == 7)
    assert ended.tolist() == whole.tolist()[:7]
