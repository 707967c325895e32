"""The statements of docs/theory.md in numbers, on a linear-Gaussian model where all is known.

    z ~ N(0, I),   x | z ~ N(W z, s² I),   so x ~ N(0, W Wᵀ + s² I)

and the true posterior is N(m, S) with S = (I + Wᵀ W / s²)⁻¹ and m = S Wᵀ x / s².
"""

import re

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from tests.helpers.repository import REPOSITORY
from vae.losses import importance_weighted_bound, kl_per_dim, log_normal
from vae.networks import reparametrise

NOISE = 0.3


def normal(mean, covariance):
    return MultivariateNormal(mean, covariance.double())


class Linear:
    """The model with Z latents, and one observation of it."""

    def __init__(self, z_dim, x_dim=12):
        generator = torch.Generator().manual_seed(0)
        options = {"generator": generator, "dtype": torch.float64}
        self.W = torch.randn(x_dim, z_dim, **options)
        self.x = self.W @ torch.randn(z_dim, **options) + NOISE * torch.randn(x_dim, **options)

    @property
    def prior(self):
        return normal(torch.zeros_like(self.W[0]), torch.eye(self.W.shape[1]))

    @property
    def evidence(self):
        covariance = self.W @ self.W.T + NOISE**2 * torch.eye(len(self.W)).double()
        return normal(torch.zeros_like(self.x), covariance).log_prob(self.x).item()

    @property
    def posterior(self):
        S = torch.linalg.inv(torch.eye(self.W.shape[1]).double() + self.W.T @ self.W / NOISE**2)
        return normal(S @ self.W.T @ self.x / NOISE**2, S)

    def log_likelihood(self, z):
        """z (..., Z) -> log p(x|z) (...)."""
        return (
            Normal(z @ self.W.T, torch.tensor(NOISE, dtype=torch.float64)).log_prob(self.x).sum(-1)
        )

    def bound(self, mu, logvar):
        """The evidence lower bound of q = N(mu, exp(logvar)), exactly: the mean is Gaussian."""
        spread = (self.W**2 @ logvar.exp()).sum() / (2 * NOISE**2)
        return self.log_likelihood(mu) - spread - kl_per_dim(mu, logvar).sum()


def naive_estimate(model, samples, seed):
    torch.manual_seed(seed)
    nats = model.log_likelihood(model.prior.sample((samples,)))
    return (torch.logsumexp(nats, dim=0) - torch.log(torch.tensor(samples))).item()


def test_naive_monte_carlo_needs_exponentially_many_samples():
    short = {}
    for z_dim in (1, 10):
        model = Linear(z_dim)
        estimates = torch.tensor([naive_estimate(model, 1000, seed) for seed in range(20)])
        short[z_dim] = model.evidence - estimates.median().item()
    assert abs(short[1]) < 0.1
    assert short[10] > 4


def test_the_gap_is_the_kl_to_the_true_posterior():
    model = Linear(3)
    torch.manual_seed(0)
    for _ in range(5):
        mu, logvar = torch.randn(2, 3, dtype=torch.float64)
        q = MultivariateNormal(mu, torch.diag(logvar.exp()))
        gap = kl_divergence(q, model.posterior)
        assert gap > 0
        assert (model.bound(mu, logvar) + gap).item() == pytest.approx(model.evidence, abs=1e-9)


def test_the_bound_of_samples_is_the_exact_one():
    """What training computes, the mean of log p(x|z) - KL over drawn z, against the integral."""
    model = Linear(3)
    torch.manual_seed(0)
    mu, logvar = model.posterior.mean, torch.full((3,), -3.0).double()
    z = reparametrise(mu.expand(200_000, 3), logvar.expand(200_000, 3))
    sampled = model.log_likelihood(z).mean() - kl_per_dim(mu, logvar).sum()
    assert sampled.item() == pytest.approx(model.bound(mu, logvar).item(), abs=0.05)


def test_the_bound_rises_in_two_ways():
    model = Linear(3)
    mu, logvar = torch.zeros(3).double(), torch.zeros(3).double()
    start = model.bound(mu, logvar).item()
    # A better encoder: the evidence stays, the gap shrinks.
    better = model.bound(model.posterior.mean, model.posterior.covariance_matrix.diag().log())
    assert start < better.item() < model.evidence
    # A better decoder for the same encoder. This one's codes say nothing about x: a decoder that
    # listens to them less is better.
    model.W = 0.5 * model.W
    assert start < model.bound(mu, logvar).item() < model.evidence


def test_importance_weights_close_the_gap():
    model = Linear(3)
    torch.manual_seed(0)
    mu, logvar = model.posterior.mean, torch.full((3,), -2.0).double()
    zero, gaps = torch.zeros(3).double(), []
    for draws in (1, 10, 1000):
        z = reparametrise(mu.expand(draws, 500, 3), logvar.expand(draws, 500, 3))
        prior, q = log_normal(z, zero, zero).sum(-1), log_normal(z, mu, logvar).sum(-1)
        bounds = importance_weighted_bound(model.log_likelihood(z) + prior - q)  # (500,)
        gaps.append(model.evidence - bounds.mean().item())
    assert gaps[0] == pytest.approx(model.evidence - model.bound(mu, logvar).item(), rel=0.1)
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert abs(gaps[2]) < 0.1


def test_reparametrised_gradients_are_right_and_calm():
    torch.manual_seed(0)
    mu = torch.full((200_000,), 1.5, dtype=torch.float64, requires_grad=True)
    z = reparametrise(mu, torch.zeros_like(mu))
    (path,) = torch.autograd.grad((z**2).sum(), mu)
    score = (z**2 * (z - mu)).detach()  # d/dmu log N(z; mu, 1) = z - mu
    assert path.mean().item() == pytest.approx(3.0, abs=0.05)
    assert score.mean().item() == pytest.approx(3.0, abs=0.1)
    assert score.var() > 5 * path.var()


def test_the_document_names_what_exists():
    text = (REPOSITORY / "docs" / "theory.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:vae|models|utils)\.[\w.]+)`", text):
        module, *names = path.split(".")
        while names:
            try:
                found = __import__(f"{module}.{names[0]}", fromlist=["_"])
            except ImportError:
                break
            module, names = f"{module}.{names[0]}", names[1:]
        for name in names:
            found = getattr(found, name)
    tests = "".join(file.read_text("utf-8") for file in (REPOSITORY / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name
