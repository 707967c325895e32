"""Sizes of which there is no network, and no palindrome: one clear error where they are given."""

import dataclasses
import importlib

import numpy as np
import pytest

from models.lstm.modules import LSTM, LSTMLayer
from models.palindrome.data import complete_palindromes, sample_palindromes, validation_set
from models.tcn.modules import CausalConv
from models.transformer.modules import CausalAttention
from utils.config import ModelSection
from utils.errors import SettingError
from vae.networks import VAE
from vae.networks import ModelConfig as Latents

GOOD = {
    "lstm": {"hidden_size": 4, "layers": 1, "dropout": 0, "recurrent_init": "orthogonal"},
    "tcn": {"channels": 4, "kernel_size": 3, "levels": 2, "dropout": 0.5},
    "transformer": {
        **{"width": 8, "heads": 2, "layers": 1, "context": 4},
        **{"positions": "none", "dropout": 0.0, "window": 2},
    },
    "palindrome": {"T": 5, "hidden_size": 4, "dropout": 0.5},
    "gan": {"z_dim": 2},
    "aae": {"z_dim": 2, "hidden_size": 4},
    "vae": {"z_dim": 2, "network": "digits"},
}
BAD = {int: (0, -1, 1.5, True, None), float: (1.0, -0.1, float("nan"), "0"), str: ("other", 3)}


def config_of(kind):
    module = "vae.networks" if kind == "vae" else f"models.{kind}.modules"
    return importlib.import_module(module).ModelConfig


@pytest.mark.parametrize("kind", GOOD)
def test_a_model_section_is_checked_however_it_is_made(kind):
    """As an engineer makes one: each of its keys, out of its range or of another type."""
    make = config_of(kind)
    assert issubclass(make, ModelSection)
    made = make(name="m", **GOOD[kind])
    tried = 0
    for field in dataclasses.fields(make):
        if field.name in GOOD[kind]:
            wanted = int if field.name == "window" else field.type
            for bad in BAD[wanted]:
                if field.name == "window" and bad is None:
                    continue
                with pytest.raises(SettingError, match=rf"^{field.name} is .*, not "):
                    dataclasses.replace(made, **{field.name: bad})
                tried += 1
    assert tried >= 2


@pytest.mark.parametrize(
    ("make", "sizes", "says"),
    [
        (LSTM, (3, 4, 0), "layers is 0"),
        (LSTM, (3, 4, -1), "layers is -1"),
        (LSTM, (3, 0), "LSTMLayer\\(3, 0\\)"),
        (LSTMLayer, (3, -2), "LSTMLayer\\(3, -2\\)"),
        (LSTMLayer, (-1, 2), "LSTMLayer\\(-1, 2\\)"),
        (CausalConv, (0, 2, 3, 1), "CausalConv\\(0, 2, 3, 1\\)"),
        (CausalConv, (2, 2, 0, 1), "each of these is a whole number >= 1"),
        (CausalConv, (2, 2, 3, 0), "each of these is a whole number >= 1"),
        (CausalAttention, (8, 0, 4), "width 8, 0 heads, context 4"),
        (CausalAttention, (8, 2, 0), "width 8, 2 heads, context 0"),
        (CausalAttention, (0, 2, 4), "width 0, 2 heads, context 4"),
        (CausalAttention, (8, 3, 4), "width 8, 3 heads, context 4"),
        (VAE, ((1, 28, 28), Latents("m", "digits", 2), 1), "levels is 1"),
        (complete_palindromes, (np.zeros((2, 2), np.uint8), 7), "expected \\(N, 4\\)"),
        (complete_palindromes, (np.zeros(3, np.uint8), 5), "expected \\(N, 3\\)"),
        (validation_set, (0, 5), "T is 0"),
        (validation_set, (5, 0), "limit is 0"),
    ],
)
def test_a_layer_of_no_size_is_refused(make, sizes, says):
    """ValueError, which a SettingError is."""
    with pytest.raises(ValueError, match=says):
        make(*sizes)


def test_the_shortest_palindromes():
    """T = 1 has one free digit, twice. None of them, too, is a number of palindromes."""
    digits = sample_palindromes(20, 1, np.random.default_rng(0), validation=False)
    assert (digits[:, 0] == digits[:, 1]).all()
    assert sample_palindromes(0, 5, np.random.default_rng(0), validation=True).shape == (0, 6)
    with pytest.raises(ValueError, match="T is -1"):
        sample_palindromes(3, -1, np.random.default_rng(0), validation=True)
