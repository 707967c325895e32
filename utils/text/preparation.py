"""From a text file to data/<name>/: it is read in blocks, turned into integer codes, and written.

`data_preparation.py` is the command. Its `txt_to_numpy` is the readable form of what happens here;
a test holds the two equal.
"""

import io
import json
import re
import shutil
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils.errors import UserError
from utils.files import (
    RESERVED,
    data_folder,
    lock,
    name_in_errors,
    preparing,
    remove,
    show,
    swap,
    tidy,
)
from utils.text.encoding import decode_file
from utils.words import count

FORMATS = ("one_hot", "codes")
RECORD = "prepared.json"  # how many characters and samples there must be
OURS = ("alphabet.npy", "codes.npy", "sample_*.npy", RECORD)  # files that `write` makes
BLOCK = 2**20  # bytes or characters that are worked on at a time


def read_text(file: Path, *, raw: bool = False, encoding: str = "utf-8") -> str:
    """Reads a file as `read_blocks` does, into one string."""
    return "".join(read_blocks(file, raw=raw, encoding=encoding))


def read_blocks(
    file: Path, *, raw: bool = False, encoding: str = "utf-8", size: int = BLOCK
) -> list[str]:
    """Reads a text file, its line ends as they are, in blocks of about `size` bytes: whole lines.

    Unless raw, the text is lower-cased, and empty lines and byte order marks are left out.
    UserError where the file holds no such text. As one string a large text would take several times
    its size: four bytes for each character where a single one needs as many, and all of it once
    more to lower its case.
    """
    blocks: list[str] = []
    for block in decode_file(file, encoding, size):
        if not raw:
            block = block.replace("\ufeff", "")  # also where files were joined to one
            block = "".join(line for line in split_text(block) if line.strip())
        blocks += [part if raw else part.lower() for part in _parts(block, 2 * size)]
    if all(block.removeprefix("\ufeff").strip() == "" for block in blocks):
        raise UserError(f"{file} has no text in it: nothing to learn from")
    return blocks


def split_text(text: str) -> Iterator[str]:
    """Yields the lines with their ends: "\\n", "\\r\\n" or "\\r" (str.splitlines has others)."""
    return iter(io.StringIO(text, newline=""))


def _parts(block: str, size: int) -> Iterator[str]:
    """Yields a block in parts of `size` characters or a few more, where it holds so long a line.

    Each part ends with a space: what the lower case of a Greek sigma is depends on its whole word.
    """
    start = 0
    while start < len(block):
        end = block.find(" ", start + size) + 1 or len(block)
        yield block[start:end]
        start = end


