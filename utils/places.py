"""Folders for what is written where the project itself cannot be written to."""

import os
import tempfile
from pathlib import Path

from utils.errors import UserError

WAY = "--output-dir DIR takes another"


def make_folder(path: Path) -> Path:
    """Makes a folder to write to, where "~" is the home. UserError where that cannot be."""
    try:
        path = path.expanduser()
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file, results go to a folder: {WAY}")
        path.mkdir(parents=True, exist_ok=True)
    except RuntimeError:
        raise UserError(f"{path} is no home that this system knows: {WAY}") from None
    except OSError as problem:
        raise UserError(f"{path} cannot be made ({problem.strerror}): {WAY}") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"{path} cannot be written to: {WAY}")
    return path


def choose_own(root: Path) -> tuple[Path, str]:
    """Chooses a folder of the user's, and says how it ends a sentence: in the home, else temporary.

    Every command of a user finds the same one. UserError where neither can be written to, or where
    somebody else has made the latter.
    """
    try:
        return make_folder(Path("~", root.name)), ""
    except UserError as problem:
        user = os.getuid() if hasattr(os, "getuid") else None  # else it is the user's alone
        try:
            place = Path(tempfile.gettempdir())
            place = make_folder(place / (root.name if user is None else f"{root.name}-{user}"))
            if user is not None and place.lstat().st_uid != user:
                raise UserError(f"{place} is somebody else's")
        except (UserError, OSError):
            raise UserError(f"{root} cannot be written to, and {problem}") from None
        return place, ", which may vanish,"
