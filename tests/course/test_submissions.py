"""What is read of a submission, and what the pages make of a student's name and of errors."""

import csv
import json
import os
from dataclasses import replace

import pytest

from benchmarks.trust.attacks import SLOW_ODD
from benchmarks.trust.odd_submissions import FILE, ODD
from course.editions import is_untouched, say_damaged, say_other
from course.exercises import read_course, read_version
from course.grading import Graded, Measured, Report
from course.judging import CRASHED, NAMED, RIGHT
from course.pages import write_pages
from course.submissions import read_class
from utils.errors import UserError

TEXT = "def step():\n    return 1\n"
WHOLE = read_course()
COURSE = WHOLE.sheet(1)
BYTES_THAT_ARE_READ = ("syntax error", "deep brackets", "null bytes", "latin-1", "closed")


@pytest.mark.parametrize(
    "odd", [one for one in ODD if one.name not in SLOW_ODD], ids=lambda o: o.name
)
def test_a_submission_is_read_as_it_is_sent(odd, tmp_path):
    """Its file is found wherever it is packed, or there is a note; nothing is raised."""
    odd.make(tmp_path, TEXT)
    (found,) = read_class(tmp_path, [FILE])
    if odd.points:
        text = found.files[FILE].decode("utf-8-sig", "replace").replace("\r\n", "\n")
        assert "def step():" in text
        assert found.notes == ()
    elif odd.name not in (*BYTES_THAT_ARE_READ, "twice in an archive"):
        assert found.files == {}
        assert found.notes


def test_two_submissions_of_one_name_stay_two(tmp_path):
    for odd in ODD:
        if odd.name in ("mac", "nested folder"):
            odd.make(tmp_path, TEXT)
    (tmp_path / "nested folder").rename(tmp_path / "mac")
    assert [one.student for one in read_class(tmp_path, [FILE])] == ["mac", "mac.zip"]


def test_no_submissions_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no submissions"):
        read_class(tmp_path, [FILE])
    with pytest.raises(UserError, match="is no folder"):
        read_class(tmp_path / "absent", [FILE])


def make_report(student, sentence="", kind=RIGHT):
    graded = [Graded(e.id, e.points, RIGHT) for e in COURSE.exercises]
    if kind != RIGHT:
        graded[0] = Graded("1a", 0, kind, COURSE.exercises[0].blanks[0].function, sentence)
    return Report(student, "digest", tuple(graded))


def test_names_and_errors_do_no_harm_on_pages(tmp_path):
    """Neither a page nor a spreadsheet runs what a student calls himself, or lets an error say."""
    students = ["=1+1", "<b>x</b>", "a/../../b", "Ann", "ann", "", "Ünï 学生"]
    reports = [make_report(student, "<script>alert(1)</script>", CRASHED) for student in students]
    table, page = write_pages(tmp_path, COURSE, reports)
    pages = sorted((tmp_path / "students").iterdir())
    assert len({file.name.lower() for file in pages}) == len(students)
    for file in [*pages, page]:
        text = file.read_text(encoding="utf-8")
        assert "<script>" not in text
        assert "<b>x" not in text
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["student"] for row in rows] == ["'=1+1", *students[1:]]


def test_the_class_page_counts_mistakes(tmp_path):
    reports = [make_report(name, "it is upside down", NAMED) for name in "abc"]
    _, page = write_pages(tmp_path, COURSE, [*reports, make_report("d")])
    text = page.read_text(encoding="utf-8")
    assert '<td class="number">3<td>it is upside down' in text
    assert "4 submissions, 92.5 of 100 points on average" in text


def test_measured_checkpoints_are_on_all_pages(tmp_path):
    numbers = {"nats per character": 1.38, "nats on cold blocks": 1.39}
    worse = {name: value + 1 for name, value in numbers.items()}
    runs = (
        Measured("small", "lstm", worse),
        Measured("big", "lstm", numbers),
        Measured("<b>", problem="it is damaged"),
    )
    reports = [replace(make_report("a"), measured=runs, notes=("late",)), make_report("b")]
    table, page = write_pages(tmp_path, COURSE, reports)
    with table.open(newline="", encoding="utf-8-sig") as stream:
        first, second = csv.DictReader(stream)
    assert (first["lstm run"], first["lstm nats per character"]) == ("big", "1.3800")
    assert (second["lstm run"], second["tcn run"]) == ("", "")
    assert first["notes"] == "late; <b>: it is damaged"
    assert '<td class="number">1<td class="number">1.3800' in page.read_text(encoding="utf-8")
    own = (tmp_path / "students" / "a.html").read_text(encoding="utf-8")
    assert "nats on cold blocks <strong>2.3900</strong>" in own
    assert "<b>" not in own
    assert "Checkpoints" not in (tmp_path / "students" / "b.html").read_text(encoding="utf-8")
    assert Report.from_plain(json.loads(json.dumps(reports[0].to_plain()))) == reports[0]


