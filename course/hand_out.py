"""Make a student edition: the project with the bodies of its exercises empty.

    python course/hand_out.py --to ../edition                the first sheet
    python course/hand_out.py --to ../edition --sheet 2

The edition has SHEET.md (what to do, what to report), check.py, and everything that is needed to
train what the student writes. It has no tests, no theory, no trained model, and no line of a
solution: what check.py compares with are numbers.
"""

import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

from course import blanks
from course.bank import draw_known, read_mistakes
from course.exercises import FILE, Blank, Course, read_course, read_version
from course.measures import MEASURES
from course.probes.probe import find_probes
from course.references import save_references
from utils import files
from utils.command_line import Parser, number
from utils.errors import UserError, command
from utils.files import show
from utils.words import count

CODE = ("data_preparation.py", "main.py", "solver.py", "models", "vae", "utils")
# Nothing else that answers a question of the sheets: no tests, theory, results, weights.
ALONG = (
    *("data/text.txt", "pyproject.toml", "requirements.txt", "LICENSE", ".gitignore"),
    *("docs/commands.md", "docs/troubleshooting.md", "pretrained/classifiers"),
)
CHECKING = ("__init__.py", "attempt.py", "exercises.py", "judging.py", "references.py", "probes")
HOW_TO = """
Set up once: `python -m venv .venv`, then `.venv/bin/pip install -r requirements.txt` (on Windows
`.venv\\Scripts\\pip`), and take `.venv/bin/python` for `python` below. Or install uv and put
`uv run` before every command: it sets up all by itself.

Every function below ends in `raise NotImplementedError`. Its docstring says what goes in and what
comes out; the equations stand there or at the head of the file. Write its body, then ask

    python check.py

It says for every exercise whether it is right or, where we know the mistake, which one it is.
Then train: `python models/lstm/train.py`, `python main.py` (docs/commands.md has all options).
You may add functions and imports to the files named below. What you change elsewhere is put back
before it is graded. Hand in this folder, or a .zip of it; the files named below, edition.json and
the checkpoints are enough. Keep the names of the attributes: weights are found by them.
""".strip()
CHECKPOINTS = (
    "**To hand in, too.** `checkpoints/<run>/best.pt` of the trainings that you report, in that "
    "folder: they are measured."
)
SEED = 0  # of the inputs that an edition stores


def make_edition(folder: Path, course: Course) -> None:
    """Writes an edition into a folder that is not there yet."""
    make_files(folder, course)
    for name in ALONG:
        copy(files.ROOT / name, folder / name)
    shutil.copy(files.ROOT / "course" / "check.py", folder / "check.py")
    mark(folder, course)
    (folder / "SHEET.md").write_text(write_sheet(course), encoding="utf-8")


def make_files(folder: Path, course: Course) -> None:
    """Writes the code of an edition: the project with its exercises empty, and what asks them.

    UserError for an exercise whose function is not there, or is asked by no probe.
    """
    check_functions(course)
    for name in CODE:
        copy(files.ROOT / name, folder / name)
    for name in CHECKING:
        copy(files.ROOT / "course" / name, folder / "course" / name)
    for exercise in course.exercises:
        for blank in exercise.blanks:
            file = folder / blank.file
            text = file.read_text(encoding="utf-8")
            message = f"{exercise.label}: {blank.todo}"
            file.write_text(blanks.empty(text, blank.name, message), encoding="utf-8")
    for twin in course.twins:
        if twin.text:
            (folder / twin.file).write_text(twin.text.lstrip(), encoding="utf-8")
        else:
            shutil.rmtree(folder / twin.file)


def check_functions(course: Course) -> None:
    """Raises a UserError for a function that cannot be emptied or asked."""
    probes = find_probes()
    for exercise in course.exercises:
        if exercise.checkpoints and exercise.checkpoints not in MEASURES:
            known = ", ".join(MEASURES)
            raise UserError(
                f"exercise {exercise.id} asks for checkpoints of {exercise.checkpoints!r}: there "
                f"are measures for {known}"
            )
        for blank in exercise.blanks:
            file, where = files.ROOT / blank.file, f"exercise {exercise.id}: {blank.function}"
            try:
                blanks.find(file.read_text(encoding="utf-8"), blank.name)
            except (OSError, KeyError):
                raise UserError(f"{where} is not there to be emptied") from None
            if blank.function not in probes:
                raise UserError(
                    f"{where} is asked by no probe: course/probes/ needs a class with this "
                    "`function` (docs/course.md)"
                )


