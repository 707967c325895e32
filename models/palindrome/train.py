"""Train the LSTM to remember: it reads all digits of a palindrome but the last, and predicts it.

    python models/palindrome/train.py                                  T = 5, by config.json
    python models/palindrome/train.py --T 20 --epochs 20 --ckpt_name palindrome_20

Writes checkpoints/<run>/ and results/<run>/. Then: python models/palindrome/test.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

import torch
from torch import nn
from torch.nn import functional

from models.palindrome.data import Palindromes, count_free_digits, validation_set
from models.palindrome.modules import Model, ModelConfig
from utils import config as configuration
from utils.command_line import parse
from utils.config import DEVICES, PRECISIONS, TrainingSection, key
from utils.errors import command
from utils.training.curves import Measure
from utils.training.device import evaluating
from utils.training.loop import fit
from utils.training.run import Run, open_run
from utils.training.task import Batch, Row, Task


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json."""

    batches: int = key("batches of an epoch", low=1)
    validation: int = key(
        "palindromes to validate on; all of them where there are fewer",
        low=1,
        high=100_000,
        dry=20,
    )


@dataclass(frozen=True)
class TrainingConfig(TrainingSection):
    """The "training" section of config.json."""

    epochs: int = key("epochs of data.batches each", low=1, dry=1)
    batch_size: int = key("B, palindromes of a step", low=1)
    learning_rate: float = key("RMSprop's learning rate", above=0)
    clip_norm: float = key("longest gradient of all parameters together", above=0)
    seed: int = key("seed of the initial weights, the palindromes and dropout", low=0)
    device: str = key("where to run", choices=DEVICES)
    precision: str = key(
        "precision of the large products in training; bfloat16 is for CUDA",
        choices=PRECISIONS,
        default="float32",
    )
    init: str | None = key("run whose best weights it starts from; null: random ones", default=None)


@dataclass(frozen=True)
class Config(configuration.Config):
    """The sections of config.json."""

    kind = "palindrome"
    model: ModelConfig
    data: DataConfig
    training: TrainingConfig


class LastDigit(Task):
    """Training to predict the last digit of palindromes.

    Training is scored with dropout, validation without: so validation may look the better one.
    """

    unit = "palindrome"
    columns = ("train_nats", "val_nats", "train_accuracy", "val_accuracy")
    measure = Measure("nats per last digit")

    def __init__(self, model: Model, config: Config) -> None:
        training, T = config.training, config.model.T
        loader = Palindromes(T, config.data.batches, training.batch_size, training.seed)
        title = f"{config.model.name}: palindromes of {T + 1} digits"
        super().__init__(config, {"model": model}, loader, title=title)
        rmsprop = torch.optim.RMSprop(model.parameters(), lr=training.learning_rate)
        self.optimizers = {"rmsprop": rmsprop}
        self.validation = torch.from_numpy(validation_set(T, config.data.validation))  # (N, T + 1)
        self.summary = (
            f"10^{count_free_digits(T)} palindromes, a fifth of them held out, "
            f"{len(self.validation):,} to validate"
        )

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """Learns from palindromes (B, T + 1)."""
        self.model.zero_grad()
        with self.precision:
            nats, right = score(self.model, batch[0])
        nats.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.training.clip_norm)
        self.optimizers["rmsprop"].step()
        return {"train_nats": nats.item(), "train_accuracy": right}

    def validate(self) -> Row:
        nats, right = score_validation(self.model, self.validation)
        return {"val_nats": nats, "val_accuracy": right}

    def report(self, run: Run, history: list[Row]) -> None:
        best = min(history, key=lambda row: row["val_nats"])
        print(
            f"best (epoch {best['epoch']} of {len(history)}): validation {best['val_nats']:.4f} "
            f"nats, {100 * best['val_accuracy']:.2f} % of last digits right; training, with "
            f"dropout: {best['train_nats']:.4f} nats, {100 * best['train_accuracy']:.2f} %"
        )
        print(f"wrote {run.place} (loss.png, tensorboard/)")


def score(model: Model, digits: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Measures palindromes (B, T + 1): mean nats of the last digits, the share predicted right."""
    digits = digits.to(next(model.parameters()).device).long()
    logits, last = model(digits[:, :-1]), digits[:, -1]  # (B, 10), (B,)
    right = (logits.argmax(dim=1) == last).sum().item() / len(last)
    return functional.cross_entropy(logits.float(), last), right


def score_validation(model: Model, digits: torch.Tensor) -> tuple[float, float]:
    """Scores any number of palindromes (N, T + 1), without dropout and gradients."""
    nats = right = 0.0
    with evaluating(model):
        for part in digits.split(500):
            part_nats, part_right = score(model, part)
            nats += len(part) * part_nats.item()
            right += len(part) * part_right
    return nats / len(digits), right / len(digits)


@command
def main(argv: list[str] | None = None) -> None:
    call = parse(argv, __doc__, Config, Path(__file__).with_name("config.json"))
    with open_run(call) as run:
        model = Model(run.config.model)
        fit(LastDigit(model, run.config), run)


if __name__ == "__main__":
    raise SystemExit(main())
