"""How every model starts: the size of its weights, layer by layer."""

import math

import pytest
import torch
from torch import nn

from models.lstm.modules import Model as LSTM
from models.lstm.modules import ModelConfig as LSTMConfig
from models.tcn.modules import Model as TCN
from models.tcn.modules import ModelConfig as TCNConfig
from models.transformer.modules import Model as Transformer
from models.transformer.modules import ModelConfig as TransformerConfig
from vae.ladder import LadderVAE
from vae.ladder import ResidualBlock as LadderBlock
from vae.networks import VAE, ModelConfig


def transformer(**settings):
    torch.manual_seed(0)
    values = {"name": "m", "width": 64, "heads": 4, "layers": 3, "context": 40, "dropout": 0.0}
    return Transformer(30, TransformerConfig(**values | {"positions": "learned"} | settings))


def assert_uniform(weight, bound):
    """All numbers within a bound, near it, and as wide as a uniform distribution is."""
    assert 0.9 * bound < weight.abs().max() <= bound * (1 + 1e-6)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_the_transformer_starts_by_xavier_and_its_sublayers_scaled_down():
    """What is added 2 L = 6 times to the shortcut is divided by sqrt(6); nothing else is."""
    model, found = transformer(), {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert (module.bias == 0).all(), name
            bound = math.sqrt(6 / sum(module.weight.shape))
            last = name.endswith(("attention.out", "mlp.2"))
            assert_uniform(module.weight, bound / math.sqrt(6) if last else bound)
            found[name] = last
    assert sum(found.values()) == 6
    assert len(found) == 3 * 4 + 2
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_learned_positions_start_small():
    assert transformer().position_table.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_deep_transformer_starts_at_the_scale_of_one_sublayer():
    """What 24 sublayers add up to is no larger than what the 2 of a single block do."""
    x = torch.randint(30, (4, 40), generator=torch.Generator().manual_seed(0))
    added = []
    for layers in (1, 12):
        model, seen = transformer(layers=layers), []
        first, last = model.blocks[0], model.norm
        first.attention_norm.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0]))
        last.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0]))
        model(x)
        added.append((seen[1] - seen[0]).square().mean().item())
    assert 0.5 < added[1] / added[0] < 2


def test_the_tcn_starts_by_kaiming_without_bias():
    torch.manual_seed(0)
    model = TCN(30, TCNConfig(name="m", channels=64, kernel_size=3, levels=2, dropout=0.0))
    for block in model.blocks:
        for conv in (block.first.conv, block.second.conv):
            assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 3)), rel=0.1)
            assert (conv.bias == 0).all()


@pytest.mark.parametrize("start", ["orthogonal", "xavier"])
def test_the_lstm_starts_as_its_configuration_says(start):
    torch.manual_seed(0)
    config = LSTMConfig(name="m", hidden_size=40, layers=2, dropout=0.0, recurrent_init=start)
    for layer in LSTM(30, config).lstm.layers:
        for U in layer.U.detach().chunk(4):
            is_orthogonal = torch.allclose(U @ U.T, torch.eye(40), atol=1e-4)
            assert is_orthogonal == (start == "orthogonal")


@pytest.mark.parametrize("network", ["higgins", "digits"])
def test_autoencoders_start_by_he(network):
    torch.manual_seed(0)
    side = 64 if network == "higgins" else 28
    model = VAE((3, side, side), ModelConfig(name="m", network=network, z_dim=9))
    kinds, count = nn.Linear | nn.Conv2d | nn.ConvTranspose2d, 0
    for module in model.modules():
        if isinstance(module, kinds):
            count += 1
            fan_in = module.weight[0].numel()
            assert_uniform(module.weight, math.sqrt(6 / fan_in))
            assert (module.bias == 0).all()
    assert count >= 12


def test_a_ladder_starts_as_a_straight_line():
    """Each residual block gives back what it gets; with levels all are equally likely."""
    torch.manual_seed(0)
    vae = LadderVAE((1, 28, 28), ModelConfig(name="m", network="ladder", z_dim=3), levels=4)
    blocks = [module for module in vae.modules() if isinstance(module, LadderBlock)]
    assert len(blocks) == 7
    for block in blocks:
        x = torch.randn(2, block.layers[2].in_channels, 7, 7)
        assert torch.equal(block(x), x)
        assert block.layers[2].weight.abs().max() > 0
    logits = vae.decode(torch.randn(2, vae.z_dim))
    assert torch.equal(logits, torch.zeros_like(logits))
