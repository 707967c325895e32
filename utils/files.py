"""Where files lie, what a path looks like in a message, and how a file is written: whole.

Every path starts at the project, wherever a command is called from. What is written goes there,
too, or where --output-dir says; what is read is looked for in both.
"""

import errno
import functools
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from utils.errors import UserError, hold_signals, say, speaks
from utils.places import WAY, choose_own, make_folder

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("data", "checkpoints", "results")  # folders that are written to
ASKED: Path | None = None  # what --output-dir says
VARIABLE = "NETWORKS_OUTPUT_DIR"  # in the environment, what --output-dir is on the command line
# A file system without locks, or one where nobody can make anything.
UNLOCKED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EROFS, errno.EACCES, errno.EPERM}
ABANDONED = 3600  # seconds, after which what earlier versions were preparing is nobody's

# How `open` does it; nor is a pipe that took the file's place meanwhile waited for.
READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)

# Windows cannot have files of these names, with any ending.
RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}


def check_name(name: str, what: str) -> str:
    """Returns a name that is one folder on every system; UserError for any other."""
    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name) and not name.endswith(".")
    if not fits or name.split(".")[0].lower() in RESERVED:
        raise UserError(
            f"{what} {name!r} cannot be a folder's name: "
            "use letters, digits, '_', '-' and '.', starting with a letter, a digit or '_'"
        )
    return name


def show(path: Path) -> str:
    """Writes a path as the user would type it: short inside the repository, whole elsewhere."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def output(part: str) -> Path:
    """Returns where a part goes, "data", "checkpoints" or "results": see `choose_output`."""
    return choose_output(ASKED or os.environ.get(VARIABLE) or None, ROOT)[part]


@functools.cache  # a folder that is chosen for the user is named once, and swept once
def choose_output(asked: str | Path | None, root: Path) -> dict[str, Path]:
    """Chooses the folder of each part: below --output-dir, else below $VARIABLE.

    Without either that is the project, and for what cannot be written there (a teacher installed it
    for all) a folder of the user's (places.py). UserError where that is no folder, or a read-only
    one. What dead processes left there is removed.
    """
    closed = [part for part in PARTS if not is_open(root, part)]
    if not (asked or closed):
        return sweep({part: root / part for part in PARTS})
    chosen, lasting = (make_folder(Path(asked)), "") if asked else choose_own(root)
    if not asked and speaks():
        what = root if len(closed) == len(PARTS) else f"{'/, '.join(closed)}/ of {root}"
        say(f"note: {what} cannot be written to: output goes to {chosen}{lasting} ({WAY})")
    chosen = chosen.resolve()
    return sweep({part: (chosen if asked or part in closed else root) / part for part in PARTS})


def is_open(root: Path, part: str) -> bool:
    """Tells whether a part of the project can be written to, or could be made."""
    return os.access(root / part if (root / part).is_dir() else root, os.W_OK)


def find(*parts: str) -> Path:
    """Finds data or a run: where it would be written to, else in the project, else the former."""
    shipped = ROOT.joinpath(*parts)
    try:
        own = output(parts[0]).joinpath(*parts[1:])
    except UserError:
        if shipped.exists():  # and nothing may have to be written
            return shipped
        raise
    return shipped if shipped.exists() and not own.exists() else own


def data_folder(name: str) -> Path:
    return own_folder("data", check_name(name, "the data's name"))


def checkpoint_folder(run: str) -> Path:
    return own_folder("checkpoints", check_name(run, "the run's name"))


def result_folder(run: str) -> Path:
    return own_folder("results", check_name(run, "the run's name"))


def own_folder(part: str, name: str) -> Path:
    """Names a folder to write to. UserError where a file is in its place."""
    folder = output(part) / name
    for place in (folder.parent, folder):
        if place.exists() and not place.is_dir():
            raise UserError(f"{show(place)} is a file where a folder would be: move it away")
    return folder


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file so that it is there whole or not at all: beside it, flushed, then renamed.

    Of several processes that write the same file each waits for the other.
    """
    partial = path.with_name(path.name + ".partial")
    with name_in_errors(path), lock(path):
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return path


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Names a path in each OSError: a full disk names no file, an unwritable folder the partial.

    numpy says without a number that it could not write all: the disk is full.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), show(path)) from problem
        problem.filename = show(path)
        raise


