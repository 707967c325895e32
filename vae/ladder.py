"""A ladder of latents for pictures of 28 x 28, with the shape beside each layer.

With one layer of latents, each is read off the picture by itself: it cannot depend on the values
that were sampled for the others. Here there are three layers, and encoder and decoder meet at each
(Sønderby et al. 2016, "Ladder variational autoencoders"). From what the encoder made of a picture x
(`seen`), `LadderDecoder.sample` draws

    q(z|x) = q(z1|x) q(z2|z1, x) q(z3|z1, z2, x)

z1 (`top`) are Z latents at the top, z2 (`coarse`) four maps of 7 x 7, z3 (`fine`) two of 14 x 14;
the paper counts them from below. The encoder keeps its features of each size. When the decoder,
which knows the layers above, has come to that size, the posterior of the next latents is computed
from both: what has been told is not told again.

The prior of every latent is N(0, 1). A hierarchy's p(z2|z1) = N(m, s^2) is this with a decoder that
adds s z2 to features which hold m already: so the KL is the sum that it is without a ladder. Here s
is the same for all z1; one computed from z1 gained nothing in the first epoch of a pilot on MNIST
(0.5054 bits per dimension, 0.5048 without).
"""

import math
from typing import ClassVar, NamedTuple

import torch
from torch import nn

from utils.images.data import Shape
from utils.inputs import take
from vae.networks import (
    VAE,
    ModelConfig,
    Outputs,
    Posterior,
    check,
    reparametrise,
    split_levels,
)


def activate(channels: int) -> tuple[nn.Module, nn.Module]:
    """Returns batch normalisation and GELU, which come before a convolution here."""
    return nn.BatchNorm2d(channels), nn.GELU()


class ResidualBlock(nn.Module):
    """x + f(x), (B, C, H, W) -> (B, C, H, W). f ends in zeros: at first x is left as it is.

    Activations come before the convolutions (He et al. 2016, "Identity mappings in deep residual
    networks"), so that the shortcut is a sum from end to end.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *activate(channels),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            *activate(channels),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.layers[-1].weight.dtype) + self.layers(x)  # the sum is never of 8 bits


class Seen(NamedTuple):
    """What the ladder's encoder saw in pictures, and its decoder meets from the top."""

    top: Posterior  # q(z1|x), (B, Z)
    coarse: torch.Tensor  # features (B, 64, 7, 7)
    fine: torch.Tensor  # features (B, 32, 14, 14)


