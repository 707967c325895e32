"""Reads what students hand in: a folder or a .zip each; of it the files with exercises, and what
else tells of it: trained checkpoints, and which edition it is.
"""

import hashlib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from utils.errors import UserError
from utils.files import show

LARGEST = 2**20  # bytes of a file with exercises: the longest of ours has a fiftieth
LARGEST_CHECKPOINT = 2**26  # of a checkpoint: ours have a tenth, and three times that with Adam's
MOST_CHECKPOINTS = 20  # that are measured of one student
EDITION = "edition.json"
READ = (".py", ".ipynb", ".pt")
MOST_ENTRIES = 20_000
DEEPEST = 3  # folders around the files
# What people hand in: a .zip is read, of the others their student is told so.
HANDED_IN = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".py", ".ipynb")
Reader = Callable[[], bytes | str]  # a file's bytes, or what it is instead
Contents = dict[str, Reader]


@dataclass(frozen=True)
class Submission:
    """What one student handed in: the texts of the files that were asked for, and what is amiss.

    Checkpoints are many and large, so only their names and digests are kept.
    """

    student: str
    files: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    entry: Path = Path()  # where it lies
    checkpoints: dict[str, str] = field(default_factory=dict)  # digest by name in it
    edition: bytes | None = None  # its edition.json
    seen: frozenset[str] = frozenset()  # files with exercises, of all sheets


def list_submissions(folder: Path) -> list[Path]:
    """Lists the folders and archives in a folder, by name. UserError where there are none."""
    if not folder.is_dir():
        raise UserError(f"{show(folder)} is no folder: name the one that holds the submissions")
    found = [
        entry
        for entry in sorted(folder.iterdir())
        if not entry.name.startswith((".", "__MACOSX"))
        and (entry.is_dir() or entry.suffix.lower() in HANDED_IN)
    ]
    if not found:
        raise UserError(f"{show(folder)} holds no submissions: a folder or a .zip for each student")
    return found


def read_class(folder: Path, wanted: Iterable[str], known: Iterable[str] = ()) -> list[Submission]:
    """Reads all submissions in a folder. Where two have one name, their endings tell them apart.

    `wanted` are the files with exercises of this sheet, `known` those of all sheets.
    """
    entries, wanted, known = list_submissions(folder), tuple(wanted), tuple(known)
    named = Counter(name_student(entry) for entry in entries)
    found: dict[str, Submission] = {}
    for entry in entries:
        submission = read_submission(entry, wanted, known)
        student = submission.student
        if named[student] > 1:
            student = entry.name.encode("utf-8", "replace").decode("utf-8")
        while student in found:
            student += "'"
        found[student] = replace(submission, student=student)
    return list(found.values())


def name_student(entry: Path) -> str:
    """Names a student by a folder or file; bytes that are no UTF-8 could not be written again."""
    name = entry.name if entry.is_dir() else entry.stem
    return name.encode("utf-8", "replace").decode("utf-8")


def read_submission(entry: Path, wanted: Iterable[str], known: Iterable[str] = ()) -> Submission:
    """Reads the wanted files of a submission; never follows a link, never leaves it.

    A file that is missing, too large or no file is left out, and a note says so.
    """
    wanted, student = tuple(wanted), name_student(entry)
    every = (*wanted, *known)
    found, notes, checkpoints, edition, seen = {}, [], {}, None, frozenset()
    try:
        with open_submission(entry) as contents:
            root = find_root(list(contents), every)
            seen = frozenset(file for file in every if root + file in contents)
            for file in wanted:
                content = read_wanted(contents.get(root + file))
                if isinstance(content, bytes):
                    found[file] = content
                else:
                    reason = content or f"not there{guess_why(file, list(contents))}"
                    notes.append(f"{file} is {reason}")
            content = read_wanted(contents.get(root + EDITION))
            edition = content if isinstance(content, bytes) else None
            names = choose_checkpoints(list(contents))
            for name in names[:MOST_CHECKPOINTS]:
                content = read_wanted(contents[name])
                if isinstance(content, bytes):
                    checkpoints[name] = hashlib.sha256(content).hexdigest()
                else:
                    notes.append(f"{name} is {content}")
            if names[MOST_CHECKPOINTS:]:
                notes.append(f"of {len(names)} checkpoints {MOST_CHECKPOINTS} are measured")
    except Exception as problem:  # whatever one student hands in, the class goes on
        notes = [f"it cannot be read: {clean(problem)}", *notes]
    notes = tuple(map(make_printable, notes))
    return Submission(student, found, notes, entry, checkpoints, edition, seen)


@contextmanager
def open_submission(entry: Path) -> Iterator[Contents]:
    """Opens a folder or an archive. ValueError for anything else."""
    if entry.is_symlink():
        raise ValueError("it is a link")
    if not entry.is_dir() and entry.suffix.lower() != ".zip":
        raise ValueError(f"a {entry.suffix} was handed in: hand in a folder or a .zip")
    with open_folder(entry) if entry.is_dir() else open_archive(entry) as contents:
        yield contents


