"""A text file -> data/<name>/: its alphabet and its characters as one-hot vectors or codes.

    python data_preparation.py                                    the default text, as in the course
    python data_preparation.py --text book.txt --raw --format codes

As in the course, text is lower-cased and empty lines are skipped; every other line becomes one
`sample_0000.npy`, ... (uint8, shape (T, V)), its line end included. `--raw` keeps every character:
the samples joined in order are the file. `--format codes` writes one `codes.npy` instead (one, two
or four bytes a character), the form for long texts. `alphabet.npy` holds the sorted characters.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils import paths
from utils.errors import Parser, UserError, command
from utils.paths import check_name, data_folder, shown
from utils.text_data import FORMATS


def read_text(file: Path, *, raw: bool = False) -> str:
    """The text of a UTF-8 file, its line ends as they are; in lower case and without empty lines
    unless raw. UserError where there is no such text."""
    try:
        # newline="" leaves "\r\n" alone. A byte order mark is no character of a course's text.
        with open(file, encoding="utf-8" if raw else "utf-8-sig", newline="") as lines:
            text = lines.read() if raw else "".join(line for line in lines if line.strip()).lower()
    except FileNotFoundError:
        raise UserError(f"no such file: {file}: give --text a UTF-8 text") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a folder: give one text file") from None
    except UnicodeDecodeError as problem:
        raise UserError(f"{file} is not UTF-8 text (byte {problem.start}): convert it") from None
    if not text.strip():
        raise UserError(f"{file} has no text in it: nothing to learn from")
    if "\0" in text:
        raise UserError(f"{file} contains NUL characters: it is no text file")
    return text


def txt_to_numpy(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A text of N characters in L lines -> alphabet (V,), codes (N,), length of each line (L,).

    alphabet: the sorted characters, one each. codes: uint8, or uint16 or uint32 where V needs it.
    Lines end with "\\n", "\\r\\n" or "\\r" and keep their end: the lengths sum to N.
    """
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)  # one number a character
    present = np.zeros(0x110000, dtype=bool)  # every Unicode character
    present[points] = True
    alphabet = np.flatnonzero(present)
    code_of = np.zeros(len(present), dtype=np.min_scalar_type(len(alphabet) - 1))
    code_of[alphabet] = np.arange(len(alphabet))
    ends = points == ord("\n")
    ends[:-1] |= (points[:-1] == ord("\r")) & (points[1:] != ord("\n"))
    ends[-1] = True
    lengths = np.diff(np.flatnonzero(ends), prepend=-1)
    return np.array([chr(point) for point in alphabet]), code_of[points], lengths


def write(
    folder: Path, alphabet: np.ndarray, codes: np.ndarray, lengths: np.ndarray, form: str
) -> None:
    """Writes the data beside `folder` first and moves it there when it is whole.

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
    partial = Path(tempfile.mkdtemp(prefix=".preparing-", dir=folder.parent))
    try:
        partial.chmod(0o755)  # mkdtemp makes it private
        np.save(partial / "alphabet.npy", alphabet)
        if form == "codes":
            np.save(partial / "codes.npy", codes)
        else:
            one_hot = np.eye(len(alphabet), dtype=np.uint8)  # row c is the vector of code c
            digits = max(4, len(str(len(lengths) - 1)))
            lines = np.split(codes, np.cumsum(lengths)[:-1])
            for index, line in enumerate(tqdm(lines, desc="samples", unit="line", disable=None)):
                np.save(partial / f"sample_{index:0{digits}}.npy", one_hot[line])
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _ours(entry: Path) -> bool:
    return entry.name in ("alphabet.npy", "codes.npy") or entry.match("sample_*.npy")


def prepare(file: Path, name: str, *, raw: bool = False, form: str = "one_hot") -> Path:
    """The whole way from a file to data/<name>/, which it returns. UserError for bad input."""
    folder = data_folder(name)
    text = read_text(file, raw=raw)
    alphabet, codes, lengths = txt_to_numpy(text)
    write(folder, alphabet, codes, lengths, form)
    samples = f"{len(lengths):,} samples" if form == "one_hot" else "one file of codes"
    print(f"{shown(folder)}: {len(codes):,} characters, an alphabet of {len(alphabet)}, {samples}")
    return folder


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        default=paths.ROOT / "data" / "text.txt",
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
