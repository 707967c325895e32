"""Versions that were written apart from the bank of mistakes: what does the judge say of them?

    pytest tests/course/test_apart.py

Those in apart/right_*.toml are correct in other words, those in apart/wrong_*.toml are wrong in
ways of their own: combinations and relatives of common mistakes, and rare slips. None of the first
may be called wrong. None of the second may be called right, nor by a name that is not true of it:
the names that are, `true_names`, were found true by reading.
"""

import ast
import contextlib
import io
import textwrap
import tomllib
import warnings
from functools import cache
from pathlib import Path

import pytest

from course import blanks
from course.attempt import attempt
from course.bank import draw_known, loaded, read_mistakes
from course.exercises import read_course
from course.judging import CRASHED, NAMED, RIGHT, UNKNOWN, Known, Verdict, judge
from course.probes.probe import find_probes
from tests.helpers.repository import REPOSITORY

APART = Path(__file__).with_name("apart")
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


def name_case(case: dict) -> str:
    function = case["function"].rpartition(":")[2]
    return f"{case['exercise']} {function}: {case['sentence']}"


seeds = pytest.mark.parametrize("seed", [STORED, tuple(FRESH)], ids=["stored", "fresh"])


@seeds
@pytest.mark.parametrize("case", CORRECT, ids=name_case)
def test_a_correct_version_is_right(case, seed):
    verdict = ask_judge(case, seed)
    assert verdict.kind == RIGHT, verdict


@seeds
@pytest.mark.parametrize("case", WRONG, ids=name_case)
def test_a_wrong_version_is_wrong_and_has_no_wrong_name(case, seed):
    verdict = ask_judge(case, seed)
    assert verdict.kind in (NAMED, UNKNOWN, CRASHED), verdict
    if verdict.kind == NAMED:
        assert verdict.sentence in case.get("true_names", ())


def test_every_blank_has_versions_and_there_are_enough():
    known = {blank.function for exercise in read_course().exercises for blank in exercise.blanks}
    for cases, least in ((WRONG, 40), (CORRECT, 100)):
        assert {case["function"] for case in cases} == known
        assert len({name_case(case) for case in cases}) == len(cases) >= least


def test_a_true_name_is_one_of_the_bank():
    sentences = {mistake.sentence for mistake in MISTAKES}
    assert {name for case in WRONG for name in case.get("true_names", ())} <= sentences
