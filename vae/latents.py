"""Between pictures and their latents: what every analysis of a trained model does first."""

from collections.abc import Callable

import torch

from utils.images.data import Images
from utils.training.device import evaluating, seeded
from vae.ladder import LadderVAE
from vae.losses import kl_per_dim, reconstruction
from vae.networks import VAE, Posterior

# From a model's logits, (B, C, H, W) or with L levels (B, C, H, W, L), to pictures in [0, 1].
ToPictures = Callable[[torch.Tensor], torch.Tensor]


def take_mean(logits: torch.Tensor) -> torch.Tensor:
    """Takes the mean of every pixel's distribution."""
    if logits.ndim == 4:
        return torch.sigmoid(logits)
    return logits.softmax(dim=-1) @ torch.linspace(0, 1, logits.shape[-1], device=logits.device)


def take_likeliest(logits: torch.Tensor) -> torch.Tensor:
    """Takes the likeliest level of every pixel."""
    return logits.argmax(dim=-1) / (logits.shape[-1] - 1)


def sample_levels(seed: int) -> ToPictures:
    """Samples a level of every pixel from its distribution, always the same for a seed.

    The largest of logit - log(E), E ~ Exp(1), is a sample of their softmax (Gumbel 1954).
    """
    generator = torch.Generator().manual_seed(seed)

    def sample(logits: torch.Tensor) -> torch.Tensor:
        noise = torch.empty(logits.shape).exponential_(generator=generator)
        return take_likeliest(logits - noise.log_().to(logits.device))

    return sample


def encode(model: VAE, images: Images, part: int = 256) -> Posterior:
    """Encodes all pictures: mu and logvar (N, Z) of their posteriors, on the CPU."""
    with evaluating(model) as device:
        parts = [torch.stack(model.encode(x)).cpu() for x in images.parts(part, device)]
    return Posterior(*torch.cat(parts, dim=1))


def measure_kl(model: VAE, images: Images) -> torch.Tensor:
    """Measures the KL of every latent, the mean over all pictures: nats (Z,), on the CPU.

    On a ladder it is that for one sample of the latents above.
    """
    total = torch.zeros(model.z_dim)
    with evaluating(model) as device, seeded(0, device):
        for x in images.parts(256, device):
            outputs = model(x)
            total += kl_per_dim(outputs.mu, outputs.logvar).sum(dim=0).cpu()
    return total / len(images)


def measure_seen_kl(model: VAE, images: Images, seen: Posterior) -> torch.Tensor:
    """Measures the same of what `encode` has seen: but for a ladder nothing needs to be decoded."""
    if isinstance(model, LadderVAE):
        return measure_kl(model, images)
    parts = zip(seen.mu.split(256), seen.logvar.split(256), strict=True)
    return sum(kl_per_dim(mu, logvar).sum(dim=0) for mu, logvar in parts) / len(images)


def decode(
    model: VAE, z: torch.Tensor, to_pictures: ToPictures = take_mean, part: int = 256
) -> torch.Tensor:
    """Decodes latents (N, Z) into pictures (N, C, H, W) in [0, 1], on the CPU."""
    with evaluating(model) as device:
        parts = [to_pictures(model.decode(some.to(device))).cpu() for some in z.split(part)]
    return torch.cat(parts)


def draw_latents(count: int, z_dim: int, seed: int) -> torch.Tensor:
    """Draws z ~ N(0, I), (count, Z), always the same for a seed."""
    return torch.randn(count, z_dim, generator=torch.Generator().manual_seed(seed))


def generate(
    model: VAE, count: int, seed: int, to_pictures: ToPictures = take_mean
) -> torch.Tensor:
    """Generates pictures (count, C, H, W) of z ~ N(0, I), of a seed the same z for every model."""
    return decode(model, draw_latents(count, model.z_dim, seed), to_pictures)


def generate_gallery(model: VAE, count: int, seed: int) -> tuple[torch.Tensor, list[str]]:
    """Generates a row of pictures (1, N, C, H, W), without a label.

    Of distributions over levels there are two rows of the same z, and their labels: the likeliest
    levels above sampled ones.
    """
    ways = {"": take_mean}
    if model.levels:
        ways = {"likeliest levels": take_likeliest, "drawn levels": sample_levels(seed)}
    rows = torch.stack([generate(model, count, seed, way) for way in ways.values()])
    return rows, [label for label in ways if label]


def reconstruct(model: VAE, images: Images) -> torch.Tensor:
    """Decodes the mean of what pictures are encoded to: (N, C, H, W) in [0, 1]."""
    return decode(model, encode(model, images).mu)


def measure_reconstruction(model: VAE, images: Images, likelihood: str) -> tuple[float, float]:
    """Measures decoded means over all pictures: nats of a picture, squared error of a pixel."""
    nats = squared = 0.0
    with evaluating(model) as device:
        for pictures in images.parts(256, device):
            logits = model.decode(model.encode(pictures).mu)
            nats += reconstruction(logits, pictures, likelihood).sum().item()
            squared += ((take_mean(logits) - pictures) ** 2).flatten(1).mean(dim=1).sum().item()
    return nats / len(images), squared / len(images)


def build_manifold(side: int) -> torch.Tensor:
    """Builds a grid (side, side, 2) of two latents: the first grows along a row, the other upwards.

    At the percentiles 100 (i + 1/2) / side of N(0, 1), every point stands for the same share of it.
    """
    values = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    second, first = torch.meshgrid(values.flip(0), values, indexing="ij")
    return torch.stack([first, second], dim=2)
