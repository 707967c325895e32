"""The kinds of model that a report knows: how each is rebuilt, called, and what of it is shown."""

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
from models.lstm import modules as lstm
from models.lstm import test as lstm_test
from models.lstm import train as lstm_train
from models.palindrome import modules as palindrome
from models.palindrome import test as palindrome_test
from models.palindrome import train as palindrome_train
from models.tcn import modules as tcn
from models.tcn import test as tcn_test
from models.tcn import train as tcn_train
from models.transformer import modules as transformer
from models.transformer import test as transformer_test
from models.transformer import train as transformer_train
from utils.config import Config
from utils.text.training import TextConfig
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


def of_text(name: str, train: Any, modules: Any, test: Any) -> Kind:
    """Describes a model of text, which is rebuilt for the alphabet in its checkpoint."""

    def build(config: TextConfig, content: dict[str, Any]) -> nn.Module:
        return modules.Model(len(content["alphabet"]), config.model)

    return Kind(train.Config, build, f"models/{name}/train.py", test.main, *TEXT)


KINDS = {
    "lstm": of_text("lstm", lstm_train, lstm, lstm_test),
    "tcn": of_text("tcn", tcn_train, tcn, tcn_test),
    "transformer": of_text("transformer", transformer_train, transformer, transformer_test),
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
