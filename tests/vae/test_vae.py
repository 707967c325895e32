"""The variational autoencoder: networks, losses, schedules, the line along which faces turn."""

import itertools
import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from tests.helpers.repository import REPOSITORY
from utils.config import override, read_config
from utils.images.data import Images
from vae.analysis.rotation import (
    Rotation,
    Whitening,
    find_by_mirroring,
    find_by_regression,
)
from vae.faces.factors import NAMES, mark_valid, sample_factors
from vae.ladder import LadderVAE
from vae.latents import decode, encode, generate, reconstruct
from vae.losses import (
    bits_per_dim,
    compute_capacity,
    decompose_kl,
    kl_per_dim,
    log_normal,
    reconstruction,
    warm_up,
)
from vae.networks import VAE, Decoder, Encoder, ModelConfig, reparametrise
from vae.training import VAEConfig, VAETask


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAE((3, 64, 64), ModelConfig(name="m", network="higgins", z_dim=5))


def latents(count=7, z_dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, z_dim, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_layer_has_the_shape_beside_it(channels):
    x = torch.rand(2, channels, 64, 64)
    shapes = []
    for layer in Encoder(channels, 5).layers:
        x = layer(x)
        if not isinstance(layer, torch.nn.ReLU):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4), (1024,), (256,), (10,)]
    x, shapes = torch.rand(2, 5), []
    for layer in Decoder(channels, 5).layers:
        x = layer(x)
        if not isinstance(layer, torch.nn.ReLU):
            shapes.append(tuple(x.shape[1:]))
    grown = [(64, 8, 8), (32, 16, 16), (32, 32, 32), (channels, 64, 64)]
    assert shapes == [(256,), (1024,), (64, 4, 4), *grown]


def test_the_model_gives_logits_and_a_posterior(vae):
    logits, z, mu, logvar = vae(torch.rand(4, 3, 64, 64))
    assert logits.shape == (4, 3, 64, 64)
    assert z.shape == mu.shape == logvar.shape == (4, 5)
    assert logits.min() < 0, "logits are not squeezed into [0, 1]; the sigmoid comes outside"
    with pytest.raises(ValueError, match="32 x 32, not 64 x 64"):
        VAE((3, 32, 32), ModelConfig(name="m", network="higgins", z_dim=5))


def test_pictures_are_in_their_range_and_do_not_depend_on_the_batch(vae):
    pixels = torch.randint(256, (5, 3, 64, 64), dtype=torch.uint8).numpy()
    mu, logvar = encode(vae, Images(pixels, ""), part=2)
    whole = encode(vae, Images(pixels, ""))
    assert torch.allclose(mu, whole[0], atol=1e-5)
    assert torch.allclose(logvar, whole[1], atol=1e-5)
    pictures = reconstruct(vae, Images(pixels, ""))
    assert torch.allclose(pictures, decode(vae, mu, part=3), atol=1e-5)
    assert 0 <= pictures.min() < pictures.max() <= 1
    assert torch.equal(generate(vae, 4, seed=1), generate(vae, 4, seed=1))
    assert not torch.equal(generate(vae, 4, seed=1), generate(vae, 4, seed=2))


def test_reparametrising_has_the_right_mean_and_width_and_lets_gradients_through():
    torch.manual_seed(0)
    mu = torch.full((200_000,), 3.0, requires_grad=True)
    logvar = torch.full((200_000,), math.log(4), requires_grad=True)
    z = reparametrise(mu, logvar)
    assert z.mean().item() == pytest.approx(3, abs=0.02)
    assert z.std().item() == pytest.approx(2, abs=0.02)
    z.sum().backward()
    assert torch.equal(mu.grad, torch.ones_like(mu))
    assert torch.allclose(logvar.grad, (z - mu).detach() / 2, atol=1e-5)


def test_the_gradient_reaches_mu_and_logvar(vae):
    logits, _, mu, logvar = vae(torch.rand(4, 3, 64, 64))
    mu.retain_grad()
    logvar.retain_grad()
    reconstruction(logits, torch.rand(4, 3, 64, 64), "bernoulli").mean().backward()
    assert mu.grad.abs().min() > 0
    assert logvar.grad.abs().min() > 0


def test_kl_against_torch_distributions():
    mu, logvar = latents()
    theirs = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0))
    assert torch.allclose(kl_per_dim(mu, logvar), theirs, atol=1e-12)
    both = Independent(Normal(mu, torch.exp(logvar / 2)), 1)
    prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    assert torch.allclose(kl_per_dim(mu, logvar).sum(1), kl_divergence(both, prior), atol=1e-12)


