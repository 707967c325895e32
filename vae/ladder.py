"""A ladder of latents for pictures of 28 x 28, with the shape beside each layer.

With one layer of latents, each is read off the picture by itself: it cannot know what the others
were drawn to be. Here there are three layers, and encoder and decoder meet at each (Sønderby et al.
2016, "Ladder variational autoencoders"):

    q(z|x) = q(z1|x) q(z2|z1, x) q(z3|z1, z2, x)

z1 are Z latents at the top, z2 four maps of 7 x 7, z3 two of 14 x 14. The encoder keeps its
features of each size. When the decoder, which knows the layers above, has come to that size, the
two together say where the next latents are: what has been told is not told again.

The prior of every latent is N(0, 1). A hierarchy's p(z2|z1) = N(m, s^2) is this with a decoder that
adds s z2 to features which hold m already: so the KL is the sum that it is without a ladder. Here s
is the same for all z1; one computed from z1 gained nothing in the first epoch of a pilot on MNIST
(0.5054 bits per dimension, 0.5048 without).
"""

import math

import torch
from torch import nn

from vae.digit_networks import activated
from vae.posterior import Normal, draw


class Block(nn.Module):
    """x + f(x), (B, C, H, W) -> the same. f ends in zeros: at first the block changes nothing.

    Activations come before the convolutions (He et al. 2016, "Identity mappings in deep residual
    networks"), so that the shortcut is a sum from end to end.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *activated(channels),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            *activated(channels),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        )

    def begin(self) -> None:
        nn.init.zeros_(self.layers[-1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class LadderEncoder(nn.Module):
    """Pictures (B, C, 28, 28) in [0, 1] -> what the decoder meets, from the top.

    mu and logvar (B, Z) of the posterior q(z1|x); features (B, 64, 7, 7) and (B, 32, 14, 14).
    """

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 14, 14)
            Block(32),
        )
        self.coarse = nn.Sequential(
            *activated(32),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 7, 7)
            Block(64),
            Block(64),
        )
        self.top = nn.Sequential(
            *activated(64),
            nn.Flatten(),  # (B, 3136)
            nn.Linear(3136, 2 * z_dim),  # (B, 2 Z)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        mu, logvar = self.top(coarse).chunk(2, dim=1)  # (B, Z) each
        return mu, logvar, coarse, fine


class Rung(nn.Module):
    """Where M maps of latents join the decoder's features of their size, (B, F, H, W)."""

    def __init__(self, features: int, maps: int) -> None:
        super().__init__()
        self.meeting = nn.Sequential(
            *activated(2 * features),
            nn.Conv2d(2 * features, 2 * maps, kernel_size=3, padding=1),  # (B, 2 M, H, W)
        )
        self.spread = nn.Conv2d(maps, features, kernel_size=1)  # (B, F, H, W)

    def begin(self) -> None:
        """The posterior starts as the prior, whatever the picture."""
        nn.init.zeros_(self.meeting[-1].weight)

    def posterior(self, h: torch.Tensor, seen: torch.Tensor) -> Normal:
        """The decoder's and the encoder's features -> mu and logvar (B, M, H, W)."""
        mu, logvar = self.meeting(torch.cat([h, seen], dim=1)).chunk(2, dim=1)
        return mu, logvar

    def forward(self, h: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Features (B, F, H, W) and latents (B, M, H, W) -> features that hold them."""
        return h + self.spread(z)


class LadderDecoder(nn.Module):
    """Latents (B, Z'), all layers side by side from the top -> logits (B, C, 28, 28)."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.shapes = (z_dim,), (4, 7, 7), (2, 14, 14)  # of the layers' latents
        self.z_dim = sum(math.prod(shape) for shape in self.shapes)  # Z' = Z + 196 + 392
        self.stairs = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Linear(z_dim, 3136),  # (B, 3136)
                    nn.Unflatten(1, (64, 7, 7)),  # (B, 64, 7, 7)
                    Block(64),
                ),
                nn.Sequential(
                    Block(64),
                    *activated(64),
                    nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),  # (B, 32, 14, 14)
                    Block(32),
                ),
            ]
        )
        self.rungs = nn.ModuleList([Rung(64, maps=4), Rung(32, maps=2)])
        self.layers = nn.Sequential(
            Block(32),
            *activated(32),
            nn.ConvTranspose2d(32, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 28, 28)
            *activated(32),
            nn.Conv2d(32, channels, kernel_size=1),  # (B, C, 28, 28)
        )

    def split(self, z: torch.Tensor) -> list[torch.Tensor]:
        """(B, Z') -> each layer's part: (B, Z), (B, 4, 7, 7), (B, 2, 14, 14)."""
        parts = z.split([math.prod(shape) for shape in self.shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h, *maps = self.split(z)
        for stair, rung, latents in zip(self.stairs, self.rungs, maps, strict=True):
            h = rung(stair(h), latents)
        return self.layers(h)

    def meet(
        self,
        mu: torch.Tensor,
        logvar: torch.Tensor,
        features: list[torch.Tensor],
        epsilon: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """What the encoder gives, noise (B, Z') -> logits; z, mu and logvar (B, Z').

        mu and logvar of a layer depend on what was drawn above it: its KL in closed form is that
        for one draw of the layers above. q(z|x) of the z returned is the product of all.
        """
        top, *noise = self.split(epsilon)
        h = draw(mu, logvar, top)
        found = [(h, mu, logvar)]
        for stair, rung, seen, part in zip(self.stairs, self.rungs, features, noise, strict=True):
            h = stair(h)
            mu, logvar = rung.posterior(h, seen)
            z = draw(mu, logvar, part)
            h = rung(h, z)
            found.append((z, mu, logvar))
        z, mu, logvar = (
            torch.cat([part.flatten(1) for part in parts], dim=1)
            for parts in zip(*found, strict=True)
        )
        return self.layers(h), z, mu, logvar
