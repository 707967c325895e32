"""Make the table of the course: are exercises judged apart, mistakes named, attacks held off?

    python benchmarks/trust/course.py            all of it: an hour of processor time at most
    python benchmarks/trust/course.py --quick    a small class, and no attacks that last

Each row says how many of how many; the last ones are seconds. docs/course.md has the table. The
command ends with status 1 where anything is judged wrongly.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from benchmarks.trust import attacks, grading
from course.exercises import Course, read_course
from course.hand_out import find_leaks, make_edition
from course.judging import NAMED, NOT_DONE, RIGHT, Verdict
from tests.helpers.editions import ask, fill
from tests.helpers.versions import CORRECT, FRESH, STORED, WRONG, ask_judge, judge_mistakes
from utils.errors import command

SEEDS = (STORED, tuple(FRESH))


class Row(NamedTuple):
    """A line of the table: what, how it went, and what went wrong."""

    what: str
    found: str
    wrong: list[str]


def count_right(what: str, all_of_them: int, wrong: list[str]) -> Row:
    return Row(what, f"{all_of_them - len(wrong)} of {all_of_them}", wrong)


def look_at_editions(course: Course) -> Iterator[Row]:
    """Fills each function alone, empties each alone, in the edition of every sheet."""
    misjudged: dict[str, list[str]] = {"filled": [], "empty": []}
    functions, leaks = 0, []
    for number in course.titles:
        sheet = course.sheet(number)
        with tempfile.TemporaryDirectory(prefix="edition-") as folder:
            edition = Path(folder, "made")
            make_edition(edition, sheet)
            leaks += find_leaks(edition, sheet)
            every = [blank for exercise in sheet.exercises for blank in exercise.blanks]
            functions += len(every)
            alone = [fill(edition, [blank]) for blank in every]
            without = [fill(edition, [b for b in every if b != blank]) for blank in every]
            answers = ask(edition, alone + without)
            for name, part, one, others in (
                ("filled", answers[: len(every)], RIGHT, NOT_DONE),
                ("empty", answers[len(every) :], NOT_DONE, RIGHT),
            ):
                for blank, kinds in zip(every, part, strict=True):
                    due = {b.function: one if b == blank else others for b in every}
                    if kinds != due:
                        misjudged[name].append(f"sheet {number}, {blank.function} {name}")
            if number == min(course.titles):
                yield check_solved(edition, fill(edition, every))
    for name, found in (
        ("filled", "right, all others not done"),
        ("empty", "not done, the others right"),
    ):
        what = f"functions of the sheets, each alone {name}: it is {found}"
        yield count_right(what, functions, misjudged[name])
    yield Row("lines of a solution in an edition", str(len(leaks)), leaks)


def check_solved(edition: Path, texts: dict[str, str]) -> Row:
    """Times check.py on an edition in which everything is written."""
    empty = {name: (edition / name).read_text(encoding="utf-8") for name in texts}
    for name, text in texts.items():
        (edition / name).write_text(text, encoding="utf-8")
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-B", "check.py"],
        cwd=edition, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    for name, text in empty.items():
        (edition / name).write_text(text, encoding="utf-8")
    solved = "100 of 100" in done.stdout
    found = f"{used:.1f} s of processor time"
    return Row("check.py, all of sheet 1 solved", found, [] if solved else [done.stdout[-500:]])


def look_at_bank(course: Course) -> Iterator[Row]:
    functions = dict.fromkeys(b.function for e in course.exercises for b in e.blanks)
    for seed, inputs in zip(SEEDS, ("stored", "fresh"), strict=True):
        found = [pair for function in functions for pair in judge_mistakes(function, seed)]
        wrong = [
            f"{mistake.function}: {mistake.sentence}"
            for mistake, verdict in found
            if (verdict.kind, verdict.sentence) != (NAMED, mistake.sentence)
        ]
        yield count_right(f"mistakes of the bank named rightly, {inputs} inputs", len(found), wrong)


def look_at_versions() -> Iterator[Row]:
    """Judges what was written apart from the bank, on stored and on fresh inputs."""

    def fails(case: dict, is_due: Callable[[dict, Verdict], bool]) -> bool:
        return not all(is_due(case, ask_judge(case, seed)) for seed in SEEDS)

    def is_right(case: dict, verdict: Verdict) -> bool:
        return verdict.kind == RIGHT

    def is_wrong(case: dict, verdict: Verdict) -> bool:
        named = verdict.kind == NAMED and verdict.sentence not in case.get("true_names", ())
        return verdict.kind not in (RIGHT, NOT_DONE) and not named

    for cases, what, is_due in (
        (WRONG, "wrong versions apart from the bank: neither right nor misnamed", is_wrong),
        (CORRECT, "correct rewrites: right", is_right),
    ):
        wrong = [f"{case['function']}: {case['sentence']}" for case in cases if fails(case, is_due)]
        yield count_right(what, len(cases), wrong)


def look_at_attacks(*, quick: bool) -> Iterator[Row]:
    chosen, odd = attacks.choose("", quick=quick)
    work = Path(tempfile.mkdtemp(prefix="attacks-"))
    work.chmod(0o755)
    try:
        outcome = attacks.grade(work, chosen, odd, workers=2)
    finally:
        attacks.remove(work)
    what = f"{len(chosen)} attacks, {len(odd)} odd submissions: failures"
    yield Row(what, str(len(outcome.failures)), outcome.failures)


def time_class(course: Course, students: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        submissions, grades = Path(folder, "submissions"), Path(folder, "grades")
        due = grading.make_class(submissions, students, course.sheet(1))
        seconds, used = grading.time_grading(submissions, grades, 2, due)
    load = os.getloadavg()[1]
    found = f"{seconds:.0f} s at a load of {load:.1f}; {used:.0f} s of processor time"
    yield Row(f"a class of {students}, two workers", found, [])


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    quick = parser.parse_args(argv).quick
    course, wrong = read_course(), []
    grading.adopt()
    print(f"{time.strftime('%Y-%m-%d')}\n\n| what | found |\n|---|---|")
    for part in (
        time_class(course, grading.QUICK_STUDENTS if quick else 100),
        look_at_editions(course),
        look_at_bank(course),
        look_at_versions(),
        look_at_attacks(quick=quick),
    ):
        for row in part:
            print(f"| {row.what} | {row.found} |", flush=True)
            wrong += row.wrong
    print(*wrong, sep="\n")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())
