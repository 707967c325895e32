"""How every next-character model learns: the task behind models/{lstm,tcn,transformer}/train.py."""

import dataclasses
import math
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from utils import config as configuration
from utils.config import DEVICES, PRECISIONS, key
from utils.errors import UserError
from utils.text.data import DataConfig, Streams, Text, decode, load_text
from utils.text.protocol import Protocol, ProtocolConfig, visible
from utils.text.streaming import block_score, stream_score, write
from utils.training import checkpoint, distributed
from utils.training.curves import Measure
from utils.training.device import (
    choose_device,
    in_precision,
    moved,
    random_state,
    restore_random_state,
)
from utils.training.loop import fit, warmup_cosine
from utils.training.optimizers import is_matrix, optimizers_for, set_rate
from utils.training.run import Run, opened


@dataclass(frozen=True)
class TrainingConfig:
    """The "training" section of config.json."""

    epochs: int = key("passes over the training text", low=1)
    batch_size: int = key("B, streams read side by side", low=1)
    length: int = key("T, characters of a stream read at a time", low=1)
    carry_state: bool = key("keep the state from one batch to the next, or start each one cold")
    learning_rate: float = key("AdamW's peak learning rate", above=0)
    final_rate: float = key("share of the peak left at the last step", low=0, high=1)
    warmup_steps: int = key("steps to the peak", low=0)
    beta2: float = key("AdamW's second decay rate", low=0, below=1)
    weight_decay: float = key("AdamW's decay of the matrices; vectors are spared", low=0)
    clip_norm: float = key("longest gradient of all parameters together", above=0)
    seed: int = key("of the weights, the order and dropout", low=0)
    device: str = key("where to run", choices=DEVICES)
    precision: str = key(
        "of the products in training; bfloat16 is for CUDA", choices=PRECISIONS, default="float32"
    )
    optimizer: str = key(
        "of the matrices within; vectors and those of the alphabet are always adamw's",
        choices=("adamw", "muon"),
        default="adamw",
    )


def config_type(model_config: type) -> type:
    """The sections of a text model's config.json."""
    return configuration.schema(
        model=model_config, data=DataConfig, training=TrainingConfig, protocol=ProtocolConfig
    )


