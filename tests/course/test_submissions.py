"""What is read of a submission, and what the pages make of a student's name and of errors."""

import csv

import pytest

from benchmarks.trust.attacks import SLOW_ODD
from benchmarks.trust.odd_submissions import FILE, ODD
from course.exercises import read_course
from course.grading import Graded, Report
from course.judging import CRASHED, NAMED, RIGHT
from course.pages import write_pages
from course.submissions import read_class
from utils.errors import UserError

TEXT = "def step():\n    return 1\n"
COURSE = read_course().sheet(1)
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
