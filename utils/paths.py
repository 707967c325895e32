"""Where things lie. Every path starts at the repository, wherever a command is called from."""

import re
from pathlib import Path

from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

# Windows cannot have files of these names, with any ending.
RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}


def check_name(name: str, what: str) -> str:
    """A name that is one folder on every system, or UserError. Returns the name."""
    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name) and not name.endswith(".")
    if not fits or name.split(".")[0].lower() in RESERVED:
        raise UserError(
            f"{what} {name!r} cannot be a folder's name: "
            "use letters, digits, '_', '-' and '.', starting with a letter, a digit or '_'"
        )
    return name


def shown(path: Path) -> str:
    """A path as the user would type it: short inside the repository, whole elsewhere."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def data_folder(name: str) -> Path:
    return ROOT / "data" / check_name(name, "the data's name")


def checkpoint_folder(run: str) -> Path:
    return ROOT / "checkpoints" / check_name(run, "the run's name")


def result_folder(run: str) -> Path:
    return ROOT / "results" / check_name(run, "the run's name")