def open_plain(path: Path) -> BinaryIO:
    """Opens a file for reading. UserError for a pipe, a socket, a device: they may never end.

    OSError as `open` raises it. What is no file is not even opened: that can wait for ever, too.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # NUL or half a surrogate pair in its name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), show(path)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), show(path))
    if not stat.S_ISREG(mode):
        raise UserError(f"{show(path)} is a pipe, a socket or a device: give a file")
    return os.fdopen(os.open(path, READING), "rb")


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lets one process at a time make what belongs at a path; the others wait, then find it.

    It ends with its process, however that ends. Without `wait` it is False inside where another
    process may have it. Where there can be no lock everybody who waits has it. UserError for a link
    into a folder that is not there: its disk is not.
    """
    if path.is_symlink() and not path.resolve().parent.is_dir():
        raise UserError(f"{show(path)} is a link to {path.resolve()}, which is not there")
    path = path.resolve()  # a link to another folder is made there
    file = path.with_name(f".{path.name}.lock")
    held = FileLock(file)
    try:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with hold_signals():  # else one would leave the file
                held.acquire(timeout=1 if wait else 0)
        except Timeout:
            if wait:
                say(f"waiting for another process that makes {show(path)}")
                held.acquire()
        except OSError as problem:
            if problem.errno not in UNLOCKED:
                raise
        yield wait or held.is_locked
    finally:
        with hold_signals():
            if held.is_locked:
                with suppress(OSError):  # Windows: another process has it open, and removes it
                    file.unlink()
            held.release()


def preparing(path: Path) -> Path:
    """Names the place beside a path where it is made before it is moved there whole."""
    return path.with_name(f".{path.name}.preparing")


def replaced(path: Path) -> Path:
    """Names the place beside a folder where it waits until another one stands in its place."""
    return path.with_name(f".{path.name}.replaced")


def swap(path: Path) -> None:
    """Moves what was made beside a folder there, in place of what was; needs its `lock`.

    Its files are on the disk before they have their name: a power cut leaves the old or the new.
    """
    flush(preparing(path))
    with hold_signals():
        try:
            if path.exists():
                path.rename(replaced(path))
            preparing(path).rename(path)
        finally:
            tidy(path)


def flush(folder: Path) -> None:
    """Has the system write the files of a folder to the disk."""
    if hasattr(os, "sync"):  # all there is, in one go: file by file takes ten times as long
        os.sync()
        return
    for file in folder.iterdir():
        with open(file, "rb+") as written:
            os.fsync(written.fileno())


def tidy(path: Path) -> None:
    """Removes what a killed process left beside a path, and undoes a half-done `swap`.

    The caller holds its `lock`.
    """
    path = path.resolve()
    if replaced(path).exists() and not path.exists():
        replaced(path).rename(path)
    names = f".{path.name}.preparing", f".{path.name}.replaced", f"{path.name}.partial"
    for name in (*names, f".{path.name}.owner"):
        remove(path.with_name(name))


def sweep(places: dict[str, Path]) -> dict[str, Path]:
    """Removes what dead processes left in the folders of all parts; returns these.

    What another process has locked stays. Texts and pictures are not looked into, only runs are.
    """
    folders = [*places.values(), places["data"] / "images", *places["data"].glob("raw/*/raw")]
    for part in ("checkpoints", "results"):
        folders += [*places[part].glob("*/"), *places[part].glob("*/*/")]
    owners = set()
    for folder in folders:
        for left in folder.glob(".*"):
            if left.suffix in (".preparing", ".replaced", ".lock", ".owner"):
                owners.add(left.with_name(left.stem.removeprefix(".")))
        owners |= {left.with_suffix("") for left in folder.glob("*.partial")}
    links = [path.resolve() for path in places["data"].glob("*") if path.is_symlink()]
    owners |= {path for path in links if preparing(path).exists() or replaced(path).exists()}
    for owner in owners:
        with suppress(OSError, UserError), lock(owner, wait=False) as free:
            if free:
                tidy(owner)
    for left in places["data"].glob(".preparing-*"):  # of earlier versions
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                remove(left)
    return places


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
