"""Write the annotated pages: the code of the ten files that teach, beside its equations.

    python docs/annotate.py                       docs/annotated/, which is in the repository
    python docs/annotate.py --to FOLDER           elsewhere

A page is made from its file: at the left the docstrings and comments, with their equations set, at
the right the lines that compute them, with the shapes of a small run and the tests that hold them.
CONTRIBUTING.md says how to write an equation so that it is found. Needs the extra `docs`:
uv run --extra docs docs/annotate.py
"""

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

import utils.start  # noqa: F401

from utils.command_line import Parser
from utils.errors import UserError, command
from utils.files import ROOT, show, write_whole

TO = ROOT / "docs" / "annotated"
NEEDED = {"markdown_it": "markdown-it-py", "pygments": "pygments", "latex2mathml": "latex2mathml"}


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--to", type=Path, default=TO, help="folder of the pages (default: docs/annotated)"
    )
    args = parser.parse_args(argv)
    missing = [
        package for module, package in NEEDED.items() if not importlib.util.find_spec(module)
    ]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed: uv run --extra docs docs/annotate.py, or pip "
            f"install {' '.join(NEEDED.values())}"
        )
    if args.to.exists() and not args.to.is_dir():
        raise UserError(f"{show(args.to)} is a file, the pages go to a folder: --to FOLDER")
    from docs.annotation.make import make_pages

    pages = make_pages(args.to.absolute())
    for name, text in pages.items():
        write_whole(args.to / name, text.encode("utf-8"))
    print(f"{len(pages)} pages written: open {show(args.to / 'index.html')}")


if __name__ == "__main__":
    raise SystemExit(main())
