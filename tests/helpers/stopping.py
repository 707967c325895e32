"""Something that happens in the middle of a training: at a batch, or while an epoch is saved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from utils.training import checkpoint, progress


@contextmanager
def at_batch(number: int, action: Callable[[], object]) -> Iterator[None]:
    """Calls `action` when the number-th batch since the start of training has been learned."""

    class Bar(progress.tqdm):
        def __init__(self, *args: object, initial: int, **options: object) -> None:
            self.done = initial
            super().__init__(*args, initial=initial, **options)

        def update(self, units: int) -> None:
            self.done += units
            if self.done == number * units:
                action()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "tqdm", Bar)
        yield


@contextmanager
def after_epoch(number: int, action: Callable[[], object]) -> Iterator[None]:
    """Calls `action` while the epoch is saved, after all of its batches."""
    save, calls = checkpoint.save, []

    def acting(path: Path, content: dict) -> None:
        save(path, content)
        if path.name == "last.pt" and content["epoch"] == number and not calls:
            calls.append(path)
            action()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", acting)
        yield
