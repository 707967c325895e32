"""How outputs are judged, points are counted, and what a student's process may use."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from course.exercises import read_course
from course.grading import Data, Grader, make_digest
from course.isolation import CPU_SECONDS, FILE_SIZE, MEMORY, PROCESSES, can_be_read_by_all
from course.judging import (
    CLOSE,
    CRASHED,
    NAMED,
    NOT_DONE,
    RIGHT,
    UNKNOWN,
    Known,
    Verdict,
    compare,
    distance,
    say_first_difference,
)
from course.probes.probe import GRADIENT, INPUTS_KEPT, Probe
from course.submissions import LARGEST, Submission, read_submission
from tests.helpers.repository import REPOSITORY

NUMBERS = np.array([0.0, 2.0, -9.0])
RIGHT_OUTPUTS = {"out": NUMBERS, f"{GRADIENT}x": np.ones(2), INPUTS_KEPT: np.array(True)}
TWICE = RIGHT_OUTPUTS | {"out": 2 * NUMBERS}
KNOWN = Known({}, (RIGHT_OUTPUTS,), (("it is twice as much", TWICE),))


class Rising(Probe):
    """A probe that wants the last number to be the lowest."""

    def violations(self, inputs, outputs):
        if outputs["out"][-1] > 0:
            yield "the last is not the lowest"


def judged(**changes):
    return compare(Rising(), RIGHT_OUTPUTS | changes, KNOWN)


def test_a_distance_is_relative_to_one_and_the_expected():
    for place, tolerance in ((0, CLOSE), (2, 10 * CLOSE)):
        near, far = NUMBERS.copy(), NUMBERS.copy()
        near[place] += 0.9 * tolerance
        far[place] += 1.1 * tolerance
        assert judged(out=near).kind == RIGHT
        assert judged(out=far).kind == UNKNOWN
    assert distance({"a": np.array(3.0)}, {"a": np.array(1.0)}) == 1


def test_the_largest_difference_of_all_outputs_counts():
    right = {"a": np.zeros(2), "b": np.zeros(2)}
    assert distance({"a": np.array([0.0, 7.0]), "b": np.zeros(2)}, right) == 7
    assert distance({"a": np.zeros(2)}, right) == np.inf


def test_nan_and_infinity_equal_themselves_alone():
    odd = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert distance({"a": odd}, {"a": odd.copy()}) == 0
    for place in range(4):
        for other in (np.nan, np.inf, -np.inf, 0.0):
            found = odd.copy()
            found[place] = other
            if str(other) != str(odd[place]):
                assert distance({"a": found}, {"a": odd}) > CLOSE


def test_another_kind_of_number_is_another_form():
    assert judged(out=NUMBERS.astype(np.float32)).kind == RIGHT
    verdict = judged(out=NUMBERS.astype(np.int64))
    assert verdict == Verdict(UNKNOWN, "out is of int64, expected float64")
    assert judged(out=NUMBERS[None]).sentence == "out has the shape (1, 3), expected (3,)"


def test_a_known_mistake_has_its_name_and_another_one_its_place():
    assert judged(out=2 * NUMBERS) == Verdict(NAMED, "it is twice as much")
    verdict = judged(out=np.array([0.0, 2.0, -8.0]))
    assert verdict.sentence.endswith("we know: out[2] is -8, expected -9")
    assert say_first_difference(RIGHT_OUTPUTS, RIGHT_OUTPUTS).startswith("the numbers are right")


def test_a_property_counts_beside_the_numbers():
    up = RIGHT_OUTPUTS | {"out": np.array([0.0, 2.0, 1e-5])}
    wanted = RIGHT_OUTPUTS | {"out": np.array([0.0, 2.0, 0.0])}
    verdict = compare(Rising(), up, Known({}, (wanted,), ()))
    assert verdict == Verdict(UNKNOWN, "the last is not the lowest")
    spoilt = judged(**{INPUTS_KEPT: np.array(False)})
    assert spoilt == Verdict(UNKNOWN, "it changes what it is given: work on a copy")


def test_a_gradient_that_does_not_arrive_is_said():
    assert "no gradient reaches x" in judged(**{f"{GRADIENT}x": np.zeros(2)}).sentence
    none = RIGHT_OUTPUTS | {f"{GRADIENT}x": np.zeros(2)}  # where none is wanted
    assert compare(Rising(), none, Known({}, (none,), ())).kind == RIGHT


def test_points_are_those_of_functions_that_are_right(monkeypatch, tmp_path):
    exercise = next(e for e in read_course().exercises if len(e.blanks) >= 3)
    first, second, third, *rest = exercise.blanks
    kinds = {blank.function: RIGHT for blank in exercise.blanks}
    kinds |= {second.function: NAMED, third.function: CRASHED}
    monkeypatch.setattr(Grader, "ask", lambda self, f, room, worker: Verdict(kinds[f], f"of {f}"))
    files = {blank.file: b"" for blank in exercise.blanks}
    base, rooms = tmp_path / "base", tmp_path / "rooms"
    rooms.mkdir()
    for file in files:
        (base / file).parent.mkdir(parents=True, exist_ok=True)
        (base / file).write_text("as it was handed out")
    grader = Grader(
        read_course(), read_course(), {}, Data(tmp_path / "data"), base, rooms, None, []
    )
    graded = grader.grade_exercise(exercise, Submission("anna", files), 0)
    assert graded.points == sum(blank.points for blank in (first, *rest))
    assert (graded.kind, graded.function) == (NAMED, second.function), "the first fault is said"
    empty = grader.grade_exercise(exercise, Submission("anna"), 0)
    assert (empty.points, empty.kind) == (0, NOT_DONE)


def test_a_digest_tells_files_apart():
    one, other = {"a": b"1", "b": b"2"}, {"a": b"1b\x001\x002"}
    digests = {make_digest(Submission("x", files)) for files in (one, other, {"a": b"1"}, {})}
    assert len(digests) == 4
    swallowed = {"a": b"1b\x002"}  # without their lengths it would be the first
    assert make_digest(Submission("x", one)) != make_digest(Submission("x", swallowed))
    assert make_digest(Submission("x", one)) == make_digest(
        Submission("y", dict(reversed(one.items())))
    )


def test_an_archive_cannot_point_outside(tmp_path):
    """Nor is what is too large for a file of exercises cut to what fits."""
    wanted = "models/lstm/modules.py"
    for name, size in (("..", 9), ("C:", 9), ("", 9), ("/", 9), ("a", LARGEST + 1), ("a", LARGEST)):
        with zipfile.ZipFile(tmp_path / "anna.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}/{wanted}", bytes(size))
        found = read_submission(tmp_path / "anna.zip", [wanted])
        assert bool(found.files) == (size == LARGEST)
        assert bool(found.notes) != bool(found.files)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_what_all_may_read_is_told_by_every_folder_above():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        place = Path(folder) / "above" / "below"
        place.mkdir(parents=True)
        for one in (Path(folder), place.parent, place):
            one.chmod(0o711)
        assert can_be_read_by_all([place, Path(folder) / "nowhere"])
        place.parent.chmod(0o700)
        assert not can_be_read_by_all([place])


@pytest.mark.skipif(sys.platform != "linux", reason="limits differ from system to system")
def test_limits_are_set():
    code = "import resource as r; from course.isolation import limit; limit(); "
    code += "names = r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_AS, r.RLIMIT_NPROC; "
    code += "print(*(r.getrlimit(name)[0] for name in names))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    seconds, size, memory, processes = map(int, done.stdout.split())
    assert (seconds, size, processes) == (CPU_SECONDS, FILE_SIZE, PROCESSES)
    assert MEMORY < memory < 1.5 * MEMORY