class LadderEncoder(nn.Module):
    """Pictures (B, C, 28, 28) in [0, 1] -> the posterior of Z latents, and features."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 14, 14)
            ResidualBlock(32),
        )
        self.coarse = nn.Sequential(
            *activate(32),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 7, 7)
            ResidualBlock(64),
            ResidualBlock(64),
        )
        self.top = nn.Sequential(
            *activate(64),
            nn.Flatten(),  # (B, 3136)
            nn.Linear(3136, 2 * z_dim),  # (B, 2 Z)
        )

    def forward(self, x: torch.Tensor) -> Seen:
        first = self.fine[0]
        fine = self.fine(check(x, "pictures are", (first.in_channels, 28, 28), first))
        coarse = self.coarse(fine)
        return Seen(Posterior(*self.top(coarse).to(coarse.dtype).chunk(2, dim=1)), coarse, fine)


class Rung(nn.Module):
    """Where M maps of latents join the decoder's features of their size, (B, F, H, W)."""

    def __init__(self, features: int, maps: int) -> None:
        super().__init__()
        self.meeting = nn.Sequential(
            *activate(2 * features),
            nn.Conv2d(2 * features, 2 * maps, kernel_size=3, padding=1),  # (B, 2 M, H, W)
        )
        self.spread = nn.Conv2d(maps, features, kernel_size=1)  # (B, F, H, W)

    def infer(self, h: torch.Tensor, seen: torch.Tensor) -> Posterior:
        """Infers mu, logvar (B, M, H, W) from the decoder's and encoder's features (B, F, H, W)."""
        return Posterior(*self.meeting(torch.cat([h, seen], dim=1)).to(h.dtype).chunk(2, dim=1))

    def forward(self, h: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Features (B, F, H, W) and latents (B, M, H, W) -> features that hold them."""
        return h + self.spread(z)


class LadderDecoder(nn.Module):
    """Latents (B, Z'), all layers side by side from the top -> logits (B, C, 28, 28)."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.shapes = [(z_dim,), (4, 7, 7), (2, 14, 14)]  # of the layers' latents
        self.z_dim = sum(math.prod(shape) for shape in self.shapes)  # Z' = Z + 196 + 392
        to_coarse = nn.Sequential(
            nn.Linear(z_dim, 3136),  # (B, 3136)
            nn.Unflatten(1, (64, 7, 7)),  # (B, 64, 7, 7)
            ResidualBlock(64),
        )
        to_fine = nn.Sequential(
            ResidualBlock(64),
            *activate(64),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 14, 14)
            ResidualBlock(32),
        )
        self.stairs = nn.ModuleList([to_coarse, to_fine])
        self.rungs = nn.ModuleList([Rung(64, maps=4), Rung(32, maps=2)])
        self.layers = nn.Sequential(
            ResidualBlock(32),
            *activate(32),
            nn.ConvTranspose2d(32, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 28, 28)
            *activate(32),
            nn.Conv2d(32, channels, kernel_size=1),  # (B, C, 28, 28)
        )

    def split(self, z: torch.Tensor) -> list[torch.Tensor]:
        """Splits latents (B, Z') into those of each layer: (B, Z), (B, 4, 7, 7), (B, 2, 14, 14)."""
        z = check(z, "latents are", (self.z_dim,), self.stairs[0][0])
        parts = z.split([math.prod(shape) for shape in self.shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h, *maps = self.split(z)
        for stair, rung, latents in zip(self.stairs, self.rungs, maps, strict=True):
            h = rung(stair(h), latents)
        return self.layers(h)

    def sample(self, seen: Seen, epsilon: torch.Tensor) -> Outputs:
        """Samples every layer's latents, from the top, with noise (B, Z'), and decodes them all.

        mu and logvar of a layer depend on the latents sampled above it: its KL in closed form is
        that for one sample of the layers above. q(z|x) of the z returned is the product of all.
        """
        top, *noise = self.split(epsilon)
        h = reparametrise(seen.top.mu, seen.top.logvar, top)
        layers = [(h, *seen.top)]
        meetings = zip(self.stairs, self.rungs, (seen.coarse, seen.fine), noise, strict=True)
        for stair, rung, feature, part in meetings:
            h = stair(h)
            mu, logvar = rung.infer(h, feature)
            z = reparametrise(mu, logvar, part)
            h = rung(h, z)
            layers.append((z, mu, logvar))
        z, mu, logvar = (
            torch.cat([part.flatten(1) for part in parts], dim=1)  # (B, Z')
            for parts in zip(*layers, strict=True)
        )
        return Outputs(self.layers(h), z, mu, logvar)


class LadderVAE(VAE):
    """A variational autoencoder with latents in layers: z_dim is Z', those of all of them."""

    networks: ClassVar = {"ladder": (LadderEncoder, LadderDecoder)}
    first_layer = "encoder.fine.0."

    def __init__(self, shape: Shape, config: ModelConfig, levels: int | None = None) -> None:
        super().__init__(shape, config, levels)
        self.z_dim = self.decoder.z_dim
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.layers[-1].weight)
            elif isinstance(module, Rung):  # the posterior is the prior, whatever the picture
                nn.init.zeros_(module.meeting[-1].weight)

    def encode(self, x: torch.Tensor) -> Posterior:
        """Pictures (B, C, H, W) in [0, 1] -> mu and logvar (B, Z'), each given the mu above."""
        seen = self.encoder(x)
        outputs = self.sample(seen, seen.top.mu.new_zeros(len(x), self.z_dim))
        return Posterior(outputs.mu, outputs.logvar)

    def sample(self, seen: Seen, epsilon: torch.Tensor | None = None) -> Outputs:
        """Samples z from what the encoder saw, with noise (B, Z') or its own, and decodes it."""
        if epsilon is None:
            mu = seen.top.mu
            epsilon = torch.randn(len(mu), self.z_dim, device=mu.device, dtype=mu.dtype)
        else:
            sizes = (len(seen.top.mu), self.z_dim)
            epsilon = take("the noise is", epsilon, sizes, seen.top.mu.dtype)
        outputs = self.decoder.sample(seen, epsilon)
        return outputs._replace(logits=split_levels(outputs.logits, self.levels))
