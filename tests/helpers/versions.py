"""Versions of the exercises that were written apart from the bank: what does the judge say of them?

Those in tests/course/apart/right_*.toml are correct in other words, those in wrong_*.toml are wrong
in ways of their own: combinations and relatives of common mistakes, and rare slips.
"""

import ast
import contextlib
import io
import textwrap
import tomllib
import warnings
from functools import cache

from course import blanks
from course.attempt import attempt
from course.bank import Mistake, draw_known, loaded, read_mistakes
from course.judging import Known, Verdict, judge
from course.probes.probe import ask, find_probes
from tests.helpers.repository import REPOSITORY

APART = REPOSITORY / "tests" / "course" / "apart"
PROBES, MISTAKES = find_probes(), read_mistakes()
STORED, FRESH = 0, [2**40 + 7, 3]  # seeds: of what an edition stores, and as a grader draws them


def read_cases(kind: str) -> list[dict]:
    """Reads the right or the wrong versions of all exercises."""
    files = sorted(APART.glob(f"{kind}_*.toml"))
    return [
        case for file in files for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    ]


WRONG, CORRECT = read_cases("wrong"), read_cases("right")


def write_version(case: dict) -> str:
    """Returns the text of the solution's file with a version in the place of its function."""
    file, _, name = case["function"].partition(":")
    source = (REPOSITORY / file).read_text(encoding="utf-8")
    if "old" in case:
        return blanks.change(source, name, case["old"], case["new"])
    lines, node = source.splitlines(keepends=True), blanks.find(source, name)
    first, end = blanks.find_body(source, name)
    body = textwrap.indent(case["body"].lstrip("\n"), " " * (node.col_offset))
    lines[first:end] = [body]
    outer = name.partition(".")[0]  # what stands beside it stands above it, or above its class
    top = next(n for n in ast.parse(source).body if getattr(n, "name", "") == outer)
    above = min([top.lineno, *(decorator.lineno for decorator in top.decorator_list)]) - 1
    lines[above:above] = [case.get("beside", "").lstrip("\n")]
    return "".join(lines)


@cache
def know(function: str, seed: int | tuple) -> Known:
    return draw_known(PROBES[function], list(seed) if isinstance(seed, tuple) else seed, MISTAKES)


def ask_judge(case: dict, seed: int | tuple) -> Verdict:
    """Asks a version as a student's function is asked, and judges what it gives."""
    probe, known = PROBES[case["function"]], know(case["function"], seed)
    file = case["function"].partition(":")[0]
    warnings.simplefilter("ignore")  # as check.py does; pytest puts it back
    with contextlib.redirect_stdout(io.StringIO()), loaded(file, write_version(case)):
        found = attempt(probe, known.inputs, REPOSITORY)
    return found if isinstance(found, Verdict) else judge(probe, found, known)


def judge_mistakes(function: str, seed: int | tuple) -> list[tuple[Mistake, Verdict]]:
    """Asks every mistake of a function as a student's version: what is each taken for?"""
    probe, known, file = PROBES[function], know(function, seed), function.partition(":")[0]
    found = []
    for mistake in (one for one in MISTAKES if one.function == function):
        with loaded(file, mistake.apply()) as module:
            found.append((mistake, judge(probe, ask(probe, module, known.inputs), known)))
    return found


def name_case(case: dict) -> str:
    function = case["function"].rpartition(":")[2]
    return f"{case['exercise']} {function}: {case['sentence']}"
