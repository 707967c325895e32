"""Train the GAN on MNIST.

    python models/gan/train.py                             by config.json
    python models/gan/train.py --dataset digits --epochs 20 --ckpt_name small

Writes checkpoints/<run>/ and results/<run>/, there samples at the start, the middle and the end.
Then: python models/gan/test.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

import torch

from models.gan.modules import Discriminator, Generator, ModelConfig
from utils.command_line import parse
from utils.digits.training import (
    DigitConfig,
    DigitTask,
    descend,
    fake_loss,
    load_digits,
    real_loss,
)
from utils.errors import command
from utils.training.curves import Measure
from utils.training.loop import fit
from utils.training.run import open_run
from utils.training.task import Batch


@dataclass(frozen=True)
class Config(DigitConfig):
    """The sections of config.json."""

    kind = "gan"
    model: ModelConfig


class GANTask(DigitTask):
    """First the discriminator takes a step, then the generator, on the same noise.

    The discriminator minimises the mean of -log D(x) and -log(1 - D(G(z))): ln 2 where it cannot
    tell. The generator minimises -log D(G(z)), Goodfellow et al.'s non-saturating loss (section 3):
    log(1 - D(G(z))), their equation 1, is flat where the discriminator is sure.
    """

    network = "generator"
    columns = ("train_generator_nats", "train_discriminator_nats", "val_frechet", "learning_rate")
    measure = Measure(
        "nats per decision",
        curves=(
            ("train_generator_nats", "generator"),
            ("train_discriminator_nats", "discriminator"),
        ),
    )

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """Learns from pictures (B, 1, 28, 28) in [0, 1]."""
        x = batch[0].to(self.device)
        generator, discriminator = self.modules["generator"], self.modules["discriminator"]
        z = torch.randn(len(x), generator.z_dim, device=self.device)
        fake = generator(z)  # (B, 1, 28, 28)
        both = torch.cat([2 * x - 1, fake.detach()])  # (2 B, 1, 28, 28) in [-1, 1]
        of_real, of_fake = discriminator(both).chunk(2)  # (B, 1) each
        discriminator_nats = (real_loss(of_real) + fake_loss(of_fake)) / 2
        descend(self.optimizers["discriminator"], discriminator_nats)

        generator_nats = real_loss(discriminator(fake))
        descend(self.optimizers["generator"], generator_nats)
        self.average_weights(number)
        return {
            "train_generator_nats": generator_nats.item(),
            "train_discriminator_nats": discriminator_nats.item(),
        }


@command
def main(argv: list[str] | None = None) -> None:
    call = parse(argv, __doc__, Config, Path(__file__).with_name("config.json"))
    with open_run(call) as run:
        training, validation = load_digits(run.config.data, few=run.dry)
        generator, discriminator = Generator(run.config.model), Discriminator()
        fit(GANTask(generator, discriminator, training, validation, run.config), run)


if __name__ == "__main__":
    raise SystemExit(main())
