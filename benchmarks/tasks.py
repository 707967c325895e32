"""What benchmarks train with: a model's own settings and task, and a folder that is gone later."""

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from utils import files
from utils.config import override, read_config
from utils.text.data import Text
from utils.text.training import NextCharacter, TextConfig, import_kind
from utils.training.loop import fit
from utils.training.run import Run
from utils.training.task import Row, Task

QUICK = {  # what --quick trains a text model with
    ("training", "epochs"): 1,
    ("training", "batch_size"): 12,
    ("training", "length"): 32,
    ("training", "warmup_steps"): 1,
}


def take_start(text: Text, size: int = 2000) -> Text:
    """Returns the first characters of a text: nine tenths to train on, the rest to validate on."""
    return Text(text.alphabet, text.training[: size * 9 // 10], text.validation[: size // 10])


def read_settings(kind: str, changes: Mapping[tuple[str, str], Any]) -> Any:
    """Reads a model's config.json as its own Config, with `changes` ({(section, key): value})."""
    config_type = importlib.import_module(f"models.{kind}.train").Config
    return override(read_config(files.ROOT / "models" / kind / "config.json", config_type), changes)


def make_text_task(text: Text, config: TextConfig) -> NextCharacter:
    """Makes the task of a text model's train.py, with a new model."""
    torch.manual_seed(config.training.seed)
    _, model = import_kind(config.kind)
    return NextCharacter(model(len(text.alphabet), config.model), text, config)


def train_quietly(task: Task) -> list[Row]:
    """Trains by the task's settings in a temporary folder; returns the history."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(task.config, Path(folder, "checkpoints"), Path(folder, "results"))
        return fit(task, run, quiet=True)
