"""Train the GAN on MNIST.

    python models/gan/train.py                             by config.json
    python models/gan/train.py --data.dataset digits --training.epochs 20 --ckpt_name small

Writes checkpoints/<run>/ and results/<run>/, there samples at the start, the middle and the end.
Then: python models/gan/test.py
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch

from models.gan.modules import Discriminator, Generator, ModelConfig
from utils import config as configuration
from utils.command_line import parse
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
from utils.images.data import Images
from utils.training.curves import Measure

CONFIG = configuration.schema(model=ModelConfig, data=DataConfig, training=TrainingConfig)


class GANTask(DigitTask):
    """First the discriminator takes a step, then the generator, on the same noise.

    The discriminator minimises the mean of -log D(x) and -log(1 - D(G(z))): ln 2 where it cannot
    tell. The generator minimises -log D(G(z)), Goodfellow et al.'s non-saturating loss (section 3):
    log(1 - D(G(z))), their equation 1, is flat where the discriminator is sure.
    """

    kind = "gan"
    columns = ("train_generator_nats", "train_discriminator_nats", "val_frechet", "learning_rate")
    measure = Measure(
        "nats per decision",
        curves=(
            ("train_generator_nats", "generator"),
            ("train_discriminator_nats", "discriminator"),
        ),
    )

    def __init__(self, training: Images, validation: Images, config: Any) -> None:
        generator, discriminator = Generator(config.model), Discriminator()
        super().__init__(generator, discriminator, training, validation, config)

    def learn(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        z = torch.randn(len(x), self.player.z_dim, device=self.device)
        fake = self.player(z)  # (B, 1, 28, 28)
        both = torch.cat([2 * x - 1, fake.detach()])  # (2 B, 1, 28, 28) in [-1, 1]
        of_real, of_fake = self.discriminator(both).chunk(2)  # (B, 1) each
        discriminator_nats = (genuine_nats(of_real) + forged_nats(of_fake)) / 2
        descend(self.discriminator_optimizer, discriminator_nats)

        generator_nats = genuine_nats(self.discriminator(fake))
        descend(self.player_optimizer, generator_nats)
        return {
            "train_generator_nats": generator_nats,
            "train_discriminator_nats": discriminator_nats,
        }


@command
def main(argv: list[str] | None = None) -> None:
    config, args, overrides = parse(
        argv,
        description=__doc__,
        config_type=CONFIG,
        default_file=Path(__file__).with_name("config.json"),
    )
    train(GANTask, config, args, overrides)


if __name__ == "__main__":
    raise SystemExit(main())
