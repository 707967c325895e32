"""Versions that were written apart from the bank of mistakes: what does the judge say of them?

    pytest tests/course/test_apart.py

None of the correct ones may be called wrong. None of the wrong ones may be called right, nor by a
name that is not true of it: the names that are, `true_names`, were found true by reading.
"""

import pytest

from course.exercises import read_course
from course.judging import CRASHED, NAMED, RIGHT, UNKNOWN
from tests.helpers.versions import (
    CORRECT,
    FRESH,
    MISTAKES,
    STORED,
    WRONG,
    ask_judge,
    name_case,
)

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
