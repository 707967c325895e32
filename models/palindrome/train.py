"""Train the LSTM to remember: it reads all digits of a palindrome but the last, and predicts it.

    python models/palindrome/train.py                                  T = 5, by config.json
    python models/palindrome/train.py --model.T 20 --training.epochs 20 --ckpt_name palindrome_20

Writes checkpoints/<run>/ and results/<run>/. Then: python models/palindrome/test.py
"""

import dataclasses
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from models.palindrome.data import free_digits, sample_palindromes, validation_set
from models.palindrome.modules import Model, ModelConfig
from utils import config as configuration
from utils.command_line import parse
from utils.config import DEVICES, PRECISIONS, key
from utils.errors import command
from utils.training import distributed
from utils.training.curves import Measure
from utils.training.device import (
    choose_device,
    evaluating,
    in_precision,
    random_state,
    restore_random_state,
)
from utils.training.loop import fit
from utils.training.run import Run, opened


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json."""

    batches: int = key("batches of an epoch", low=1)
    validation: int = key(
        "palindromes to validate on; all of them where there are fewer", low=1, high=100_000
    )


@dataclass(frozen=True)
class TrainingConfig:
    """The "training" section of config.json."""

    epochs: int = key("of data.batches each", low=1)
    batch_size: int = key("B, palindromes of a step", low=1)
    learning_rate: float = key("RMSprop's learning rate", above=0)
    clip_norm: float = key("longest gradient of all parameters together", above=0)
    seed: int = key("of the weights, the palindromes and dropout", low=0)
    device: str = key("where to run", choices=DEVICES)
    precision: str = key(
        "of the products in training; bfloat16 is for CUDA", choices=PRECISIONS, default="float32"
    )


CONFIG = configuration.schema(model=ModelConfig, data=DataConfig, training=TrainingConfig)


def score(model: nn.Module, digits: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Palindromes (B, T + 1) -> mean nats of their last digits, the share predicted right."""
    digits = digits.to(next(model.parameters()).device).long()
    logits, last = model(digits[:, :-1]), digits[:, -1]  # (B, 10), (B,)
    right = (logits.argmax(dim=1) == last).double().mean()
    return functional.cross_entropy(logits.float(), last), right.item()


def validation_score(model: Model, digits: torch.Tensor) -> tuple[float, float]:
    """The same without dropout and gradients, for any number of palindromes (N, T + 1)."""
    nats = right = 0.0
    with evaluating(model):
        for part in digits.split(500):
            part_nats, part_right = score(model, part)
            nats += len(part) * part_nats.item()
            right += len(part) * part_right
    return nats / len(digits), right / len(digits)


class PalindromeTask:
    """Predicting the last digit of palindromes (see utils.loop.Task).

    Training is scored with dropout, validation without: so validation may look the better one.
    """

    unit = "palindrome"
    monitor = "val_nats"
    columns = ("train_nats", "val_nats", "train_accuracy", "val_accuracy")
    measure = Measure("nats per last digit")

    def __init__(self, config: Any) -> None:
        self.config = config
        self.title = f"{config.model.name}: palindromes of {config.model.T + 1} digits"
        self.units_per_step = config.training.batch_size
        self.device = choose_device(config.training.device)
        self.model = Model(config.model).to(self.device)
        self.network = distributed.parallel(self.model)
        distributed.own_random_numbers()
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(), lr=config.training.learning_rate
        )
        self.validation = torch.from_numpy(
            validation_set(config.model.T, config.data.validation)
        )  # (N, T + 1)

    def __len__(self) -> int:
        return self.config.data.batches

    def batches(self, epoch: int, first: int) -> Iterable[torch.Tensor]:
        training = self.config.training
        for index in range(first, len(self)):  # each from its own seed: it needs no earlier one
            rng = np.random.default_rng([training.seed, epoch, index])
            drawn = sample_palindromes(
                training.batch_size, self.config.model.T, rng, validation=False
            )
            yield torch.from_numpy(drawn)  # (B, T + 1)

    def step(self, batch: torch.Tensor, number: int) -> dict[str, float]:
        self.optimizer.zero_grad()
        with in_precision(self.config.training.precision, self.device):
            nats, right = score(self.network, batch)
        nats.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.training.clip_norm)
        self.optimizer.step()
        return {"train_nats": nats.item(), "train_accuracy": right}

    def validate(self) -> dict[str, float]:
        nats, right = validation_score(self.model, self.validation)
        return {"val_nats": nats, "val_accuracy": right}

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        """Nothing to draw: the numbers say it all."""

    def content(self) -> dict[str, Any]:
        return {
            "kind": "palindrome",
            "config": configuration.plain(self.config),
            "model": self.model.state_dict(),
        }

    def training_state(self) -> dict[str, Any]:
        random = distributed.gathered(random_state(self.device))
        return {"optimizer": self.optimizer.state_dict(), "random": random}

    def restore(self, content: dict[str, Any], state: dict[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        restore_random_state(distributed.own(state["random"]), self.device)


def tiny(config: Any) -> Any:
    """The same settings for one epoch of two small batches."""
    data = dataclasses.replace(config.data, batches=2, validation=20)
    training = dataclasses.replace(config.training, epochs=1, batch_size=8)
    return dataclasses.replace(config, data=data, training=training)


def describe(task: PalindromeTask, run: Run) -> None:
    """What is about to happen, before it takes long."""
    F, parameters = (
        free_digits(task.config.model.T),
        sum(p.numel() for p in task.model.parameters()),
    )
    print(
        f"{task.title}: {parameters:,} parameters on {task.device}; 10^{F} "
        f"palindromes, a fifth of them held out; {len(task.validation):,} to validate; "
        f"{task.config.training.epochs} epochs of {len(task)} steps; writes {run.place}"
    )


def report(run: Run, history: list[dict[str, Any]]) -> None:
    """The last lines of a training."""
    best = min(history, key=lambda row: row["val_nats"])
    print(
        f"best (epoch {best['epoch']} of {len(history)}): validation {best['val_nats']:.4f} nats, "
        f"{100 * best['val_accuracy']:.2f} % of last digits right; training, with dropout: "
        f"{best['train_nats']:.4f} nats, {100 * best['train_accuracy']:.2f} %"
    )
    print(f"wrote {run.place} (loss.png, tensorboard/)")


@command
def main(argv: list[str] | None = None) -> None:
    settings, args, overrides = parse(
        argv,
        description=__doc__,
        config_type=CONFIG,
        default_file=Path(__file__).with_name("config.json"),
    )
    with opened("palindrome", settings, args, overrides) as (run, config, resume):
        if run.dry:
            config = tiny(config)
        torch.manual_seed(config.training.seed)
        task = PalindromeTask(config)
        if resume is None and distributed.first():
            run.clear()
        describe(task, run)
        history = fit(task, run, epochs=config.training.epochs, milestones=(), resume=resume)
        if not run.dry:
            report(run, history)


if __name__ == "__main__":
    raise SystemExit(main())
