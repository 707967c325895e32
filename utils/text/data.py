"""A prepared text as integer codes, cut into training, validation and test, and its batches."""

import itertools
import json
import operator
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch

from utils import files
from utils.config import key
from utils.errors import UserError
from utils.files import check_name, data_folder, find, lock, show, tidy
from utils.text.preparation import BLOCK, RECORD, prepare
from utils.training.fingerprint import Fingerprint, digest
from utils.words import count

Codes = TypeVar("Codes", np.ndarray, str)
LARGE = 64 * BLOCK  # bytes of a file that is not read whole at once


class TextModel(Protocol):
    """The contract of every text model in models/*/modules.py.

    Codes x (B, T) in 0..vocabulary-1 -> logits (B, T, V) of each next code, and the state after x:
    reading a text in pieces, each from the state after the last one, equals reading it whole. What
    a state holds is up to the model; None means that nothing was read.
    """

    vocabulary: int
    position_limit: int | None  # characters a text may have, counted from its start; None: any
    outer: tuple[str, ...]  # how the names of weights begin that face the alphabet, and of tables

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]: ...


@dataclass(frozen=True)
class DataConfig:
    """The "data" section of config.json of the text models."""

    name: str = key("prepared text: data/<name>/")
    validation_share: float = key(
        "share of the text, at its end, that is kept to validate on; 0: none, the last epoch is "
        "the best",
        low=0,
        below=1,
        default=0.1,
    )
    test_share: float = key(
        "share of the text, at its end, that is cut off before that and neither trained nor "
        "validated on: test.py --split test measures it",
        low=0,
        below=1,
        default=0.0,
    )


@dataclass(frozen=True)
class Text:
    """A text: its alphabet (V characters), its codes to learn from, to validate and to test on."""

    alphabet: list[str]
    training: np.ndarray  # (N,)
    validation: np.ndarray  # (M,), never trained on; of none, where the share of it is 0
    test: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (L,), mostly none

    def fingerprint(self) -> Fingerprint:
        """Tells it from other texts, whichever form it was prepared in."""
        kind = np.min_scalar_type(len(self.alphabet) - 1)
        codes = (self.training, self.validation, self.test)
        parts = (part[i : i + BLOCK] for part in codes for i in range(0, len(part), BLOCK))
        return {
            "characters": sum(map(len, codes)),
            "digest": digest(part.astype(kind) for part in parts),
        }


def encode(text: str, alphabet: list[str]) -> torch.Tensor:
    """Turns a text into codes (T,). UserError lists the characters that the alphabet lacks."""
    code_of = {char: code for code, char in enumerate(alphabet)}
    if unknown := set(text) - set(code_of):
        raise UserError(f"{describe_unknown(unknown)} (it knows {''.join(alphabet)!r})")
    return torch.tensor([code_of[char] for char in text], dtype=torch.int64)


def describe_unknown(characters: Iterable[str]) -> str:
    """Names characters that an alphabet lacks, twenty at most."""
    names = [repr(char) for char in sorted(characters)]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"not in this model's alphabet: {' '.join(names[:20])}{more}"


def decode(codes: torch.Tensor | np.ndarray, alphabet: list[str]) -> str:
    """Turns codes (T,) into text."""
    return "".join(alphabet[int(code)] for code in codes)


def load_text(data: DataConfig) -> Text:
    """Loads data/<name>/ in either format; prepares the default text where it is not there yet.

    codes.npy stays on disk as a memory map. UserError where there is no such data, or broken data.
    """
    folder = find_text(data.name)
    try:
        alphabet, codes = read(folder)
    except UserError:
        with lock(folder):  # perhaps another process replaced it just then
            alphabet, codes = read(folder)
    return Text(alphabet, *cut(codes, data))


def cut(codes: Codes, data: DataConfig) -> tuple[Codes, Codes, Codes]:
    """Cuts a text into what is trained, validated and tested on.

    The test text is the end, the validation text the end of what is left: of 100 characters, with
    a share of a tenth each, 81, 9 and 10.
    """
    end = int(len(codes) * (1 - data.test_share))
    start = int(end * (1 - data.validation_share))
    return codes[:start], codes[start:end], codes[end:]


def find_text(name: str) -> Path:
    """Finds data/<name>/, and prepares the default text. UserError where another is not there."""
    check_name(name, "the data's name")
    folder = find("data", name)
    if (folder / "alphabet.npy").is_file():
        return folder
    folder = data_folder(name)
    with lock(folder):
        tidy(folder)
    if name == "text":
        prepare(files.ROOT / "data" / "text.txt", name, anew=False)
    if not (folder / "alphabet.npy").is_file():
        raise UserError(
            f"{show(folder)}/alphabet.npy is not there: "
            f"prepare it with data_preparation.py --text FILE --name {name}"
        )
    return folder


