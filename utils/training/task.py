"""A kind of training: what differs between models, and what they all keep in a checkpoint.

A new kind of training is a subclass with a step, a validation and a few words:

    class NextCharacter(Task):
        def __init__(self, model, text, config):
            super().__init__(config, {"model": model}, Streams(...), title="...")
            self.optimizers = {"adamw": torch.optim.AdamW(model.parameters(), lr=...)}
            self.summary = "65,727 characters to train on"

        def step(self, batch, number): ...      zero_grad, forward, loss, backward, clip, step
        def validate(self): ...                 the columns of the epoch that ended

`fit` in loop.py calls it, and alone knows the order of a training.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import nn

from utils.config import Config
from utils.errors import UserError
from utils.training.curves import Measure
from utils.training.device import (
    choose_device,
    in_precision,
    random_state,
    restore_random_state,
)
from utils.training.fingerprint import Fingerprint, describe_change
from utils.training.optimizers import restore_optimizers
from utils.training.run import Run

Batch = tuple[torch.Tensor, ...]  # the rows of all tensors belong together
Row = dict[str, Any]  # of history.csv


class Loader(Protocol):
    """Batches of training data: the same ones whenever an epoch is asked for."""

    batch_size: int
    steps: int  # batches of an epoch

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from index `first` on."""


class Task(ABC):
    """Training of one model on its data.

    `modules` are all networks that learn, by the names that a checkpoint has them by; "model" is
    the one that a checkpoint rebuilds. A subclass sets `optimizers`, by what they are, and says in
    `summary` what it trains on.
    """

    unit: str  # what a batch consists of: "char", "image"
    columns: tuple[str, ...]  # what the console shows of a row; history.csv has all of it
    measure: Measure  # what the losses are nats of, and which of them are drawn
    summary: str  # how much there is to train on and to validate, in words
    monitor = "val_nats"  # the column whose smallest value is the best epoch
    milestones: Collection[int] = ()  # epochs that are kept, besides the last
    ranks_draw_alike = False  # whether all ranks of torchrun draw the same random numbers

    def __init__(
        self,
        config: Config,
        modules: Mapping[str, nn.Module],
        loader: Loader,
        *,
        title: str,
        units_per_row: int = 1,
    ) -> None:
        self.config = config
        self.title = title  # for figures and the console
        self.device = choose_device(config.training.device)
        self.precision = in_precision(config.training.precision, self.device)
        self.modules = {name: module.to(self.device) for name, module in modules.items()}
        self.model = self.modules["model"]
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.loader = loader
        self.units_per_step = loader.batch_size * units_per_row

    # What a subclass gives

    @abstractmethod
    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """Learns from this rank's rows of the number-th batch of all; returns the losses."""

    @abstractmethod
    def validate(self) -> Row:
        """Measures the epoch that ended; returns further columns of its row."""

    def begin(self, run: Run) -> None:
        """Says what deserves attention, and records where a new run starts from."""

    def shorten(self) -> None:
        """Keeps little to validate on and to write, once the steps of a dry run are done."""

    def milestone(self, row: Row, run: Run) -> None:
        """Writes pictures or texts at an epoch that is kept."""

    def report(self, run: Run, history: list[Row]) -> None:
        """Prints the last lines of a training."""

    # What all of them keep

    @property
    def learning_rate(self) -> float:
        """The rate of the last step, of the first optimiser."""
        return next(iter(self.optimizers.values())).param_groups[0]["lr"]

    def identity(self) -> dict[str, Any]:
        """Returns what rebuilds the model besides its settings: an alphabet, a shape."""
        return {}

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What tells the data from other data; nothing where the settings alone make it."""
        return {}

    def take_over(self, content: dict[str, Any]) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Returns a run's weights as this task's model takes them, and what became of them."""
        return content["model"], []

    def content(self) -> dict[str, Any]:
        """Returns what a checkpoint holds to rebuild the model, and which data it learned from."""
        settings = {"kind": self.config.kind, "config": dataclasses.asdict(self.config)}
        return (
            settings
            | {"data": self.fingerprint}
            | self.identity()
            | {"model": self.model.state_dict()}
        )

    def state(self) -> dict[str, Any]:
        """Returns what else an exact resume needs, the same on every rank."""
        others = {name: module for name, module in self.modules.items() if name != "model"}
        return {
            "modules": {name: module.state_dict() for name, module in others.items()},
            "optimizers": {name: each.state_dict() for name, each in self.optimizers.items()},
        }

    def rank_state(self) -> dict[str, Any]:
        """Returns what an exact resume needs of this rank alone."""
        return {"random": random_state(self.device)}

    def restore(self, content: dict[str, Any], state: dict[str, Any], own: dict[str, Any]) -> None:
        """Puts back what content(), state() and rank_state() returned.

        UserError where the data is not what the run began with.
        """
        if change := describe_change(content, self.identity() | self.fingerprint):
            raise UserError(
                f"the data has changed since the run began ({change}): put back what it was, "
                "or --overwrite starts the run anew"
            )
        self.model.load_state_dict(content["model"])
        for name, module_state in state["modules"].items():
            self.modules[name].load_state_dict(module_state)
        restore_optimizers(self.optimizers, state["optimizers"], nn.ModuleDict(self.modules))
        restore_random_state(own["random"], self.device)


# What files from before tasks named their optimisers and modules called them.
OLD_OPTIMIZERS = {
    "adamw": "optimizer",
    "rmsprop": "optimizer",
    "muon": "muon",
    "generator": "player_optimizer",
    "autoencoder": "player_optimizer",
    "discriminator": "discriminator_optimizer",
}
OLD_MODULES = {"generator": "player", "autoencoder": "player", "discriminator": "discriminator"}


def read_old_form(kept: dict[str, Any], task: Task) -> dict[str, Any]:
    """Turns the training state of such a file into today's form; leaves today's as it is.

    In the old form what differs between ranks stood beside the rest, each in a list of its own.
    """
    if "optimizers" in kept:
        return kept
    random, carried = kept["random"], kept.get("state")
    if isinstance(random, list):
        carried = carried if isinstance(carried, list) else [carried] * len(random)
        pairs = zip(random, carried, strict=True)
        ranks: Any = [{"random": one, "carried": other} for one, other in pairs]
    else:
        ranks = {"random": random, "carried": carried}
    return {
        "modules": {name: kept[OLD_MODULES[name]] for name in task.modules if name != "model"},
        "optimizers": {
            name: kept[OLD_OPTIMIZERS[name]]
            for name in task.optimizers
            if OLD_OPTIMIZERS[name] in kept
        },
        "ranks": ranks,
        "protocol": kept.get("protocol"),
    }
