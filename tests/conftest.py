"""What the tests share: a repository of their own to write into, small models, small texts."""

import random
import shutil
import signal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.helpers.repository import REPOSITORY
from tests.helpers.small_models import small_models
from utils import files
from utils.text.data import Text

# A shell lets what it starts in the background ignore Ctrl-C, nohup a closed terminal; and so
# would all that is tested.
for number, usual in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
    if hasattr(signal, number) and signal.getsignal(getattr(signal, number)) is signal.SIG_IGN:
        signal.signal(getattr(signal, number), usual)
torch.set_num_threads(1)  # small models: a second thread only waits for the first

# How many cases tests/test_fuzz*.py try: --hypothesis-profile takes another of these names.
for profile, cases in {"short": 40, "some": 400, "whole": 2500, "commands": 100}.items():
    settings.register_profile(
        profile,
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
settings.load_profile("short")


@pytest.fixture(autouse=True)
def forget_output_dir(monkeypatch):
    """Forgets after each test the --output-dir of a command that it called."""
    monkeypatch.setattr(files, "ASKED", files.ASKED)


@pytest.fixture
def model(request):
    """Gives the small model named by `request.param`, in float64, no weight at its start."""
    torch.manual_seed(0)
    model = small_models()[request.param].double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Makes an empty repository: data/text.txt is a short text, no runs, nothing prepared."""
    root = tmp_path / "repository"
    (root / "data").mkdir(parents=True)
    with open(REPOSITORY / "data" / "text.txt", encoding="utf-8") as file:
        (root / "data" / "text.txt").write_text(file.read()[:9000], encoding="utf-8")
    monkeypatch.setattr(files, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture(scope="session")
def every_run(tmp_path_factory):
    """Makes a repository with a small finished run of every training command: copy it."""
    from tests.helpers.every_command import small_repository

    root = tmp_path_factory.mktemp("every_run") / "repository"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        small_repository(root)
    return root


@pytest.fixture(scope="module")
def as_commands(every_run, tmp_path_factory, request):
    """Makes a copy of it to fuzz in. Gives whether cases are to be real commands."""
    from tests.helpers.fuzzing import work_in_copy

    real = request.config.getoption("--hypothesis-profile") == "commands"
    yield from work_in_copy(every_run, tmp_path_factory.mktemp("fuzz"), real)


@pytest.fixture
def shipped(repository):
    """Fills the repository with the checkpoints and the whole text that ship with the project."""
    shutil.copytree(REPOSITORY / "pretrained", repository / "pretrained")
    shutil.copy(REPOSITORY / "data" / "text.txt", repository / "data" / "text.txt")
    return repository


@pytest.fixture
def words():
    """Makes a text of 4,000 characters that can be learned: few words in random order."""
    rng = random.Random(0)
    text = " ".join(
        rng.choice(["the", "honest", "bridge", "hums", "at", "noon"]) for _ in range(999)
    )
    alphabet = sorted(set(text[:4000]))
    codes = np.array([alphabet.index(char) for char in text[:4000]], dtype=np.uint8)
    return Text(alphabet, codes[:3600], codes[3600:])