def load(file: Path, kinds: str, dimensions: int, how: Literal["r"] | None = None) -> np.ndarray:
    """Loads an array of some kinds of numbers, or of "U", text. Raises anything where that fails.

    A pipe would be waited for, and of nothing an array may hold 10^12 in a few bytes. A large file
    stays on the disk: what is looked at first may be wrong already.
    """
    if not file.is_file():
        raise ValueError(f"{file.name} is no file")
    array = np.load(file, mmap_mode="r" if file.stat().st_size > LARGE else how)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{file.name} holds several arrays")
    if array.dtype.kind not in kinds or array.ndim != dimensions:
        raise ValueError(f"{file.name} holds {array.dtype}, {array.ndim} dimensions")
    return array


def find_codes(one_hot: np.ndarray, vocabulary: int) -> Iterator[np.ndarray]:
    """Yields the codes (T,) of one-hot vectors (T, V), in parts. ValueError for other rows."""
    rows = max(1, BLOCK // vocabulary)
    for part in (one_hot[start : start + rows] for start in range(0, len(one_hot), rows)):
        codes = part.argmax(axis=1)
        sound = part.shape[1] == vocabulary and np.count_nonzero(part) == len(part)
        if not sound or (part[np.arange(len(part)), codes] != 1).any():
            raise ValueError(f"a sample is not one-hot, of the alphabet's {vocabulary} characters")
        yield codes


def read(folder: Path) -> tuple[list[str], np.ndarray]:
    """Reads a prepared text's alphabet and codes (N,). UserError where it is not whole."""
    again = "prepare it again with data_preparation.py --text FILE --name " + folder.name
    try:
        own = folder.stat().st_ino
        array = load(folder / "alphabet.npy", "U", 1)
        alphabet = [str(char) for char in array[: sys.maxunicode]]
        if (folder / "codes.npy").exists():
            samples, codes = [], load(folder / "codes.npy", "ui", 1, "r")
        else:
            samples = sorted(folder.glob("sample_*.npy"))
            parts = (find_codes(load(sample, "buif", 2), len(array)) for sample in samples)
            codes = np.concatenate([*itertools.chain(*parts)]).astype(np.int32)
        characters = {char for char in alphabet if len(char) == 1 and char.encode("utf-8")}
        sound = len(characters) == len(array)  # each is one character, and once
        numbers = [int(sample.stem.removeprefix("sample_")) for sample in samples]
        sound = sound and numbers == [numbers[0] + n for n in range(len(numbers))]  # none is lost
        record = {"characters": len(codes), "files": len(samples) or 1}
        if (folder / RECORD).is_file():  # earlier versions kept none
            with open(folder / RECORD, "rb") as file:
                record |= {**json.loads(file.read(BLOCK))}
        expected, length = operator.index(record["files"]), operator.index(record["characters"])
        sound = sound and len(codes) == length
        sound = sound and len(codes) > 0 and codes.min() >= 0 and int(codes.max()) < len(array)
        sound &= folder.stat().st_ino == own  # else it is partly one text, partly another
    except Exception as problem:  # numpy and zipfile each raise their own for a broken file
        raise UserError(f"{show(folder)} cannot be read ({problem}): {again}") from None
    if samples and len(samples) != expected:
        raise UserError(f"{show(folder)} has {len(samples):,} of its {expected:,} samples: {again}")
    if not sound:
        raise UserError(f"{show(folder)} does not fit its alphabet or its length: {again}")
    return alphabet, codes


@dataclass
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
    steps: int = field(init=False)  # batches of an epoch

    def __post_init__(self) -> None:
        self.steps = len(self.codes) // self.batch_size // self.length
        if self.steps == 0 or len(self.codes) < 2:
            raise UserError(
                f"the training text has {count(len(self.codes), 'character')}, too few for "
                f"{count(self.batch_size, 'stream')} of {self.length}: lower --batch_size "
                "or --training.length, or take a longer text"
            )

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Returns batches first, first + 1, ... of an epoch: inputs and targets, (B, T) codes each.

        The order depends on the seed and the epoch alone, so a run can go on from any batch.
        """
        random = np.random.default_rng([self.seed, number])
        offset = random.integers(len(self.codes))
        if self.shuffle:
            windows = random.permutation(self.steps * self.batch_size).reshape(self.steps, -1)
            starts = offset + self.length * windows  # (steps, B)
        else:
            rows = np.arange(self.batch_size) * (len(self.codes) // self.batch_size)
            starts = offset + rows + self.length * np.arange(self.steps)[:, None]
        places = (start[:, None] + np.arange(self.length + 1) for start in starts[first:])
        windows = (self.codes[place % len(self.codes)].astype(np.int64) for place in places)
        return ((codes[:, :-1], codes[:, 1:]) for codes in map(torch.from_numpy, windows))
