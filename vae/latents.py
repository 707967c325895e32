"""Between pictures and their codes: what every analysis of a trained model does first."""

from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from utils.images.data import Images, unit_range
from utils.training.device import evaluating
from vae.losses import (
    importance_weighted_bound,
    kl_per_dim,
    log_importance_weights,
    reconstruction,
)
from vae.networks import VAE

# From what the decoder gives, (B, C, H, W) or with L levels (B, C, H, W, L), to pictures in [0, 1].
Look = Callable[[torch.Tensor], torch.Tensor]


def mean(logits: torch.Tensor) -> torch.Tensor:
    """The mean of every pixel's distribution."""
    if logits.ndim == 4:
        return torch.sigmoid(logits)
    return logits.softmax(dim=-1) @ torch.linspace(0, 1, logits.shape[-1], device=logits.device)


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest level of every pixel."""
    return logits.argmax(dim=-1) / (logits.shape[-1] - 1)


def drawn(seed: int) -> Look:
    """A level of every pixel drawn from its distribution, always the same for a seed.

    The largest of logit - log(E), E ~ Exp(1), is a draw of their softmax (Gumbel 1954).
    """
    generator = torch.Generator().manual_seed(seed)

    def look(logits: torch.Tensor) -> torch.Tensor:
        noise = torch.empty(logits.shape).exponential_(generator=generator)
        return likeliest(logits - noise.log_().to(logits.device))

    return look


def encode(model: VAE, images: Images, part: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """All pictures (N, C, H, W) -> mu and logvar (N, Z) of their posteriors, on the CPU."""
    codes = []
    with evaluating(model) as device:
        for start in range(0, len(images), part):
            x = unit_range(images.pixels[start : start + part])
            codes.append(torch.stack(model.posterior(x.to(device))).cpu())
    mu, logvar = torch.cat(codes, dim=1)
    return mu, logvar


def latent_kl(model: VAE, images: Images, part: int = 256) -> torch.Tensor:
    """The KL of every latent, the mean over all pictures: nats (Z,), on the CPU."""
    total = torch.zeros(model.z_dim)
    with evaluating(model) as device, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for start in range(0, len(images), part):
            x = unit_range(images.pixels[start : start + part]).to(device)
            total += kl_per_dim(*model.posterior(x, drawn=True)).sum(dim=0).cpu()
    return total / len(images)


def decode(model: VAE, z: torch.Tensor, look: Look = mean, part: int = 256) -> torch.Tensor:
    """Codes (N, Z) -> pictures (N, C, H, W) in [0, 1], on the CPU."""
    with evaluating(model) as device:
        return torch.cat([look(model.logits(codes.to(device))).cpu() for codes in z.split(part)])


def generate(model: VAE, count: int, seed: int, look: Look = mean) -> torch.Tensor:
    """Pictures (count, C, H, W) of z ~ N(0, I); the same seed draws the same z for every model."""
    generator = torch.Generator().manual_seed(seed)
    return decode(model, torch.randn(count, model.z_dim, generator=generator), look)


def abreast(count: int) -> int:
    """How many pictures of `count` stand in a row: up to 8, the same number in every row."""
    return max(n for n in range(1, 9) if count % n == 0)


def gallery(model: VAE, count: int, seed: int) -> tuple[torch.Tensor, list[str]]:
    """Random pictures in rows of 8 or fewer, (R, N, C, H, W); what the columns' parts are called.

    Of distributions over levels, the likeliest levels stand beside draws, from the same z.
    """
    columns = abreast(count)
    looks = {"likeliest levels": likeliest, "drawn levels": drawn(seed)} if model.levels else {}
    pictures = [generate(model, count, seed, look) for look in (looks or {"": mean}).values()]
    return torch.cat([some.unflatten(0, (-1, columns)) for some in pictures], dim=1), list(looks)


def reconstruct(model: VAE, pixels: np.ndarray) -> torch.Tensor:
    """uint8 pictures (N, C, H, W) -> what the mean of their codes is decoded to, in [0, 1]."""
    return decode(model, encode(model, Images(pixels, ""))[0])


def reconstruction_error(model: VAE, images: Images, likelihood: str) -> tuple[float, float]:
    """Of the decoded means, over all pictures: nats of a picture, mean squared error of a pixel."""
    nats = squared = 0.0
    with evaluating(model) as device:
        for start in range(0, len(images), 256):
            x = unit_range(images.pixels[start : start + 256]).to(device)
            logits = model.logits(model.posterior(x)[0])
            nats += reconstruction(logits, x, likelihood).sum().item()
            squared += ((mean(logits) - x) ** 2).flatten(1).mean(dim=1).sum().item()
    return nats / len(images), squared / len(images)


def bounds(
    model: VAE, images: Images, likelihood: str, draws: int, seed: int = 0
) -> tuple[float, float]:
    """Two upper bounds on -log p(x), the means over all pictures in nats, with a bar meanwhile.

    The negative evidence lower bound, of one draw of z a picture and the KL in closed form; and the
    tighter one from `draws` importance-weighted z.
    """
    loose = tight = 0.0
    parts = range(0, len(images), 100)
    with evaluating(model) as device, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in tqdm(parts, unit="part", disable=None, leave=False):
            x = unit_range(images.pixels[start : start + 100]).to(device)
            seen = model.encoder(x)
            weights = []
            for k in range(draws):
                logits, z, mu, logvar = model.meet(seen)
                weights.append(log_importance_weights(logits, x, likelihood, z, mu, logvar))
                if k == 0:
                    nats = reconstruction(logits, x, likelihood) + kl_per_dim(mu, logvar).sum(dim=1)
                    loose += nats.sum().item()
            tight -= importance_weighted_bound(torch.stack(weights)).sum().item()
    return loose / len(images), tight / len(images)


def manifold_codes(side: int) -> torch.Tensor:
    """A grid (side, side, 2) over two latents: the first grows along a row, the second upwards.

    At the percentiles 100 (i + 1/2) / side of the prior N(0, 1): every code stands for the same
    share of it.
    """
    levels = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    second, first = torch.meshgrid(levels.flip(0), levels, indexing="ij")
    return torch.stack([first, second], dim=2)
