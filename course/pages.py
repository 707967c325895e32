"""What the teacher gets: grades.csv, a page for every student, and one for the class."""

import csv
import io
import re
import statistics
import string
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from course.exercises import Course, Exercise
from course.grading import Graded, Measured, Report
from course.judging import NAMED, NOT_DONE, RIGHT, UNKNOWN
from course.measures import MEASURES
from utils.files import write_whole
from utils.words import count

PLAIN = {NAMED: "wrong", UNKNOWN: "wrong, in a way that we have no name for"}

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
  td.number { white-space: nowrap; } td p { margin: .2rem 0; }
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
    measured = [f"{kind} {n}" for kind in course.kinds for n in ("run", *name_numbers(kind))]
    writer.writerow(["student", "points", "of", *each, *measured, "notes"])
    most = sum(exercise.points for exercise in course.exercises)
    for report in reports:
        cells = [cell for one in report.graded for cell in (one.points, say(one))]
        for kind in course.kinds:
            best, numbers = choose_best(report.measured, kind), MEASURES[kind]
            cells += [best.run, *show_numbers(best)] if best else [""] * (1 + len(numbers))
        problems = [f"{one.run}: {one.problem}" for one in report.measured if one.problem]
        row = [report.student, report.points, most, *cells, "; ".join([*report.notes, *problems])]
        writer.writerow([protect(cell) for cell in row])
    return text.getvalue()


def name_numbers(kind: str) -> list[str]:
    return [number.name for number in MEASURES[kind]]


def show_numbers(measured: Measured) -> list[str]:
    return [n.show(measured.numbers[n.name]) for n in MEASURES[measured.kind]]


def choose_best(measured: Sequence[Measured], kind: str) -> Measured | None:
    """Chooses of a student's checkpoints of a kind the best by its first number; None: no one."""
    first = MEASURES[kind][0]
    sign = 1 if first.less_is_better else -1
    of_kind = [one for one in measured if one.kind == kind and one.numbers]
    return min(of_kind, key=lambda one: sign * one.numbers[first.name], default=None)


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
            found = escape(PLAIN.get(one.kind, one.kind))
            found += f": <code>{escape(name)}</code> <small>in {escape(file)}</small>" * bool(name)
            found += "<br>"
            found += f"<p>{escape(one.sentence)}</p>" if one.sentence else ""
            found += f"<small>To read: {escape(exercise.read)}</small>"
        points = f"{one.points} of {exercise.points}"
        rows.append(f'<tr><td>{show_title(exercise)}<td class="number">{points}<td>{found}')
    most = sum(exercise.points for exercise in course.exercises)
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    body = (
        f"<p>{escape(name_sheet(course))}</p><p><strong>{report.points} of {most} points</strong>"
    )
    parts = [body, notes, *rows, "</table>", *write_measured(report.measured)]
    return PAGE.substitute(title=escape(report.student), body="\n".join(parts))


def write_measured(measured: Sequence[Measured]) -> list[str]:
    """Writes what a student's checkpoints are measured to be; nothing where there are none."""
    rows = ["<h2>Checkpoints</h2>", "<table><tr><th>run<th>kind<th>what we measured"]
    for one in measured:
        found = f"<small>{escape(one.problem)}</small>"
        if one.numbers:
            pairs = zip(name_numbers(one.kind), show_numbers(one), strict=True)
            found = "<br>".join(f"{name} <strong>{value}</strong>" for name, value in pairs)
        rows.append(f"<tr><td>{escape(one.run)}<td>{escape(one.kind)}<td>{found}")
    return [*rows, "</table>"] if measured else []


def write_class(course: Course, reports: Sequence[Report]) -> str:
    """Writes how the class did: each exercise, and which mistake was made how often."""
    most = sum(exercise.points for exercise in course.exercises)
    mean = sum(report.points for report in reports) / len(reports)
    rows = [f"<p>{count(len(reports), 'submission')}, {mean:.1f} of {most} points on average</p>"]
    rows.append("<table><tr><th>exercise<th>right<th>not done<th>mean points")
    for index, exercise in enumerate(course.exercises):
        graded = [report.graded[index] for report in reports]
        right, empty = (sum(g.kind == kind for g in graded) for kind in (RIGHT, NOT_DONE))
        mean = sum(one.points for one in graded) / len(graded)
        rows.append(
            f'<tr><td>{show_title(exercise)}<td class="number">{right}<td class="number">{empty}'
            f'<td class="number">{mean:.1f} of {exercise.points}'
        )
    wrong = [g for r in reports for g in r.graded if g.kind not in (RIGHT, NOT_DONE)]
    made = Counter((g.function, g.kind, said(g)) for g in wrong)
    head = "</table><h2>Mistakes</h2><table><tr><th>how often<th>mistake<th>function"
    rows += [head] if made else []
    for (function, kind, sentence), times in made.most_common():
        what = sentence if kind == NAMED else PLAIN.get(kind, kind)
        rows.append(
            f'<tr><td class="number">{times}<td>{escape(what)}<td>{show_function(function)}'
        )
    body = "\n".join([*rows, "</table>", *write_best(course, reports), *write_notes(reports)])
    return PAGE.substitute(title=escape(name_sheet(course)), body=body)


def write_best(course: Course, reports: Sequence[Report]) -> list[str]:
    """Writes how each student's best checkpoint of a kind did; nothing where there are none."""
    rows = []
    for kind in course.kinds:
        found = [one for one in (choose_best(r.measured, kind) for r in reports) if one]
        for number in MEASURES[kind] if found else ():
            values = [one.numbers[number.name] for one in found]
            best = (min if number.less_is_better else max)(values)
            cells = (len(found), number.show(best), number.show(statistics.median(values)))
            numbers = "".join(f'<td class="number">{cell}' for cell in cells)
            rows.append(f"<tr><td>{escape(kind)}<br><small>{number.name}</small>{numbers}")
    head = ["<h2>Checkpoints</h2>", "<p>Of each student the best one of a kind.</p>"]
    head.append("<table><tr><th>measured<th>students<th>best<th>median")
    return [*head, *rows, "</table>"] if rows else []


def write_notes(reports: Sequence[Report]) -> list[str]:
    """Writes what is amiss with submissions as a whole, and whose it is."""
    rows = [
        f"<tr><td>{escape(report.student)}<td>{'<br>'.join(map(escape, report.notes))}"
        for report in reports
        if report.notes
    ]
    head = ["<h2>Notes</h2>", "<table><tr><th>student<th>note"]
    return [*head, *rows, "</table>"] if rows else []


def show_title(exercise: Exercise) -> str:
    return f"{escape(exercise.label)}<br><small>{escape(exercise.title)}</small>"


def show_function(function: str) -> str:
    """Shows a function's name, and its file in small letters below."""
    file, _, name = function.partition(":")
    return f"<code>{escape(name)}</code><br><small>{escape(file)}</small>"


def name_sheet(course: Course) -> str:
    ((number, title),) = course.titles.items()
    return f"Sheet {number}: {title}"


def said(graded: Graded) -> str:
    """Returns the sentence of a mistake that has a name; others differ from one to the next."""
    return graded.sentence if graded.kind == NAMED else ""
