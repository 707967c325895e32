"""A generative adversarial network on digits, fully connected.

Goodfellow et al. 2014, "Generative adversarial nets": a generator G (`generator`) turns noise z
into pictures, a discriminator D (`discriminator`) tells them from real ones x, each learns from the
other. `models.gan.train.GANTask.step` has D minimise the first line and G the second (Goodfellow et
al. 2014, section 3), by `utils.digits.training.real_loss` and `utils.digits.training.fake_loss`:

    discriminator_nats = 1/2 (E [-log D(x)] + E [-log(1 - D(G(z)))])
    generator_nats = E [-log D(G(z))]           steep where D is sure, as equation 1 is not

Run: python models/gan/train.py
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils.config import ModelSection, key
from utils.inputs import take

PICTURE = (1, 28, 28)  # (C, H, W)


@dataclass(frozen=True)
class ModelConfig(ModelSection):
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    z_dim: int = key("Z, numbers of noise that the generator turns into a picture", low=1)


def check(x: Tensor, what: str, sizes: tuple[int, ...], first: nn.Linear) -> Tensor:
    """Returns x (B, *sizes) of the dtype of the first layer. TypeError or ValueError if it is not.

    Under autocast x may be of half precision, and is returned in the layer's.
    """
    dtype = first.weight.dtype
    if getattr(x, "shape", ())[1:] != sizes or x.dtype != dtype:
        return take(what, x, ("B", *sizes), dtype)
    return x


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """Returns linear, batch normalisation and leaky ReLU: (B, inputs) -> (B, outputs)."""
    return [
        nn.Linear(inputs, outputs),
        # By name, since a bare second value is eps: 0.8 there, meant as a momentum, is a well-known
        # slip that damps every feature of less than unit variance.
        nn.BatchNorm1d(outputs, eps=1e-5, momentum=0.1),
        nn.LeakyReLU(0.2),
    ]


class Generator(nn.Module):
    """Noise z ~ N(0, I), (B, Z) -> pictures (B, 1, 28, 28) in [-1, 1]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        self.layers = nn.Sequential(
            nn.Linear(config.z_dim, 128),  # (B, 128)
            nn.LeakyReLU(0.2),
            *block(128, 256),  # (B, 256)
            *block(256, 512),  # (B, 512)
            *block(512, 1024),  # (B, 1024)
            nn.Linear(1024, 784),  # (B, 784)
            nn.Tanh(),
            nn.Unflatten(1, (1, 28, 28)),  # (B, 1, 28, 28)
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(check(z, "the noise is", (self.z_dim,), self.layers[0]))

    def generate(self, z: Tensor) -> Tensor:
        """Turns noise z (B, Z) into pictures (B, 1, 28, 28) in [0, 1]."""
        return (self(z) + 1) / 2


class Discriminator(nn.Module):
    """Pictures (B, 1, 28, 28) in [-1, 1] -> logits (B, 1): above 0 for real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),  # (B, 784)
            nn.Linear(784, 512),  # (B, 512)
            nn.LeakyReLU(0.2),
            nn.Linear(512, 256),  # (B, 256)
            nn.LeakyReLU(0.2),
            nn.Linear(256, 1),  # (B, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(check(x, "pictures are", PICTURE, self.layers[1]))

    def probability(self, x: Tensor) -> Tensor:
        """Computes the probability (B, 1) that pictures (B, 1, 28, 28) in [-1, 1] are real."""
        return torch.sigmoid(self(x))
