"""Nats and bits, and what is evaluated how."""

import math

import pytest
import torch
from torch import nn

from utils.training.curves import Measure
from utils.training.device import (
    choose_device,
    evaluating,
    random_state,
    restore_random_state,
)


def test_nats_and_bits():
    assert Measure("nats per character", "bits").in_bits(math.log(2)) == pytest.approx(1)
    pictures = Measure("nats per picture", "bits per dimension", 784)
    assert pictures.in_bits(784 * math.log(16)) == pytest.approx(4)
    assert pictures.in_nats(4) == pytest.approx(784 * math.log(16))
    assert pictures.in_bits(pictures.in_nats(1.7)) == pytest.approx(1.7)


def test_random_numbers_go_on_where_they_were():
    device = torch.device("cpu")
    torch.manual_seed(3)
    torch.randn(5)
    state = random_state(device)
    before = torch.randn(7)
    torch.manual_seed(4)
    restore_random_state(state, device)
    assert torch.equal(torch.randn(7), before)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluating_is_without_dropout_and_restores_the_mode_even_after_an_error(mode):
    model, x = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train(mode), torch.ones(2, 3)
    with evaluating(model) as device:
        assert device == choose_device("cpu")
        assert torch.equal(model(x), model[0](x))
        assert not model(x).requires_grad
    assert model.training == mode
    assert model(x).requires_grad
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.training == mode
    assert torch.is_grad_enabled()
