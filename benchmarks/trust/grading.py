"""Grade a class of a hundred: how long does it take, are the grades those that are due?

    python benchmarks/trust/grading.py                        100 students, two at once
    python benchmarks/trust/grading.py --quick                four
    python benchmarks/trust/grading.py --keep ../class        leaves submissions and grades there

The students are made up: of each function they have the solution, a mistake of the bank or nothing,
more or less of it from one to the next, and they hand it in as students do. So the points of each
are known before. The class is graded once as a whole; then again, interrupted in the middle and
gone on with: the grades must be the same. The figures to look at are the seconds of processor time
of all its processes (Linux), which other work beside it hardly changes, and those of the clock,
beside the load of the machine.
"""

import csv
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import add_number, make_parser
from course import blanks
from course.bank import Mistake, read_mistakes
from course.exercises import Blank, Course, read_course
from utils.errors import UserError, command

REPOSITORY = Path(__file__).resolve().parents[2]
FIRST = ("Ada", "Ben", "Chloé", "Emre", "Fatima", "Günter", "Hana", "Ivan", "Jun", "Kofi", "Lena")
LAST = ("Abe", "Berg", "Çelik", "Díaz", "Eze", "Fox", "Gupta", "Ito", "Kaya", "Müller", "Okoro")
QUICK_STUDENTS = 4


def write_functions(
    course: Course, mistakes: list[Mistake], diligence: float, chance: random.Random
) -> tuple[dict[str, str], int]:
    """Writes a student's files; returns them, and the points that they are worth."""
    files, points = {}, 0
    for exercise in course.exercises:
        done = chance.random() < 0.4 + 0.6 * diligence
        for blank in exercise.blanks:
            text = files.get(blank.file) or (REPOSITORY / blank.file).read_text(encoding="utf-8")
            known = [one for one in mistakes if one.function == blank.function]
            text, right = write_function(text, blank, known, diligence if done else -1, chance)
            files[blank.file] = text
            points += blank.points * right
    return files, points


def write_function(
    text: str, blank: Blank, mistakes: list[Mistake], diligence: float, chance: random.Random
) -> tuple[str, bool]:
    """Writes a function into a file's text: right, mistaken or empty; says whether it is right."""
    if diligence < 0:
        return blanks.empty(text, blank.name, blank.todo), False
    mistake = chance.choice(mistakes)
    if chance.random() < 0.3 + 0.65 * diligence:
        return text, True
    return blanks.change(text, blank.name, mistake.old, mistake.new), False


def hand_in(folder: Path, student: str, files: dict[str, str], chance: random.Random) -> None:
    """Puts a student's files into a folder or an archive, in one of the ways that students have."""
    way = chance.choice(["folder", "folder in a folder", "zip", "mac", "windows", "everything"])
    if way.startswith("folder"):
        root = folder / student / ("edition" if way != "folder" else "")
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(folder / f"{student}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            inside = f"edition/{name}" if way != "zip" else name
            if way == "windows":
                inside, text = inside.replace("/", "\\"), text.replace("\n", "\r\n")
            archive.writestr(inside, text)
            if way == "mac":
                archive.writestr(f"__MACOSX/edition/{name}", b"\0\5\x16\7")
        if way == "everything":
            archive.write(REPOSITORY / "LICENSE", "edition/LICENSE")
            archive.writestr("edition/results/lstm/protocol.md", "early, late")
            archive.writestr("edition/notes.ipynb", '{"cells": []}')


def make_class(folder: Path, students: int, course: Course) -> dict[str, int]:
    """Makes the submissions of a class; returns the points that are due to each student."""
    chance, mistakes, due = random.Random(0), read_mistakes(), {}
    folder.mkdir(parents=True)
    names = [f"{last} {first}" for last in LAST for first in FIRST]
    for student in sorted(chance.sample(names, students)):
        files, points = write_functions(course, mistakes, chance.random(), chance)
        due[student] = points
        hand_in(folder, student, files, chance)
    return due


def start_grading(submissions: Path, grades: Path, workers: int) -> subprocess.Popen:
    argv = [sys.executable, "course/grade.py", str(submissions), "--to", str(grades)]
    return subprocess.Popen(
        [*argv, "--workers", str(workers)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & ignores it
    )


def read_points(table: Path) -> dict[str, int]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        return {row["student"]: int(row["points"]) for row in csv.DictReader(stream)}


def adopt() -> None:
    """Makes orphans of this process's children its own (Linux), so that their time is counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def count_processor_seconds() -> float:
    """Counts the processor time of all processes started from here that have ended."""
    while True:
        try:
            os.waitpid(-1, 0)  # the server of processes ends after the command
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_grading(
    submissions: Path, grades: Path, workers: int, due: dict[str, int]
) -> tuple[float, float]:
    """Grades the class as a whole; returns the seconds of the clock and of processor time.

    UserError where the grades are not those that are due.
    """
    start, before = time.monotonic(), count_processor_seconds()
    status = start_grading(submissions, grades, workers).wait()
    seconds = time.monotonic() - start
    used = count_processor_seconds() - before
    if status:
        raise UserError(f"grade.py ended with {status}")
    found = read_points(grades / "grades.csv")
    wrong = {n: (found.get(n), points) for n, points in due.items() if found.get(n) != points}
    if wrong:
        raise UserError(f"points found and due: {wrong}")
    return seconds, used


def count_graded(grades: Path) -> int:
    return (grades / "progress.json").read_text(encoding="utf-8").count('"student"')


def interrupt(submissions: Path, grades: Path, workers: int, students: int) -> int:
    """Grades in two goes, the first one interrupted; returns how many students it had graded."""
    shutil.copytree(grades, grades.with_name("again"), ignore=shutil.ignore_patterns("*.html"))
    again = grades.with_name("again")
    kept = (again / "progress.json").read_text(encoding="utf-8")
    seed = kept[: kept.index('"reports"')] + '"reports": []}'  # the same seed, nobody graded
    (again / "progress.json").write_text(seed, encoding="utf-8")
    (again / "grades.csv").unlink()
    first = start_grading(submissions, again, workers)
    while first.poll() is None and count_graded(again) < students / 2:
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    first.wait()
    done = count_graded(again)
    if done == students:
        raise UserError("it was not interrupted: all students are graded")
    if start_grading(submissions, again, workers).wait():
        raise UserError("grade.py did not go on where it was")
    if (again / "grades.csv").read_bytes() != (grades / "grades.csv").read_bytes():
        raise UserError("interrupted, the grades are others")
    return done


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add_number(parser, "--students", 100, "students of the class")
    add_number(parser, "--workers", 2, "submissions graded at once")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave everything there")
    args = parser.parse_args(argv)
    students = QUICK_STUDENTS if args.quick else args.students
    course = read_course().sheet(1)
    adopt()
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        work = args.keep or Path(folder)
        due = make_class(work / "submissions", students, course)
        submissions, grades = work / "submissions", work / "grades"
        seconds, used = time_grading(submissions, grades, args.workers, due)
        load = os.getloadavg()[1]
        print(
            f"{students} submissions, {args.workers} at once: {seconds:.0f} s "
            f"(load of the machine {load:.1f}, {os.cpu_count()} cores), "
            f"{used:.0f} s of processor time, {used / students:.1f} s each"
        )
        print(f"all have the points that are due: {sum(due.values()) / students:.1f} on average")
        done = interrupt(submissions, grades, args.workers, students)
        print(f"interrupted after {done} students and gone on with: the same grades")


if __name__ == "__main__":
    raise SystemExit(main())
