"""A student edition: what is in it, and that each of its exercises is checked on its own."""

import re
import subprocess
import sys

import numpy as np
import pytest

from course import blanks, check, hand_out
from course.bank import read_mistakes
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


TITLES = '[sheets]\n1 = "One"\n'
EXERCISE = """
[[exercise]]
id = "1a"
label = "1a"
sheet = 1
title = ""
task = ""
report = ""
read = ""
"""
BLANK = '[[exercise.blank]]\nfunction = "utils/words.py:count"\npoints = 1\ntodo = ""\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no 'sheets' where one is needed"),
        ("[sheets]\n1 = \n", "at line 2"),
        (TITLES + EXERCISE, "has no 'blank' where one is needed"),
        (TITLES + EXERCISE + "poins = 1\n" + BLANK, "unexpected keyword argument 'poins'"),
        (TITLES + EXERCISE + BLANK.replace("= 1", "= -1"), "-1 are no points"),
        (TITLES + EXERCISE + BLANK.replace("= 1", '= "1"'), "'1' are no points"),
        (TITLES + EXERCISE + BLANK.replace(":count", ""), "is no function: file.py:name"),
        (TITLES + EXERCISE.replace("sheet = 1", "sheet = 4") + BLANK, "sheet 4 has no title"),
        (TITLES + 2 * (EXERCISE + BLANK), "there are two of this id"),
    ],
)
def test_a_slip_in_the_list_of_exercises_ends_in_a_line(tmp_path, text, said):
    (file := tmp_path / "exercises.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(said)):
        read_course(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", "utils/words.py:count is asked by no probe"),
        (":count", ":cuont", "utils/words.py:cuont is not there"),
        ("utils/words", "utils/wrods", "utils/wrods.py:count is not there"),
        ("[[exercise.blank]]", 'checkpoints = "rnn"\n[[exercise.blank]]', "checkpoints of 'rnn'"),
    ],
)
def test_an_exercise_that_cannot_be_made_ends_in_a_line(tmp_path, old, new, said):
    (file := tmp_path / "exercises.toml").write_text(
        TITLES + EXERCISE + BLANK.replace(old, new), encoding="utf-8"
    )
    with pytest.raises(UserError, match=re.escape(said)):
        hand_out.make_files(tmp_path / "made", read_course(file))
    assert not (tmp_path / "made").exists()


def test_a_mistake_that_no_longer_fits_is_named(tmp_path):
    table = '[[mistake]]\nfunction = "utils/words.py:count"\nsentence = "upside down"\n'
    (file := tmp_path / "x.toml").write_text(table + 'old = "absent"\nnew = ""\n')
    (mistake,) = read_mistakes(tmp_path)
    with pytest.raises(UserError, match="'upside down' does not fit: 'absent' stands 0"):
        mistake.apply()
    file.write_text(table)
    with pytest.raises(UserError, match="after mistake 0: "):
        read_mistakes(tmp_path)


def test_a_leak_in_an_archive_is_found(tmp_path):
    (blank, *_) = COURSE.sheet(1).exercises[0].blanks
    body = blanks.read_body((REPOSITORY / blank.file).read_text(encoding="utf-8"), blank.name)
    np.savez_compressed(tmp_path / "hidden.npz", text=np.frombuffer("\n".join(body).encode(), "B"))
    assert "hidden.npz holds a line of" in hand_out.find_leaks(tmp_path, COURSE.sheet(1))[0]
