"""Grades one submission: a copy for every exercise, a process for every function."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from course.bank import draw_known, read_mistakes
from course.exercises import Course, Exercise
from course.hand_out import make_files
from course.judging import CRASHED, NOT_DONE, RIGHT, Known, Verdict, judge
from course.probes.probe import find_probes
from course.submissions import Submission
from course.worker import ask_apart


@dataclass(frozen=True)
class Graded:
    """What a student reached in one exercise: points, and the first thing that is amiss."""

    exercise: str
    points: int
    kind: str
    function: str = ""  # which one it is about; none where all is right
    sentence: str = ""


@dataclass(frozen=True)
class Report:
    """What one student reached."""

    student: str
    digest: str  # of the files that were graded
    graded: tuple[Graded, ...]
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        return sum(one.points for one in self.graded)

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "Report":
        graded = tuple(Graded(**one) for one in plain["graded"])
        return Report(plain["student"], plain["digest"], graded, tuple(plain["notes"]))


@dataclass(frozen=True)
class Grader:
    """All that is the same for a class: exercises, what is known of them, the empty project."""

    course: Course
    known: dict[str, Known]  # by function
    base: Path  # the project with all exercises empty
    context: BaseContext
    hidden: list[Path]  # folders that students' code shall not see

    def grade(self, submission: Submission, worker: int) -> Report:
        """Grades every exercise of a submission; nothing of it can stop the others."""
        graded = tuple(self.grade_exercise(e, submission, worker) for e in self.course.exercises)
        return Report(submission.student, make_digest(submission), graded, submission.notes)

    def grade_exercise(self, exercise: Exercise, submission: Submission, worker: int) -> Graded:
        """Asks an exercise's functions, in a copy that has no other file of the student's."""
        points, fault = 0, None
        with self.room(exercise, submission) as room:
            for blank in exercise.blanks:
                verdict = Verdict(NOT_DONE, "the file was not handed in")
                if blank.file in submission.files:
                    verdict = self.ask(blank.function, room, worker)
                points += blank.points * (verdict.kind == RIGHT)
                if verdict.kind != RIGHT and fault is None:
                    fault = Graded(exercise.id, 0, verdict.kind, blank.function, verdict.sentence)
        if fault is None:
            return Graded(exercise.id, points, RIGHT)
        return Graded(exercise.id, points, fault.kind, fault.function, fault.sentence)

    def ask(self, function: str, room: Path, worker: int) -> Verdict:
        """Asks one function in a process of its own, and judges what comes back."""
        known = self.known[function]
        found = ask_apart(self.context, function, known.inputs, room, self.hidden, worker)
        if isinstance(found, Verdict):
            return found
        try:
            return judge(PROBES[function], found, known)
        except (KeyError, IndexError, ValueError, TypeError):  # other names or shapes
            return Verdict(CRASHED, "what it returned cannot be compared")

    @contextmanager
    def room(self, exercise: Exercise, submission: Submission) -> Iterator[Path]:
        """Makes a copy of the empty project with the files of one exercise."""
        with tempfile.TemporaryDirectory(prefix="room-", ignore_cleanup_errors=True) as folder:
            room = Path(folder)
            room.chmod(0o755)
            shutil.copytree(self.base, room, dirs_exist_ok=True)
            for blank in exercise.blanks:
                if blank.file in submission.files:
                    (room / blank.file).write_bytes(submission.files[blank.file])
            (room / "scratch").mkdir(mode=0o777)
            (room / "scratch").chmod(0o777)
            yield room


PROBES = find_probes()


def make_grader(
    course: Course, base: Path, seed: int, context: BaseContext, hidden: list[Path]
) -> Grader:
    """Makes the empty project in `base`, draws fresh inputs, runs the bank of mistakes on them."""
    mistakes = read_mistakes()
    functions = {blank.function for exercise in course.exercises for blank in exercise.blanks}
    known = {
        function: draw_known(PROBES[function], [seed, number], mistakes)
        for number, function in enumerate(sorted(functions))
    }
    make_files(base, course)
    return Grader(course, known, base, context, hidden)


def make_digest(submission: Submission) -> str:
    """Makes a digest of what was handed in: another one is graded anew."""
    digest = hashlib.sha256()
    for file, content in sorted(submission.files.items()):
        digest.update(f"{file}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
