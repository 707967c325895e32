"""The adversarial autoencoder: its networks, its phases, and what lambda leaves of its gradient."""

import copy

import pytest
import torch
from torch.nn import functional

import models.aae.train
from models.aae.modules import Autoencoder, Discriminator, ModelConfig
from models.aae.train import encode_pictures
from tests.helpers.by_hand import Adam, assert_same_weights, average, rate_share, train
from tests.helpers.distributed_worker import in_double
from tests.helpers.phases import moving
from tests.helpers.repository import REPOSITORY
from utils import config
from utils.digits.training import descend
from utils.images.data import to_unit_range
from utils.images.mnist import digits
from utils.training.loop import fit
from utils.training.run import Run

CONFIG_FILE = REPOSITORY / "models" / "aae" / "config.json"


def small_task(seed=0, **training):
    values = config.read_json(CONFIG_FILE)
    values["data"]["dataset"] = "digits"
    values["model"] |= {"z_dim": 3, "hidden_size": 32}
    values["training"] |= {"batch_size": 32, "device": "cpu"} | training
    settings = config.build(values, models.aae.train.Config, CONFIG_FILE)
    torch.manual_seed(seed)
    images = digits("digits")[0]
    parts = images.take(slice(0, 320)), images.take(slice(320, 400))
    autoencoder, discriminator = Autoencoder(settings.model), Discriminator(settings.model)
    return models.aae.train.AAETask(autoencoder, discriminator, *parts, settings)


def gradients(monkeypatch, task, x):
    """Learns a batch; returns the gradient of encoder and decoder in their phase, by name."""
    found = []

    def watched(optimizer, loss):
        descend(optimizer, loss)
        if optimizer is task.optimizers["autoencoder"]:
            found.append(
                {n: p.grad.clone() for n, p in task.modules["autoencoder"].named_parameters()}
            )

    monkeypatch.setattr(models.aae.train, "descend", watched)
    task.step((x,), 1)
    return found[0]


def first_batch(task):
    return next(task.loader.epoch(1))[0]


def test_shapes_and_ranges():
    settings = ModelConfig(name="aae", z_dim=5, hidden_size=64)
    autoencoder, x = Autoencoder(settings), torch.rand(4, 1, 28, 28)
    decoded, z = autoencoder(x)
    assert decoded.shape == x.shape
    assert z.shape == (4, 5)
    assert torch.equal(z, autoencoder.encoder(x)), "no noise: a point, not a distribution"
    assert torch.equal(decoded, torch.sigmoid(autoencoder.decoder(z)))
    far = autoencoder.generate(1000 * torch.randn(9, 5))
    assert far.min() >= 0
    assert far.max() <= 1
    assert Discriminator(settings)(z).shape == (4, 1)


def test_the_autoencoder_moves_first_then_the_discriminator(monkeypatch):
    assert moving(monkeypatch, models.aae.train, small_task()) == [
        {"autoencoder": (True, True), "discriminator": (False, False)},
        {"autoencoder": (False, False), "discriminator": (True, True)},
    ]


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_lambda_weighs_reconstruction_against_the_adversary(value, monkeypatch):
    """The gradient is lambda times a plain autoencoder's, 1 - lambda times the adversarial one."""
    task, plain = small_task(lambda_=value), small_task().modules["autoencoder"]
    x = first_batch(task)
    discriminator = small_task().modules["discriminator"]
    decoded, z = plain(x)
    names, parameters = zip(*plain.named_parameters(), strict=True)
    error = ((decoded - x) ** 2).sum() / x.numel()
    of_error = torch.autograd.grad(error, parameters, retain_graph=True)
    fooling = functional.binary_cross_entropy_with_logits(discriminator(z), torch.ones(len(z), 1))
    of_fooling = torch.autograd.grad(fooling, parameters, allow_unused=True)
    found = gradients(monkeypatch, task, x)
    for name, one, other in zip(names, of_error, of_fooling, strict=True):
        assert (other is None) == name.startswith("decoder")
        expected = value * one + (0 if other is None else (1 - value) * other)
        assert torch.allclose(found[name], expected, atol=1e-9, rtol=1e-4), name
        if value == 1:
            assert torch.allclose(found[name], one, atol=1e-9, rtol=1e-4), "a plain autoencoder's"
        if value == 0 and name.startswith("decoder"):
            assert not found[name].any(), "nothing comes from the reconstruction"


