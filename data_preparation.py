"""A text file -> data/<name>/: its alphabet and its characters as one-hot vectors or codes.

    python data_preparation.py                                    the default text, as in the course
    python data_preparation.py --text book.txt --raw --format codes

As in the course, text is lower-cased and empty lines are skipped; every other line becomes one
`sample_0000.npy`, ... (uint8, shape (T, V)), its line end included. `--raw` keeps every character:
the samples joined in order are the file. `--format codes` writes one `codes.npy` instead (one, two
or four bytes a character), the form for long texts. `alphabet.npy` holds the sorted characters.
"""

import argparse
import functools
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils import files
from utils.command_line import Parser
from utils.errors import UserError, command
from utils.files import check_name, data_folder, shown

FORMATS = ("one_hot", "codes")
BLOCK = 2**20  # bytes or characters that are worked on at a time


def read_text(file: Path, *, raw: bool = False) -> str:
    """The text of a UTF-8 file, its line ends as they are; in lower case and without empty lines
    unless raw. UserError where there is no such text."""
    return "".join(read_blocks(file, raw=raw))


def read_blocks(file: Path, *, raw: bool = False) -> list[str]:
    """The same in blocks of about a million characters that end where a line does, or a word.

    As one string a large text would take several times its size: four bytes for each character
    where a single one of them needs as many, and all of it once more while it is lower-cased.
    """
    blocks, place = [], 0
    try:
        with open(file, "rb") as content:
            while lines := content.read(BLOCK) + content.readline():
                block = lines.decode("utf-8")
                if not raw:
                    if place == 0:  # a byte order mark is no character of a course's text
                        block = block.removeprefix("\ufeff")
                    block = "".join(line for line in _lines(block) if line.strip())
                blocks += [part if raw else part.lower() for part in _parts(block)]
                place += len(lines)
    except FileNotFoundError:
        raise UserError(f"no such file: {file}: give --text a UTF-8 text") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a folder: give one text file") from None
    except UnicodeDecodeError as problem:
        raise UserError(
            f"{file} is not UTF-8 text (byte {place + problem.start}): convert it"
        ) from None
    if all(block.isspace() for block in blocks):
        raise UserError(f"{file} has no text in it: nothing to learn from")
    if any("\0" in block for block in blocks):
        raise UserError(f"{file} contains NUL characters: it is no text file")
    return blocks


def _lines(block: str) -> Iterator[str]:
    """Its lines with their ends "\\n", "\\r\\n" or "\\r"; str.splitlines knows others too."""
    return iter(io.StringIO(block, newline=""))


def _parts(block: str) -> Iterator[str]:
    """A block, in parts where it holds a line of millions of characters.

    Each ends with a space: what the lower case of a Greek sigma is depends on its whole word.
    """
    start = 0
    while start < len(block):
        end = block.find(" ", start + 2 * BLOCK) + 1 or len(block)
        yield block[start:end]
        start = end


