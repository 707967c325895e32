"""The bank of mistakes: each has a name of its own, on any inputs."""

import itertools

import pytest

from course.exercises import read_course
from course.judging import APART, NAMED, distance
from tests.helpers.versions import MISTAKES, PROBES, judge_mistakes, know


@pytest.mark.parametrize("seed", [0, 2**41 + 5], ids=["stored", "fresh"])
@pytest.mark.parametrize("function", sorted(PROBES))
def test_a_mistake_is_named_rightly(function, seed):
    for mistake, verdict in judge_mistakes(function, seed):
        assert (verdict.kind, verdict.sentence) == (NAMED, mistake.sentence)
    known = know(function, seed)
    for sentence, outputs in known.mistakes:
        assert min(distance(outputs, right) for right in known.right) > APART, sentence
    for (one, found), (other, more) in itertools.combinations(known.mistakes, 2):
        assert one == other or distance(found, more) > APART, (one, other)


def test_every_blank_has_mistakes_and_there_are_enough():
    blanks = {blank.function for exercise in read_course().exercises for blank in exercise.blanks}
    assert {mistake.function for mistake in MISTAKES} == blanks == set(PROBES)
    assert len({(one.function, one.sentence) for one in MISTAKES}) == len(MISTAKES) >= 60
