"""Grades one submission: a copy for every exercise, a process for every function or checkpoint."""

import hashlib
import math
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from course.bank import draw_known, read_mistakes
from course.editions import is_untouched, say_damaged, say_other
from course.exercises import Course, Exercise, read_course
from course.hand_out import make_files
from course.judging import CRASHED, NOT_DONE, RIGHT, Known, Verdict, judge
from course.measures import KINDS, MEASURES, name_data, prepare
from course.probes.probe import Arrays, find_probes
from course.submissions import Submission, clean, name_run, read_checkpoint
from course.worker import ask_apart, measure_apart
from utils import files


@dataclass(frozen=True)
class Graded:
    """What a student reached in one exercise: points, and the first thing that is amiss."""

    exercise: str
    points: int
    kind: str
    function: str = ""  # which one it is about; none where all is right
    sentence: str = ""


@dataclass(frozen=True)
class Measured:
    """What a checkpoint that was handed in is measured to be; or in a sentence why it is not."""

    run: str
    kind: str = ""  # of measures.MEASURES
    numbers: dict[str, float] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """What one student reached."""

    student: str
    digest: str  # of the files that were graded
    graded: tuple[Graded, ...]
    notes: tuple[str, ...] = ()
    measured: tuple[Measured, ...] = ()

    @property
    def points(self) -> int:
        return sum(one.points for one in self.graded)

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "Report":
        graded = tuple(Graded(**one) for one in plain["graded"])
        measured = tuple(Measured(**one) for one in plain.get("measured", ()))
        return Report(plain["student"], plain["digest"], graded, tuple(plain["notes"]), measured)


@dataclass(frozen=True)
class Grader:
    """All that is the same for a class: exercises, what is known of them, the empty project."""

    course: Course  # the sheet
    whole: Course  # all sheets
    known: dict[str, Known]  # by function
    data: "Data"
    base: Path  # the project with all exercises empty
    rooms: Path  # where the copies are that children see, each its own alone
    context: BaseContext
    hidden: list[Path]  # folders that students' code shall not see

    def grade(self, submission: Submission, worker: int) -> Report:
        """Grades every exercise of a submission; nothing of it can stop the others."""
        notes, digest = submission.notes, make_digest(submission)
        if other := say_other(submission, self.course, self.whole):
            graded = tuple(Graded(e.id, 0, NOT_DONE) for e in self.course.exercises)
            return Report(submission.student, digest, graded, (other,))
        if damaged := say_damaged(submission):
            notes = (*notes, damaged)
        untouched = [file for file in submission.files if self.is_untouched(submission, file)]
        if untouched and len(untouched) == len(submission.files):
            notes = ("this is the edition as it was handed out: no function is written", *notes)
        graded = tuple(self.grade_exercise(e, submission, worker) for e in self.course.exercises)
        measured = tuple(self.measure(submission, name, worker) for name in submission.checkpoints)
        return Report(submission.student, digest, graded, notes, measured)

    def is_untouched(self, submission: Submission, file: str) -> bool:
        return is_untouched(submission.files[file], (self.base / file).read_bytes())

    def measure(self, submission: Submission, name: str, worker: int) -> Measured:
        """Measures a checkpoint, of the kinds that the sheet asks for, in a room of its own."""
        run = name_run(name)
        with empty_room(self.rooms) as room:
            try:
                content = read_checkpoint(submission, name)
            except Exception as problem:  # whatever has become of the file, the class goes on
                return Measured(run, problem=clean(problem))
            file = room / "checkpoint.pt"
            file.write_bytes(content)
            file.chmod(0o644)
            hidden = [folder for folder in self.hidden if folder != files.ROOT]
            asked = (self.context, file, self.data.folder, self.course.kinds, hidden, worker)
            found = measure_apart(*asked)
            if not isinstance(found, Verdict) and self.data.lacks(found):
                found = measure_apart(*asked)
        if isinstance(found, Verdict):
            return Measured(run, problem=found.sentence)
        return read_numbers(run, found, self.course.kinds)

    def grade_exercise(self, exercise: Exercise, submission: Submission, worker: int) -> Graded:
        """Asks an exercise's functions, in a copy that has no other file of the student's."""
        points, fault = 0, None
        handed = {blank.file for blank in exercise.blanks} & submission.files.keys()
        untouched = {file for file in handed if self.is_untouched(submission, file)}
        with self.room(exercise, submission) as room:
            for blank in exercise.blanks:
                verdict = Verdict(NOT_DONE, "the file was not handed in")
                if blank.file in untouched:
                    verdict = Verdict(NOT_DONE)
                elif blank.file in submission.files:
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
        hidden = [*self.hidden, self.rooms]
        found = ask_apart(self.context, function, known.inputs, room, hidden, worker)
        if isinstance(found, Verdict):
            return found
        try:
            return judge(PROBES[function], found, known)
        except (KeyError, IndexError, ValueError, TypeError):  # other names or shapes
            return Verdict(CRASHED, "what it returned cannot be compared")

    @contextmanager
    def room(self, exercise: Exercise, submission: Submission) -> Iterator[Path]:
        """Makes a copy of the empty project with the files of one exercise."""
        with empty_room(self.rooms) as room:
            shutil.copytree(self.base, room, dirs_exist_ok=True)
            for blank in exercise.blanks:
                if blank.file in submission.files:
                    (room / blank.file).write_bytes(submission.files[blank.file])
            yield room


