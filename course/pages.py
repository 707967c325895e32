"""What the teacher gets: grades.csv, a page for every student, and one for the class."""

import csv
import io
import re
import string
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from course.exercises import Course
from course.grading import Graded, Report
from course.judging import NAMED, RIGHT
from utils.files import write_whole

PAGE = string.Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
         color: #222; background: #fff; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0;
           border-bottom: 1px solid #ddd; }
  td.points { white-space: nowrap; }
  .right { color: #16703c; }
  small { color: #666; }
  @media (prefers-color-scheme: dark) {
    body { color: #ddd; background: #181818; } th, td { border-color: #444; }
    .right { color: #6cc491; } small { color: #999; }
  }
</style>
<h1>$title</h1>
$body
</html>
""")


def write_pages(folder: Path, course: Course, reports: Sequence[Report]) -> list[Path]:
    """Writes grades.csv, class.html and students/<name>.html; returns the first two."""
    names = choose_names([report.student for report in reports])
    for report in reports:
        page = write_student(course, report)
        write_whole(folder / "students" / f"{names[report.student]}.html", page.encode())
    table = write_whole(folder / "grades.csv", write_grades(course, reports).encode("utf-8-sig"))
    return [table, write_whole(folder / "class.html", write_class(course, reports).encode())]


def choose_names(students: Sequence[str]) -> dict[str, str]:
    """Chooses a file's name for every student: letters and digits, each one once."""
    names: dict[str, str] = {}
    for student in students:
        plain = re.sub(r"[^\w-]+", "_", student)[:60].strip("_") or "student"
        taken = {name.lower() for name in names.values()}
        number = next(n for n in range(1, len(students) + 2) if number_name(plain, n) not in taken)
        names[student] = plain if number == 1 else f"{plain}_{number}"
    return names


def number_name(plain: str, number: int) -> str:
    return (plain if number == 1 else f"{plain}_{number}").lower()


def write_grades(course: Course, reports: Sequence[Report]) -> str:
    """Writes a row for every student: points, and for each exercise points and verdict."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    each = [f"{e.id} {what}" for e in course.exercises for what in ("points", "verdict")]
    writer.writerow(["student", "points", "of", *each, "notes"])
    most = sum(exercise.points for exercise in course.exercises)
    for report in reports:
        cells = [cell for one in report.graded for cell in (one.points, say(one))]
        row = [report.student, report.points, most, *cells, "; ".join(report.notes)]
        writer.writerow([protect(cell) for cell in row])
    return text.getvalue()


def protect(cell: object) -> object:
    """Keeps a spreadsheet from taking a text for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell


def say(graded: Graded) -> str:
    """Says a verdict in a line."""
    where = graded.function.partition(":")[2]
    return ": ".join(part for part in (graded.kind, where, graded.sentence) if part)


def write_student(course: Course, report: Report) -> str:
    """Writes what was wrong, how many points there are, and where to read."""
    rows = ["<table><tr><th>exercise<th>points<th>what we found"]
    for exercise, one in zip(course.exercises, report.graded, strict=True):
        if one.kind == RIGHT:
            found = '<span class="right">right</span>'
        else:
            file, _, name = one.function.partition(":")
            found = (
                f"{escape(one.kind)}: <code>{escape(name)}</code> in <code>{escape(file)}</code>"
            )
            found += f"<br>{escape(one.sentence)}" if one.sentence else ""
            found += f"<br><small>To read: {escape(exercise.read)}</small>"
        title = f"{escape(exercise.label)}<br><small>{escape(exercise.title)}</small>"
        points = f"{one.points} of {exercise.points}"
        rows.append(f'<tr><td>{title}<td class="points">{points}<td>{found}')
    most = sum(exercise.points for exercise in course.exercises)
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    body = f"<p><strong>{report.points} of {most} points</strong></p>{notes}"
    return PAGE.substitute(title=escape(report.student), body=body + "\n".join(rows) + "</table>")


def write_class(course: Course, reports: Sequence[Report]) -> str:
    """Writes how the class did: each exercise, and which mistake was made how often."""
    rows = ["<table><tr><th>exercise<th>right<th>mean points"]
    for index, exercise in enumerate(course.exercises):
        graded = [report.graded[index] for report in reports]
        right = sum(one.kind == RIGHT for one in graded)
        mean = sum(one.points for one in graded) / len(graded)
        rows.append(
            f"<tr><td>{escape(exercise.label)} {escape(exercise.title)}"
            f"<td>{right} of {len(graded)}<td>{mean:.1f} of {exercise.points}"
        )
    made = Counter((g.function, g.kind, said(g)) for r in reports for g in r.graded if g.function)
    mistakes = ["<h2>Mistakes</h2><table><tr><th>how often<th>function<th>mistake"]
    for (function, kind, sentence), count in made.most_common():
        what = sentence if kind == NAMED else f"{kind}: {sentence}" if sentence else kind
        mistakes.append(f"<tr><td>{count}<td><code>{escape(function)}</code><td>{escape(what)}")
    ((number, title),) = course.titles.items()
    body = "\n".join([*rows, "</table>", *mistakes, "</table>"])
    return PAGE.substitute(title=escape(f"Sheet {number}: {title}"), body=body)


def said(graded: Graded) -> str:
    """Returns the sentence of a mistake that has a name; others differ from one to the next."""
    return graded.sentence if graded.kind == NAMED else ""
