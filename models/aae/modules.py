"""An adversarial autoencoder on digits, fully connected.

Makhzani et al. 2015, "Adversarial autoencoders": a discriminator tells the encoder's latents from
samples of the prior N(0, I), and the encoder learns to make them alike. So the decoder can turn
samples of the prior into pictures. With D (`discriminator`), lambda (`weight`), latents z and
samples p (`randn_like`) of the prior, `models.aae.train.AAETask.step` has the autoencoder minimise
the first line and D the second, by `utils.digits.training.real_loss` and
`utils.digits.training.fake_loss`:

    loss = lambda reconstruction + (1 - lambda) E [-log D(z)]
    discriminator_nats = 1/2 (E [-log D(p)] + E [-log(1 - D(z))])

Run: python models/aae/train.py
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
    z_dim: int = key("Z, numbers in a latent vector", low=1)
    hidden_size: int = key("H, width of the hidden layers", low=1)


def check(x: Tensor, what: str, sizes: tuple[int, ...], first: nn.Linear) -> Tensor:
    """Returns x (B, *sizes) of the dtype of the first layer. TypeError or ValueError if it is not.

    Under autocast x may be of half precision, and is returned in the layer's.
    """
    dtype = first.weight.dtype
    if getattr(x, "shape", ())[1:] != sizes or x.dtype != dtype:
        return take(what, x, ("B", *sizes), dtype)
    return x


class Encoder(nn.Module):
    """Pictures (B, 1, 28, 28) in [0, 1] -> latents (B, Z): a point each, not a distribution."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H = config.hidden_size
        self.layers = nn.Sequential(
            nn.Flatten(),  # (B, 784)
            nn.Linear(784, H),  # (B, H)
            nn.ReLU(),
            nn.Linear(H, H),  # (B, H)
            nn.ReLU(),
            nn.Linear(H, config.z_dim),  # (B, Z)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(check(x, "pictures are", PICTURE, self.layers[1]))


class Decoder(nn.Module):
    """Latents (B, Z) -> logits (B, 1, 28, 28); `torch.sigmoid` of them is the picture."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H = config.hidden_size
        self.layers = nn.Sequential(
            nn.Linear(config.z_dim, H),  # (B, H)
            nn.ReLU(),
            nn.Linear(H, H),  # (B, H)
            nn.ReLU(),
            nn.Linear(H, 784),  # (B, 784)
            nn.Unflatten(1, (1, 28, 28)),  # (B, 1, 28, 28)
        )

    def forward(self, z: Tensor) -> Tensor:
        first = self.layers[0]
        return self.layers(check(z, "latents are", (first.in_features,), first))


class Autoencoder(nn.Module):
    """Encoder and decoder; what the adversarial autoencoder is after training."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 1, 28, 28) -> their reconstructions in [0, 1], their latents (B, Z)."""
        z = self.encoder(x)
        return self.generate(z), z

    def generate(self, z: Tensor) -> Tensor:
        """Turns latents z (B, Z) into pictures (B, 1, 28, 28) in [0, 1]."""
        return torch.sigmoid(self.decoder(z))


class Discriminator(nn.Module):
    """Latents (B, Z) -> logits (B, 1): above 0 for samples of the prior."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H = config.hidden_size
        self.layers = nn.Sequential(
            nn.Linear(config.z_dim, H),  # (B, H)
            nn.LeakyReLU(0.2),
            nn.Linear(H, H),  # (B, H)
            nn.LeakyReLU(0.2),
            nn.Linear(H, 1),  # (B, 1)
        )

    def forward(self, z: Tensor) -> Tensor:
        first = self.layers[0]
        return self.layers(check(z, "latents are", (first.in_features,), first))
