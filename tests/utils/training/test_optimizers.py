"""Muon, and the running mean of weights."""

import copy
import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from models.transformer.modules import Model
from models.transformer.train import Config
from tests.helpers.repository import REPOSITORY
from utils.config import override, read_config
from utils.errors import UserError
from utils.images.data import Images
from utils.text.training import NextCharacter
from utils.training.optimizers import (
    Muon,
    make_optimizers,
    orthogonalise,
    restore_optimizers,
    update_average,
)
from utils.training.progress import Progress
from utils.training.run import Run
from vae.networks import SIDES
from vae.training import VAEConfig, VAETask, build_model


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (30, 5), (1, 7)])
def test_orthogonal_sets_every_singular_value_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    U, _, Vt = torch.linalg.svd(matrix, full_matrices=False)
    turned = orthogonalise(matrix)
    assert turned.shape == shape
    inside = U.T @ turned @ Vt.T  # in the matrix's own directions: diagonal
    assert (inside - inside.diag().diag()).abs().max() < 1e-9
    assert inside.diag().min() > 0.6
    assert inside.diag().max() < 1.2


def test_orthogonal_does_not_depend_on_the_length():
    torch.manual_seed(0)
    matrix = torch.randn(5, 8)
    torch.testing.assert_close(orthogonalise(1e-6 * matrix), orthogonalise(matrix))
    assert orthogonalise(torch.zeros(3, 4)).abs().max() == 0


def test_muons_first_steps_by_hand():
    """Of one row there is one singular value: U Vᵀ is the row, divided by its length."""
    weight = nn.Parameter(torch.tensor([[1.0, 2.0]]))
    optimizer = Muon([weight], lr=0.5, momentum=0.9, weight_decay=0.1)
    one = orthogonalise(torch.tensor([[3.0, 4.0]]))
    weight.grad = torch.tensor([[3.0, 4.0]])
    optimizer.step()
    expected = torch.tensor([[1.0, 2.0]]) * (1 - 0.5 * 0.1) - 0.5 * one * 0.2 * 2**0.5
    torch.testing.assert_close(weight.data, expected)
    weight.grad = torch.tensor([[-4.0, 0.0]])
    optimizer.step()
    mean = 0.9 * 0.1 * torch.tensor([[3.0, 4.0]]) + 0.1 * torch.tensor([[-4.0, 0.0]])
    ahead = 0.9 * mean + 0.1 * torch.tensor([[-4.0, 0.0]])
    expected = expected * 0.95 - 0.5 * orthogonalise(ahead) * 0.2 * 2**0.5
    torch.testing.assert_close(weight.data, expected)


def test_a_step_of_muon_is_as_long_as_adamws():
    torch.manual_seed(0)
    for shape in ((64, 64), (32, 96), (8, 16, 3)):
        weight = nn.Parameter(torch.zeros(shape))
        weight.grad = torch.randn(shape)
        Muon([weight], lr=0.1).step()
        assert weight.data.square().mean().sqrt().item() == pytest.approx(0.1 * 0.2, rel=0.25)


def test_muon_descends_where_one_direction_drowns_the_others():
    """x Wᵀ = y with inputs of very different size: the small ones are learned as fast."""
    torch.manual_seed(0)
    x = torch.randn(256, 8) * torch.logspace(0, -2, 8)
    wanted = torch.randn(8, 8)
    weight = nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([weight], lr=0.1)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 300)
        optimizer.zero_grad()
        (x @ (weight - wanted).T).square().mean().backward()
        optimizer.step()
    assert (weight - wanted).abs().max() < 0.1


