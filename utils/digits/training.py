"""How two opponents learn from digits: the task behind models/gan/train.py and models/aae/train.py.

The player draws pictures and is what a checkpoint keeps; the discriminator is its opponent. What
each of them minimises is the model's own; the rest is here.
"""

import copy
import dataclasses
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from utils import config as configuration
from utils.config import DEVICES, key
from utils.digits.quality import Judge
from utils.images.data import Batches, Images, split
from utils.images.figures import picture_rows
from utils.images.mnist import DATASETS, digits
from utils.training import distributed
from utils.training.curves import Measure
from utils.training.device import choose_device, evaluating, random_state, restore_random_state
from utils.training.loop import fit, warmup_cosine
from utils.training.optimizers import follow
from utils.training.run import Run, opened

VALIDATION_SHARE = 0.1  # of the training pictures, never learned from


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json."""

    dataset: str = key("mnist: from data/raw/MNIST/raw/; digits: small, offline", choices=DATASETS)


@dataclass(frozen=True)
class TrainingConfig:
    """The "training" section of config.json, but for what a model adds."""

    epochs: int = key("passes over the training pictures", low=1)
    batch_size: int = key("B, pictures of a step", low=2)
    learning_rate: float = key("Adam's peak learning rate", above=0)
    discriminator_rate: float = key("the same, of the discriminator", above=0)
    final_rate: float = key("share of the peaks left at the last step", low=0, high=1)
    beta1: float = key("Adam's first decay rate", low=0, below=1)
    average: float = key("decay of the mean of the weights that draws; 0: no mean", low=0, below=1)
    seed: int = key("of the weights, the order, the noise", low=0)
    device: str = key("where to run", choices=DEVICES)


def genuine_nats(logits: torch.Tensor) -> torch.Tensor:
    """-log D, the mean over a batch of logits: how sure of "genuine" the discriminator is not."""
    return functional.softplus(-logits).mean()  # -log sigmoid(x) = log(1 + exp(-x))


def forged_nats(logits: torch.Tensor) -> torch.Tensor:
    """-log(1 - D), the mean over a batch of logits."""
    return functional.softplus(logits).mean()


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """A step of the optimiser's own parameters: the opponent's get no gradient."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    loss.backward(inputs=parameters)
    distributed.average_gradients(parameters)
    optimizer.step()


def draw(player: nn.Module, count: int, seed: int, part: int = 1000) -> torch.Tensor:
    """Pictures (count, 1, 28, 28) in [0, 1] of z ~ N(0, I); the same seed, the same z."""
    z = torch.randn(count, player.z_dim, generator=torch.Generator().manual_seed(seed))
    return drawn(player, z, part)


def drawn(player: nn.Module, z: torch.Tensor, part: int = 1000) -> torch.Tensor:
    """Latents (N, Z) -> pictures (N, 1, 28, 28) in [0, 1], on the CPU."""
    with evaluating(player) as device:
        render = player.generate if hasattr(player, "generate") else player.decode
        return torch.cat([render(codes.to(device)).cpu() for codes in z.split(part)])


