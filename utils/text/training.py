"""How every next-character model learns: the task behind models/{lstm,tcn,transformer}/train.py."""

import importlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from utils.config import DEVICES, PRECISIONS, Config, ModelSection, TrainingSection, key
from utils.errors import UserError
from utils.text.data import DataConfig, Streams, Text, TextModel, decode
from utils.text.protocol import Protocol, ProtocolConfig, make_visible
from utils.text.streaming import score_blocks, score_stream, write
from utils.training import checkpoint, distributed
from utils.training.content import PROTOCOL
from utils.training.curves import Measure
from utils.training.device import evaluating
from utils.training.fingerprint import Fingerprint
from utils.training.initial import match_symbols
from utils.training.optimizers import make_optimizers
from utils.training.run import Run
from utils.training.task import Batch, Row, Task
from utils.words import count

TEXT_KINDS = ("lstm", "tcn", "transformer")
FEW = 200  # characters that a dry run validates on


@dataclass(frozen=True)
class TrainingConfig(TrainingSection):
    """The "training" section of config.json."""

    epochs: int = key("passes over the training text", low=1, dry=1)
    batch_size: int = key("B, streams read side by side", low=1)
    length: int = key("T, characters of a stream read at a time", low=1)
    carry_state: bool = key("keep the state from one batch to the next, or start each one cold")
    learning_rate: float = key("AdamW's peak learning rate", above=0)
    final_rate: float = key("share of the peak rate left at the last step", low=0, high=1)
    warmup_steps: int = key("steps in which the learning rate climbs to its peak", low=0)
    beta2: float = key("AdamW's second decay rate", low=0, below=1)
    weight_decay: float = key("decay of the matrices; vectors and weight norm are spared", low=0)
    clip_norm: float = key("longest gradient of all parameters together", above=0)
    seed: int = key("seed of the initial weights, the batch order and dropout", low=0)
    device: str = key("where to run", choices=DEVICES)
    precision: str = key(
        "precision of the large products in training; bfloat16 is for CUDA",
        choices=PRECISIONS,
        default="float32",
    )
    optimizer: str = key(
        "optimiser of the hidden matrices; AdamW steps vectors and what faces the alphabet",
        choices=("adamw", "muon"),
        default="adamw",
    )
    init: str | None = key("run whose best weights it starts from; null: random ones", default=None)


@dataclass(frozen=True)
class TextConfig(Config):
    """The sections of a text model's config.json; each model has a "model" section of its own."""

    model: ModelSection
    data: DataConfig
    training: TrainingConfig
    protocol: ProtocolConfig


def import_kind(kind: str) -> tuple[type[TextConfig], type[TextModel]]:
    """Imports the Config and the Model of a kind of text model: by name, for it is above us."""
    config = importlib.import_module(f"models.{kind}.train").Config
    return config, importlib.import_module(f"models.{kind}.modules").Model


