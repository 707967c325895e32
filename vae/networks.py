"""The variational autoencoder's networks, with the shape beside each layer.

Kingma & Welling 2014, "Auto-encoding variational Bayes": an encoder, the posterior
q(z|x) = N(mu, diag(exp(logvar))), and a decoder p(x|z), trained together. The convolutions for
64 x 64 pictures are those of Higgins et al. 2017, "beta-VAE", for CelebA; those for 28 x 28 are the
five of the course's report, 32-32-64-64-64. vae/ladder.py has latents in layers, vae/residual.py
what photographs take.

Run: python main.py
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import nn

from utils.config import ModelSection, key
from utils.errors import SettingError
from utils.images.data import Shape
from utils.inputs import take

SIDES = {"higgins": 64, "residual": 64, "digits": 28, "ladder": 28}  # pixels of its pictures


@dataclass(frozen=True)
class ModelConfig(ModelSection):
    """The "model" section of a variational autoencoder's configuration."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    network: str = key(
        "higgins: for pictures of 64 x 64; residual: for 64 x 64, larger, for photographs; digits: "
        "for 28 x 28; ladder: for 28 x 28, with latents in layers",
        choices=tuple(SIDES),
    )
    z_dim: int = key("Z, latent neurons; of ladder, those at the top", low=1)


class Posterior(NamedTuple):
    """q(z|x), independent Gaussians: mean and logarithm of the variance, (B, Z) each."""

    mu: torch.Tensor
    logvar: torch.Tensor


class Outputs(NamedTuple):
    """What a model makes of pictures: logits (B, C, H, W) or, of L levels, (B, C, H, W, L)."""

    logits: torch.Tensor
    z: torch.Tensor  # (B, Z), as are mu and logvar
    mu: torch.Tensor
    logvar: torch.Tensor


def check(x: torch.Tensor, what: str, sizes: tuple[int, ...], first: nn.Module) -> torch.Tensor:
    """Returns x (B, *sizes) of the dtype of the first layer. TypeError or ValueError if it is not.

    Under autocast x may be of half precision, and is returned in the layer's.
    """
    dtype = first.weight.dtype
    if getattr(x, "shape", ())[1:] != sizes or x.dtype != dtype:
        return take(what, x, ("B", *sizes), dtype)
    return x


class Encoder(nn.Module):
    """Pictures (B, C, 64, 64) in [0, 1] -> the posterior q(z|x) of Z latents."""

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

    def forward(self, x: torch.Tensor) -> Posterior:
        first = self.layers[0]
        x = check(x, "pictures are", (first.in_channels, 64, 64), first)
        return Posterior(*self.layers(x).to(x.dtype).chunk(2, dim=1))  # (B, Z) each


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
        first = self.layers[0]
        z = check(z, "latents are", (first.in_features,), first)
        return self.layers(z)


def normalise(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    """Puts batch normalisation and GELU after a convolution: it learns faster than with ReLU."""
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.GELU()


class DigitEncoder(nn.Module):
    """Pictures (B, C, 28, 28) in [0, 1] -> the posterior q(z|x) of Z latents."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *normalise(nn.Conv2d(channels, 32, 3, stride=2, padding=1)),  # (B, 32, 14, 14)
            *normalise(nn.Conv2d(32, 32, 3, padding=1)),  # (B, 32, 14, 14)
            *normalise(nn.Conv2d(32, 64, 3, stride=2, padding=1)),  # (B, 64, 7, 7)
            *normalise(nn.Conv2d(64, 64, 3, padding=1)),  # (B, 64, 7, 7)
            *normalise(nn.Conv2d(64, 64, 3, stride=2, padding=1)),  # (B, 64, 4, 4)
            nn.Flatten(),  # (B, 1024)
            nn.Linear(1024, 2 * z_dim),  # (B, 2 Z)
        )

    def forward(self, x: torch.Tensor) -> Posterior:
        first = self.layers[0]
        x = check(x, "pictures are", (first.in_channels, 28, 28), first)
        return Posterior(*self.layers(x).to(x.dtype).chunk(2, dim=1))  # (B, Z) each


class DigitDecoder(nn.Module):
    """Latents (B, Z) -> logits (B, C, 28, 28): the encoder's layers backwards."""

    def __init__(self, channels: int, z_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(z_dim, 1024),  # (B, 1024)
            nn.GELU(),
            nn.Unflatten(1, (64, 4, 4)),  # (B, 64, 4, 4)
            *normalise(nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1)),  # (B, 64, 7, 7)
            *normalise(nn.Conv2d(64, 64, 3, padding=1)),  # (B, 64, 7, 7)
            *normalise(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),  # (B, 32, 14, 14)
            *normalise(nn.Conv2d(32, 32, 3, padding=1)),  # (B, 32, 14, 14)
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),  # (B, C, 28, 28)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        first = self.layers[0]
        z = check(z, "latents are", (first.in_features,), first)
        return self.layers(z)