class DigitTask(ABC):
    """Training of a player and its discriminator (see utils.loop.Task).

    A model's own task gives `learn`: a step of both from one batch. The best epoch is the one whose
    draws have the smallest Fréchet distance to the validation pictures. What draws, and what a
    checkpoint's "model" is, is the running mean of the player's weights (`training.average`).
    """

    kind: str
    unit = "image"
    monitor = "val_frechet"
    columns: tuple[str, ...]
    measure: Measure

    def __init__(
        self,
        player: nn.Module,
        discriminator: nn.Module,
        training: Images,
        validation: Images,
        config: Any,
    ) -> None:
        self.config = config
        self.title = f"{config.model.name}: {self.kind} on {training.source}"
        self.loader = Batches(training, config.training.batch_size, config.training.seed)
        self.units_per_step = config.training.batch_size
        self.validation = validation
        self.judge = Judge(config.data.dataset, validation)
        self.device = choose_device(config.training.device)
        self.player = player.to(self.device)
        self.discriminator = discriminator.to(self.device)
        self.average = copy.deepcopy(self.player)
        betas = (config.training.beta1, 0.999)
        rates = (config.training.learning_rate, config.training.discriminator_rate)
        self.player_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(module.parameters(), lr=rate, betas=betas, fused=True)
            for module, rate in zip((player, discriminator), rates, strict=True)
        )
        distributed.own_random_numbers()

    @abstractmethod
    def learn(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """A step of both from pictures (B, 1, 28, 28) in [0, 1]; the losses."""

    def __len__(self) -> int:
        return len(self.loader)

    def batches(self, epoch: int, first: int) -> Iterable[torch.Tensor]:
        return (x for x, _ in self.loader.epoch(epoch, first))

    def step(self, x: torch.Tensor, number: int) -> dict[str, float]:
        training = self.config.training
        share = warmup_cosine(
            number, warmup=0, total=training.epochs * len(self), final=training.final_rate
        )
        self.player_optimizer.param_groups[0]["lr"] = share * training.learning_rate
        self.discriminator_optimizer.param_groups[0]["lr"] = share * training.discriminator_rate
        losses = self.learn(x.to(self.device))
        follow(self.average, self.player, training.average, number)
        return {name: loss.item() for name, loss in losses.items()}

    def validate(self) -> dict[str, float]:
        pictures = draw(self.average, len(self.validation), seed=0)
        rate = self.player_optimizer.param_groups[0]["lr"]
        return {"val_frechet": self.judge.score(pictures)[0], "learning_rate": rate}

    def samples(self, epoch: int, run: Run) -> Path:
        """samples_NNNN.png: draws after an epoch, the same z every time."""
        pictures = draw(self.average, 64, seed=0).unflatten(0, (4, 16))
        return picture_rows(pictures, run.results / f"samples_{epoch:04}.png")

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        self.samples(row["epoch"], run)

    def content(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "config": configuration.plain(self.config),
            "model": self.average.state_dict(),
        }

    def training_state(self) -> dict[str, Any]:
        return {
            "player": self.player.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "player_optimizer": self.player_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "random": distributed.gathered(random_state(self.device)),
        }

    def restore(self, content: dict[str, Any], state: dict[str, Any]) -> None:
        self.average.load_state_dict(content["model"])
        for name in ("player", "discriminator", "player_optimizer", "discriminator_optimizer"):
            getattr(self, name).load_state_dict(state[name])
        restore_random_state(distributed.own(state["random"]), self.device)


def train(
    task_type: type[DigitTask],
    config: Any,
    args: Namespace,
    overrides: dict[tuple[str, str], Any],
) -> None:
    """The whole of a train.py after its command line is read: data, task, fit, final numbers."""
    with opened(task_type.kind, config, args, overrides) as (run, config, resume):
        with distributed.in_turns():
            pictures = digits(config.data.dataset)[0]
        training, validation = split(pictures, VALIDATION_SHARE, seed=0)
        if run.dry:
            short = dataclasses.replace(config.training, epochs=1, batch_size=8)
            config = dataclasses.replace(config, training=short)
            training, validation = training.take(slice(0, 16)), validation.take(slice(0, 32))
        torch.manual_seed(config.training.seed)
        task = task_type(training, validation, config)
        print(training.summary())
        describe(task, run)
        if resume is None and distributed.first():
            run.clear()
            task.samples(0, run)
        epochs = config.training.epochs
        history = fit(task, run, epochs=epochs, milestones={(epochs + 1) // 2}, resume=resume)
        if run.dry:
            return
        best = min(history, key=lambda row: row[task.monitor])
        print(
            f"best (epoch {best['epoch']} of {len(history)}): Fréchet distance "
            f"{best['val_frechet']:.3f} to {len(validation):,} validation pictures"
        )
        files = "samples at start, middle and end, loss.png, tensorboard/"
        print(f"wrote {run.place} ({files})")


def describe(task: DigitTask, run: Run) -> None:
    """What is about to happen, before it takes long."""
    player, discriminator = (
        sum(p.numel() for p in module.parameters()) for module in (task.player, task.discriminator)
    )
    print(
        f"{task.title}: {player:,} parameters against {discriminator:,} on {task.device}; "
        f"{len(task.validation):,} pictures to validate; {task.config.training.epochs} epochs of "
        f"{len(task)} steps; writes {run.place}"
    )
