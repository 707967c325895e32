"""Train the adversarial autoencoder on MNIST.

    python models/aae/train.py                               by config.json
    python models/aae/train.py --lambda_ 0.9 --ckpt_name aae_0.9
    python models/aae/train.py --z_dim 2 --ckpt_name aae_2            latents that can be drawn

Writes checkpoints/<run>/ and results/<run>/, there samples at the start, the middle and the end.
Then: python models/aae/test.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

import torch
from torch.nn import functional

from models.aae.modules import Autoencoder, Discriminator, ModelConfig
from utils.command_line import parse
from utils.config import key
from utils.digits.training import (
    DigitConfig,
    DigitTask,
    TrainingConfig,
    descend,
    fake_loss,
    load_digits,
    real_loss,
)
from utils.errors import command
from utils.images.data import Images, to_unit_range
from utils.training.curves import Measure
from utils.training.device import evaluating
from utils.training.loop import fit
from utils.training.run import open_run
from utils.training.task import Batch, Row


@dataclass(frozen=True, kw_only=True)
class AAETraining(TrainingConfig):
    """The "training" section: `lambda` with an underscore, as Python keeps the bare word."""

    lambda_: float = key(
        "weight of the reconstruction, 1 - lambda of the adversarial term; 1: an autoencoder",
        low=0,
        high=1,
    )


@dataclass(frozen=True)
class Config(DigitConfig):
    """The sections of config.json."""

    kind = "aae"
    model: ModelConfig
    training: AAETraining


class AAETask(DigitTask):
    """First encoder and decoder take a step, then the discriminator, on the same latents.

    The autoencoder minimises lambda * reconstruction + (1 - lambda) * adversarial: the squared
    error, the mean over all pixels, and -log D(z), nats. The discriminator then minimises the mean
    of -log D(p), p ~ N(0, I), and -log(1 - D(z)), z the latents of the batch.

    Makhzani et al. 2015 (section 2) have two phases instead: encoder and decoder take a step on the
    reconstruction alone; then the discriminator, then the encoder alone take one on the adversarial
    term, each phase with its own learning rate. One weighted sum is simpler, and its lambda goes
    from a plain autoencoder (1) to an encoder that only imitates the prior (0).
    """

    network = "autoencoder"
    columns = (
        "train_reconstruction",
        "train_adversarial_nats",
        "train_discriminator_nats",
        "val_reconstruction",
        "val_frechet",
        "learning_rate",
    )
    measure = Measure(
        "nats per decision",
        curves=(
            ("train_adversarial_nats", "encoder against discriminator"),
            ("train_discriminator_nats", "discriminator"),
        ),
    )

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """Learns from pictures (B, 1, 28, 28) in [0, 1]."""
        x = batch[0].to(self.device)
        autoencoder, discriminator = self.modules["autoencoder"], self.modules["discriminator"]
        weight = self.config.training.lambda_
        decoded, z = autoencoder(x)  # (B, 1, 28, 28), (B, Z)
        reconstruction = functional.mse_loss(decoded, x)
        adversarial_nats = real_loss(discriminator(z))
        loss = weight * reconstruction + (1 - weight) * adversarial_nats
        descend(self.optimizers["autoencoder"], loss)

        both = torch.cat([torch.randn_like(z), z.detach()])  # (2 B, Z)
        of_prior, of_latents = discriminator(both).chunk(2)  # (B, 1) each
        discriminator_nats = (real_loss(of_prior) + fake_loss(of_latents)) / 2
        descend(self.optimizers["discriminator"], discriminator_nats)
        self.average_weights(number)
        return {
            "train_reconstruction": reconstruction.item(),
            "train_adversarial_nats": adversarial_nats.item(),
            "train_discriminator_nats": discriminator_nats.item(),
        }

    def validate(self) -> Row:
        _, error = encode_pictures(self.model, self.validation)
        return {"val_reconstruction": error} | super().validate()


def encode_pictures(autoencoder: Autoencoder, images: Images) -> tuple[torch.Tensor, float]:
    """Encodes all pictures: latents (N, Z) on the CPU, mean squared error of a decoded pixel."""
    latents, squared = [], 0.0
    with evaluating(autoencoder) as device:
        for start in range(0, len(images), 500):
            x = to_unit_range(images.pixels[start : start + 500]).to(device)
            decoded, z = autoencoder(x)
            latents.append(z.cpu())
            squared += len(x) * functional.mse_loss(decoded, x).item()
    return torch.cat(latents), squared / len(images)


@command
def main(argv: list[str] | None = None) -> None:
    call = parse(argv, __doc__, Config, Path(__file__).with_name("config.json"))
    with open_run(call) as run:
        training, validation = load_digits(run.config.data, few=run.dry)
        autoencoder, discriminator = Autoencoder(run.config.model), Discriminator(run.config.model)
        fit(AAETask(autoencoder, discriminator, training, validation, run.config), run)


if __name__ == "__main__":
    raise SystemExit(main())
