"""An adversarial autoencoder on digits, fully connected.

Makhzani et al. 2015, "Adversarial autoencoders": an autoencoder whose codes a discriminator tells
from draws of the prior N(0, I), and which learns to make them alike. So the decoder can draw.

Run: python models/aae/train.py
"""

from dataclasses import dataclass

import torch
from torch import nn

from utils.config import key


@dataclass(frozen=True)
class ModelConfig:
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    z_dim: int = key("Z, numbers in a code", low=1)
    hidden_size: int = key("H, width of the hidden layers", low=1)


class Encoder(nn.Module):
    """Pictures (B, 1, 28, 28) in [0, 1] -> codes (B, Z): one for each picture, no distribution."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H = config.hidden_size
        self.layers = nn.Sequential(
            nn.Flatten(),  # (B, 784)
            *(nn.Linear(784, H), nn.ReLU()),  # (B, H)
            *(nn.Linear(H, H), nn.ReLU()),  # (B, H)
            nn.Linear(H, config.z_dim),  # (B, Z)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Decoder(nn.Module):
    """Codes (B, Z) -> logits (B, 1, 28, 28); `torch.sigmoid` of them is the picture."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H = config.hidden_size
        self.layers = nn.Sequential(
            *(nn.Linear(config.z_dim, H), nn.ReLU()),  # (B, H)
            *(nn.Linear(H, H), nn.ReLU()),  # (B, H)
            nn.Linear(H, 784),  # (B, 784)
            nn.Unflatten(1, (1, 28, 28)),  # (B, 1, 28, 28)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


class Autoencoder(nn.Module):
    """Encoder and decoder; what the adversarial autoencoder is after training."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (B, 1, 28, 28) -> their reconstructions in [0, 1], their codes (B, Z)."""
        z = self.encoder(x)
        return self.draw(z), z

    def draw(self, z: torch.Tensor) -> torch.Tensor:
        """z (B, Z) -> pictures (B, 1, 28, 28) in [0, 1]."""
        return torch.sigmoid(self.decoder(z))


class Discriminator(nn.Module):
    """Codes (B, Z) -> logits (B, 1): above 0 for draws of the prior."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H = config.hidden_size
        self.layers = nn.Sequential(
            *(nn.Linear(config.z_dim, H), nn.LeakyReLU(0.2)),  # (B, H)
            *(nn.Linear(H, H), nn.LeakyReLU(0.2)),  # (B, H)
            nn.Linear(H, 1),  # (B, 1)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)
