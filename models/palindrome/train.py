"""Train the LSTM to remember: it reads all digits of a palindrome but the last, and predicts it.

    python models/palindrome/train.py                                     T = 5, by config.json
    python models/palindrome/train.py --config models/palindrome/long.json             T = 20
    python models/palindrome/train.py --model.T 8 --ckpt_name eight

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

from models.palindrome.data import draw, free_digits, validation_set
from models.palindrome.modules import Model, ModelConfig
from utils import config as configuration
from utils.config import key, parse
from utils.device import DEVICES, choose_device, evaluating, random_state, restore_random_state
from utils.errors import command
from utils.loop import fit
from utils.paths import shown
from utils.plots import Measure
from utils.run import Run, opened
from utils.schedule import warmup_cosine


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json."""

    batches: int = key("batches of an epoch", low=1)
    validation: int = key("palindromes to validate on; all of them where there are fewer", low=1)


@dataclass(frozen=True)
class TrainingConfig:
    """The "training" section of config.json."""

    epochs: int = key("of data.batches each", low=1)
    batch_size: int = key("B, palindromes of a step", low=1)
    learning_rate: float = key("RMSprop's learning rate", above=0)
    final_rate: float = key("share of it left at the last step", low=0, high=1)
    clip_norm: float = key("longest gradient of all parameters together", above=0)
    seed: int = key("of the weights, the palindromes and dropout", low=0)
    device: str = key("where to run", choices=DEVICES)


CONFIG = configuration.schema(model=ModelConfig, data=DataConfig, training=TrainingConfig)


def score(logits: torch.Tensor, last: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Logits (B, 10) and the true last digits (B,) -> mean nats, share of them predicted right."""
    return functional.cross_entropy(logits, last), (logits.argmax(dim=1) == last).double().mean().item()


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
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(), lr=config.training.learning_rate
        )
        self.validation = validation_set(config.model.T, config.data.validation)

    def __len__(self) -> int:
        return self.config.data.batches

    def batches(self, epoch: int, first: int) -> Iterable[torch.Tensor]:
        size = self.config.training.batch_size
        rng = np.random.default_rng([self.config.training.seed, epoch])
        drawn = draw(len(self) * size, self.config.model.T, rng, validation=False)
        return torch.from_numpy(drawn).split(size)[first:]

    def scored(self, digits: torch.Tensor) -> tuple[torch.Tensor, float]:
        digits = digits.to(self.device).long()  # (B, T + 1)
        return score(self.model(digits[:, :-1]), digits[:, -1])

    def step(self, batch: torch.Tensor, number: int) -> dict[str, float]:
        training = self.config.training
        share = warmup_cosine(
            number, warmup=0, total=training.epochs * len(self), final=training.final_rate
        )
        for group in self.optimizer.param_groups:
            group["lr"] = share * training.learning_rate

        self.optimizer.zero_grad()
        nats, right = self.scored(batch)
        nats.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.optimizer.step()
        return {"train_nats": nats.item(), "train_accuracy": right}

    def validate(self) -> dict[str, float]:
        with evaluating(self.model):
            nats, right = self.scored(torch.from_numpy(self.validation))
        return {"val_nats": nats.item(), "val_accuracy": right}

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        """Nothing to draw: the numbers say it all."""

    def content(self) -> dict[str, Any]:
        return {
            "kind": "palindrome",
            "config": configuration.plain(self.config),
            "model": self.model.state_dict(),
        }

    def training_state(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "random": random_state(self.device)}

    def restore(self, content: dict[str, Any], state: dict[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        restore_random_state(state["random"], self.device)
