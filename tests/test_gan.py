"""The GAN, layer by layer and phase by phase."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import models.gan.test
import models.gan.train
from benchmarks.studies.gan import their_generator
from models.gan.modules import Discriminator, Generator, ModelConfig
from models.gan.test import linear, spherical
from tests.conftest import REPOSITORY
from utils import config
from utils.digits.training import descend, draw, forged_nats, genuine_nats
from utils.images.mnist import digits

CONFIG_FILE = REPOSITORY / "models" / "gan" / "config.json"


def small_task(seed=0, **training):
    values = config.read_json(CONFIG_FILE)
    values["data"]["dataset"], values["model"]["z_dim"] = "digits", 5
    values["training"] |= {"batch_size": 32, "device": "cpu"} | training
    settings = config.build(values, models.gan.train.CONFIG, "")
    torch.manual_seed(seed)
    images = digits("digits")[0]
    return models.gan.train.GANTask(
        images.take(slice(0, 64)), images.take(slice(64, 128)), settings
    )


def test_generator_is_the_courses():
    generator = Generator(ModelConfig("gan", 100))
    kinds = [type(layer).__name__ for layer in generator.layers]
    block = ["Linear", "BatchNorm1d", "LeakyReLU"]
    assert kinds == ["Linear", "LeakyReLU", *(3 * block), "Linear", "Tanh", "Unflatten"]
    widths = [
        (layer.in_features, layer.out_features)
        for layer in generator.layers
        if isinstance(layer, nn.Linear)
    ]
    assert widths == [(100, 128), (128, 256), (256, 512), (512, 1024), (1024, 784)]
    norms = [layer for layer in generator.layers if isinstance(layer, nn.BatchNorm1d)]
    assert [(n.num_features, n.eps, n.momentum) for n in norms] == [
        (width, 1e-5, 0.1) for width in (256, 512, 1024)
    ], "a bare second value is eps"
    slopes = {n.negative_slope for n in generator.layers if isinstance(n, nn.LeakyReLU)}
    assert slopes == {0.2}
    z = 50 * torch.randn(16, 100)
    fake = generator(z)
    assert fake.shape == (16, 1, 28, 28)
    assert fake.min() < 0 < fake.max()
    assert fake.abs().max() <= 1
    with torch.no_grad():
        generator.eval()
        assert torch.equal(generator.generate(z), (generator(z) + 1) / 2)


def test_normalised_features_have_unit_variance_unless_eps_is_the_slip():
    """With 0.8 as eps, features of variance v come out with v / (v + 0.8)."""
    torch.manual_seed(0)
    z = torch.randn(4000, 100)
    for generator, low, high in (
        (Generator(ModelConfig("gan", 100)), 0.99, 1.01),
        (their_generator(), 0.0, 0.3),
    ):
        normalised = generator.layers[:4](z)
        assert low < normalised.std(dim=0).mean() < high


def test_discriminator_is_the_courses():
    torch.manual_seed(0)
    discriminator = Discriminator()
    kinds = [type(layer).__name__ for layer in discriminator.layers]
    assert kinds == ["Flatten", "Linear", "LeakyReLU", "Linear", "LeakyReLU", "Linear"]
    widths = [
        (layer.in_features, layer.out_features)
        for layer in discriminator.layers
        if isinstance(layer, nn.Linear)
    ]
    assert widths == [(784, 512), (512, 256), (256, 1)]
    slopes = {n.negative_slope for n in discriminator.layers if isinstance(n, nn.LeakyReLU)}
    assert slopes == {0.2}
    x = torch.rand(4, 1, 28, 28)
    assert discriminator(x).shape == (4, 1)
    assert torch.equal(discriminator.probability(x), torch.sigmoid(discriminator(x)))


def test_losses_by_hand():
    # D = 0.5, 0.75: -ln D and -ln (1 - D)
    logits = torch.tensor([[0.0], [np.log(3.0)]]).double()
    assert genuine_nats(logits).item() == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)
    assert forged_nats(logits).item() == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)
    sure = torch.tensor([[-1000.0]], requires_grad=True)  # log D itself would be -inf
    assert genuine_nats(sure).item() == 1000
    genuine_nats(sure).backward()
    assert sure.grad.item() == -1, "not flat where the discriminator is sure"


def test_losses_of_a_step_are_cross_entropies(monkeypatch):
    task = small_task()
    monkeypatch.setattr(models.gan.train, "descend", lambda optimizer, loss: None)
    x = next(iter(task.batches(1, 0)))
    torch.manual_seed(3)
    losses = task.learn(x)
    torch.manual_seed(3)
    fake = task.player(torch.randn(32, 5))
    of_real = task.discriminator.probability(2 * x - 1)
    of_fake = task.discriminator.probability(fake)
    one, zero = torch.ones(32, 1), torch.zeros(32, 1)
    entropy = functional.binary_cross_entropy
    assert losses["train_generator_nats"].item() == pytest.approx(entropy(of_fake, one).item())
    expected = (entropy(of_real, one) + entropy(of_fake, zero)) / 2
    assert losses["train_discriminator_nats"].item() == pytest.approx(expected.item(), rel=1e-5)


def moving(monkeypatch, module, task):
    """Which networks' parameters move at each call of `descend`, and which have a gradient."""
    phases = []

    def watched(optimizer, loss):
        networks = {"player": task.player, "discriminator": task.discriminator}
        before = {
            name: [p.detach().clone() for p in net.parameters()] for name, net in networks.items()
        }
        for net in networks.values():
            net.zero_grad()
        descend(optimizer, loss)
        phases.append(
            {
                name: (
                    any(
                        not torch.equal(p, old)
                        for p, old in zip(net.parameters(), before[name], strict=True)
                    ),
                    any(p.grad is not None for p in net.parameters()),
                )
                for name, net in networks.items()
            }
        )

    monkeypatch.setattr(module, "descend", watched)
    task.step(next(iter(task.batches(1, 0))), 1)
    return phases


def test_the_discriminator_moves_first_then_the_generator(monkeypatch):
    phases = moving(monkeypatch, models.gan.train, small_task())
    assert phases == [
        {"player": (False, False), "discriminator": (True, True)},
        {"player": (True, True), "discriminator": (False, False)},
    ]


def test_generator_and_discriminator_learn():
    """A generator that only has to draw one picture gets close to it."""
    task = small_task(learning_rate=0.001, final_rate=1.0, average=0.9)
    x = next(iter(task.batches(1, 0)))[:1].expand(32, -1, -1, -1)
    before = (draw(task.average, 32, seed=0) - x).abs().mean()
    for number in range(1, 151):
        task.step(x, number)
    # 0.39 with a standard deviation of 0.02 over five seeds
    assert (draw(task.average, 32, seed=0) - x).abs().mean() < 0.5 * before


def test_ways_between_two_points():
    torch.manual_seed(0)
    a, b = torch.randn(2, 100)
    for way in (linear, spherical):
        points = way(a, b, 7)
        assert points.shape == (7, 100)
        assert torch.allclose(points[0], a, atol=1e-6)
        assert torch.allclose(points[-1], b, atol=1e-6)
    assert torch.allclose(linear(a, b, 3)[1], (a + b) / 2)
    assert linear(a, b, 3)[1].norm() < 0.8 * a.norm() < spherical(a, b, 3)[1].norm()
    # unit vectors at a right angle: the middle of the arc is at 45 degrees
    axes = torch.eye(2)
    assert torch.allclose(spherical(axes[0], axes[1], 3)[1], torch.full((2,), 0.5**0.5))
    assert torch.allclose(spherical(a, a, 3), a.expand(3, -1)), "no angle, no division by 0"