def txt_to_numpy(text: str | list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A text of N characters -> alphabet (V,), codes (N,). A large text may come in blocks.

    alphabet: the sorted characters, one each. codes: uint8, or uint16 or uint32 where V needs it.
    """
    blocks = [text] if isinstance(text, str) else text
    alphabet = np.array(sorted(set().union(*map(_present, blocks))))
    code_of = np.zeros(max(256, alphabet[-1] + 1), dtype=np.min_scalar_type(len(alphabet) - 1))
    code_of[alphabet] = np.arange(len(alphabet))
    codes = []
    for encoded, points in map(_points, blocks):
        if points.dtype == code_of.dtype == np.uint8:  # the same, several times as fast
            coded = encoded.translate(code_of[:256].tobytes())
            codes.append(np.frombuffer(coded, dtype=np.uint8))
        else:
            codes.append(code_of[points])
    characters = np.array([chr(point) for point in alphabet])
    return characters, codes[0] if len(codes) == 1 else np.concatenate(codes)


def split_lines(alphabet: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
    """Codes (N,) -> those of each line, its end included: "\\n", "\\r\\n" or "\\r"."""
    feeds, returns = (alphabet == "\n")[codes], (alphabet == "\r")[codes]  # (N,) each
    ends = feeds[:-1] | (returns[:-1] & ~feeds[1:])
    return np.split(codes, np.flatnonzero(ends) + 1)


def _points(block: str) -> tuple[bytes, np.ndarray]:
    """Its characters as bytes, and as numbers: uint8 where all are ASCII, else uint32."""
    coding, kind = ("ascii", np.uint8) if block.isascii() else ("utf-32-le", np.uint32)
    encoded = block.encode(coding)
    return encoded, np.frombuffer(encoded, dtype=kind)


def _present(block: str) -> set[int]:
    """The numbers of the characters in it."""
    encoded, points = _points(block)
    if points.dtype == np.uint8:
        usual = set(encoded[:10_000])
        return usual | set(encoded.translate(None, delete=bytes(usual)))  # the few others
    present = np.zeros(0x110000, dtype=bool)  # every Unicode character
    present[points] = True
    return set(np.flatnonzero(present).tolist())


def write(folder: Path, alphabet: np.ndarray, codes: np.ndarray, form: str) -> int:
    """Writes the data beside `folder` first and moves it there when it is whole.

    Returns how many files hold the characters: a sample for each line, or one file of codes.
    UserError where the folder holds something that was not prepared by this file, or the disk has
    no room for one-hot vectors.
    """
    if folder.exists() and not all(_ours(entry) for entry in folder.iterdir()):
        raise UserError(f"{shown(folder)} holds other files: choose another --name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed = len(codes) * len(alphabet) if form == "one_hot" else codes.nbytes
    if needed > shutil.disk_usage(folder.parent).free:
        raise UserError(
            f"{needed / 1e9:,.1f} GB would be written, more than is free: "
            f"--format codes takes {codes.nbytes / 1e9:,.3f} GB"
        )
    lines = split_lines(alphabet, codes) if form == "one_hot" else [codes]
    partial = Path(tempfile.mkdtemp(prefix=".preparing-", dir=folder.parent))
    try:
        partial.chmod(0o755)  # mkdtemp makes it private
        np.save(partial / "alphabet.npy", alphabet)
        if form == "codes":
            np.save(partial / "codes.npy", codes)
        else:
            one_hot = np.eye(len(alphabet), dtype=np.uint8)  # row c is the vector of code c
            digits = max(4, len(str(len(lines) - 1)))
            for index, line in enumerate(tqdm(lines, desc="samples", unit="line", disable=None)):
                content = _header(len(line), len(alphabet)) + one_hot[line].tobytes()
                (partial / f"sample_{index:0{digits}}.npy").write_bytes(content)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(lines)


@functools.cache
def _header(T: int, V: int) -> bytes:
    """What np.save writes before the numbers of a uint8 array (T, V); it takes longer than they."""
    header = io.BytesIO()
    np.save(header, np.empty((T, V), dtype=np.uint8))
    return header.getvalue()[: -T * V]


def _ours(entry: Path) -> bool:
    return entry.name in ("alphabet.npy", "codes.npy") or entry.match("sample_*.npy")


def prepare(file: Path, name: str, *, raw: bool = False, form: str = "one_hot") -> Path:
    """The whole way from a file to data/<name>/, which it returns. UserError for bad input."""
    folder = data_folder(name)
    alphabet, codes = txt_to_numpy(read_blocks(file, raw=raw))
    files = write(folder, alphabet, codes, form)
    samples = f"{files:,} samples" if form == "one_hot" else "one file of codes"
    print(f"{shown(folder)}: {len(codes):,} characters, an alphabet of {len(alphabet)}, {samples}")
    return folder


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        default=files.ROOT / "data" / "text.txt",
        help="a UTF-8 text (default: data/text.txt)",
    )
    parser.add_argument("--name", help="write to data/NAME/ (default: the file's name, no ending)")
    parser.add_argument("--raw", action="store_true", help="keep case and every character")
    parser.add_argument("--format", choices=FORMATS, default="one_hot", help="default: one_hot")
    args = parser.parse_args(argv)
    name = check_name(args.name if args.name is not None else args.text.stem, "the data's name")
    prepare(args.text, name, raw=args.raw, form=args.format)


if __name__ == "__main__":
    raise SystemExit(main())
