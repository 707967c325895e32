"""How exact the layers are: small inputs, and bfloat16 under autocast beside float32."""

import copy

import pytest
import torch

from models.lstm.modules import LSTM


@pytest.mark.parametrize("kernel", ["fast", "readable"])
@pytest.mark.parametrize("scale", [1e-2, 1e-4, 1e-6, 1e-12])
def test_small_inputs_keep_their_digits(scale, kernel):
    """tanh(a) = a for small a: 2 σ(2a) - 1 would leave it 6e-8 / a of relative precision."""
    torch.manual_seed(0)
    lstm = LSTM(5, 6, kernel=kernel)
    exact = copy.deepcopy(lstm).double()
    x, d_out = scale * torch.randn(3, 7, 5).abs(), torch.randn(3, 7, 6)
    with torch.no_grad():  # all of one sign: nothing cancels, every number has its digits
        for layer in (*lstm.layers, *exact.layers):
            layer.W.abs_()
            layer.U.abs_()
    results = []
    for layer, dtype in ((lstm, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype).requires_grad_()
        out, (_, c) = layer(inputs)
        slopes = torch.autograd.grad(out, [inputs, *layer.parameters()], d_out.abs().to(dtype))
        results.append((out, c, *slopes))
    for ours, theirs in zip(*results, strict=True):
        assert ((ours - theirs).abs() / theirs.abs()).max() < 2e-6