def choose_checkpoints(names: list[str]) -> list[str]:
    """Chooses the checkpoints that count: of a run its best.pt, else its last.pt, else all.

    Those that an edition has itself, the classifiers of digits, are not the student's.
    """
    folders: dict[str, list[str]] = {}
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        if file.endswith(".pt") and not f"/{folder}".endswith("/pretrained/classifiers"):
            folders.setdefault(folder, []).append(name)
    chosen = []
    for folder, found in folders.items():
        best = [f"{folder}/{file}".removeprefix("/") for file in ("best.pt", "last.pt")]
        chosen += next(([name] for name in best if name in found), found)
    return chosen


def name_run(checkpoint: str) -> str:
    """Names the run of a checkpoint: "lstm" of checkpoints/lstm/best.pt, and of lstm.pt."""
    path = PurePosixPath(checkpoint)
    own = path.parent.name if path.stem in ("best", "last") and path.parent.name else path.stem
    return make_printable(own)


def read_checkpoint(submission: Submission, name: str) -> bytes:
    """Reads a checkpoint of a submission once more. ValueError where it is gone, or another."""
    with open_submission(submission.entry) as contents:
        content = read_wanted(contents.get(name))
    if not isinstance(content, bytes):
        raise ValueError(content or "it is not there any more")
    return content


def read_wanted(read: Reader | None) -> bytes | str:
    """Reads a file that is wanted: its bytes, or what it is instead; "" where there is none."""
    try:
        return read() if read else ""
    except Exception as problem:  # a damaged file leaves the others whole
        return f"damaged: {clean(problem)}"


def clean(problem: Exception) -> str:
    """Says an error in one short line that can be printed."""
    return make_printable(" ".join(str(problem).split()) or type(problem).__name__)[:200]


def make_printable(text: str) -> str:
    """Replaces what is no character to be printed, as the bytes of a name that is no UTF-8."""
    return "".join(char if char.isprintable() else "?" for char in text)


def find_root(names: list[str], wanted: tuple[str, ...]) -> str:
    """Finds the folder, "" or "a/b/", below which most of the wanted files lie."""
    roots = {""}
    for name in names:
        for file in wanted:
            if name.endswith("/" + file) and name.count("/") - file.count("/") <= DEEPEST:
                roots.add(name[: -len(file)])
    return max(sorted(roots), key=lambda root: sum(root + file in names for file in wanted))


def guess_why(file: str, names: list[str]) -> str:
    """Says what may have been handed in instead of a file."""
    notebooks = [name for name in names if name.endswith(".ipynb")]
    if notebooks:
        return f" (a notebook is, {PurePosixPath(notebooks[0]).name}: hand in the .py file)"
    alone = [name for name in names if PurePosixPath(name).name == PurePosixPath(file).name]
    return f" (a {PurePosixPath(file).name} is, in another folder)" if alone else ""


@contextmanager
def open_folder(folder: Path) -> Iterator[Contents]:
    """Finds the files of a folder that may be read, by their names in it, and how to read each."""
    found, count = {}, 0
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if keep(f)) if depth < 6 else []
        for name in names:
            count += 1
            if count > MOST_ENTRIES:
                raise ValueError(f"more than {MOST_ENTRIES:,} files")
            file = Path(place, name)
            if (name.endswith(READ) or name == EDITION) and keep(name):
                found[file.relative_to(folder).as_posix()] = partial(read_file, file)
    yield found


def read_file(file: Path) -> bytes | str:
    """Reads a file, or says what stands in its place."""
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        return "a link" if stat.S_ISLNK(status.st_mode) else "no file"
    most = most_bytes(file.name)
    if status.st_size > most:
        return f"larger than {most // 2**20} MB"
    with file.open("rb") as stream:  # it may have grown since
        return stream.read(most)


def most_bytes(name: str) -> int:
    return LARGEST_CHECKPOINT if name.endswith(".pt") else LARGEST


@contextmanager
def open_archive(archive: Path) -> Iterator[Contents]:
    """Finds the files of an archive that may be read, and how; nothing is unpacked to disk."""
    with zipfile.ZipFile(archive) as content:
        entries, found = content.infolist(), {}
        if len(entries) > MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES:,} entries")
        for entry in entries:
            parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
            outside = any(part == ".." or "/" in part or ":" in part for part in parts)
            wanted = parts and (parts[-1].endswith(READ) or parts[-1] == EDITION)
            if wanted and not entry.is_dir() and not outside and all(map(keep, parts)):
                found["/".join(parts)] = partial(read_entry, content, entry)
        yield found


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | str:
    """Reads a file of an archive, whatever size it claims to have."""
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a link"
    most = most_bytes(entry.filename)
    with archive.open(entry) as stream:
        content = stream.read(most + 1)
    return content if len(content) <= most else f"larger than {most // 2**20} MB"


def keep(name: str) -> bool:
    """Tells whether a file or folder may be the student's, not what a system left beside it."""
    return not name.startswith(".") and name not in ("__MACOSX", "__pycache__", "node_modules")
