"""Encoder and decoder for pictures of 28 x 28, with the shape beside each layer.

They have the five convolutions of the course's report, 32-32-64-64-64.
"""

import torch
from torch import nn


def activated(channels: int) -> tuple[nn.Module, nn.Module]:
    """Batch normalisation and GELU: learns faster than ReLU alone."""
    return nn.BatchNorm2d(channels), nn.GELU()


def normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    """A convolution, batch normalisation, GELU."""
    return convolution, *activated(convolution.out_channels)


class DigitEncoder(nn.Module):
    """Pictures (B, C, 28, 28) in [0, 1] -> mu and logvar (B, Z) of the posterior q(z|x)."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *normed(nn.Conv2d(channels, 32, 3, stride=2, padding=1)),  # (B, 32, 14, 14)
            *normed(nn.Conv2d(32, 32, 3, padding=1)),  # (B, 32, 14, 14)
            *normed(nn.Conv2d(32, 64, 3, stride=2, padding=1)),  # (B, 64, 7, 7)
            *normed(nn.Conv2d(64, 64, 3, padding=1)),  # (B, 64, 7, 7)
            *normed(nn.Conv2d(64, 64, 3, stride=2, padding=1)),  # (B, 64, 4, 4)
            nn.Flatten(),  # (B, 1024)
            nn.Linear(1024, 2 * z_dim),  # (B, 2 Z)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mu, logvar = self.layers(x).chunk(2, dim=1)  # (B, Z) each
        return mu, logvar


class DigitDecoder(nn.Module):
    """Latents (B, Z) -> logits (B, C, 28, 28): the encoder's layers backwards."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(z_dim, 1024), nn.GELU()),  # (B, 1024)
            nn.Unflatten(1, (64, 4, 4)),  # (B, 64, 4, 4)
            *normed(nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1)),  # (B, 64, 7, 7)
            *normed(nn.Conv2d(64, 64, 3, padding=1)),  # (B, 64, 7, 7)
            *normed(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),  # (B, 32, 14, 14)
            *normed(nn.Conv2d(32, 32, 3, padding=1)),  # (B, 32, 14, 14)
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),  # (B, C, 28, 28)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)
