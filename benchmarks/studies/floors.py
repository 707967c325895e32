"""Measure what counting and compressing predict of a text: the floor under the text models.

    python benchmarks/studies/floors.py             the default text, and tinyshakespeare
    python benchmarks/studies/floors.py --quick     the first 2,000 characters

For each text: single characters by their frequency, an interpolated Kneser-Ney n-gram of every n up
to 10 (ngrams.py), and gzip and xz, the bytes that the validation text adds to the training text
before it. All are counted on the characters on which the models are validated. With both texts it
writes benchmarks/records/text_floors.csv, of which python -m docs.records makes docs/text.md's
tables. Tinyshakespeare is looked for in data/raw/; without it the default text is only printed.
"""

import gzip
import lzma
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_raw_data
from benchmarks.studies.ngrams import (
    KneserNey,
    blocks_nats,
    known_in_blocks,
    stream_nats,
    unigrams,
)
from benchmarks.tasks import take_start
from utils.errors import command
from utils.files import ROOT, show, write_whole
from utils.text.data import DataConfig, Text, cut, load_text
from utils.words import make_csv

RECORD = ROOT / "benchmarks" / "records" / "text_floors.csv"
LONGEST = 10
Row = dict[str, str | int | float]


def shakespeare(few: bool) -> Text | None:
    """Loads tinyshakespeare from data/raw/ as `data_preparation.py --raw` does, if it is there."""
    file = find_raw_data("tinyshakespeare.txt")
    if file is None:
        return None
    text = file.read_text(encoding="utf-8")
    alphabet, codes = np.unique(np.array(list(text)), return_inverse=True)
    codes = codes[:2000] if few else codes
    return Text([str(c) for c in alphabet], *cut(codes, DataConfig("")))


def measure(text: Text, name: str, longest: int) -> list[Row]:
    """Measures all rows of a text."""
    V, training = len(text.alphabet), np.asarray(text.training, dtype=np.int64)
    codes = np.asarray(text.validation, dtype=np.int64)
    everything, blocks = np.arange(len(codes)), known_in_blocks(len(codes))
    shares = unigrams(training, codes, V)
    rows = [make_row(name, "unigrams", 1, len(codes), stream_nats(shares, V), blocks_nats(shares))]
    model = KneserNey(training, V, longest)
    for n in range(1, longest + 1):
        stream = stream_nats(model.probabilities(codes, n, everything), V)
        cold = blocks_nats(model.probabilities(codes, n, blocks))
        rows.append(make_row(name, "Kneser-Ney", n, len(codes), stream, cold))
    read = ["".join(text.alphabet[code] for code in part).encode() for part in (training, codes)]
    for program, compress in {"gzip": compress_gzip, "xz": compress_xz}.items():
        added = len(compress(read[0] + read[1])) - len(compress(read[0]))
        nats = 8 * added / len(codes) * math.log(2)
        rows.append(make_row(name, program, 0, len(codes), nats))
    return rows


def compress_gzip(text: bytes) -> bytes:
    return gzip.compress(text, compresslevel=9, mtime=0)


def compress_xz(text: bytes) -> bytes:
    return lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)


def make_row(
    text: str, what: str, n: int, characters: int, stream: float, blocks: float | None = None
) -> Row:
    return {
        "text": text,
        "what": what,
        "n": n or "",
        "characters": characters,
        "stream_nats": round(stream, 4),
        "blocks_nats": "" if blocks is None else round(blocks, 4),
    }


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--longest", LONGEST, "n of the longest n-gram")
    args = parser.parse_args(argv)
    whole = load_text(DataConfig("text"))
    texts = {"default": take_start(whole) if args.quick else whole}
    if (own := shakespeare(args.quick)) is not None:
        texts["tinyshakespeare"] = own
    rows: list[Row] = []
    for name, text in texts.items():
        began = time.perf_counter()
        rows += measure(text, name, args.longest)
        for row in rows[-args.longest - 3 :]:
            print("  ".join(str(value) for value in row.values()))
        print(f"{time.perf_counter() - began:.1f} s")
    if not args.quick and len(texts) == 2:
        print(f"written: {show(write_whole(RECORD, make_csv(rows).encode()))}")


if __name__ == "__main__":
    raise SystemExit(main())
