"""A text file -> data/<name>/: its alphabet and its characters as one-hot vectors or codes.

    python data_preparation.py                                    the default text, as in the course
    python data_preparation.py --text book.txt --raw --format codes

As in the course, text is lower-cased and empty lines are skipped; every other line becomes one
`sample_0000.npy`, ... (uint8, shape (T, V)), its line end included. `--raw` keeps every character:
the samples joined in order are the file. `--format codes` writes one `codes.npy` instead (one, two
or four bytes a character), the form for long texts. `alphabet.npy` holds the sorted characters.
"""

import argparse
from pathlib import Path

import utils.start  # noqa: F401

import numpy as np

from utils import files
from utils.command_line import Parser
from utils.errors import command
from utils.files import data_folder, show
from utils.helper_functions import char_to_one_hot
from utils.text.encoding import encoding
from utils.text.preparation import FORMATS, make_name, prepare, split_text


def txt_to_numpy(text: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Turns a text into its alphabet (V,) and a sample for each line: uint8, (T, V), one-hot.

    "ab\\na" has the alphabet "\\n", "a", "b" and two samples: [[0, 1, 0], [0, 0, 1], [1, 0, 0]] for
    its first line, [[0, 1, 0]] for its second. This is the course's exercise, one character after
    another; the command computes the same numbers for a whole text at once, in
    utils/text/preparation.py.
    """
    alphabet = np.array(sorted(set(text)))
    samples = []
    for line in split_text(text):
        samples.append(np.stack([char_to_one_hot(char, alphabet) for char in line]))
    return alphabet, samples


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        default=files.ROOT / "data" / "text.txt",
        help="a text (default: data/text.txt)",
    )
    parser.add_argument(
        "--encoding", type=encoding, default="utf-8", help="of the text (default: utf-8)"
    )
    parser.add_argument("--name", help="write to data/NAME/ (default: the file's name, no ending)")
    parser.add_argument("--raw", action="store_true", help="keep case and every character")
    parser.add_argument(
        "--format", choices=FORMATS, default="one_hot", help="what to write (default: one_hot)"
    )
    args = parser.parse_args(argv)
    name = make_name(args.text.stem) if args.name is None else args.name
    replaced = data_folder(name).exists()
    folder = prepare(args.text, name, raw=args.raw, form=args.format, encoding=args.encoding)
    if args.name is None and name != args.text.stem:
        instead = ", in place of what was there" if replaced else ""
        print(f"data goes to {show(folder)}/{instead} (--name takes another)")


if __name__ == "__main__":
    raise SystemExit(main())