@pytest.mark.skipif(os.name == "nt", reason="names are text there, not bytes")
def test_names_that_are_no_text_can_be_written(tmp_path):
    for name in (b"M\xfcller", b"M\xf6ller"):
        try:
            os.makedirs(os.fsencode(tmp_path / "class") + b"/" + name + b"/checkpoints/\xff")
        except OSError:
            pytest.skip("this file system takes none but UTF-8")
    submissions = read_class(tmp_path / "class", [FILE])
    students = [one.student for one in submissions]
    assert len(set(students)) == 2
    write_pages(tmp_path, COURSE, [make_report(student) for student in students])


def submit(folder, files, edition=None):
    for file in files:
        (folder / "Ann" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "Ann" / file).write_text(TEXT)
    if edition is not None:
        (folder / "Ann" / "edition.json").write_text(edition)
    (found,) = read_class(folder, COURSE.files, WHOLE.files)
    return found


@pytest.mark.parametrize(
    ("edition", "said"),
    [
        ('{"version": "VERSION", "sheet": 1}', ""),
        ('{"version": "VERSION", "sheet": 2}', "this is sheet 2's edition (Likelihoods and advers"),
        ('{"version": "VERSION", "sheet": 7}', "this is sheet 7's edition; you grade sheet 1"),
        ('{"version": "0.3", "sheet": 1}', "this is an edition of version 0.3; you grade by vers"),
        ('{"version": "0.3", "sheet": 3}', "this is sheet 3's edition"),
        ('{"version": "\\u001b[2J", "sheet": "1"}', ""),
        ("[" * 99_999, ""),
        ("[1, 2]", ""),
    ],
)
def test_another_edition_is_told_apart(tmp_path, edition, said):
    found = submit(tmp_path, COURSE.files, edition.replace("VERSION", read_version()))
    problem = say_other(found, COURSE, WHOLE)
    assert problem.startswith(said)
    assert bool(problem) == bool(said)


@pytest.mark.parametrize("graded", WHOLE.titles)
@pytest.mark.parametrize("sheet", WHOLE.titles)
def test_files_of_another_sheet_are_told_apart(tmp_path, sheet, graded):
    """Without edition.json by their names; what both sheets ask for may be of either."""
    asked, course = WHOLE.sheet(sheet), WHOLE.sheet(graded)
    shared = [file for file in asked.files if file in course.files]
    for files in (asked.files, shared, ()):
        folder = tmp_path / str(len(files))
        (folder / "Ann").mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / "Ann" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "Ann" / file).write_text(TEXT)
        (found,) = read_class(folder, course.files, WHOLE.files)
        problem = say_other(found, course, WHOLE)
        other = sheet != graded and set(files) == set(asked.files)
        assert problem.startswith(f"this is sheet {sheet}'s edition") == other


def test_a_damaged_edition_is_noted(tmp_path):
    assert say_damaged(submit(tmp_path, COURSE.files)) == ""
    assert "damaged" in say_damaged(submit(tmp_path, COURSE.files, "{"))
    assert say_damaged(submit(tmp_path, COURSE.files, '{"sheet": 1}')) == ""


def test_an_untouched_file_is_known_whatever_its_line_ends():
    blank = b"def f():\n    raise NotImplementedError\n"
    assert is_untouched(blank.replace(b"\n", b"\r\n") + b"\n", blank)
    assert is_untouched(b"\xef\xbb\xbf" + blank, blank)
    assert not is_untouched(blank.replace(b"raise", b"return"), blank)
    assert not is_untouched(blank.replace(b"    raise", b"\traise"), blank)
