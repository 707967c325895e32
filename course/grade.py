"""Grade the submissions of a class.

    python course/grade.py SUBMISSIONS --to GRADES
    python course/grade.py SUBMISSIONS --to GRADES --workers 4

SUBMISSIONS holds a folder or a .zip for each student. GRADES gets grades.csv, a page for every
student in students/, and class.html, which says what was wrong how often. Stopped, the same command
goes on where it was; what was handed in anew since is graded anew. docs/course.md says what this
protects against, and what it does not.
"""

import json
import os
import secrets
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

from tqdm import tqdm

from course.exercises import read_course
from course.grading import Grader, Report, make_digest, make_grader
from course.isolation import can_separate
from course.pages import write_pages
from course.submissions import Submission, read_class
from course.worker import make_context
from utils import files
from utils.command_line import Parser, number
from utils.errors import UserError, command
from utils.files import show, write_whole


def grade_class(
    grader: Grader,
    submissions: list[Submission],
    progress: dict[str, Any],
    file: Path,
    workers: int,
) -> list[Report]:
    """Grades all submissions, several at once; keeps what is done in a file as it goes."""
    reports = {plain["student"]: Report.from_plain(plain) for plain in progress["reports"]}
    waiting = [
        one
        for one in submissions
        if one.student not in reports or reports[one.student].digest != make_digest(one)
    ]
    free = list(range(workers))  # numbers of the workers that are idle

    def grade(submission: Submission) -> Report:
        worker = free.pop()
        try:
            return grader.grade(submission, worker)
        finally:
            free.append(worker)

    with ThreadPoolExecutor(workers) as pool:
        asked = [pool.submit(grade, submission) for submission in waiting]
        try:
            for done in tqdm(as_completed(asked), total=len(asked), unit="student", disable=None):
                report = done.result()
                reports[report.student] = report
                plain = [one.to_plain() for one in reports.values()]
                write_whole(file, json.dumps(progress | {"reports": plain}).encode())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [reports[submission.student] for submission in submissions]


def read_progress(file: Path, sheet: int) -> dict[str, Any]:
    """Reads how far an earlier call came, or begins: a seed that nobody knows."""
    if not file.is_file():
        return {"sheet": sheet, "seed": secrets.randbits(60), "reports": []}
    try:
        progress = json.loads(file.read_text(encoding="utf-8"))
        graded = progress["sheet"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{show(file)} is damaged: delete it to grade all anew") from None
    if graded != sheet:
        raise UserError(f"{show(file.parent)} holds grades of sheet {graded}: take another folder")
    return progress


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="the class's folder")
    parser.add_argument("--to", type=Path, required=True, metavar="GRADES", help="where to write")
    parser.add_argument("--sheet", type=number(int, 1), default=1, help="(default: 1)")
    most = os.cpu_count() or 1
    workers = f"submissions graded at once (default: {most}, one for each core)"
    parser.add_argument("--workers", type=number(int, 1, 64), default=most, help=workers)
    args = parser.parse_args(argv)
    whole = read_course()
    course = whole.sheet(args.sheet)
    submissions = read_class(args.submissions, course.files, whole.files)
    args.to.mkdir(parents=True, exist_ok=True)
    file = args.to / "progress.json"
    progress = read_progress(file, args.sheet)
    write_whole(file, json.dumps(progress).encode())
    hidden = [args.to.resolve(), args.submissions.resolve(), files.ROOT]
    with tempfile.TemporaryDirectory(prefix="course-") as base:
        Path(base).chmod(0o755)
        grader = make_grader(course, Path(base), progress["seed"], make_context(), hidden)
        reports = grade_class(grader, submissions, progress, file, args.workers)
    if not can_separate():
        print(
            "note: this system lets no process be shut in, so students' code can read files, and "
            "start others: docs/course.md says what to do about it"
        )
    written = write_pages(args.to, course, reports)
    print(f"graded {len(reports)} submissions; wrote", ", ".join(show(file) for file in written))


if __name__ == "__main__":
    raise SystemExit(main())