def test_losses_of_a_step_by_hand(monkeypatch):
    task = small_task()
    monkeypatch.setattr(models.aae.train, "descend", lambda optimizer, loss: None)
    x = first_batch(task)
    torch.manual_seed(3)
    losses = task.step((x,), 1)
    torch.manual_seed(3)
    prior = torch.randn(32, 3)
    decoded, z = task.modules["autoencoder"](x)
    of_prior, of_latents = (
        torch.sigmoid(task.modules["discriminator"](some)) for some in (prior, z)
    )
    assert losses["train_reconstruction"] == pytest.approx(((decoded - x) ** 2).mean().item())
    assert losses["train_adversarial_nats"] == pytest.approx(-of_latents.log().mean().item())
    expected = -(of_prior.log().mean() + (1 - of_latents).log().mean()) / 2
    assert losses["train_discriminator_nats"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_short_training_is_the_one_written_out(tmp_path):
    """Both networks' steps, at their own rates, and the mean of the autoencoder's weights."""
    rates = {"learning_rate": 0.003, "discriminator_rate": 0.001, "final_rate": 0.1}
    with in_double(True):
        task = small_task(epochs=1, beta1=0.3, average=0.15, lambda_=0.7, **rates)
        autoencoder, discriminator = (
            copy.deepcopy(task.modules[name]) for name in ("autoencoder", "discriminator")
        )
        mean = copy.deepcopy(autoencoder)
        one, other = (
            Adam(list(net.parameters()), 0.3, 0.999) for net in (autoencoder, discriminator)
        )
        torch.manual_seed(7)
        for number, (x, _) in enumerate(task.loader.epoch(1), 1):
            share = rate_share(number, 0, 10, 0.1)
            z = autoencoder.encoder(x)
            error = ((torch.sigmoid(autoencoder.decoder(z)) - x) ** 2).mean()
            loss = 0.7 * error - 0.3 * torch.sigmoid(discriminator(z)).log().mean()
            one.step(torch.autograd.grad(loss, list(autoencoder.parameters())), 0.003 * share)
            of_prior = torch.sigmoid(discriminator(torch.randn(32, 3)))
            of_latents = torch.sigmoid(discriminator(z.detach()))
            loss = -(of_prior.log().mean() + (1 - of_latents).log().mean()) / 2
            other.step(torch.autograd.grad(loss, list(discriminator.parameters())), 0.001 * share)
            average(mean, autoencoder, 0.15, number)
        assert number == task.loader.steps == 10
        train(task, tmp_path, seed=7)
        assert_same_weights(task.modules["autoencoder"], autoencoder, "the autoencoder's")
        assert_same_weights(task.modules["discriminator"], discriminator, "the discriminator's")
        assert_same_weights(task.model, mean, "the mean of the autoencoder's")


def test_it_learns_to_reconstruct_and_the_latents_come_to_the_prior(tmp_path):
    task = small_task(average=0.9, epochs=40, learning_rate=0.003, lambda_=0.9)
    before = encode_pictures(task.model, task.validation)
    fit(task, Run(task.config, tmp_path / "checkpoints", tmp_path / "results"), quiet=True)
    z, error = encode_pictures(task.model, task.validation)
    assert z.shape == (80, 3)
    # 0.282 and 0.68 of what it was before, and 0.44, over five seeds: with standard deviations of
    # 0.002, 0.08 and 0.09.
    assert error < 0.6 * before[1]
    assert (z.std(dim=0) - 1).abs().mean() < (before[0].std(dim=0) - 1).abs().mean()
    assert z.mean(dim=0).abs().max() < 1


def test_the_error_is_the_mean_over_all_pixels():
    task = small_task()
    images = task.loader.images  # 320 pictures
    latents, error = encode_pictures(task.modules["autoencoder"], images)
    with torch.no_grad():
        decoded, z = task.modules["autoencoder"](to_unit_range(images.pixels))
    assert torch.allclose(latents, z, atol=1e-6)
    assert error == pytest.approx(((decoded - to_unit_range(images.pixels)) ** 2).mean().item())
