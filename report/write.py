"""Write the report that is handed in: facts from the runs' files, discussions from the student's.

    python report/write.py                                 all runs there are, shipped ones too
    python report/write.py --run lstm tcn transformer      these runs
    python report/write.py --to hand_in --as-is            what is not there yet is only named

Writes report.html and report.pdf to a folder (hand_in/), and on the first call beside them
report.toml (title, names, language) and discussion/*.md (a file for each question). docs/report.md
says more.
"""

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

import utils.start  # noqa: F401

from utils import files
from utils.command_line import Parser
from utils.errors import UserError, command, say
from utils.files import show, write_whole
from utils.words import count

NEEDED = ("markdown_it", "latex2mathml")  # and typst, for the PDF alone


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--run", nargs="+", metavar="RUN", help="runs to report on (default: all)")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where it is written (default: hand_in)"
    )
    parser.add_argument(
        "--as-is", action="store_true", help="call no task: name what is not there yet"
    )
    args = parser.parse_args(argv)
    parser.typed(argv)
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"{name} is not installed: uv run --extra report report/write.py")
    write(args.run, args.to, as_is=args.as_is)


def write(names: list[str] | None, to: Path | None, *, as_is: bool) -> None:
    """Writes the report on runs, all by default, to a folder. UserError where one is broken."""
    # Slow to import: all models. --help goes without.
    from report.assemble import assemble
    from report.runs import find_names, find_unfinished, read_run
    from report.settings import read_settings
    from report.to_html import make_page
    from report.to_pdf import make_pdf

    folder = to.absolute() if to else files.output("results").with_name("hand_in")
    if names is None:
        names = find_names()
        for name in find_unfinished():
            say(f"note: {name} has not finished an epoch and is left out")
    if not names:
        raise UserError("there are no runs: train one, as python models/lstm/train.py does")
    runs = [read_run(name) for name in dict.fromkeys(names)]
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{show(folder)} is a file: --to takes a folder")
    settings = read_settings(folder)
    report, words = assemble(runs, settings, folder, as_is=as_is)
    written = [write_whole(folder / "report.html", make_page(report, words).encode("utf-8"))]
    print(f"{count(len(runs), 'run')}: wrote {show(written[0])}")
    write_whole(folder / "report.pdf", make_pdf(report, words, folder / "fonts"))
    print(f"wrote {show(folder / 'report.pdf')}")


if __name__ == "__main__":
    raise SystemExit(main())