def held_by(optimizers, model):
    """Names the parameters that each optimiser steps."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        kind: [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
        for kind, optimizer in optimizers.items()
    }


def test_muon_gets_the_matrices_within_and_adamw_the_rest(words, tmp_path):
    file = REPOSITORY / "models" / "transformer" / "tinyshakespeare.json"
    settings = read_config(file, Config)
    model = Model(len(words.alphabet), settings.model)
    task = NextCharacter(model, words, settings)
    held = held_by(task.optimizers, model)
    within = ("attention.qkv", "attention.out", "mlp.0", "mlp.2")
    assert held["muon"] == [f"blocks.{n}.{part}.weight" for n in range(4) for part in within]
    assert sorted(held["muon"] + held["adamw"]) == sorted(
        name for name, _ in model.named_parameters()
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run = Run(settings, tmp_path / "checkpoints", tmp_path / "results")
    assert Progress(task, run).set_learning_rate() == 1
    task.step(next(task.loader.epoch(1)), 1)
    assert all((p != before[name]).any() for name, p in model.named_parameters())
    rates = {group["lr"] for o in task.optimizers.values() for group in o.param_groups}
    assert rates == {0.004 / 100}  # the first of 100 steps of warm-up


def test_of_an_autoencoder_muon_gets_the_matrices_that_face_no_pixels():
    settings = read_config(REPOSITORY / "vae" / "mnist.json", VAEConfig)
    model = build_model((1, 28, 28), settings)
    pixels = np.random.default_rng(0).integers(16, size=(64, 1, 28, 28)) * 17
    images = Images(pixels.astype(np.uint8), "noise")
    task = VAETask(model, images, images, settings)
    held = held_by(task.optimizers, model)
    matrices = [name for name, p in model.named_parameters() if p.ndim > 1]
    assert matrices[0] == "encoder.layers.0.weight"
    assert model.get_parameter(matrices[-1]).shape[1] == 16  # the levels of a pixel
    assert held["muon"] == matrices[1:-1]
    assert sorted(held["muon"] + held["adamw"]) == sorted(
        name for name, _ in model.named_parameters()
    )
    before = {name: model.get_parameter(name).detach().clone() for name in matrices}
    for number in (1, 2):  # in the first the last layer is zero, and lets no gradient past
        task.step(next(task.loader.epoch(number)), number)
    assert all((model.get_parameter(name) != p).any() for name, p in before.items())


HIDDEN = {
    "lstm": ["lstm.layers.0.U", "lstm.layers.1.W", "lstm.layers.1.U"],
    "tcn": [
        f"blocks.{level}.{part}.conv.parametrizations.weight.original1"
        for level in range(2)
        for part in ("first", "second")
    ],
    "transformer": [
        f"blocks.0.{part}.weight" for part in ("attention.qkv", "attention.out", "mlp.0", "mlp.2")
    ],
}
MODELS = {
    "lstm": {"name": "m", "hidden_size": 8, "layers": 2, "dropout": 0.0,
             "recurrent_init": "xavier"},
    "tcn": {"name": "m", "channels": 8, "kernel_size": 2, "levels": 2, "dropout": 0.0},
    "transformer": {"name": "m", "width": 8, "heads": 2, "layers": 1, "context": 16,
                    "positions": "learned", "dropout": 0.0},
}  # fmt: skip


@pytest.mark.parametrize("vocabulary", [1, 2, 8, 16, 24, 32, 37])  # 8 is the width, 24 three of it
@pytest.mark.parametrize("kind", HIDDEN)
def test_an_alphabet_of_any_size_leaves_muon_the_same_matrices(kind, vocabulary):
    modules = importlib.import_module(f"models.{kind}.modules")
    model = modules.Model(vocabulary, modules.ModelConfig(**MODELS[kind]))
    optimizers = make_optimizers(model, model.outer, 0.1, decay=0.2, beta2=0.9, muon=True)
    held = held_by(optimizers, model)
    assert held["muon"] == HIDDEN[kind]
    assert sorted(held["muon"] + held["adamw"]) == sorted(n for n, _ in model.named_parameters())
    alone = make_optimizers(model, model.outer, 0.1, decay=0.2, beta2=0.9, muon=False)
    assert list(alone) == ["adamw"]
    for group in [*optimizers["adamw"].param_groups, *alone["adamw"].param_groups]:
        names = held_by({"group": SimpleNamespace(param_groups=[group])}, model)["group"]
        decays = {".parametrizations." not in n and model.get_parameter(n).ndim > 1 for n in names}
        assert decays == {group["weight_decay"] == 0.2}
    decays = [group["weight_decay"] for group in optimizers["muon"].param_groups]
    assert decays == [0.0 if kind == "tcn" else 0.2]


@pytest.mark.parametrize("z_dim", [1, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical"])
@pytest.mark.parametrize("network", ["higgins", "digits", "ladder"])
def test_muon_leaves_what_faces_the_pixels(network, likelihood, channels, z_dim):
    settings = read_config(REPOSITORY / "vae" / "mnist.json", VAEConfig)
    changes = {
        ("model", "network"): network,
        ("model", "z_dim"): z_dim,
        ("loss", "likelihood"): likelihood,
    }
    side = SIDES[network]
    model = build_model((channels, side, side), override(settings, changes))
    first = "encoder.fine.0.weight" if network == "ladder" else "encoder.layers.0.weight"
    assert model.get_parameter(first).shape[1] == channels
    last = f"decoder.layers.{len(model.decoder.layers) - 1}.weight"
    levels = 2**settings.data.bits if likelihood == "categorical" else 1
    assert channels * levels in model.get_parameter(last).shape[:2]
    optimizers = make_optimizers(model, model.outer, 0.1, beta2=0.9, muon=True)
    matrices = [name for name, p in model.named_parameters() if p.ndim > 1]
    inner = [name for name in matrices if name not in (first, last)]
    assert len(inner) == len(matrices) - 2
    assert held_by(optimizers, model)["muon"] == inner


def test_a_run_whose_directions_were_decayed_goes_on_with_that(capsys):
    """As TCNs were until the direction of weight_norm was spared."""
    modules = importlib.import_module("models.tcn.modules")

    def make(old):
        torch.manual_seed(0)
        model = modules.Model(5, modules.ModelConfig(**MODELS["tcn"]))
        optimizers = make_optimizers(model, model.outer, 0.1, decay=0.2, beta2=0.9, muon=False)
        if old:
            split = [p for p in model.parameters() if sum(s > 1 for s in p.shape) > 1]
            rest = [p for p in model.parameters() if sum(s > 1 for s in p.shape) < 2]
            for group, members in zip(optimizers["adamw"].param_groups, (split, rest), strict=True):
                group["params"] = members
        return model, optimizers

    def step(model, optimizers):
        logits, _ = model(torch.tensor([[0, 1, 2, 3, 4]]))
        model.zero_grad()
        logits.square().mean().backward()
        optimizers["adamw"].step()

    model, optimizers = make(old=True)
    step(model, optimizers)
    state = {"adamw": copy.deepcopy(optimizers["adamw"].state_dict())}
    weights = copy.deepcopy(model.state_dict())
    step(model, optimizers)
    other, ours = make(old=False)
    other.load_state_dict(weights)
    restore_optimizers(ours, state, other)
    assert "the weights decayed that were when it began" in capsys.readouterr().out
    step(other, ours)
    for name, p in model.named_parameters():
        assert torch.equal(p, other.get_parameter(name)), name


def test_a_run_whose_optimisers_had_other_matrices_is_refused():
    modules = importlib.import_module("models.transformer.modules")
    model = modules.Model(8, modules.ModelConfig(**MODELS["transformer"]))

    def make(muon, outer=model.outer):
        return make_optimizers(model, outer, 0.1, decay=0.2, beta2=0.9, muon=muon)

    for before in (make(False), make(True, ("embed.", "head."))):
        saved = {name: each.state_dict() for name, each in before.items()}
        with pytest.raises(UserError, match="share its parameters in another way than today's"):
            restore_optimizers(make(True), saved, model)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_that_of_the_paper_and_takes_no_slow_roots(decay):
    """Loshchilov & Hutter 2019, algorithm 2; torch.sqrt, by MKL, is slow where an average is 0."""
    model = nn.Linear(3, 2, bias=False).double()
    weight, rate, betas, eps = model.weight, 0.01, (0.9, 0.99), 1e-8
    w, m, v = weight.detach().clone(), torch.zeros(2, 3), torch.zeros(2, 3)
    optimizer = make_optimizers(model, ("weight",), rate, decay=decay, beta2=betas[1], muon=False)[
        "adamw"
    ]
    for t in range(1, 6):
        g = torch.randn(2, 3, dtype=torch.float64)
        g[0] = 0  # a dead unit
        weight.grad = g.clone()
        with torch.profiler.profile() as profile:
            optimizer.step()
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        ahead = (m / (1 - betas[0] ** t)) / ((v / (1 - betas[1] ** t)) ** 0.5 + eps)
        w = w - rate * (ahead + decay * w)
        torch.testing.assert_close(weight.data, w)
    names = {event.key for event in profile.key_averages()}
    assert "aten::_fused_adamw_" in names  # the profiler saw something
    assert not {name for name in names if "sqrt" in name}


def test_a_run_of_the_slower_adamw_goes_on():
    """What it kept of its weights fits, and five further steps are the same to rounding."""
    torch.manual_seed(0)
    models = [nn.Linear(4, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    gradients = [[torch.randn_like(p) for p in models[0].parameters()] for _ in range(10)]

    def take(model, optimizer, part):
        for step in gradients[part]:
            for p, gradient in zip(model.parameters(), step, strict=True):
                p.grad = gradient.clone()
            optimizer.step()

    groups = [{"params": [p]} for p in models[0].parameters()]
    slow = torch.optim.AdamW(groups, lr=0.02, betas=(0.9, 0.99), weight_decay=0.0)
    take(models[0], slow, slice(0, 5))
    models[1].load_state_dict(models[0].state_dict())
    fused = make_optimizers(models[1], (), 0.1, beta2=0.99, muon=False)
    saved = copy.deepcopy({"adamw": slow.state_dict()})
    restore_optimizers(fused, saved, models[1])
    take(models[0], slow, slice(5, 10))
    take(models[1], fused["adamw"], slice(5, 10))
    for before, now in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(now, before)


def test_the_mean_of_the_weights_follows():
    a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(b.weight, 5.0)
    b.running_mean += 10
    b.num_batches_tracked += 3
    update_average(a, b, 0.75, 1000)
    assert a.weight.tolist() == [2, 2]
    assert a.running_mean.tolist() == [2.5, 2.5]
    assert a.num_batches_tracked == 3
    update_average(a, b, 0.0, 1000)
    assert a.weight.tolist() == [5, 5]


def test_the_mean_is_short_at_first():
    mean, weights = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(mean.weight, 0.0)
    nn.init.constant_(weights.weight, 11.0)
    update_average(mean, weights, 0.999, 1)
    assert mean.weight.item() == pytest.approx(10)  # a decay of 1 / 11
