"""A network for photographs of 64 x 64, with the shape beside each layer.

What higgins has, one small convolution for each halving, tells a nose from a mouth. A photograph
has skin, hair and light besides. Here there are twice as many channels where the picture is small
and they cost little, each convolution is normalised, with which it learns in a third of the steps,
and the decoder, which has to draw what the latents only name, has two residual blocks (He et al.
2016, as in vae/ladder.py). 1.5 million parameters for 64 latents.

Run: python main.py --config vae/photographs.json --data photos/
"""

from typing import ClassVar

import torch
from torch import nn

from utils.images.data import Shape
from vae.ladder import ResidualBlock
from vae.networks import VAE, ModelConfig, Posterior, check, normalise


class ResidualEncoder(nn.Module):
    """Pictures (B, C, 64, 64) in [0, 1] -> the posterior q(z|x) of Z latents."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *normalise(nn.Conv2d(channels, 32, 4, stride=2, padding=1)),  # (B, 32, 32, 32)
            *normalise(nn.Conv2d(32, 64, 4, stride=2, padding=1)),  # (B, 64, 16, 16)
            *normalise(nn.Conv2d(64, 128, 4, stride=2, padding=1)),  # (B, 128, 8, 8)
            *normalise(nn.Conv2d(128, 128, 4, stride=2, padding=1)),  # (B, 128, 4, 4)
            nn.Flatten(),  # (B, 2048)
            nn.Linear(2048, 2 * z_dim),  # (B, 2 Z)
        )

    def forward(self, x: torch.Tensor) -> Posterior:
        first = self.layers[0]
        x = check(x, "pictures are", (first.in_channels, 64, 64), first)
        return Posterior(*self.layers(x).to(x.dtype).chunk(2, dim=1))  # (B, Z) each


class ResidualDecoder(nn.Module):
    """Latents (B, Z) -> logits (B, C, 64, 64): the encoder's layers backwards, and two blocks."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(z_dim, 2048),  # (B, 2048)
            nn.Unflatten(1, (128, 4, 4)),  # (B, 128, 4, 4)
            nn.BatchNorm2d(128),
            nn.GELU(),
            *normalise(nn.ConvTranspose2d(128, 128, 4, stride=2, padding=1)),  # (B, 128, 8, 8)
            ResidualBlock(128),
            *normalise(nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1)),  # (B, 64, 16, 16)
            ResidualBlock(64),
            *normalise(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),  # (B, 32, 32, 32)
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),  # (B, C, 64, 64)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        first = self.layers[0]
        z = check(z, "latents are", (first.in_features,), first)
        return self.layers(z)


class ResidualVAE(VAE):
    """A variational autoencoder whose latents are those of the prior, before training.

    So each latent enters as soon as it is worth its KL, and what one has told no other repeats.
    Blocks leave what they get as it is.
    """

    networks: ClassVar = {"residual": (ResidualEncoder, ResidualDecoder)}

    def __init__(self, shape: Shape, config: ModelConfig, levels: int | None = None) -> None:
        super().__init__(shape, config, levels)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.layers[-1].weight)
        nn.init.zeros_(self.encoder.layers[-1].weight)
