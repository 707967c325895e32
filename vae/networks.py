"""The variational autoencoder's networks.

Kingma & Welling 2014, "Auto-encoding variational Bayes": an encoder, the posterior
q(z|x) = N(mu, diag(exp(logvar))), and a decoder p(x|z), trained together. The convolutions for
64 x 64 pictures are those of Higgins et al. 2017, "beta-VAE", for CelebA; those for 28 x 28 are in
vae/digit_networks.py and vae/ladder.py.

Run: python main.py
"""

from dataclasses import dataclass

import torch
from torch import nn

from utils.config import key
from vae.digit_networks import DigitDecoder, DigitEncoder
from vae.ladder import Block, LadderDecoder, LadderEncoder, Rung
from vae.posterior import Normal, draw

SIDES = {"higgins": 64, "digits": 28, "ladder": 28}  # pixels of the pictures a network takes


@dataclass(frozen=True)
class ModelConfig:
    """The "model" section of a variational autoencoder's configuration."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    network: str = key(
        "higgins: for pictures of 64 x 64; digits: of 28 x 28; ladder: too, latents in layers",
        choices=tuple(SIDES),
    )
    z_dim: int = key("Z, latent neurons; of ladder, those at the top", low=1)


class Encoder(nn.Module):
    """Pictures (B, C, 64, 64) in [0, 1] -> mu and logvar (B, Z) of the posterior q(z|x)."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            # every convolution halves height and width: 64, 32, 16, 8, 4
            nn.Conv2d(channels, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 32, 32)
            nn.ReLU(),
            nn.Conv2d(32, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 16, 16)
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 8, 8)
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 4, 4)
            nn.ReLU(),
            nn.Flatten(),  # (B, 1024)
            nn.Linear(1024, 256),  # (B, 256)
            nn.ReLU(),
            nn.Linear(256, 2 * z_dim),  # (B, 2 Z)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mu, logvar = self.layers(x).chunk(2, dim=1)  # (B, Z) each
        return mu, logvar


class Decoder(nn.Module):
    """Latents (B, Z) -> logits (B, C, 64, 64); `torch.sigmoid` of them is the picture."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(z_dim, 256),  # (B, 256)
            nn.ReLU(),
            nn.Linear(256, 1024),  # (B, 1024)
            nn.ReLU(),
            nn.Unflatten(1, (64, 4, 4)),  # (B, 64, 4, 4)
            # every transposed convolution doubles height and width: 4, 8, 16, 32, 64
            nn.ConvTranspose2d(64, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 8, 8)
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 16, 16)
            nn.ReLU(),
            nn.ConvTranspose2d(32, 32, kernel_size=4, stride=2, padding=1),  # (B, 32, 32, 32)
            nn.ReLU(),
            nn.ConvTranspose2d(32, channels, kernel_size=4, stride=2, padding=1),  # (B, C, 64, 64)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


NETWORKS = {
    "higgins": (Encoder, Decoder),
    "digits": (DigitEncoder, DigitDecoder),
    "ladder": (LadderEncoder, LadderDecoder),
}


class VAE(nn.Module):
    """Encoder, a random draw from its posterior, decoder. Built for pictures (C, H, W).

    Without `levels` the decoder gives one logit for each value of a picture. With it, L logits:
    those of a categorical distribution over L levels, all equal before training.
    ValueError for pictures of another size than the network's.
    """

    def __init__(
        self, shape: tuple[int, int, int], config: ModelConfig, levels: int | None = None
    ) -> None:
        super().__init__()
        channels, *size = shape
        side = SIDES[config.network]
        if size != [side, side]:
            fitting = [name for name, pixels in SIDES.items() if size == [pixels, pixels]]
            raise ValueError(
                f"pictures are {size[0]} x {size[1]}, not {side} x {side} as the network "
                f"{config.network} takes them"
                + (f": take {' or '.join(fitting)}" if fitting else "")
            )
        self.shape = tuple(shape)
        self.levels = levels
        encoder, decoder = NETWORKS[config.network]
        self.encoder = encoder(channels, config.z_dim)
        self.decoder = decoder(channels * (levels or 1), config.z_dim)
        self.ladder = config.network == "ladder"
        self.z_dim = self.decoder.z_dim if self.ladder else config.z_dim
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Block | Rung):
                module.begin()
        if levels:
            nn.init.zeros_(self.decoder.layers[-1].weight)

    def leveled(self, logits: torch.Tensor) -> torch.Tensor:
        """What the decoder gives, (B, C, H, W) or (B, C L, H, W) -> with the levels L last."""
        if self.levels is None:
            return logits
        return logits.unflatten(1, (-1, self.levels)).movedim(2, -1)  # (B, C, H, W, L)

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> logits of the pictures (B, C, H, W), or of their levels, L last."""
        return self.leveled(self.decoder(z))

    def posterior(self, x: torch.Tensor, *, drawn: bool = False) -> Normal:
        """Pictures (B, C, H, W) in [0, 1] -> mu and logvar (B, Z).

        On a ladder they depend on the latents above: on their mu, or, with `drawn`, on a draw.
        """
        seen = self.encoder(x)
        if self.ladder:
            _, _, *seen = self.meet(seen, None if drawn else x.new_zeros(len(x), self.z_dim))
        mu, logvar = seen
        return mu, logvar

    def meet(
        self, seen: tuple[torch.Tensor, ...], epsilon: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """What the encoder gives -> logits, then z, mu and logvar (B, Z).

        epsilon (B, Z) is the noise; drawn here where none is given.
        """
        mu, logvar, *features = seen
        if epsilon is None:
            epsilon = torch.randn(len(mu), self.z_dim, device=mu.device, dtype=mu.dtype)
        if self.ladder:
            logits, z, mu, logvar = self.decoder.meet(mu, logvar, features, epsilon)
            return self.leveled(logits), z, mu, logvar
        z = draw(mu, logvar, epsilon)
        return self.logits(z), z, mu, logvar

    def forward(
        self, x: torch.Tensor, epsilon: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Pictures (B, C, H, W) in [0, 1], noise (B, Z) -> what `meet` makes of them."""
        return self.meet(self.encoder(x), epsilon)
