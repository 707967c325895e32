"""How likely a trained model finds pictures: two bounds on -log p(x), in nats and in bits."""

import math

import torch
from tqdm import tqdm

from utils.images.data import Images
from utils.training.device import evaluating, seeded
from utils.words import count
from vae.losses import (
    bits_per_dim,
    importance_weighted_bound,
    kl_per_dim,
    log_importance_weights,
    reconstruction,
)
from vae.networks import VAE


def estimate_bounds(
    model: VAE, images: Images, likelihood: str, samples: int, seed: int = 0
) -> tuple[float, float]:
    """Estimates two upper bounds on -log p(x), the means over all pictures in nats.

    The negative evidence lower bound, of one z a picture and the KL in closed form; and the tighter
    one from several importance-weighted z. The encoder runs once for all of them.
    """
    loose = tight = 0.0
    with evaluating(model) as device, seeded(seed, device):
        parts, count = images.parts(100, device), math.ceil(len(images) / 100)
        for x in tqdm(parts, total=count, unit="part", disable=None, leave=False):
            seen = model.encoder(x)
            weights = []
            for k in range(samples):
                logits, z, mu, logvar = model.sample(seen)
                weights.append(log_importance_weights(logits, x, likelihood, z, mu, logvar))
                if k == 0:
                    nats = reconstruction(logits, x, likelihood) + kl_per_dim(mu, logvar).sum(dim=1)
                    loose += nats.sum().item()
            tight -= importance_weighted_bound(torch.stack(weights)).sum().item()
    return loose / len(images), tight / len(images)


def describe_likelihood(model: VAE, images: Images, samples: int) -> str:
    """Says in a line how many bits per dimension pictures cost by both bounds, of exact levels."""
    nats = estimate_bounds(model, images, "categorical", samples)
    elbo, weighted = (bits_per_dim(value, model.shape) for value in nats)
    return (
        f"{images.source}, {count(len(images), 'picture')}: {elbo:.4f} bits per dimension by the "
        f"evidence lower bound, {weighted:.4f} with {count(samples, 'weighted draw')}"
    )