def check_shape(shape: Shape, network: str) -> None:
    """Raises a SettingError for pictures of another size than the network's, or of no size."""
    if not isinstance(shape, tuple | list) or [type(size) for size in shape] != [int] * 3:
        raise SettingError(f"{shape!r} is no shape of pictures: right would be (C, H, W)")
    _, height, width = shape
    side = SIDES[network]
    if (height, width) != (side, side):
        fitting = [name for name, pixels in SIDES.items() if height == width == pixels]
        raise SettingError(
            f"pictures are {height} x {width}, not {side} x {side} as the network {network} takes "
            "them" + (f": take {' or '.join(fitting)}" if fitting else "")
        )


def split_levels(logits: torch.Tensor, levels: int | None) -> torch.Tensor:
    """Moves the levels L of logits (B, C L, H, W), where there are some, to a last axis."""
    if levels is None:
        return logits
    return logits.unflatten(1, (-1, levels)).movedim(2, -1)  # (B, C, H, W, L)


def reparametrise(
    mu: torch.Tensor, logvar: torch.Tensor, epsilon: torch.Tensor | None = None
) -> torch.Tensor:
    """Samples z ~ N(mu, exp(logvar)) with noise from N(0, 1) (Kingma & Welling 2014, section 2.4).

        z = mu + exp(logvar / 2) * epsilon          exp(logvar / 2) is sigma

    A random number has no derivative with respect to the mean of its distribution. Written as a
    fixed function of mu, logvar and noise from outside, it has: 1 and sigma / 2 * epsilon.
    """
    epsilon = torch.randn_like(mu) if epsilon is None else epsilon
    return mu + torch.exp(0.5 * logvar) * epsilon


class VAE(nn.Module):
    """Encoder, a sample of its posterior, decoder, for pictures (C, H, W).

    Without `levels` the decoder gives one logit for each value of a picture. With it, L logits:
    those of a categorical distribution over L levels, all equal before training.
    """

    networks: ClassVar = {"higgins": (Encoder, Decoder), "digits": (DigitEncoder, DigitDecoder)}
    first_layer = "encoder.layers.0."

    def __init__(self, shape: Shape, config: ModelConfig, levels: int | None = None) -> None:
        super().__init__()
        check_shape(shape, config.network)
        if levels is not None and levels < 2:
            raise SettingError(f"levels is {levels}, not a whole number >= 2")
        self.shape, self.levels, self.z_dim = tuple(shape), levels, config.z_dim
        encoder, decoder = self.networks[config.network]
        self.encoder = encoder(shape[0], config.z_dim)
        self.decoder = decoder(shape[0] * (levels or 1), config.z_dim)
        # Parameters that face the pixels: Muon leaves them to AdamW.
        self.outer = (self.first_layer, f"decoder.layers.{len(self.decoder.layers) - 1}.")
        for module in self.modules():  # He et al. 2015
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        if levels:  # all start equally likely
            nn.init.zeros_(self.decoder.layers[-1].weight)

    def encode(self, x: torch.Tensor) -> Posterior:
        """Pictures (B, C, H, W) in [0, 1] -> mu and logvar (B, Z) of q(z|x)."""
        return self.encoder(x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> logits of the pictures (B, C, H, W), or of their levels, L last."""
        return split_levels(self.decoder(z), self.levels)

    def sample(self, seen: Posterior, epsilon: torch.Tensor | None = None) -> Outputs:
        """Samples z from what the encoder saw, with noise (B, Z) or its own, and decodes it."""
        mu = seen.mu
        if epsilon is not None and (
            getattr(epsilon, "shape", None) != mu.shape or epsilon.dtype != mu.dtype
        ):
            epsilon = take("the noise is", epsilon, tuple(mu.shape), mu.dtype)
        z = reparametrise(seen.mu, seen.logvar, epsilon)
        return Outputs(self.decode(z), z, seen.mu, seen.logvar)

    def forward(self, x: torch.Tensor, epsilon: torch.Tensor | None = None) -> Outputs:
        """Pictures (B, C, H, W) in [0, 1], noise (B, Z) -> logits, z, mu and logvar.

        ValueError for pictures of another shape or dtype.
        """
        return self.sample(self.encoder(x), epsilon)
