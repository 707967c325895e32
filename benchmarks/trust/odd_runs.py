"""Submissions with checkpoints and editions that are none: odd ones, linked, packed, of elsewhere.

The exercise that is handed in with a checkpoint is right, and must stay so whatever the checkpoint
is. What is of another edition is not graded. attacks.py grades them all.
"""

import json
import os
from pathlib import Path

from benchmarks.trust.odd_checkpoints import ODD_CHECKPOINTS, REPOSITORY, OddCheckpoint, shipped
from benchmarks.trust.odd_submissions import FILE, POINTS, Odd, pack, write


def hand_in(content: bytes, name: str, folder: Path, text: str) -> None:
    """Hands a checkpoint in beside the right file."""
    write(folder / name / FILE, text)
    write(folder / name / "checkpoints" / "x" / "best.pt", content)


def as_submission(one: OddCheckpoint) -> Odd:
    name = f"checkpoint {one.name}"
    return Odd(name, POINTS, lambda folder, text: hand_in(one.make(), name, folder, text))


def link(folder: Path, text: str) -> None:
    """Links to the teacher's own checkpoint, and to his whole folder of them."""
    write(folder / "checkpoint link" / FILE, text)
    place = folder / "checkpoint link" / "checkpoints" / "x"
    place.mkdir(parents=True)
    (place / "best.pt").symlink_to(REPOSITORY / "pretrained" / "lstm.pt")
    (place.parent / "y").symlink_to(REPOSITORY / "pretrained", target_is_directory=True)


def pipe(folder: Path, text: str) -> None:
    write(folder / "checkpoint pipe" / FILE, text)
    place = folder / "checkpoint pipe" / "checkpoints" / "x"
    place.mkdir(parents=True)
    os.mkfifo(place / "best.pt")


def too_large(folder: Path, text: str) -> None:
    """A file of holes: 10 GB that take no room."""
    hand_in(b"", "checkpoint too large", folder, text)
    os.truncate(folder / "checkpoint too large" / "checkpoints" / "x" / "best.pt", 10**10)


def packed_bomb(folder: Path, text: str) -> None:
    """An archive of 64 MB of zeros, thirty times."""
    names = [f"checkpoints/{n}/best.pt" for n in range(30)]
    pack(folder / "checkpoint packed bomb.zip", {FILE: text} | dict.fromkeys(names, bytes(2**26)))


def outside(folder: Path, text: str) -> None:
    files = {FILE: text, "../../checkpoints/x/best.pt": shipped("lstm"), "/etc/best.pt": b"x"}
    pack(folder / "checkpoint outside.zip", files)


def name_of_no_text(folder: Path, text: str) -> None:
    """Names that are no UTF-8, of a notebook and of a checkpoint: as an old archive leaves them."""
    write(folder / "names of no text" / FILE, text)
    runs = os.fsencode(folder / "names of no text" / "checkpoints")
    os.makedirs(runs + b"/\xff\xfe")
    for place in (b"/\xff\xfe/best.pt", b"/M\xfcller.ipynb"):
        Path(os.fsdecode(runs + place)).write_bytes(b"x")


def edition_of(name: str, edition: object, points: int) -> Odd:
    """Hands in a right file with an edition.json."""

    def make(folder: Path, text: str) -> None:
        write(folder / name / FILE, text)
        content = edition if isinstance(edition, str) else json.dumps(edition)
        write(folder / name / "edition.json", content)

    return Odd(name, points, make)


SUBMISSIONS = [
    *map(as_submission, ODD_CHECKPOINTS),
    Odd("checkpoint link", POINTS, link),
    Odd("checkpoint pipe", POINTS, pipe),
    Odd("checkpoint too large", POINTS, too_large),
    Odd("checkpoint packed bomb", POINTS, packed_bomb),
    Odd("checkpoint outside", POINTS, outside),
    Odd("names of no text", POINTS, name_of_no_text),
    edition_of("edition of sheet 2", {"version": "1.0.0", "sheet": 2}, 0),
    edition_of("edition of no sheet", {"version": "1.0.0", "sheet": 10**9}, POINTS),
    edition_of("edition of long ago", {"version": "0.0.1", "sheet": 1}, 0),
    edition_of("edition of lists", [[1]], POINTS),
    edition_of("edition that is deep", "[" * 100_000, POINTS),
]
