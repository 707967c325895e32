"""Tells which edition a submission is of: another sheet's, another version's, an untouched one."""

import json

from course.exercises import Course, read_version
from course.submissions import EDITION, Submission


def say_other(submission: Submission, course: Course, whole: Course) -> str:
    """Says of which other edition a submission is; "" where it may be graded.

    Other sheets' editions hold solutions of this one, and other versions' functions may be called
    in another way: so neither is graded. `course` is the sheet that is, `whole` has all sheets.
    """
    (number,) = course.titles
    sheet, version = read_edition(submission.edition)
    if sheet is None:
        sheet = guess_sheet(submission.seen, number, whole)
    if sheet is not None and sheet != number:
        named = f" ({whole.titles[sheet]})" if sheet in whole.titles else ""
        return f"this is sheet {sheet}'s edition{named}; you grade sheet {number}"
    if version is not None and version != read_version():
        return (
            f"this is an edition of version {version}; you grade by version {read_version()}: "
            f"grade it by the version that it was made with"
        )
    return ""


def read_edition(content: bytes | None) -> tuple[int | None, str | None]:
    """Reads sheet and version of an edition.json, as far as there are such."""
    try:
        edition = json.loads(content or b"{}")
        sheet, version = edition.get("sheet"), edition.get("version")
    except (ValueError, AttributeError, RecursionError):
        return None, None
    sheet = sheet if type(sheet) is int and 0 < sheet < 1000 else None
    version = version if type(version) is str and 0 < len(version) < 40 else None
    return sheet, version if version is not None and version.isprintable() else None


def guess_sheet(seen: frozenset[str], number: int, whole: Course) -> int | None:
    """Guesses a sheet from the exercises' files that there are; None where it may be this one.

    It is another one if there are files that it alone asks for, of this one there are none.
    """
    asked = {
        sheet: {blank.file for e in whole.sheet(sheet).exercises for blank in e.blanks}
        for sheet in whole.titles
    }
    for sheet, files in asked.items():
        if seen & (files - asked[number]) and not seen & (asked[number] - files):
            return sheet
    return None


def is_untouched(content: bytes, blank: bytes) -> bool:
    """Tells whether a file is as it was handed out, but for line ends and spaces behind lines."""
    return tidy(content) == tidy(blank)


def tidy(content: bytes) -> list[bytes]:
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    return [line.rstrip() for line in lines if line.strip()]


def say_damaged(submission: Submission) -> str:
    """Says that an edition.json is none; "" where it is one, or there is none."""
    if submission.edition is None or read_edition(submission.edition) != (None, None):
        return ""
    return f"its {EDITION} is damaged"