def test_the_density_of_a_normal_distribution():
    mu, logvar = latents()
    z = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = Normal(mu, torch.exp(logvar / 2)).log_prob(z)
    assert torch.allclose(log_normal(z, mu, logvar), theirs, atol=1e-12)


def test_kl_is_zero_at_the_prior_only_and_symmetric_in_the_mean():
    zero = torch.zeros(1, 3, dtype=torch.float64)
    assert kl_per_dim(zero, zero).abs().max() == 0
    mu, logvar = latents()
    assert kl_per_dim(mu, logvar).min() > 0
    assert torch.equal(kl_per_dim(mu, logvar), kl_per_dim(-mu, logvar))


def test_loss_of_a_two_by_two_picture_by_hand():
    """Logits of probabilities 1/2, 1/2, 3/4, 1/4 for pixels 0, 1, 1, 1/2."""
    logits = torch.tensor([0.0, 0.0, math.log(3), -math.log(3)]).reshape(1, 1, 2, 2)
    x = torch.tensor([0.0, 1.0, 1.0, 0.5]).reshape(1, 1, 2, 2)
    expected = 2 * math.log(2) + math.log(4 / 3) + 0.5 * math.log(4) + 0.5 * math.log(4 / 3)
    assert reconstruction(logits, x, "bernoulli").tolist() == pytest.approx([expected], rel=1e-6)
    expected = 0.5 * (1 / 4 + 1 / 4 + 1 / 16 + 1 / 16)
    assert reconstruction(logits, x, "gaussian").tolist() == pytest.approx([expected], rel=1e-6)
    with pytest.raises(ValueError, match="laplace"):
        reconstruction(logits, x, "laplace")