class TextTask:
    """Next-character training of one model on one text (see utils.loop.Task).

    UserError where the text is too short for its windows, or the windows for learned positions.
    """

    unit = "char"
    monitor = "val_nats"
    columns = ("train_nats", "val_nats", "learning_rate")
    measure = Measure(
        "nats per character",
        "bits per character",
        curves=(("train_nats", "training"), ("val_nats", "validation (cold blocks of 256)")),
    )

    def __init__(self, kind: str, model: nn.Module, text: Text, config: Any) -> None:
        self.kind = kind
        self.config = config
        self.text = text
        self.title = f"{config.model.name}: {kind} on data/{config.data.name}"
        training = config.training
        self.streams = Streams(
            text.training,
            training.batch_size,
            training.length,
            training.seed,
            shuffle=not training.carry_state,
        )
        if len(text.validation) < training.length + 1:
            raise UserError(
                f"the validation text has {len(text.validation):,} characters, less than one "
                f"window: lower training.length ({training.length}) or take a longer text"
            )
        limit = getattr(model, "position_limit", None)
        if limit is not None and (training.carry_state or training.length > limit):
            raise UserError(
                f"learned positions end at model.context {limit}: "
                "training.carry_state must be false and training.length no longer"
            )
        self.units_per_step = training.batch_size * training.length
        self.device = choose_device(training.device)
        self.model = model.to(self.device)
        self.network = distributed.parallel(self.model)
        distributed.own_random_numbers()
        self.state = None
        hidden = [
            p
            for p in model.parameters()
            if training.optimizer == "muon" and is_matrix(p) and len(text.alphabet) not in p.shape
        ]
        self.optimizers = optimizers_for(
            model,
            hidden,
            training.learning_rate,
            decay=training.weight_decay,
            beta2=training.beta2,
        )
        self.protocol = Protocol(config, text)

    def __len__(self) -> int:
        return len(self.streams)

    def batches(self, epoch: int, first: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        if first == 0:
            self.state = None  # every epoch starts at another place
        return self.streams.epoch(epoch, first)

    def step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> dict[str, float]:
        training = self.config.training
        share = warmup_cosine(
            number,
            warmup=training.warmup_steps,
            total=training.epochs * len(self),
            final=training.final_rate,
        )
        set_rate(self.optimizers, share * training.learning_rate)

        x, y = (codes.to(self.device) for codes in batch)  # (B, T) each
        self.model.zero_grad()
        with in_precision(training.precision, self.device):
            logits, state = self.network(x, self.state)  # (B, T, V)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
        if training.carry_state:  # its values go on, its gradients end here
            self.state = moved(state, self.device)
        return {"train_nats": loss.item()}

    def validate(self) -> dict[str, float]:
        rate = self.optimizers["optimizer"].param_groups[0]["lr"]
        return {"val_nats": block_score(self.model, self.text.validation), "learning_rate": rate}

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        self.protocol.add(row, self.model)
        self.protocol.write(run.results / "protocol.md")

    def content(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "config": configuration.plain(self.config),
            "alphabet": self.text.alphabet,
            "model": self.model.state_dict(),
        }

    def training_state(self) -> dict[str, Any]:
        return {
            **{name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "random": distributed.gathered(random_state(self.device)),
            "state": distributed.gathered(moved(self.state, "cpu")),
            "protocol": self.protocol.entries,
        }

    def restore(self, content: dict[str, Any], state: dict[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])
        restore_random_state(distributed.own(state["random"]), self.device)
        self.state = moved(distributed.own(state["state"]), self.device)
        self.protocol.entries = state["protocol"]


def train(
    kind: str,
    build: Callable[[Any, list[str]], nn.Module],
    config: Any,
    args: Namespace,
    overrides: dict[tuple[str, str], Any],
) -> None:
    """The whole of a train.py after its command line is read: data, model, fit, final numbers."""
    with opened(kind, config, args, overrides) as (run, config, resume):
        with distributed.in_turns():
            text = load_text(config.data)
        if run.dry:
            config, text = tiny(config, text)
        torch.manual_seed(config.training.seed)
        task = TextTask(kind, built(build, config.model, text.alphabet), text, config)
        if resume is not None and resume["alphabet"] != text.alphabet:
            raise UserError(f"data/{config.data.name} has changed since the run began")
        if resume is None and distributed.first():
            run.clear()
        describe(task, run)
        history = fit(
            task,
            run,
            epochs=config.training.epochs,
            milestones=config.protocol.epochs,
            resume=resume,
        )
        if not run.dry and distributed.first():
            report(task, run, history)


def built(
    build: Callable[[Any, list[str]], nn.Module], config: Any, alphabet: list[str]
) -> nn.Module:
    """The model of a configuration. UserError where its numbers do not fit together."""
    try:
        return build(config, alphabet)
    except ValueError as problem:
        raise UserError(str(problem)) from None


def tiny(config: Any, text: Text) -> tuple[Any, Text]:
    """The same settings for one epoch of two small batches, on the start of the text."""
    batch_size = min(2 * distributed.size(), config.training.batch_size)
    length = min(32, config.training.length)
    training = dataclasses.replace(
        config.training, epochs=1, batch_size=batch_size, length=length, warmup_steps=1
    )
    protocol = dataclasses.replace(config.protocol, prompts=1, prompt_length=10, length=10)
    short = Text(text.alphabet, text.codes[: 20 * batch_size * length])
    return dataclasses.replace(config, training=training, protocol=protocol), short


def describe(task: TextTask, run: Run) -> None:
    """What is about to happen, before it takes long."""
    text, training = task.text, task.config.training
    parameters = sum(p.numel() for p in task.model.parameters())
    print(
        f"{task.title}: {parameters:,} parameters on {task.device}, "
        f"alphabet of {len(text.alphabet)}; {len(text.training):,} characters to train on, "
        f"{len(text.validation):,} to validate; {training.epochs} epochs of {len(task)} steps; "
        f"writes {run.place}"
    )
    if parameters > 20 * len(text.training):
        print("note: over 20 parameters for every character of the text: it will be memorised")
    rare = sum(text.counts() < 10)
    if rare > len(text.alphabet) / 2:
        print(f"note: {rare} of {len(text.alphabet)} characters occur less than 10 times")
    if hasattr(task.model, "receptive_field"):
        needed = task.model.levels_for(training.length)
        print(
            f"receptive field: {task.model.receptive_field} characters "
            f"({needed} levels would do to see a window of {training.length})"
        )


def report(task: TextTask, run: Run, history: list[dict[str, Any]]) -> None:
    """The last lines of a training: the exact validation numbers, a sample, what was written."""
    best = checkpoint.load(run.checkpoints / "best.pt", task.kind)
    task.model.load_state_dict(best["model"])
    nats, right = stream_score(task.model, task.text.validation)
    blocks = block_score(task.model, task.text.validation)
    print(f"best (epoch {best['epoch']} of {len(history)}): {score_line(nats, right, blocks)}")
    _, codes = task.protocol.passages[-1]
    prompt = torch.from_numpy(codes[: task.config.protocol.prompt_length].astype(np.int64))
    written, _ = write(task.model, prompt, 200, temperature=0.7)
    print(f"it reads  {visible(decode(prompt, task.text.alphabet))}")
    print(f"it writes {visible(decode(written, task.text.alphabet))}")
    files = "protocol.md, loss.png, tensorboard/"
    print(f"wrote {run.place} ({files})")


def score_line(nats: float, right: float, blocks: float) -> str:
    """Validation in one line: the stream's nats and bits and accuracy, then cold blocks."""
    return (
        f"validation {nats:.4f} nats, {nats / math.log(2):.4f} bits per character, "
        f"{100 * right:.1f} % of next characters right; "
        f"on cold blocks of 256: {blocks:.4f} nats"
    )
