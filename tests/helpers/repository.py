"""The real repository, and what a small one beside it is made of."""

import shutil
from pathlib import Path

from utils import files

REPOSITORY = files.ROOT  # read when this is imported: a test may put another one there


def training_files(root: Path, characters: int = 9000) -> Path:
    """Copies what the training commands read, with a short text; returns the root."""
    settings = ("vae/*.json", "models/*/*.json")
    for pattern in ("data/text.txt", *settings, "pretrained/classifiers/*.pt"):
        for file in REPOSITORY.glob(pattern):
            target = root / file.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    text = (root / "data" / "text.txt").read_text(encoding="utf-8")
    (root / "data" / "text.txt").write_text(text[:characters], encoding="utf-8")
    return root
