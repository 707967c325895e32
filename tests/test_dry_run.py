"""What training accepts --dry-run accepts, and what it refuses --dry-run refuses, in its words.

Every training command crossed with small and odd settings, mostly the last that fits and the first
that does not. Both ways build the same batches from the same data; a dry run takes two of them.
"""

import numpy as np
import pytest
from PIL import Image

import data_preparation
from tests.helpers.every_command import COMMANDS, call
from tests.helpers.repository import training_files
from utils import files
from utils.text.training import NextCharacter

TEXTS = {"one": "a", "two": "ab", "line": "the quick brown fox jumps over a lazy dog, twice.\n" * 5}
TINY = "--batch_size=1 --training.length=1 --prompt_length=1 --protocol.length=1 --prompts=1"
FOLDER = "--data={root}/3"  # of three pictures: two to train on
# Of 250 characters 225 are trained on; a window has 16, a passage 10 and 16.
ACCEPTED = {
    "lstm": [
        "--data.name=line --batch_size=1 --training.length=24",
        "--data.name=line --batch_size=2 --prompts=2 --protocol.length=15",
        f"--data.name=two {TINY} --validation_share=0",
    ],
    "transformer": ["--positions=learned --carry_state=false"],
    "palindrome": ["--T=2 --batch_size=1 --batches=1 --validation=1"],
    "gan": [f"{FOLDER} --batch_size=2"],
    "vae": [f"{FOLDER} --batch_size=2", "--images=16"],
}
REFUSED = {
    "lstm": [
        "--data.name=line --batch_size=15",
        "--data.name=line --batch_size=1 --training.length=25",
        "--data.name=line --batch_size=2 --prompts=2 --protocol.length=16",
        "--data.name=line --batch_size=2 --prompts=1 --protocol.length=216",
        f"--data.name=one {TINY} --validation_share=0",
        "--validation_share=0.999",
        "--ckpt_name=a/b",
    ],
    "tcn": ["--data.name=line --batch_size=1000000"],
    "transformer": ["--positions=learned --context=15 --carry_state=false", "--heads=3"],
    "palindrome": ["--ckpt_name=."],
    "gan": [FOLDER, "--batch_size=10000"],
    "aae": [FOLDER],
    "vae": [FOLDER, "--data={root}/1", "--images=15", "--dataset=digits --batch_size=10000"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Makes a repository with the texts, and folders of one and of three pictures."""
    root = training_files(tmp_path_factory.mktemp("dry") / "repository")
    random = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        for name, text in TEXTS.items():
            (root / f"{name}.txt").write_text(text, encoding="utf-8")
            argv = ["--text", str(root / f"{name}.txt"), "--format=codes", "--raw"]
            assert call(data_preparation.main, argv).status == 0
        for number in (1, 3):
            (root / str(number)).mkdir()
            for index in range(number):
                pixels = random.integers(256, size=(32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / str(number) / f"{index}.png")
        yield root


def run(kind, settings, *how):
    """Calls the training command of a kind: its small settings, and others in place of some."""
    command = next(c for c in COMMANDS.values() if c.trains and c.run == kind)
    small = command.small
    if FOLDER.partition("{")[0] in settings:  # all of a folder's pictures are taken
        small = [
            word for word in small if not word.startswith(("--data.images", "--data.held_out"))
        ]
    return call(command.main, [*small, *settings.split(), *how])


@pytest.mark.parametrize("status", [0, 2])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_dry_run_accepts_what_training_accepts(kind, status, root):
    for settings in (REFUSED if status else ACCEPTED).get(kind, []):
        settings = settings.format(root=root)
        dry, whole = (run(kind, settings, how) for how in ("--dry-run", "--overwrite"))
        assert (whole.status, dry.err) == (status, whole.err), settings
        assert dry.status == whole.status


def test_its_steps_are_those_of_training(root, monkeypatch):
    """Batches are as large; there are two of them where training has more."""
    seen, step = [], NextCharacter.step

    def record(task, batch, number):
        seen.append((number, tuple(batch[0].shape)))
        return step(task, batch, number)

    monkeypatch.setattr(NextCharacter, "step", record)
    outcome = run("lstm", "--batch_size=40 --training.length=50", "--dry-run")
    assert (outcome.status, seen) == (0, [(1, (40, 50)), (2, (40, 50))])
    assert "1 epoch of 2 steps" in outcome.out
