"""What photographs are trained with: their network, sigma, mirrored copies, epochs of a size."""

import math

import numpy as np
import pytest
import torch

from main import main
from tests.helpers.repository import REPOSITORY
from utils.config import read_config
from utils.errors import UserError
from utils.images.data import Batches, Images
from vae.data import NoisyBatches
from vae.ladder import ResidualBlock
from vae.losses import fit_sigma, reconstruction
from vae.residual import ResidualDecoder, ResidualEncoder
from vae.training import VAEConfig, build_model

FILE = REPOSITORY / "vae" / "photographs.json"


def noise(number):
    pixels = np.random.default_rng(0).integers(256, size=(number, 1, 6, 6), dtype=np.uint8)
    return Images(pixels, "noise")


@pytest.mark.parametrize("channels", [1, 3])
def test_every_layer_has_the_shape_beside_it(channels):
    grown = [(32, 32, 32), (64, 16, 16), (128, 8, 8), (128, 4, 4)]
    x, shapes = torch.rand(2, channels, 64, 64), []
    for layer in ResidualEncoder(channels, 5).layers:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Flatten | torch.nn.Linear):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [*grown, (2048,), (10,)]
    x, shapes = torch.rand(2, 5), []
    for layer in ResidualDecoder(channels, 5).layers:
        x = layer(x)
        if isinstance(layer, torch.nn.ConvTranspose2d):
            shapes.append(tuple(x.shape[1:]))
        if isinstance(layer, ResidualBlock):
            assert tuple(x.shape[1:]) == shapes[-1]
    assert shapes == [*grown[2::-1], (channels, 64, 64)]


def test_its_settings_build_a_network_that_starts_as_a_straight_line():
    config = read_config(FILE, VAEConfig)
    model = build_model((3, 64, 64), config)
    assert sum(p.numel() for p in model.parameters()) <= 3_000_000
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 2
    for block in blocks:
        x = torch.randn(2, block.layers[0].num_features, 4, 4)
        assert torch.equal(block(x), x)
    posterior = model.encode(torch.rand(4, 3, 64, 64))
    assert not any(part.any() for part in posterior), "that of the prior, whatever the picture"


def test_the_best_sigma_is_the_one_that_makes_pictures_likeliest():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 2, 3, 3, generator=generator, dtype=torch.float64)
    x = torch.rand(5, 2, 3, 3, generator=generator, dtype=torch.float64)
    p = torch.sigmoid(logits)

    def by_torch(sigma):
        return -torch.distributions.Normal(p, sigma).log_prob(x).flatten(1).sum(dim=1)

    best = (p - x).square().mean().sqrt()
    found = fit_sigma(reconstruction(logits, x, "gaussian"), 18)
    assert torch.allclose(found, by_torch(best))
    assert found.mean().item() == pytest.approx(9 * (1 + math.log(2 * math.pi * best**2)))
    assert all(by_torch(best * f).mean() > found.mean() for f in (0.9, 0.99, 1.01, 1.1))


def test_the_gradient_is_that_of_a_likelihood_with_the_best_sigma():
    logits = torch.randn(4, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    x = torch.rand(4, 1, 2, 2, dtype=torch.float64)
    fit_sigma(reconstruction(logits, x, "gaussian"), 4).mean().backward()
    again = logits.detach().requires_grad_()
    error = (torch.sigmoid(again) - x).square().mean()  # 2 log(2 pi e error) of all four values
    (2 * torch.log(2 * math.pi * math.e * error)).backward()
    assert torch.allclose(logits.grad, again.grad)


def test_pictures_without_an_error_do_not_end_in_infinity():
    assert fit_sigma(torch.zeros(3), 10).isfinite().all()


@pytest.mark.parametrize(("size", "passes"), [(None, 1), (21, 3), (4, 1)])
def test_an_epoch_takes_as_many_images_as_it_is_asked_for(size, passes):
    loader = Batches(noise(7), 2, seed=1, size=size)
    assert loader.steps == (size or 7) // 2
    rows = torch.cat([rows for _, rows in loader.epoch(1)]).tolist()
    assert len(rows) == 2 * loader.steps
    for start in range(0, len(rows), 7):  # each pass has every image at most once
        part = rows[start : start + 7]
        assert len(set(part)) == len(part)
    assert max(map(rows.count, rows)) <= passes
    later = torch.cat([rows for _, rows in loader.epoch(1, first=1)]).tolist()
    assert later == rows[2:]
    if size != 21:
        first = np.random.default_rng([1, 1]).permutation(7)[: len(rows)].tolist()
        assert rows == first, "as before epochs had a size"


def test_an_epoch_smaller_than_a_batch_is_refused():
    with pytest.raises(UserError, match="3 training images, fewer than a batch of 4"):
        Batches(noise(7), 4, seed=0, size=3)


def test_half_of_the_pictures_are_mirrored():
    images = noise(40)
    torch.manual_seed(0)
    loaders = [NoisyBatches(images, 4, 0, 3, mirror) for mirror in (False, True)]
    pairs = zip(*(loader.epoch(1) for loader in loaders), strict=True)
    flipped = []
    for (x, _), (y, epsilon) in pairs:
        assert epsilon.shape == (4, 3)
        for before, after in zip(x, y, strict=True):
            flipped.append(not torch.equal(before, after))
            assert torch.equal(after, before.flip(2) if flipped[-1] else before)
    assert 8 < sum(flipped) < 32  # of 40, by four standard deviations


def test_its_settings_train(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(256, size=(9, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "few.npy", pixels)
    argv = ["--config", str(FILE), "--data", str(tmp_path / "few.npy"), "--batch_size", "4"]
    assert main([*argv, "--dry-run", "--output-dir", str(tmp_path)]) == 0
    assert "nothing was kept" in capsys.readouterr().out
