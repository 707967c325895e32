"""The kinds of model that a report knows: how each is rebuilt, called, and what of it is shown."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

import main as autoencoders
from models.aae import modules as aae
from models.aae import test as aae_test
from models.aae import train as aae_train
from models.gan import modules as gan
from models.gan import test as gan_test
from models.gan import train as gan_train
from models.palindrome import modules as palindrome
from models.palindrome import test as palindrome_test
from models.palindrome import train as palindrome_train
from utils.config import Config
from utils.text.training import TEXT_KINDS, TextConfig, import_kind
from vae.training import VAEConfig, build_model

PROJECT = Path(__file__).resolve().parents[1]
Charts = tuple[tuple[str, tuple[str, ...]], ...]  # the words beside an axis, the columns drawn


class Kind(NamedTuple):
    """A kind of model. Columns are those of history.csv."""

    config: type[Config]
    build: Callable[
        [Any, dict[str, Any]], nn.Module
    ]  # from its settings and a checkpoint's entries
    script: str  # what trains it
    test: Callable[..., Any] | None  # `main` of its test.py
    columns: tuple[str, ...]  # the numbers that are shown, of chosen epochs
    charts: Charts


TEXT = ("train_nats", "val_nats"), (("nats_char", ("train_nats", "val_nats")),)


def of_text(name: str) -> Kind:
    """Describes a model of text, which is rebuilt for the alphabet in its checkpoint."""
    config_type, model = import_kind(name)

    def build(config: TextConfig, content: dict[str, Any]) -> nn.Module:
        return model(len(content["alphabet"]), config.model)

    test = importlib.import_module(f"models.{name}.test").main
    return Kind(config_type, build, f"models/{name}/train.py", test, *TEXT)


KINDS = {name: of_text(name) for name in TEXT_KINDS} | {
    "vae": Kind(
        VAEConfig,
        lambda config, content: build_model(content.get("shape"), config),
        "main.py",
        None,
        ("val_nats", "val_reconstruction_nats", "val_kl_nats", "val_active", "val_bpd"),
        (
            ("nats_picture", ("train_nats", "val_nats")),
            ("kl_nats", ("train_kl_nats", "val_kl_nats")),
        ),
    ),
    "aae": Kind(
        aae_train.Config,
        lambda config, _: aae.Autoencoder(config.model),
        "models/aae/train.py",
        aae_test.main,
        ("train_reconstruction", "val_reconstruction", "val_frechet", "train_discriminator_nats"),
        (
            ("squared_error", ("train_reconstruction", "val_reconstruction")),
            ("frechet", ("val_frechet",)),
        ),
    ),
    "gan": Kind(
        gan_train.Config,
        lambda config, _: gan.Generator(config.model),
        "models/gan/train.py",
        gan_test.main,
        ("train_generator_nats", "train_discriminator_nats", "val_frechet"),
        (
            ("nats_decision", ("train_generator_nats", "train_discriminator_nats")),
            ("frechet", ("val_frechet",)),
        ),
    ),
    "palindrome": Kind(
        palindrome_train.Config,
        lambda config, _: palindrome.Model(config.model),
        "models/palindrome/train.py",
        palindrome_test.main,
        ("train_nats", "train_accuracy", "val_nats", "val_accuracy"),
        (
            ("nats_digit", ("train_nats", "val_nats")),
            ("accuracy", ("train_accuracy", "val_accuracy")),
        ),
    ),
}


def default_file(kind: str, config: Config) -> Path:
    """Names the file with the defaults of a training like this one."""
    if kind != "vae":
        return PROJECT / "models" / kind / "config.json"
    digits = config.data.dataset in autoencoders.mnist.DATASETS
    return PROJECT / "vae" / ("mnist.json" if digits else "faces.json")