class NextCharacter(Task):
    """Next-character training of one model on one text.

    UserError where the text is too short for its windows, or the windows for learned positions.
    """

    unit = "char"
    columns = ("train_nats", "val_nats", "learning_rate")
    measure = Measure(
        "nats per character",
        "bits per character",
        curves=(("train_nats", "training"), ("val_nats", "validation (cold blocks of 256)")),
    )

    def __init__(self, model: TextModel, text: Text, config: TextConfig) -> None:
        training = config.training
        streams = Streams(
            text.training,
            training.batch_size,
            training.length,
            training.seed,
            shuffle=not training.carry_state,
        )
        if config.data.validation_share > 0 and len(text.validation) < training.length + 1:
            raise UserError(
                f"the validation text has {count(len(text.validation), 'character')}, less than "
                f"one window: lower --training.length ({training.length}) or take a longer text"
            )
        if config.data.test_share > 0 and len(text.test) < 2:
            raise UserError(
                f"the test text has {count(len(text.test), 'character')}, nothing to measure: "
                f"raise --test_share ({config.data.test_share:g}) or take a longer text"
            )
        limit = model.position_limit
        if limit is not None and (training.carry_state or training.length > limit):
            raise UserError(
                f"learned positions end at --context {limit}: take --carry_state false and "
                f"--training.length {limit} at most"
            )
        title = f"{config.model.name}: {config.kind} on data/{config.data.name}"
        super().__init__(
            config, {"model": model}, streams, title=title, units_per_row=training.length
        )
        self.text = text
        self.summary = (
            f"alphabet of {len(text.alphabet)}, {len(text.training):,} characters to train on, "
            f"{len(text.validation):,} to validate"
            f"{'' if len(text.validation) else ': the last epoch counts as the best'}"
            f"{f', {len(text.test):,} kept to test' if len(text.test) else ''}"
        )
        self.carried = None  # the state that the next batch goes on from
        self.milestones = config.protocol.epochs
        self.protocol = Protocol(config.protocol, text)
        self.optimizers = make_optimizers(
            model,
            model.outer,
            training.learning_rate,
            decay=training.weight_decay,
            beta2=training.beta2,
            muon=training.optimizer == "muon",
        )

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """Learns from codes x and the codes y that follow them, (B, T) each."""
        training = self.config.training
        if (number - 1) % self.loader.steps == 0:
            self.carried = None  # every epoch starts at another place
        x, y = (codes.to(self.device) for codes in batch)
        self.model.zero_grad()
        with self.precision:
            logits, state = self.model(x, self.carried)  # (B, T, V)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
        if training.carry_state:  # its values go on, its gradients end here
            self.carried = detach(state, self.device)
        return {"train_nats": loss.item()}

    def validate(self) -> Row:
        validation = self.text.validation
        nats = score_blocks(self.model, validation) if len(validation) else None
        return {"val_nats": nats, "learning_rate": self.learning_rate}

    def shorten(self) -> None:
        self.text = replace(self.text, validation=self.text.validation[:FEW])
        self.protocol.shorten()

    def begin(self, run: Run) -> None:
        alphabet = len(self.text.alphabet)
        if sum(p.numel() for p in self.model.parameters()) > 20 * len(self.text.training):
            print("note: over 20 parameters for every character: it will be memorised")
        rare = sum(count_codes(self.text.training, alphabet) < 10)
        if rare > alphabet / 2:
            print(f"note: {rare} of {alphabet} characters occur less than 10 times")

    def milestone(self, row: Row, run: Run) -> None:
        """Writes protocol.md in the run's results."""
        self.protocol.add(row, self.model)
        self.protocol.write(run.results / "protocol.md", run.name, self.config.data.name)

    def report(self, run: Run, history: list[Row]) -> None:
        """Prints the exact validation numbers of the best epoch, a sample, what was written."""
        best = checkpoint.load(run.checkpoints / "best.pt", self.config.kind)
        self.model.load_state_dict(best["model"])
        print(f"best (epoch {best['epoch']} of {len(history)}): ", end="")
        print(describe_score(self.model, self.text.validation))
        _, codes = self.protocol.passages[-1]
        prompt = torch.from_numpy(codes[: self.config.protocol.prompt_length].astype(np.int64))
        written, _ = write(self.model, prompt, 200, temperature=0.7)
        print(f"it reads  {make_visible(decode(prompt, self.text.alphabet))}")
        print(f"it writes {make_visible(decode(written, self.text.alphabet))}")
        print(f"wrote {run.place} (protocol.md, loss.png, tensorboard/)")

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return self.text.fingerprint()

    def identity(self) -> dict[str, Any]:
        return {"alphabet": self.text.alphabet}

    def take_over(self, content: dict[str, Any]) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Returns a run's weights, each character's in its place here, and what became of them."""
        old, new = content["alphabet"], self.text.alphabet
        if old == new:
            return super().take_over(content)
        with torch.device("meta"), torch.random.fork_rng([]):
            larger = type(self.model)(len(new) + 1, self.config.model).state_dict()
        fresh = self.model.state_dict()
        weights = match_symbols(content["model"], fresh, larger, old, new)
        lacking = sorted(set(new) - set(old))
        note = f"{len(new) - len(lacking)} of {count(len(new), 'character')} keep theirs"
        named = ", ".join(map(repr, lacking[:20])) + ", ..." * (len(lacking) > 20)
        return weights, [note, f"{len(lacking)} new: {named}"] if lacking else [note]

    def state(self) -> dict[str, Any]:
        return super().state() | {"protocol": self.protocol.entries}

    def rank_state(self) -> dict[str, Any]:
        return super().rank_state() | {"carried": detach(self.carried, "cpu")}

    def restore(self, content: dict[str, Any], state: dict[str, Any], own: dict[str, Any]) -> None:
        super().restore(content, state, own)
        PROTOCOL("training.protocol", state["protocol"])
        if any(len(e["written"]) != len(self.protocol.passages) for e in state["protocol"]):
            raise UserError("protocol.prompts was another and cannot change with --resume")
        self.protocol.entries = state["protocol"]
        self.carried = detach(own["carried"], self.device)
        if self.carried is not None:  # whether the state is one, the model itself can say
            rows = self.loader.batch_size // distributed.size()
            with evaluating(self.model), self.precision:
                codes = torch.zeros(rows, 1, dtype=torch.int64, device=self.device)
                self.model(codes, self.carried)


def count_codes(codes: np.ndarray, vocabulary: int, part: int = 2**20) -> np.ndarray:
    """Counts how often each code occurs (V,), a part at a time: bincount takes 8 bytes a code."""
    parts = (codes[start : start + part] for start in range(0, len(codes), part))
    return sum(np.bincount(some, minlength=vocabulary) for some in parts)


def detach(state: Any, device: torch.device | str) -> Any:
    """Cuts a state (tensors in tuples, beside plain numbers) off its gradients, on a device."""
    if isinstance(state, torch.Tensor):
        return state.detach().to(device)
    if isinstance(state, tuple):
        return tuple(detach(part, device) for part in state)
    return state


def describe_score(model: TextModel, codes: np.ndarray, title: str = "validation") -> str:
    """Measures a text in one line: nats, bits and accuracy of the stream, then cold blocks."""
    if len(codes) < 2:
        return f"{title}: {count(len(codes), 'character')}, nothing to measure"
    nats, right = score_stream(model, codes)
    return (
        f"{title} {nats:.4f} nats, {nats / math.log(2):.4f} bits per character, "
        f"{100 * right:.1f} % of next characters right; "
        f"on cold blocks of 256: {score_blocks(model, codes):.4f} nats"
    )
