"""The GAN, layer by layer and phase by phase."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import models.gan.test
import models.gan.train
from benchmarks.studies.gan import OWN, SLIP, build_their_generator
from models.gan.modules import Discriminator, Generator, ModelConfig
from models.gan.test import interpolate_linearly, interpolate_on_sphere
from tests.helpers.by_hand import Adam, assert_same_weights, average, rate_share, train
from tests.helpers.distributed_worker import in_double
from tests.helpers.phases import moving
from tests.helpers.repository import REPOSITORY
from utils import config
from utils.digits.training import fake_loss, real_loss, sample_pictures
from utils.images.mnist import digits

CONFIG_FILE = REPOSITORY / "models" / "gan" / "config.json"


def small_task(seed=0, **training):
    values = config.read_json(CONFIG_FILE)
    values["data"]["dataset"], values["model"]["z_dim"] = "digits", 5
    values["training"] |= {"batch_size": 32, "device": "cpu"} | training
    settings = config.build(values, models.gan.train.Config, CONFIG_FILE)
    torch.manual_seed(seed)
    images = digits("digits")[0]
    parts = images.take(slice(0, 64)), images.take(slice(64, 128))
    generator, discriminator = Generator(settings.model), Discriminator()
    return models.gan.train.GANTask(generator, discriminator, *parts, settings)


def test_generator_is_the_courses():
    generator = Generator(ModelConfig(name="gan", z_dim=100))
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
        (Generator(ModelConfig(name="gan", z_dim=100)), 0.99, 1.01),
        (build_their_generator(OWN), 0.99, 1.01),
        (build_their_generator(SLIP), 0.0, 0.3),
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
    assert real_loss(logits).item() == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)
    assert fake_loss(logits).item() == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)
    sure = torch.tensor([[-1000.0]], requires_grad=True)  # log D itself would be -inf
    assert real_loss(sure).item() == 1000
    real_loss(sure).backward()
    assert sure.grad.item() == -1, "not flat where the discriminator is sure"


def test_losses_of_a_step_are_cross_entropies(monkeypatch):
    task = small_task()
    monkeypatch.setattr(models.gan.train, "descend", lambda optimizer, loss: None)
    batch = next(task.loader.epoch(1))
    torch.manual_seed(3)
    losses = task.step(batch, 1)
    torch.manual_seed(3)
    x, fake = batch[0], task.modules["generator"](torch.randn(32, 5))
    of_real = task.modules["discriminator"].probability(2 * x - 1)
    of_fake = task.modules["discriminator"].probability(fake)
    one, zero = torch.ones(32, 1), torch.zeros(32, 1)
    entropy = functional.binary_cross_entropy
    assert losses["train_generator_nats"] == pytest.approx(entropy(of_fake, one).item())
    expected = (entropy(of_real, one) + entropy(of_fake, zero)) / 2
    assert losses["train_discriminator_nats"] == pytest.approx(expected.item(), rel=1e-5)


def test_the_discriminator_moves_first_then_the_generator(monkeypatch):
    phases = moving(monkeypatch, models.gan.train, small_task())
    assert phases == [
        {"generator": (False, False), "discriminator": (True, True)},
        {"generator": (True, True), "discriminator": (False, False)},
    ]


def test_a_short_training_is_the_one_written_out(tmp_path):
    """Both networks' steps, at their own rates, and the mean of the generator's weights."""
    rates = {"learning_rate": 0.003, "discriminator_rate": 0.001, "final_rate": 0.1}
    with in_double(True):
        task = small_task(epochs=3, beta1=0.3, average=0.15, **rates)
        generator, discriminator = (
            copy.deepcopy(task.modules[name]) for name in ("generator", "discriminator")
        )
        mean, number, losses = copy.deepcopy(generator), 0, []
        one, other = (
            Adam(list(net.parameters()), 0.3, 0.999) for net in (generator, discriminator)
        )
        torch.manual_seed(7)
        for epoch in (1, 2, 3):
            for x, _ in task.loader.epoch(epoch):
                number += 1
                share = rate_share(number, 0, 6, 0.1)
                fake = generator(torch.randn(32, 5))
                of_real = torch.sigmoid(discriminator(2 * x - 1))
                of_fake = torch.sigmoid(discriminator(fake.detach()))
                loss = -(of_real.log().mean() + (1 - of_fake).log().mean()) / 2
                losses.append([0.0, loss.item()])
                parameters = list(discriminator.parameters())
                other.step(torch.autograd.grad(loss, parameters), 0.001 * share)
                loss = -torch.sigmoid(discriminator(fake)).log().mean()
                losses[-1][0] = loss.item()
                one.step(torch.autograd.grad(loss, list(generator.parameters())), 0.003 * share)
                average(mean, generator, 0.15, number)
        history = train(task, tmp_path, seed=7)
        assert number == 6
        assert_same_weights(task.modules["generator"], generator, "the generator's")
        assert_same_weights(task.modules["discriminator"], discriminator, "the discriminator's")
        assert_same_weights(task.model, mean, "the mean of the generator's")
        pairs = zip(losses[::2], losses[1::2], strict=True)
        for row, (first, second) in zip(history, pairs, strict=True):
            for place, who in enumerate(("generator", "discriminator")):
                nats = (first[place] + second[place]) / 2
                assert row[f"train_{who}_nats"] == pytest.approx(nats, rel=1e-8)
        assert history[-1]["learning_rate"] == pytest.approx(0.003 * 0.1)


def test_what_is_judged_is_the_mean_of_the_weights():
    task = small_task(average=0.9)
    for number, batch in enumerate(task.loader.epoch(1), 1):
        task.step(batch, number)
    found = task.validate()["val_frechet"]
    of_mean, of_last = (
        task.judge.score(sample_pictures(model, 64, seed=0))[0]
        for model in (task.model, task.modules["generator"])
    )
    assert found == of_mean != pytest.approx(of_last)


def test_generator_and_discriminator_learn():
    """A generator that only has to draw one picture gets close to it."""
    task = small_task(learning_rate=0.001, final_rate=1.0, average=0.9)
    x = next(task.loader.epoch(1))[0][:1].expand(32, -1, -1, -1)
    before = (sample_pictures(task.model, 32, seed=0) - x).abs().mean()
    for number in range(1, 151):
        task.step((x,), number)
    # 0.39 with a standard deviation of 0.02 over five seeds
    assert (sample_pictures(task.model, 32, seed=0) - x).abs().mean() < 0.5 * before


def test_ways_between_two_points():
    torch.manual_seed(0)
    a, b = torch.randn(2, 100)
    for way in (interpolate_linearly, interpolate_on_sphere):
        points = way(a, b, 7)
        assert points.shape == (7, 100)
        assert torch.allclose(points[0], a, atol=1e-6)
        assert torch.allclose(points[-1], b, atol=1e-6)
    assert torch.allclose(interpolate_linearly(a, b, 3)[1], (a + b) / 2)
    straight, curved = interpolate_linearly(a, b, 3)[1], interpolate_on_sphere(a, b, 3)[1]
    assert straight.norm() < 0.8 * a.norm() < curved.norm()
    # unit vectors at a right angle: the middle of the arc is at 45 degrees
    axes = torch.eye(2)
    middle = interpolate_on_sphere(axes[0], axes[1], 3)[1]
    assert torch.allclose(middle, torch.full((2,), 0.5**0.5))
    still = interpolate_on_sphere(a, a, 3)
    assert torch.allclose(still, a.expand(3, -1)), "no angle, no division by 0"