def copy(source: Path, target: Path) -> None:
    """Copies a file, or a folder without what Python has left in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy(source, target)


def mark(folder: Path, course: Course) -> None:
    """Writes edition.json (which sheet of which version), exercises.toml and the references."""
    shutil.copy(FILE, folder / "course" / FILE.name)
    (number,) = course.titles
    edition = {"version": read_version(), "sheet": number}
    (folder / "edition.json").write_text(json.dumps(edition, indent=2) + "\n", encoding="utf-8")
    probes, mistakes = find_probes(), read_mistakes()
    functions = [blank.function for exercise in course.exercises for blank in exercise.blanks]
    known = {name: draw_known(probes[name], SEED, mistakes) for name in functions}
    save_references(folder / "course" / "references.npz", known)


def write_sheet(course: Course) -> str:
    """Writes SHEET.md: for each exercise what to do, what to report, its points and hints."""
    ((number, title),) = course.titles.items()
    points = sum(exercise.points for exercise in course.exercises)
    parts = [f"# Sheet {number}: {title}", f"{points} points.", HOW_TO]
    for exercise in course.exercises:
        parts += [
            f"## {exercise.label}  {exercise.title} ({exercise.points} points)",
            exercise.task.strip(),
            "\n".join(describe(blank) for blank in exercise.blanks),
            f"**To report.** {exercise.report.strip()}",
            *([CHECKPOINTS] if exercise.checkpoints else []),
            f"**To read.** {exercise.read.strip()}",
            f"`python check.py {exercise.id}` checks it.",
        ]
    return "\n\n".join(parts) + "\n"


def describe(blank: Blank) -> str:
    hint = f"  \n  Hint: {blank.hint.strip()}" if blank.hint else ""
    return f"- `{blank.file}`, `{blank.name}` ({blank.points} points): {blank.todo}.{hint}"


def find_leaks(folder: Path, course: Course) -> list[str]:
    """Lists the lines of the solution, of more than 20 characters, that an edition still holds."""
    secret = {}
    for exercise in course.exercises:
        for blank in exercise.blanks:
            source = (files.ROOT / blank.file).read_text(encoding="utf-8")
            for line in blanks.read_body(source, blank.name):
                if len(line.strip()) > 20:
                    secret[line.strip().encode()] = blank.function
    found = []
    for file in sorted(folder.rglob("*")):
        content = read_inside(file) if file.is_file() else b""
        found += [
            f"{file.relative_to(folder).as_posix()} holds a line of {function}: {line.decode()}"
            for line, function in secret.items()
            if line in content
        ]
    return found


def read_inside(file: Path) -> bytes:
    """Reads a file; of an archive, as .npz and .pt are, also what is packed in it."""
    parts = [file.read_bytes()]
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    return b"\n".join(parts)


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where to")
    sheet = "the sheet to hand out (default: 1)"
    parser.add_argument("--sheet", type=number(int, 1), default=1, help=sheet)
    args = parser.parse_args(argv)
    if args.to.exists() and (not args.to.is_dir() or any(args.to.iterdir())):
        raise UserError(f"{show(args.to)} is no empty folder: name one that is, or is not there")
    course = read_course().sheet(args.sheet)
    args.to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.to.parent, prefix=".edition-") as room:
        made = Path(room, "edition")
        make_edition(made, course)
        leaks = find_leaks(made, course)
        if leaks:
            raise UserError(f"the edition would show a solution: {leaks[0]}")
        if args.to.exists():
            args.to.rmdir()
        made.rename(args.to)
    blanked = count(sum(len(exercise.blanks) for exercise in course.exercises), "function")
    print(f"wrote {show(args.to)}: sheet {args.sheet}, {blanked} to write; see SHEET.md")


if __name__ == "__main__":
    raise SystemExit(main())