@contextmanager
def empty_room(rooms: Path) -> Iterator[Path]:
    """Makes a folder that a child may read, none beside it; it may write to scratch/ in it."""
    named = {"dir": rooms, "prefix": "room-", "ignore_cleanup_errors": True}
    with tempfile.TemporaryDirectory(**named) as folder:
        room = Path(folder)
        room.chmod(0o755)
        (room / "scratch").mkdir(mode=0o777)
        (room / "scratch").chmod(0o777)
        yield room


class Data:
    """What checkpoints are measured on: made when the first one of a kind comes, for all."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()
        folder.mkdir()

    def lacks(self, found: Arrays) -> bool:
        """Makes the data that a child has not found; tells whether there was any to be made."""
        if set(found) != {"kind"} or found["kind"].shape or found["kind"] not in range(len(KINDS)):
            return False
        kind = KINDS[int(found["kind"])]
        with self.lock:
            if not (self.folder / name_data(kind)).exists():
                prepare(self.folder, kind)
        return True


def read_numbers(run: str, found: Arrays, kinds: Sequence[str]) -> Measured:
    """Reads what a child has measured: of a kind that is asked for, and finite."""
    try:
        numbers = {name: float(value) for name, value in found.items()}
        kind = KINDS[int(numbers["kind"])]
        numbers = {number.name: numbers[number.name] for number in MEASURES[kind]}
    except (KeyError, IndexError, ValueError, TypeError, OverflowError):
        return Measured(run, problem="its process gave no numbers")
    if kind not in kinds:
        return Measured(run, problem="its process gave numbers of another kind")
    if not all(math.isfinite(value) for value in numbers.values()):
        return Measured(run, kind, problem="its numbers are infinite, or none")
    return Measured(run, kind, numbers)


PROBES = find_probes()


def make_grader(
    course: Course, place: Path, seed: int, context: BaseContext, hidden: list[Path]
) -> Grader:
    """Makes the empty project in a place, draws fresh inputs, runs the bank of mistakes on them."""
    base, data = place / "edition", Data(place / "data")
    make_files(base, course)
    mistakes = read_mistakes()
    functions = {blank.function for exercise in course.exercises for blank in exercise.blanks}
    known = {
        function: draw_known(PROBES[function], [seed, number], mistakes)
        for number, function in enumerate(sorted(functions))
    }
    (rooms := place / "rooms").mkdir()
    return Grader(course, read_course(), known, data, base, rooms, context, hidden)


def make_digest(submission: Submission) -> str:
    """Makes a digest of what was handed in: another one is graded anew."""
    digest = hashlib.sha256()
    for file, content in sorted(submission.files.items()):
        digest.update(f"{file}\0{len(content)}\0".encode() + content)
    digest.update(repr(sorted(submission.checkpoints.items())).encode())
    digest.update(repr(sorted(submission.seen)).encode() + (submission.edition or b""))
    return digest.hexdigest()
