"""What the tests share: a repository of their own to write into, small models, small texts."""

import random
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from models.lstm import modules as lstm
from models.tcn import modules as tcn
from models.transformer import modules as transformer
from utils import files
from utils.text.data import Text

REPOSITORY = files.ROOT
torch.set_num_threads(1)  # small models: a second thread only waits for the first

# How many cases tests/test_fuzz.py tries: --hypothesis-profile takes another of these names.
for profile, cases in {"short": 40, "whole": 2500, "commands": 100}.items():
    settings.register_profile(
        profile,
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
settings.load_profile("short")


def small_models() -> dict:
    """One small model of each kind, and the Transformer with each of its positions."""
    alphabet, models = 11, {}
    models["lstm"] = lstm.Model(alphabet, lstm.ModelConfig("m", 13, 2, 0.0, "orthogonal"))
    models["tcn"] = tcn.Model(alphabet, tcn.ModelConfig("m", 12, 3, 3, 0.0))
    for positions in ("none", "learned", "sinusoidal", "rotary"):
        config = transformer.ModelConfig("m", 16, 2, 2, 8, positions, 0.0)
        models[positions] = transformer.Model(alphabet, config)
    return models


MODELS = list(small_models())


@pytest.fixture
def model(request):
    """The small model named by `request.param`, in float64, its weights away from their start."""
    torch.manual_seed(0)
    model = small_models()[request.param].double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository: data/text.txt is a short text, no runs, nothing prepared."""
    root = tmp_path / "repository"
    (root / "data").mkdir(parents=True)
    with open(REPOSITORY / "data" / "text.txt", encoding="utf-8") as file:
        (root / "data" / "text.txt").write_text(file.read()[:9000], encoding="utf-8")
    monkeypatch.setattr(files, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    return root


def training_files(root, characters=9000):
    """Copies what the training commands read of the project, with a short text; gives the root."""
    settings = ("vae/*.json", "models/*/*.json")
    for pattern in ("data/text.txt", *settings, "pretrained/classifiers/*.pt"):
        for file in REPOSITORY.glob(pattern):
            target = root / file.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    text = (root / "data" / "text.txt").read_text(encoding="utf-8")
    (root / "data" / "text.txt").write_text(text[:characters], encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def every_run(tmp_path_factory):
    """A repository with a small finished run of every training command: to copy, not to change."""
    from tests.helpers.every_command import small_repository

    root = tmp_path_factory.mktemp("every_run") / "repository"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        small_repository(root)
    return root


@pytest.fixture
def shipped(repository):
    """The repository with the checkpoints and the whole text that ship with the project."""
    shutil.copytree(REPOSITORY / "pretrained", repository / "pretrained")
    shutil.copy(REPOSITORY / "data" / "text.txt", repository / "data" / "text.txt")
    return repository


@pytest.fixture
def words():
    """A text of 4,000 characters that can be learned: few words in random order."""
    rng = random.Random(0)
    text = " ".join(
        rng.choice(["the", "honest", "bridge", "hums", "at", "noon"]) for _ in range(999)
    )
    alphabet = sorted(set(text[:4000]))
    codes = np.array([alphabet.index(char) for char in text[:4000]], dtype=np.uint8)
    return Text(alphabet, codes)
