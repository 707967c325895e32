"""A short training with each objective, against one whose every step is written out."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.by_hand import Adam, Muon, assert_same_weights, rate_share, train
from tests.helpers.distributed_worker import in_double
from tests.helpers.repository import REPOSITORY
from utils.config import override, read_config
from utils.images.data import Images
from vae.losses import decompose_kl
from vae.training import VAEConfig, VAETask, build_model

LOSSES = {
    "beta_vae": {"beta": 3.0, "beta_warmup": 4},
    "capacity": {"beta": 2.0, "beta_warmup": 2, "capacity": 30.0, "capacity_steps": 8},
    "beta_tcvae": {"objective": "beta_tcvae", "beta": 5.0, "beta_warmup": 3},
    "gaussian": {"likelihood": "gaussian", "beta": 0.5},
    "categorical": {"likelihood": "categorical", "beta": 1.0},
}
CASES = [(loss, "digits", "adam") for loss in LOSSES]
CASES += [("categorical", "ladder", "adam"), ("categorical", "digits", "muon")]
IMAGES, B, Z = 15, 5, 3


def small_task(loss, network, optimizer, **training):
    values = {"likelihood": "bernoulli", "capacity": None, "beta_warmup": 0, "capacity_steps": 0}
    values |= {"objective": "beta_vae"} | LOSSES[loss]
    changes = {("loss", name): value for name, value in values.items()}
    changes |= {("model", "network"): network, ("model", "z_dim"): Z, ("data", "bits"): 2}
    training = {
        "epochs": 2, "batch_size": B, "learning_rate": 0.01, "final_rate": 0.3,
        "optimizer": optimizer, "device": "cpu", "pictures": [1],
    } | training  # fmt: skip
    changes |= {("training", name): value for name, value in training.items()}
    config = override(read_config(REPOSITORY / "vae" / "mnist.json", VAEConfig), changes)
    pixels = np.random.default_rng(0).integers(256, size=(IMAGES + 4, 1, 28, 28), dtype=np.uint8)
    images = Images(pixels, "noise", bits=config.data.bits)
    torch.manual_seed(0)
    model = build_model(images.shape, config)
    # A bias before a normalisation has the gradient zero but for rounding, which Adam makes large.
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return VAETask(model, images.take(slice(IMAGES)), images.take(slice(IMAGES, None)), config)


def normal(z, mu, logvar):
    """The density of a Gaussian at a point: numbers."""
    variance = math.exp(logvar)
    return math.exp(-((z - mu) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def decompose_by_loops(z, mu, logvar, N):
    """Chen et al. 2018, equation 2, with q(z) = 1 / (N B) sum_b q(z | x_b): sum by sum."""
    B, Z = len(z), len(z[0])
    information = correlation = rest = 0.0
    for a in range(B):
        each = [
            [normal(z[a][j], mu[b][j], logvar[b][j]) for j in range(Z)] for b in range(B)
        ]  # q(z_aj | x_b)
        own = math.prod(each[a])
        q = sum(math.prod(row) for row in each) / (N * B)
        q_each = [sum(row[j] for row in each) / (N * B) for j in range(Z)]
        prior = [normal(z[a][j], 0.0, 0.0) for j in range(Z)]
        information += math.log(own / q) / B
        correlation += math.log(q / math.prod(q_each)) / B
        rest += math.log(math.prod(q_each) / math.prod(prior)) / B
    return information, correlation, rest


@pytest.mark.parametrize("N", [4, 5, 70])
def test_the_decomposed_kl_is_its_formula(N):
    """Posteriors of different widths, and more pictures, or fewer, than a batch has."""
    generator = torch.Generator().manual_seed(0)
    z, mu, logvar = torch.randn(3, 5, 3, generator=generator, dtype=torch.float64)
    logvar = logvar - torch.arange(5)[:, None]  # widths from 1 to 1/7
    z = mu + torch.exp(logvar / 2) * z
    expected = decompose_by_loops(z.tolist(), mu.tolist(), logvar.tolist(), N)
    found = decompose_kl(z, mu, logvar, images=N)
    assert [part.item() for part in found] == pytest.approx(expected, rel=1e-9)


def nats_of(logits, x, likelihood):
    """Minus the logarithm of p(x|z), the mean over pictures, pixel by pixel."""
    if likelihood == "categorical":
        levels = (x * (logits.shape[-1] - 1)).round().long()
        chosen = logits.softmax(dim=-1).gather(-1, levels[..., None])[..., 0]
        return -chosen.log().sum() / len(x)
    p = 1 / (1 + torch.exp(-logits))
    if likelihood == "gaussian":
        return ((p - x) ** 2).sum() / 2 / len(x)
    return -(x * p.log() + (1 - x) * (1 - p).log()).sum() / len(x)


def learn_by_hand(task):
    """Returns the model after the training, and each step's loss."""
    config, model = task.config, copy.deepcopy(task.model)
    loss, parameters = config.loss, list(model.parameters())
    matrices = [i for i, p in enumerate(parameters) if p.ndim > 1][1:-1]
    muons = {i: Muon(parameters[i]) for i in matrices if config.training.optimizer == "muon"}
    rest = [i for i in range(len(parameters)) if i not in muons]
    adam, losses, number = Adam([parameters[i] for i in rest], 0.9, 0.999), [], 0
    for epoch in (1, 2):
        for x, epsilon in task.loader.epoch(epoch):
            number += 1
            if config.model.network == "ladder":
                logits, z, mu, logvar = model(x, epsilon)
            else:
                mu, logvar = model.encoder(x)
                z = mu + torch.exp(logvar / 2) * epsilon
                logits = model.decode(z)
            beta = loss.beta * (min(1, number / loss.beta_warmup) if loss.beta_warmup else 1)
            kl = ((mu**2 + logvar.exp() - logvar - 1) / 2).sum() / B
            if loss.objective == "beta_tcvae":
                information, correlation, others = decompose_kl(z, mu, logvar, IMAGES)
                penalty = information + beta * correlation + others
            elif loss.capacity is not None:
                penalty = beta * (kl - loss.capacity * min(1, number / loss.capacity_steps)).abs()
            else:
                penalty = beta * kl
            total = nats_of(logits, x, loss.likelihood) + penalty
            gradients = torch.autograd.grad(total, parameters)
            rate = 0.01 * rate_share(number, 0, 6, 0.3)
            adam.step([gradients[i] for i in rest], rate)
            for i, muon in muons.items():
                muon.step(gradients[i], rate, 0.0)
            losses.append(total.item())
    assert number == 6
    return model, losses


