"""Between pictures and their codes: what every analysis of a trained model does first."""

import numpy as np
import torch

from utils.device import evaluating
from utils.image_data import Images, unit_range
from vae.losses import reconstruction
from vae.networks import VAE


def encode(model: VAE, images: Images, part: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """All pictures (N, C, H, W) -> mu and logvar (N, Z) of their posteriors, on the CPU."""
    codes = []
    with evaluating(model) as device:
        for start in range(0, len(images), part):
            x = unit_range(images.pixels[start : start + part])
            codes.append(torch.stack(model.encoder(x.to(device))).cpu())
    mu, logvar = torch.cat(codes, dim=1)
    return mu, logvar


def decode(model: VAE, z: torch.Tensor, part: int = 256) -> torch.Tensor:
    """Codes (N, Z) -> pictures (N, C, H, W) in [0, 1], on the CPU."""
    with evaluating(model) as device:
        return torch.cat(
            [torch.sigmoid(model.decoder(codes.to(device))).cpu() for codes in z.split(part)]
        )


def generate(model: VAE, count: int, seed: int) -> torch.Tensor:
    """Pictures (count, C, H, W) of z ~ N(0, I); the same seed draws the same z for every model."""
    generator = torch.Generator().manual_seed(seed)
    return decode(model, torch.randn(count, model.z_dim, generator=generator))


def reconstruct(model: VAE, pixels: np.ndarray) -> torch.Tensor:
    """uint8 pictures (N, C, H, W) -> what the mean of their codes is decoded to, in [0, 1]."""
    return decode(model, encode(model, Images(pixels, ""))[0])


def reconstruction_error(model: VAE, images: Images, likelihood: str) -> tuple[float, float]:
    """Of the decoded means, over all pictures: nats of a picture, mean squared error of a pixel."""
    nats = squared = 0.0
    with evaluating(model) as device:
        for start in range(0, len(images), 256):
            x = unit_range(images.pixels[start : start + 256]).to(device)
            logits = model.decoder(model.encoder(x)[0])
            nats += reconstruction(logits, x, likelihood).sum().item()
            squared += ((torch.sigmoid(logits) - x) ** 2).flatten(1).mean(dim=1).sum().item()
    return nats / len(images), squared / len(images)
