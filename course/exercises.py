"""Reads course/exercises.toml: the sheets, their exercises, and the functions that are blanked."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from utils import files
from utils.errors import UserError
from utils.files import show

FILE = Path(__file__).with_name("exercises.toml")


@dataclass(frozen=True)
class Blank:
    """A function whose body the student writes: "file.py:name" or "file.py:Class.name"."""

    function: str
    points: int
    todo: str  # what the empty body says is to be done
    hint: str = ""

    @property
    def file(self) -> str:
        return self.function.partition(":")[0]

    @property
    def name(self) -> str:
        return self.function.partition(":")[2]


@dataclass(frozen=True)
class Exercise:
    """A part of a sheet: what to do, what to report, what to read, and its blanks."""

    id: str  # "1b-lstm", as a command takes it
    label: str  # "1b LSTM", as people say it
    sheet: int
    title: str
    task: str
    report: str
    read: str
    blanks: tuple[Blank, ...]
    checkpoints: str = ""  # the kind of those that are handed in, of measures.MEASURES

    @property
    def points(self) -> int:
        return sum(blank.points for blank in self.blanks)


@dataclass(frozen=True)
class Twin:
    """A file that holds a blank's idea a second time, and what stands there in an edition."""

    file: str
    blank: str
    text: str


@dataclass(frozen=True)
class Course:
    """All of exercises.toml."""

    titles: dict[int, str]  # of the sheets
    exercises: tuple[Exercise, ...]
    twins: tuple[Twin, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files with exercises."""
        return tuple(dict.fromkeys(b.file for e in self.exercises for b in e.blanks))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of checkpoints that are handed in."""
        asked = dict.fromkeys(exercise.checkpoints for exercise in self.exercises)
        return tuple(kind for kind in asked if kind)

    def sheet(self, number: int) -> "Course":
        """Takes one sheet alone. UserError where there is none of this number."""
        if number not in self.titles:
            raise UserError(f"there is no sheet {number}: {', '.join(map(str, self.titles))}")
        exercises = tuple(e for e in self.exercises if e.sheet == number)
        functions = {blank.function for exercise in exercises for blank in exercise.blanks}
        twins = tuple(twin for twin in self.twins if twin.blank in functions)
        return Course({number: self.titles[number]}, exercises, twins)

    def find(self, wanted: str | None) -> tuple[Exercise, ...]:
        """Finds an exercise by its id, those whose ids begin with it, or all. UserError if none."""
        found = tuple(e for e in self.exercises if wanted is None or e.id == wanted)
        found = found or tuple(e for e in self.exercises if e.id.startswith(f"{wanted}-"))
        if not found:
            known = ", ".join(exercise.id for exercise in self.exercises)
            raise UserError(f"there is no exercise {wanted!r}: take one of {known}")
        return found


def read_version() -> str:
    """Reads the project's version from pyproject.toml."""
    content = tomllib.loads((files.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return content["project"]["version"]


def read_course(file: Path = FILE) -> Course:
    """Reads the exercises of all sheets that a file holds. UserError for what is amiss in it."""
    exercises = []
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        titles = {int(number): title for number, title in content["sheets"].items()}
        twins = tuple(Twin(**table) for table in content.get("twin", ()))
        for table in content["exercise"]:
            blanks = tuple(Blank(**blank) for blank in table.pop("blank"))
            exercises.append(Exercise(**table, blanks=blanks))
    except KeyError as problem:
        raise UserError(f"{show(file)} has no {problem} where one is needed") from None
    except (ValueError, TypeError, AttributeError) as problem:  # TOML's are ValueErrors
        said = str(problem).replace("__init__() ", "")
        after = f", after exercise {exercises[-1].id}" if exercises else ""
        raise UserError(f"{show(file)}{after}: {said}") from None
    check_exercises(exercises, titles, show(file))
    return Course(titles, tuple(exercises), twins)


def check_exercises(exercises: list[Exercise], titles: dict[int, str], file: str) -> None:
    """Raises a UserError where exercises have one name, no sheet or points that are none."""
    seen: set[str] = set()
    for exercise in exercises:
        where = f"{file}, exercise {exercise.id}"
        if exercise.id in seen:
            raise UserError(f"{where}: there are two of this id")
        seen.add(exercise.id)
        if exercise.sheet not in titles:
            raise UserError(f"{where}: sheet {exercise.sheet} has no title below [sheets]")
        for blank in exercise.blanks:
            if type(blank.points) is not int or blank.points < 0:
                raise UserError(f"{where}: {blank.points!r} are no points: a whole number >= 0")
            if not blank.file.endswith(".py") or not blank.name:
                raise UserError(f"{where}: {blank.function!r} is no function: file.py:name")