@pytest.mark.parametrize(("loss", "network", "optimizer"), CASES)
def test_a_short_training_is_the_one_written_out(loss, network, optimizer, tmp_path):
    with in_double(True):
        task = small_task(loss, network, optimizer)
        torch.manual_seed(7)
        expected, losses = learn_by_hand(task)
        history = train(task, tmp_path, seed=7)
        assert_same_weights(task.model, expected, loss)
        for row, first in zip(history, (0, 3), strict=True):
            mean = sum(losses[first : first + 3]) / 3
            assert row["train_nats"] == pytest.approx(mean, rel=1e-8)


def test_every_batch_comes_with_noise_of_the_prior():
    task = small_task("beta_vae", "digits", "adam")
    torch.manual_seed(3)
    batches = list(task.loader.epoch(2))
    torch.manual_seed(3)
    for x, epsilon in batches:
        assert x.shape == (B, 1, 28, 28)
        assert torch.equal(epsilon, torch.randn(B, Z))
    assert len(batches) == task.loader.steps == 3


def test_validation_draws_the_same_noise_after_every_epoch():
    """The mean over pictures, in parts of 256 and fewer, with noise that no epoch changes."""
    with in_double(True):
        task = small_task("beta_vae", "digits", "adam")
        pixels = np.random.default_rng(1).integers(256, size=(300, 1, 28, 28), dtype=np.uint8)
        task.validation = Images(pixels, "noise", bits=2)
        state = torch.get_rng_state()
        row = task.validate()
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(5)
        assert task.validate() == row
        assert task.model.training
        x, model = task.validation.floats(), copy.deepcopy(task.model).eval()
        with torch.no_grad():
            mu, logvar = model.encoder(x)
            torch.manual_seed(0)
            epsilon = torch.cat([torch.randn(256, Z), torch.randn(44, Z)])
            logits = model.decode(mu + torch.exp(logvar / 2) * epsilon)
            nats = nats_of(logits, x, "bernoulli").item()
            kl = ((mu**2 + logvar.exp() - logvar - 1) / 2).mean(dim=0)
        assert row["val_reconstruction_nats"] == pytest.approx(nats, rel=1e-9)
        assert row["val_kl_nats"] == pytest.approx(kl.sum().item(), rel=1e-9)
        assert row["val_nats"] == pytest.approx(nats + 3 * kl.sum().item(), rel=1e-9)
        assert [row[f"val_kl_0{j}_nats"] for j in range(Z)] == pytest.approx(kl.tolist())
        assert row["val_active"] == Z
        with torch.no_grad():  # a latent that is the prior itself
            for name in ("weight", "bias"):
                getattr(task.model.encoder.layers[-1], name)[[0, Z]] = 0
        assert task.validate()["val_active"] == Z - 1
