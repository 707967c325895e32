"""How two competing networks learn from digits: behind models/gan/train.py and aae/train.py.

One network generates pictures, the other, the discriminator, tells two kinds of input apart. What
each of them minimises is in the model's own train.py; the rest is here.
"""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from utils.config import DEVICES, Config, ModelSection, TrainingSection, key
from utils.digits.quality import Judge
from utils.images.data import Batches, Images, fingerprint_pictures, split
from utils.images.figures import draw_pictures
from utils.images.files import load_images
from utils.images.mnist import DATASETS, digits
from utils.training.device import evaluating
from utils.training.fingerprint import Fingerprint
from utils.training.optimizers import update_average
from utils.training.run import Run
from utils.training.task import Row, Task
from utils.words import count

VALIDATION_SHARE = 0.1  # of the training pictures, never learned from


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json."""

    dataset: str = key("mnist: from data/raw/MNIST/raw/; digits: small, offline", choices=DATASETS)
    data: str | None = key(
        "a folder of pictures, or an array's file; null: the data set", default=None, is_path=True
    )


@dataclass(frozen=True)
class TrainingConfig(TrainingSection):
    """The "training" section of config.json, but for what a model adds."""

    epochs: int = key("passes over the training pictures", low=1, dry=1)
    batch_size: int = key("B, pictures of a step", low=2)
    learning_rate: float = key("Adam's peak learning rate", above=0)
    discriminator_rate: float = key("Adam's peak learning rate of the discriminator", above=0)
    final_rate: float = key("share of the peak rates left at the last step", low=0, high=1)
    beta1: float = key("Adam's first decay rate", low=0, below=1)
    average: float = key(
        "decay of the mean of the weights that generates pictures; 0: no mean", low=0, below=1
    )
    seed: int = key("seed of the initial weights, the batch order and the noise", low=0)
    device: str = key("where to run", choices=DEVICES)
    init: str | None = key("run whose best weights it starts from; null: random ones", default=None)


@dataclass(frozen=True)
class DigitConfig(Config):
    """The sections of config.json; each model has a "model" section of its own."""

    model: ModelSection
    data: DataConfig
    training: TrainingConfig


class GenerativeModel(Protocol):
    """What turns latents into digits: a GAN's generator, an autoencoder's decoder."""

    z_dim: int

    def generate(self, z: torch.Tensor) -> torch.Tensor:
        """Turns latents (B, Z) into pictures (B, 1, 28, 28) in [0, 1]."""


def load_digits(data: DataConfig, *, few: bool = False) -> tuple[Images, Images]:
    """Loads training and validation pictures, `few` of these for a dry run.

    One's own are fitted to 28 x 28, in grey.
    """
    own = data.data is not None
    whole = load_images(Path(data.data), size=28, channels=1) if own else digits(data.dataset)[0]
    training, validation = split(whole, VALIDATION_SHARE, seed=0)
    return training, validation.take(slice(32)) if few else validation


def real_loss(logits: torch.Tensor) -> torch.Tensor:
    """Computes -log D, the loss on what should be judged real: nats, the mean over a batch."""
    return functional.softplus(-logits).mean()  # -log sigmoid(x) = log(1 + exp(-x))


def fake_loss(logits: torch.Tensor) -> torch.Tensor:
    """Computes -log(1 - D), the loss on what should be judged fake: nats, the mean over a batch."""
    return functional.softplus(logits).mean()


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Takes a step of the optimiser's own parameters: the other network gets no gradient."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    loss.backward(inputs=parameters)
    optimizer.step()


def generate_pictures(model: GenerativeModel, z: torch.Tensor, part: int = 1000) -> torch.Tensor:
    """Turns latents (N, Z) into pictures (N, 1, 28, 28) in [0, 1], on the CPU."""
    with evaluating(model) as device:
        return torch.cat([model.generate(some.to(device)).cpu() for some in z.split(part)])


def sample_pictures(model: GenerativeModel, count: int, seed: int) -> torch.Tensor:
    """Generates pictures (count, 1, 28, 28) from z ~ N(0, I); the same seed, the same z."""
    z = torch.randn(count, model.z_dim, generator=torch.Generator().manual_seed(seed))
    return generate_pictures(model, z)


class DigitTask(Task):
    """Training of a network that generates digits, against a discriminator.

    A model's own task gives `step`, and what its `network` is called. The best epoch is the one
    whose samples have the smallest Fréchet distance to the validation pictures. What draws them,
    a checkpoint's "model", is the running mean of the network's weights (`training.average`).
    """

    unit = "image"
    monitor = "val_frechet"
    network: str  # what generates: "generator", "autoencoder"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        training: Images,
        validation: Images,
        config: DigitConfig,
    ) -> None:
        rates, average = config.training, copy.deepcopy(generator)
        super().__init__(
            config,
            {"model": average, self.network: generator, "discriminator": discriminator},
            Batches(training, rates.batch_size, rates.seed),
            title=f"{config.model.name}: {config.kind} on {training.source}",
        )
        self.validation = validation
        self.summary = f"{training.summary()}, {len(validation):,} to validate"
        self.judge = Judge(config.data.dataset, validation)
        self.milestones = {(rates.epochs + 1) // 2}
        peaks = {self.network: rates.learning_rate, "discriminator": rates.discriminator_rate}
        self.optimizers = {
            name: torch.optim.Adam(
                self.modules[name].parameters(), lr=peak, betas=(rates.beta1, 0.999), fused=True
            )
            for name, peak in peaks.items()
        }

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return fingerprint_pictures(self.loader.images, self.validation)

    def average_weights(self, number: int) -> None:
        """Takes the network's weights after a step into their running mean."""
        decay = self.config.training.average
        update_average(self.model, self.modules[self.network], decay, number)

    def validate(self) -> Row:
        pictures = sample_pictures(self.model, len(self.validation), seed=0)
        frechet = self.judge.score(pictures)[0]
        return {"val_frechet": frechet, "learning_rate": self.learning_rate}

    def begin(self, run: Run) -> None:
        if run.resumed is None:
            self.milestone({"epoch": 0}, run)

    def milestone(self, row: Row, run: Run) -> None:
        """Writes samples_NNNN.png: pictures after an epoch, from the same z every time."""
        pictures = sample_pictures(self.model, 64, seed=0)
        draw_pictures(pictures[None], run.results / f"samples_{row['epoch']:04}.png")

    def report(self, run: Run, history: list[Row]) -> None:
        best = min(history, key=lambda row: row[self.monitor])
        print(
            f"best (epoch {best['epoch']} of {len(history)}): Fréchet distance "
            f"{best['val_frechet']:.3f} to {count(len(self.validation), 'validation picture')}"
        )
        print(f"wrote {run.place} (samples at start, middle and end, loss.png, tensorboard/)")