def encode_text(blocks: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Turns a text of N characters, in blocks, into its alphabet (V,) and its codes (N,).

    alphabet: the sorted characters, one each. codes: uint8, or uint16 or uint32 where V needs it.
    """
    alphabet = np.array(sorted(set().union(*map(_list_characters, blocks))))
    code_of = np.zeros(max(256, alphabet[-1] + 1), dtype=np.min_scalar_type(len(alphabet) - 1))
    code_of[alphabet] = np.arange(len(alphabet))
    codes = []
    for encoded, points in map(_encode_block, blocks):
        if points.dtype == code_of.dtype == np.uint8:  # the same, several times as fast
            coded = encoded.translate(code_of[:256].tobytes())
            codes.append(np.frombuffer(coded, dtype=np.uint8))
        else:
            codes.append(code_of[points])
    characters = np.array([chr(point) for point in alphabet])
    return characters, codes[0] if len(codes) == 1 else np.concatenate(codes)


def split_lines(alphabet: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
    """Splits codes (N,) into those of each line, its end included: "\\n", "\\r\\n" or "\\r"."""
    feeds, returns = (alphabet == "\n")[codes], (alphabet == "\r")[codes]  # (N,) each
    ends = feeds[:-1] | (returns[:-1] & ~feeds[1:])
    return np.split(codes, np.flatnonzero(ends) + 1)


def _encode_block(block: str) -> tuple[bytes, np.ndarray]:
    """Returns a block's characters as bytes and as numbers: uint8 if all are ASCII, else uint32."""
    coding, kind = ("ascii", np.uint8) if block.isascii() else ("utf-32-le", np.uint32)
    encoded = block.encode(coding)
    return encoded, np.frombuffer(encoded, dtype=kind)


def _list_characters(block: str) -> set[int]:
    """Returns the numbers of the characters that occur in a block."""
    encoded, points = _encode_block(block)
    if points.dtype == np.uint8:
        usual = set(encoded[:10_000])
        return usual | set(encoded.translate(None, delete=bytes(usual)))  # the few others
    present = np.zeros(0x110000, dtype=bool)  # every Unicode character
    present[points] = True
    return set(np.flatnonzero(present).tolist())


def write(folder: Path, alphabet: np.ndarray, codes: np.ndarray, form: str) -> int:
    """Writes alphabet (V,) and codes (N,) beside `folder` and moves them there when all is whole.

    Returns how many files hold the characters: a sample for each line, or one file of codes. The
    caller holds the folder's lock. UserError where it has something in it that was not prepared by
    this file, or the disk has no room for one-hot vectors.
    """
    folder = folder.resolve()  # a link to another disk: there
    if folder.exists() and not all(any(map(entry.match, OURS)) for entry in folder.iterdir()):
        raise UserError(f"{show(folder)} holds other files: choose another --name")
    tidy(folder)
    needed = len(codes) * len(alphabet) if form == "one_hot" else codes.nbytes
    if needed > shutil.disk_usage(folder.parent).free:
        raise UserError(
            f"{needed / 1e9:,.1f} GB would be written, more than is free: "
            f"--format codes takes {codes.nbytes / 1e9:,.3f} GB"
        )
    lines = split_lines(alphabet, codes) if form == "one_hot" else [codes]
    partial = preparing(folder)
    try:
        with name_in_errors(folder):
            partial.mkdir()
            np.save(partial / "alphabet.npy", alphabet)
            if form == "codes":
                np.save(partial / "codes.npy", codes)
            else:
                write_samples(partial, lines, len(alphabet))
            record = {"characters": len(codes), "files": len(lines)}
            (partial / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
            swap(folder)
    finally:
        remove(partial)
    return len(lines)


def write_samples(folder: Path, lines: list[np.ndarray], vocabulary: int) -> None:
    """Writes the codes of each line as one-hot vectors: sample_0000.npy, ..., (T, V) each."""
    one_hot = np.eye(vocabulary, dtype=np.uint8)  # row c is the vector of code c
    digits = max(4, len(str(len(lines) - 1)))
    for index, line in enumerate(tqdm(lines, desc="samples", unit="line", disable=None)):
        np.save(folder / f"sample_{index:0{digits}}.npy", one_hot[line])


def make_name(stem: str) -> str:
    """Makes the name of a file one that a folder can have on every system: "my book", "my_book".

    Marks are left off letters. Of a name in other letters the sum of its characters is kept, as
    eight digits: two such names hardly ever come to the same.
    """
    plain = unicodedata.normalize("NFKD", stem)
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", letters).strip("._-")
    others = any(char.isalnum() and not char.isascii() for char in letters)
    if others or len(name) > 100 or not name:
        kept = name[:80].strip("._-") or "text"
        name = f"{kept}_{zlib.crc32(stem.encode(errors='surrogateescape')):08x}"
    return f"text_{name}" if name.split(".")[0].lower() in RESERVED else name


def prepare(
    file: Path,
    name: str,
    *,
    raw: bool = False,
    form: str = "one_hot",
    encoding: str = "utf-8",
    anew: bool = True,
) -> Path:
    """Turns a text file into data/<name>/ and returns that folder. UserError for bad input.

    Without `anew` nothing happens where the folder is there, by another process for example.
    """
    folder = data_folder(name)
    alphabet, codes = encode_text(read_blocks(file, raw=raw, encoding=encoding))
    with lock(folder):
        if folder.exists() and not anew:
            return folder
        files = write(folder, alphabet, codes, form)
    samples = count(files, "sample") if form == "one_hot" else "one file of codes"
    length = count(len(codes), "character")
    print(f"{show(folder)}: {length}, an alphabet of {len(alphabet)}, {samples}")
    return folder