def test_reconstruction_sums_over_pixels_and_not_over_the_batch():
    logits, x = torch.randn(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    for likelihood in ("bernoulli", "gaussian"):
        nats = reconstruction(logits, x, likelihood)
        alone = [reconstruction(logits[b : b + 1], x[b : b + 1], likelihood) for b in range(3)]
        assert nats.shape == (3,)
        assert torch.allclose(nats, torch.cat(alone))
        twice = reconstruction(logits.repeat(1, 2, 1, 1), x.repeat(1, 2, 1, 1), likelihood)
        assert torch.allclose(twice, 2 * nats)


def test_the_decomposed_kl_sums_to_the_kl():
    torch.manual_seed(0)
    mu, logvar = torch.randn(2, 4000, 2, dtype=torch.float64)
    z = reparametrise(mu, logvar)
    total = sum(decompose_kl(z, mu, logvar, images=4000))
    assert total.item() == pytest.approx(kl_per_dim(mu, logvar).sum(1).mean().item(), rel=0.05)


@pytest.mark.parametrize("angle", [0.0, 45.0])
def test_total_correlation_sees_dependence_between_latents(angle):
    """Latents of an elongated cloud: independent along the axes, dependent when it is turned."""
    torch.manual_seed(0)
    constant = math.log(3000)  # (Z - 1) log N: see decompose_kl
    cloud = torch.randn(3000, 2, dtype=torch.float64) * torch.tensor([0.97, 0.25])
    turn = math.radians(angle)
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    mu, logvar = cloud @ rotation.double(), torch.full((3000, 2), -4.0).double()
    _, correlation, _ = decompose_kl(reparametrise(mu, logvar), mu, logvar, images=3000)
    covariance = torch.cov(mu.T) + math.exp(-4) * torch.eye(2)
    gaussian = 0.5 * (covariance.diag().log().sum() - torch.logdet(covariance))
    assert correlation.item() == pytest.approx(constant + gaussian.item(), abs=0.1)


def test_schedules_as_tables():
    assert [warm_up(4, step, 4) for step in (1, 2, 3, 4, 5, 100)] == [1, 2, 3, 4, 4, 4]
    assert [warm_up(4, step, 0) for step in (1, 2)] == [4, 4]
    assert [compute_capacity(25, step, 5) for step in (1, 2, 5, 6)] == [5, 10, 25, 25]
    assert [compute_capacity(25, step, 0) for step in (1, 2)] == [25, 25]


def test_bits_per_dimension():
    assert bits_per_dim(784 * math.log(16), (1, 28, 28)) == pytest.approx(4)
    assert bits_per_dim(784 * math.log(2), (28, 28)) == pytest.approx(1)


def cloud_with_a_yaw(count=4000):
    """Latents whose third direction after a random linear map is the yaw; small posteriors."""
    torch.manual_seed(0)
    yaw = 90 * torch.rand(count) - 45
    hidden = torch.randn(count, 4, dtype=torch.float64)
    hidden[:, 2] = yaw / 26
    mixing = torch.randn(4, 4, dtype=torch.float64)
    return hidden, hidden @ mixing.T + 1, torch.full((count, 4), -9.0).double(), yaw


def test_whitening_and_back():
    _, mu, logvar, _ = cloud_with_a_yaw()
    whitening = Whitening.of(mu, logvar)
    white = whitening.whiten(mu)
    assert torch.allclose(torch.cov(white.T), torch.eye(4).double(), atol=1e-2)
    assert torch.allclose(whitening.restore(white), mu, atol=1e-9)


def test_whitening_takes_the_width_of_the_posteriors_in():
    """z ~ q(z) over the data, not the means alone, comes out with covariance I."""
    torch.manual_seed(0)
    mu = torch.randn(500, 3, dtype=torch.float64) @ torch.randn(3, 3, dtype=torch.float64) + 2
    logvar = torch.randn(500, 3, dtype=torch.float64) + torch.tensor([1.0, 0.0, -4.0])
    whitening = Whitening.of(mu, logvar)
    centred = mu - mu.mean(dim=0)
    covariance = centred.T @ centred / 499 + logvar.exp().mean(dim=0).diag()
    assert torch.allclose(whitening.root @ whitening.root.T, covariance)
    assert torch.allclose(whitening.mean, mu.mean(dim=0))
    z = reparametrise(mu.repeat(400, 1), logvar.repeat(400, 1))
    white = whitening.whiten(z)
    assert torch.allclose(white.mean(dim=0), torch.zeros(3).double(), atol=0.02)
    assert torch.allclose(torch.cov(white.T), torch.eye(3).double(), atol=0.02)
    assert whitening.whiten(mu).var(dim=0).min() < 0.7, "the means alone are narrower"
    one = Whitening.of(mu[:, :1], logvar[:, :1])
    assert one.root.shape == (1, 1), "a single latent has a covariance, too"


def test_the_places_of_a_turn_in_numbers():
    """Of -45 and 45 degrees: the 2.5 and 97.5 % points; between them a line through the middle."""
    torch.manual_seed(0)
    mu = torch.randn(4001, 1, dtype=torch.float64)
    logvar = torch.full_like(mu, -50.0)
    rotation = Rotation.by_mirroring(mu, logvar, -mu)
    turned = rotation.turn(mu[:2], torch.tensor([-45.0, 0.0, 45.0]))[..., 0]
    low, high = torch.quantile(mu, torch.tensor([0.025, 0.975]).double()).tolist()
    expected = [low, (low + high) / 2, high]
    found = sorted(turned[0].tolist())
    assert found == pytest.approx(expected, abs=1e-6)
    assert torch.equal(turned[0], turned[1]), "wherever it was turned before"


def test_both_estimates_find_the_direction_of_yaw():
    hidden, mu, logvar, yaw = cloud_with_a_yaw()
    white = Whitening.of(mu, logvar).whiten(mu)
    mirrored = hidden.clone()
    mirrored[:, 2] *= -1
    mirrored += 0.1 * torch.randn_like(mirrored)
    mixing = torch.linalg.lstsq(hidden, mu - 1).solution
    flipped = Whitening.of(mu, logvar).whiten(mirrored @ mixing + 1)
    a = find_by_regression(white, yaw)
    b = find_by_mirroring(white, flipped)
    assert a.norm().item() == pytest.approx(1)
    assert abs(a @ b) > 0.99


@pytest.mark.parametrize("known", [True, False])
def test_turning_changes_the_yaw_and_nothing_else(known):
    hidden, mu, logvar, yaw = cloud_with_a_yaw()
    mixing = torch.linalg.lstsq(hidden, mu - 1).solution
    if known:
        rotation = Rotation.by_regression(mu, logvar, yaw)
    else:
        mirrored = hidden.clone()
        mirrored[:, 2] *= -1
        rotation = Rotation.by_mirroring(mu, logvar, mirrored @ mixing + 1)
    angles = torch.tensor([-40.0, 0.0, 40.0])
    turned = rotation.turn(mu[:100], angles)
    assert turned.shape == (100, 3, 4)
    back = (turned.double() - 1) @ torch.linalg.inv(mixing)
    found = 26 * back[:, :, 2]
    if known:
        assert (found - angles).abs().max() < 2
    else:  # 45 stands for the 97.5 % point, which is 42.75 here, and the sign is not known
        found = found if found[0, 0] < 0 else -found
        assert (found - 0.95 * angles).abs().max() < 3
    others = back[:, :, [0, 1, 3]] - hidden[:100, None, [0, 1, 3]]
    assert others.abs().max() < 0.15
    assert rotation.sign_is_known == known


def test_turning_goes_on_evenly_between_the_angles():
    _, mu, logvar, yaw = cloud_with_a_yaw()
    rotation = Rotation.by_regression(mu, logvar, yaw)
    turned = rotation.turn(mu[:1], torch.tensor([-45.0, -15.0, 15.0, 45.0]))[0]
    steps = [(b - a).norm().item() for a, b in itertools.pairwise(turned)]
    assert max(steps) < 1.1 * min(steps)


@pytest.mark.parametrize("objective", ["beta_vae", "beta_tcvae", "capacity"])
def test_what_is_minimised(objective, vae):
    """The loss of a batch is its terms, put together by hand."""
    config = read_config(REPOSITORY / "vae" / "faces.json", VAEConfig)
    changes = {("loss", "beta"): 3.0, ("training", "batch_size"): 2}
    changes |= {("training", "device"): "cpu"}
    if objective == "beta_tcvae":
        changes["loss", "objective"] = objective
    pixels = torch.randint(256, (6, 3, 64, 64), dtype=torch.uint8).numpy()
    images = Images(pixels, "noise")
    task = VAETask(vae, images, images, override(config, changes))
    x = images.floats()
    capacity = 2.0 if objective == "capacity" else None
    logits, z, mu, logvar = outputs = vae(x)
    loss, terms = task.objective(x, outputs, 3.0, capacity)
    picture_nats = reconstruction(logits, x, "bernoulli").mean()
    kl = kl_per_dim(mu, logvar).mean(dim=0)
    information, correlation, rest = decompose_kl(z, mu, logvar, images=6)
    expected = (
        picture_nats
        + {
            "beta_vae": 3 * kl.sum(),
            "beta_tcvae": information + 3 * correlation + rest,
            "capacity": 3 * abs(kl.sum() - 2),
        }[objective]
    )
    assert kl.sum() < 2, "the distance to the capacity has a sign"
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert terms[0].item() == pytest.approx(expected.item(), rel=1e-6)
    assert terms[1].item() == pytest.approx(picture_nats.item(), rel=1e-6)
    assert torch.allclose(terms[2:], kl)


def test_beta_and_capacity_follow_their_schedules(vae, monkeypatch):
    config = read_config(REPOSITORY / "vae" / "faces.json", VAEConfig)
    changes = {("loss", "beta"): 4.0, ("loss", "beta_warmup"): 4, ("loss", "capacity"): 10.0}
    changes |= {("loss", "capacity_steps"): 5, ("training", "device"): "cpu"}
    images = Images(torch.zeros(64, 3, 64, 64, dtype=torch.uint8).numpy(), "black")
    task = VAETask(vae, images, images, override(config, changes))
    seen, objective = [], task.objective
    monkeypatch.setattr(
        task, "objective", lambda x, y, *weights: seen.append(weights) or objective(x, y, *weights)
    )
    for number in (1, 2, 6):
        task.step((torch.zeros(2, 3, 64, 64), torch.zeros(2, vae.z_dim)), number)
    task.validate()
    assert seen == [(1.0, 2.0), (2.0, 4.0), (4.0, 10.0), (4.0, 10.0)], "validated with the last"


def test_hair_colour_counts_on_heads_with_hair_only():
    factors = sample_factors(300, seed=0).numpy()
    valid = mark_valid(factors)
    bald = factors[:, NAMES.index("hair_style")] == 0
    assert 50 < bald.sum() < 150
    assert (valid[:, NAMES.index("hair_colour")] == ~bald).all()
    assert valid.sum() == valid.size - bald.sum()


@pytest.mark.parametrize("network", ["digits", "ladder"])
def test_pictures_and_latents_of_another_shape_or_dtype_are_refused(network):
    """Convolutions would take pictures of 32 x 32, too, and answer with some of 28 x 28."""
    config = ModelConfig(name="x", network=network, z_dim=3)
    model = (LadderVAE if network == "ladder" else VAE)((1, 28, 28), config).eval()
    x = torch.rand(2, 1, 28, 28)
    for wrong in (
        torch.rand(2, 1, 32, 32),
        x.double(),
        x.byte(),
        x[0],
        x.flatten(1),
        x.repeat(1, 3, 1, 1),
    ):
        for call in (model, model.encode):
            with pytest.raises(ValueError, match=r"expected \(B, 1, 28, 28\) of torch.float32"):
                call(wrong)
    z = torch.zeros(2, model.z_dim)
    for wrong in (z[:, 1:], z[0], z.double(), z.long()):
        with pytest.raises(ValueError, match=rf"expected \(B, {model.z_dim}\) of torch.float32"):
            model.decode(wrong)
    assert model(x[:0]).logits.shape == (0, 1, 28, 28)
