"""Check your exercises: right, or which mistake it is.

    python check.py                all of them
    python check.py 1b-lstm        one
    python check.py 1b             those whose names begin so

It works offline and in seconds. Every function is asked on its own, with numbers that the solution
was asked with, too: that another exercise is still empty changes nothing. Of several faults of an
exercise the first one is said.
"""

import json
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from course.exercises import read_course, read_version
from utils.command_line import Parser
from utils.errors import UserError, command


@command
def main(argv: list[str] | None = None) -> None:
    course = read_course().sheet(read_sheet(ROOT / "edition.json"))
    parser = Parser(description=__doc__)
    known = ", ".join(exercise.id for exercise in course.exercises)
    parser.add_argument("exercise", nargs="?", help=f"one of {known}; all without it")
    wanted = course.find(parser.parse_args(argv).exercise)
    check(wanted)


def read_sheet(file: Path) -> int:
    """Reads which sheet this edition is of. UserError for none, and for parts of another one."""
    if not file.is_file():
        raise UserError(
            "this folder is no student edition: python course/hand_out.py --to FOLDER makes one, "
            "check.py is in it"
        )
    try:
        edition = json.loads(file.read_text(encoding="utf-8"))
        version, sheet = edition["version"], int(edition["sheet"])
    except (ValueError, KeyError, TypeError):
        raise UserError("edition.json is damaged: take it from the edition once more") from None
    if version != read_version():
        raise UserError(
            f"this edition is of version {version}, the code beside it of {read_version()}: "
            "take all files of one edition"
        )
    return sheet


def check(wanted: tuple) -> None:
    """Asks every blank of some exercises, and prints a line for each exercise."""
    import torch

    from course.attempt import attempt
    from course.judging import RIGHT, Verdict, judge
    from course.probes.probe import find_probes
    from course.references import load_references

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    references, probes = load_references(ROOT / "course" / "references.npz"), find_probes()
    reached = most = 0
    for exercise in wanted:
        faults, points = [], 0
        for blank in exercise.blanks:
            probe, known = probes[blank.function], references[blank.function]
            found = attempt(probe, known.inputs, ROOT)
            verdict = found if isinstance(found, Verdict) else judge(probe, found, known)
            points += blank.points * (verdict.kind == RIGHT)
            if verdict.kind != RIGHT:
                faults.append((blank, verdict))
        reached, most = reached + points, most + exercise.points
        print(f"{exercise.label:18} {points:3} of {exercise.points:3}  {describe(faults)}")
    if len(wanted) > 1:
        print(f"{'':18} {reached:3} of {most:3}")


def describe(faults: list) -> str:
    """Says the first fault of an exercise, with the function's name, and its picture below."""
    if not faults:
        return "right"
    blank, verdict = faults[0]
    sentence = f": {verdict.sentence}" if verdict.sentence else ""
    picture = f"\n{verdict.picture}" if verdict.picture else ""
    return f"{verdict.kind}  {blank.name}{sentence}{picture}"


if __name__ == "__main__":
    raise SystemExit(main())
