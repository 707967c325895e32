"""Train the adversarial autoencoder on MNIST.

    python models/aae/train.py                               by config.json
    python models/aae/train.py --training.lambda_ 0.9 --ckpt_name aae_0.9
    python models/aae/train.py --model.z_dim 2 --ckpt_name aae_2      codes that can be drawn

Writes checkpoints/<run>/ and results/<run>/, there samples at the start, the middle and the end.
Then: python models/aae/test.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch.nn import functional

from models.aae.modules import Autoencoder, Discriminator, ModelConfig
from utils import config as configuration
from utils.command_line import parse
from utils.config import key
from utils.digits.training import (
    DataConfig,
    DigitTask,
    TrainingConfig,
    descend,
    forged_nats,
    genuine_nats,
    train,
)
from utils.errors import command
from utils.images.data import Images, unit_range
from utils.training.curves import Measure
from utils.training.device import evaluating


@dataclass(frozen=True)
class AAETraining(TrainingConfig):
    """The "training" section: `lambda` with an underscore, as Python keeps the bare word."""

    lambda_: float = key(
        "weight of the reconstruction, 1 - lambda of the adversarial term; 1: an autoencoder",
        low=0,
        high=1,
    )


CONFIG = configuration.schema(model=ModelConfig, data=DataConfig, training=AAETraining)


class AAETask(DigitTask):
    """First encoder and decoder take a step, then the discriminator, on the same codes.

    The autoencoder minimises lambda * reconstruction + (1 - lambda) * adversarial: the squared
    error, the mean over all pixels, and -log D(code), nats. The discriminator then minimises the
    mean of -log D(z), z ~ N(0, I), and -log(1 - D(code)).

    Makhzani et al. 2015 (section 2) have two phases instead: encoder and decoder take a step on the
    reconstruction alone; then the discriminator, then the encoder alone take one on the adversarial
    term, each phase with its own learning rate. One weighted sum is simpler, and its lambda goes
    from a plain autoencoder (1) to an encoder that only imitates the prior (0).
    """

    kind = "aae"
    columns = (
        *("train_reconstruction", "train_adversarial_nats", "train_discriminator_nats"),
        *("val_reconstruction", "val_frechet", "learning_rate"),
    )
    measure = Measure(
        "nats per decision",
        curves=(
            ("train_adversarial_nats", "encoder against discriminator"),
            ("train_discriminator_nats", "discriminator"),
        ),
    )

    def __init__(self, training: Images, validation: Images, config: Any) -> None:
        autoencoder, discriminator = Autoencoder(config.model), Discriminator(config.model)
        super().__init__(autoencoder, discriminator, training, validation, config)

    def learn(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        weight = self.config.training.lambda_
        decoded, codes = self.player(x)  # (B, 1, 28, 28), (B, Z)
        reconstruction = functional.mse_loss(decoded, x)
        adversarial_nats = genuine_nats(self.discriminator(codes))
        descend(self.player_optimizer, weight * reconstruction + (1 - weight) * adversarial_nats)

        both = torch.cat([torch.randn_like(codes), codes.detach()])  # (2 B, Z)
        of_prior, of_codes = self.discriminator(both).chunk(2)  # (B, 1) each
        discriminator_nats = (genuine_nats(of_prior) + forged_nats(of_codes)) / 2
        descend(self.discriminator_optimizer, discriminator_nats)
        return {
            "train_reconstruction": reconstruction,
            "train_adversarial_nats": adversarial_nats,
            "train_discriminator_nats": discriminator_nats,
        }

    def validate(self) -> dict[str, float]:
        _, error = encoded(self.average, self.validation)
        return {"val_reconstruction": error} | super().validate()


def encoded(autoencoder: Autoencoder, images: Images) -> tuple[torch.Tensor, float]:
    """All pictures -> their codes (N, Z) on the CPU, the mean squared error of a decoded pixel."""
    codes, squared = [], 0.0
    with evaluating(autoencoder) as device:
        for start in range(0, len(images), 500):
            x = unit_range(images.pixels[start : start + 500]).to(device)
            decoded, z = autoencoder(x)
            codes.append(z.cpu())
            squared += len(x) * functional.mse_loss(decoded, x).item()
    return torch.cat(codes), squared / len(images)


@command
def main(argv: list[str] | None = None) -> None:
    config, args, overrides = parse(
        argv,
        description=__doc__,
        config_type=CONFIG,
        default_file=Path(__file__).with_name("config.json"),
    )
    train(AAETask, config, args, overrides)


if __name__ == "__main__":
    raise SystemExit(main())
