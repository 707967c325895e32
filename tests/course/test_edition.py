"""A student edition: what is in it, and that each of its exercises is checked on its own."""

import subprocess
import sys

import pytest

from course import blanks, check, hand_out
from course.exercises import read_course, read_version
from tests.helpers.editions import ask, fill
from tests.helpers.repository import REPOSITORY
from utils.errors import UserError

COURSE = read_course()


@pytest.fixture(scope="module", params=COURSE.titles)
def edition(request, tmp_path_factory):
    """Makes the edition of a sheet, once for all tests."""
    folder = tmp_path_factory.mktemp("edition") / "made"
    course = COURSE.sheet(request.param)
    hand_out.make_edition(folder, course)
    return folder, course


def by_exercise(course, kinds):
    return {e.id: {kinds[blank.function] for blank in e.blanks} for e in course.exercises}


def test_an_exercise_is_judged_whatever_the_others_hold(edition):
    """Filled alone it is right and all others are not done; empty alone it is the one not done."""
    folder, course = edition
    everything = [blank for exercise in course.exercises for blank in exercise.blanks]
    lots = [fill(folder, exercise.blanks) for exercise in course.exercises]
    for exercise in course.exercises:
        lots.append(fill(folder, [blank for blank in everything if blank not in exercise.blanks]))
    answers = [by_exercise(course, kinds) for kinds in ask(folder, lots)]
    count = len(course.exercises)
    for exercise, alone, without in zip(
        course.exercises, answers[:count], answers[count:], strict=True
    ):
        shared = {b.function for b in exercise.blanks}
        for other in course.exercises:
            has = [blank.function in shared for blank in other.blanks]
            of_alone = {"right"} if all(has) else {"not done"} if not any(has) else set()
            of_without = {"not done"} if all(has) else {"right"} if not any(has) else set()
            assert not of_alone or alone[other.id] == of_alone, (exercise.id, other.id)
            assert not of_without or without[other.id] == of_without, (exercise.id, other.id)


def test_no_line_of_a_solution_is_in_an_edition(edition):
    folder, course = edition
    assert hand_out.find_leaks(folder, course) == []
    (blank, *_) = course.exercises[0].blanks  # and a leak would be found
    body = blanks.read_body((REPOSITORY / blank.file).read_text(encoding="utf-8"), blank.name)
    (folder / "leak.txt").write_text("\n".join(body), encoding="utf-8")
    try:
        assert hand_out.find_leaks(folder, course)
    finally:
        (folder / "leak.txt").unlink()


def test_an_edition_has_what_a_student_needs_and_no_more(edition):
    folder, course = edition
    sheet = (folder / "SHEET.md").read_text(encoding="utf-8")
    for exercise in course.exercises:
        assert exercise.title in sheet
        assert all(blank.name in sheet for blank in exercise.blanks)
    assert sum(exercise.points for exercise in course.exercises) == 100
    for absent in ("tests", "docs/theory.md", "course/mistakes", "course/bank.py", ".git"):
        assert not (folder / absent).exists()


def run_check(folder, *argv):
    command = [sys.executable, "-B", "check.py", *argv]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_check_says_what_is_not_done_and_knows_its_exercises(edition):
    folder, course = edition
    if 3 not in course.titles:
        pytest.skip("one sheet shows it")
    done = run_check(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("not done") == len(course.exercises)
    assert "0 of 100" in done.stdout
    done = run_check(folder, "9z")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no exercise '9z': take one of ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"version": "0.1.0", "sheet": 1}', "this edition is of version 0.1.0, the code beside"),
        ('{"version": ', "edition.json is damaged"),
        ("[1]", "edition.json is damaged"),
    ],
)
def test_parts_of_another_edition_are_refused(tmp_path, content, said):
    file = tmp_path / "edition.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=f"^{said}"):
        check.read_sheet(file)
    file.write_text(f'{{"version": "{read_version()}", "sheet": 2}}', encoding="utf-8")
    assert check.read_sheet(file) == 2


def test_bad_calls_end_in_a_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert hand_out.main(["--to", str(tmp_path)]) == 2
    assert "no empty folder" in capsys.readouterr().err
    assert hand_out.main(["--to", str(tmp_path / "new"), "--sheet", "7"]) == 2
    assert capsys.readouterr().err == "error: there is no sheet 7: 1, 2, 3\n"
    assert not (tmp_path / "new").exists()
    assert check.main([]) == 2  # where it stands it is in no edition
    assert "no student edition" in capsys.readouterr().err
