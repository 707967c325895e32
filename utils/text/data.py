"""A prepared text as integer codes, cut into training and validation, and its batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from utils import files
from utils.config import key
from utils.errors import UserError
from utils.files import data_folder, shown
from utils.text.preparation import prepare
from utils.training import distributed

VALIDATION_SHARE = 0.1  # the last tenth of the characters
FEW = 2000  # characters of a dry run


class TextModel(Protocol):
    """The contract of every text model in models/*/modules.py.

    Codes x (B, T) in 0..vocabulary-1 -> logits (B, T, V) of each next code, and the state after x:
    reading a text in pieces, each from the state after the last one, equals reading it whole. What
    a state holds is up to the model; None means that nothing was read.
    """

    vocabulary: int

    @property
    def position_limit(self) -> int | None:
        """How many characters a text may have, counted from its start; None: any number."""

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]: ...


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json of the text models."""

    name: str = key("prepared text: data/<name>/")


@dataclass(frozen=True)
class Text:
    """A text: its alphabet (V characters) and its codes (N,), the last tenth of them kept apart."""

    alphabet: list[str]
    codes: np.ndarray

    @property
    def cut(self) -> int:
        return int(len(self.codes) * (1 - VALIDATION_SHARE))

    @property
    def training(self) -> np.ndarray:
        return self.codes[: self.cut]

    @property
    def validation(self) -> np.ndarray:
        return self.codes[self.cut :]

    def counts(self) -> np.ndarray:
        """Counts how often each character occurs in the training text (V,)."""
        parts = (self.training[start : start + 2**20] for start in range(0, self.cut, 2**20))
        return sum(np.bincount(part, minlength=len(self.alphabet)) for part in parts)


def encode(text: str, alphabet: list[str]) -> torch.Tensor:
    """Turns a text into codes (T,). UserError lists the characters that the alphabet lacks."""
    code_of = {char: code for code, char in enumerate(alphabet)}
    unknown = sorted(set(text) - set(code_of))
    if unknown:
        raise UserError(
            f"not in this model's alphabet: {' '.join(map(repr, unknown))} "
            f"(it knows {''.join(alphabet)!r})"
        )
    return torch.tensor([code_of[char] for char in text], dtype=torch.int64)


def decode(codes: torch.Tensor | np.ndarray, alphabet: list[str]) -> str:
    """Turns codes (T,) into text."""
    return "".join(alphabet[int(code)] for code in codes)


@distributed.in_turns()
def load_text(data: DataConfig, *, few: bool = False) -> Text:
    """Reads data/<name>/ in either format; prepares the default text where it is not there yet.

    `few` keeps only the first 2,000 characters. codes.npy stays on disk as a memory map. UserError
    where there is no such data, or broken data. All ranks must call this; they take turns.
    """
    folder = data_folder(data.name)
    if not (folder / "alphabet.npy").is_file():
        if data.name != "text":
            raise UserError(
                f"{shown(folder)}/alphabet.npy is not there: "
                f"prepare it with data_preparation.py --text FILE --name {data.name}"
            )
        prepare(files.ROOT / "data" / "text.txt", data.name)
    try:
        alphabet = [str(char) for char in np.load(folder / "alphabet.npy")]
        codes = _load_codes(folder)
        sound = codes.ndim == 1 and len(codes) > 0 and int(codes.max()) < len(alphabet)
    except Exception as problem:  # numpy and zipfile each raise their own for a broken file
        raise UserError(f"{shown(folder)} cannot be read ({problem}): prepare it again") from None
    if not sound:
        raise UserError(f"{shown(folder)} does not fit its alphabet: prepare it again")
    return Text(alphabet, codes[:FEW] if few else codes)


def _load_codes(folder: Path) -> np.ndarray:
    """Returns the codes (N,) of a prepared text: a memory map, or what one-hot samples hold."""
    if (folder / "codes.npy").is_file():
        return np.load(folder / "codes.npy", mmap_mode="r")
    samples = sorted(folder.glob("sample_*.npy"))
    if not samples:
        raise ValueError("neither codes.npy nor sample_*.npy")
    return np.concatenate([np.load(sample).argmax(axis=1) for sample in samples]).astype(np.int32)


@dataclass(frozen=True)
class Streams:
    """Batches of B contiguous streams: row b of a batch goes on where row b of the last one ended.

    A text of 24 characters as B = 2 streams of length 4, from offset 0:

        batch 1          batch 2          batch 3
        a b c d          e f g h          i j k l        row 0
        m n o p          q r s t          u v w x        row 1

    So the state after one batch is the state before the next. Where every window starts cold
    anyway, `shuffle` puts the windows in random order, so that a batch is a mix of the whole text.
    Every epoch starts at a random offset (the text is a ring: its end runs on into its start), so
    that windows are never cut at the same places. The target of each character is the next one.
    UserError where the text is shorter than a window.
    """

    codes: np.ndarray
    batch_size: int
    length: int
    seed: int
    shuffle: bool = False

    def __post_init__(self) -> None:
        if len(self) == 0 or len(self.codes) < 2:
            raise UserError(
                f"the training text has {len(self.codes):,} characters, too few for "
                f"{self.batch_size} streams of {self.length}: lower training.batch_size "
                "or training.length, or take a longer text"
            )

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        return len(self.codes) // self.batch_size // self.length

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields batches first, first + 1, ... of an epoch: inputs and targets, both (B, T) codes.

        The order depends on the seed and the epoch alone, so a run can go on from any batch.
        """
        random = np.random.default_rng([self.seed, number])
        offset = random.integers(len(self.codes))
        if self.shuffle:
            windows = random.permutation(len(self) * self.batch_size).reshape(len(self), -1)
            starts = offset + self.length * windows  # (batches, B)
        else:
            rows = np.arange(self.batch_size) * (len(self.codes) // self.batch_size)
            starts = offset + rows + self.length * np.arange(len(self))[:, None]
        for index in range(first, len(self)):
            places = starts[index][:, None] + np.arange(self.length + 1)
            window = torch.from_numpy(self.codes[places % len(self.codes)].astype(np.int64))
            yield window[:, :-1], window[:, 1:]
