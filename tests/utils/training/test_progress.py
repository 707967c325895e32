"""The learning rate of every step."""

import math

import pytest

from utils.training.progress import warmup_cosine


def test_schedule_is_the_table():
    shares = [warmup_cosine(step, warmup=2, total=6, final=0.0) for step in range(1, 7)]
    assert shares == pytest.approx(
        [0.5, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]
    )
    assert warmup_cosine(6, warmup=2, total=6, final=0.1) == pytest.approx(0.1)
    assert warmup_cosine(4, warmup=2, total=6, final=0.1) == pytest.approx(0.55)
    assert warmup_cosine(2, warmup=2, total=6, final=0.1) == 1
    assert warmup_cosine(1, warmup=0, total=1, final=0.0) == 0
    assert warmup_cosine(5, warmup=5, total=5, final=0.0) == 1
