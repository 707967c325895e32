"""The grader under attack: benchmarks/trust/attacks.py has more of them, and those that last."""

import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.trust import attacks
from benchmarks.trust.odd_runs import SUBMISSIONS
from benchmarks.trust.odd_submissions import ODD
from course import isolation

# One of each way: what Python runs by itself, leaving, forging an answer, patching the judge,
# memory, processes that stay, reading, writing, and results that are none.
CHOSEN = (
    *("conftest", "shadowing", "os-exit-at-import", "base-exception", "long-error"),
    *("patched-comparison", "sys-modules", "answer-from-the-frame", "all-descriptors"),
    *("named-arrays-from-the-frame", "fork-bomb", "daemon", "big-list", "full-disk", "seeds"),
    *("reads-the-solution", "reads-a-neighbour", "writes-the-grade", "kills", "network"),
    *("half-a-character", "half-a-character-in-a-verdict", "parents-memory"),
    *("limits", "not-a-number", "pickles", "segmentation-fault"),
)

WITH_CHECKPOINTS = ("checkpoint code", "checkpoint link", "checkpoint pipe", "names of no text")
WITH_CHECKPOINTS += ("edition of sheet 2", "edition of long ago")


@pytest.fixture
def work():
    """Gives a folder with a short name: a socket's address in it has 107 characters at most."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(
    sys.platform != "linux", reason="what is held off differs from system to system"
)
def test_no_point_is_forged_and_the_class_goes_on(work):
    chosen = [attack for attack in attacks.read_attacks() if attack.name in CHOSEN]
    assert len(chosen) == len(CHOSEN)
    if not isolation.can_separate():
        chosen = [attack for attack in chosen if not attack.needs_namespaces]
    odd = [one for one in ODD if one.name not in attacks.SLOW_ODD]
    odd += [one for one in SUBMISSIONS if one.name in WITH_CHECKPOINTS]
    outcome = attacks.grade(work, chosen, odd, workers=2)
    assert outcome.failures == []
    assert len(outcome.rows) == len(chosen) + len(odd) + 3


def test_there_are_enough_attacks():
    assert len(attacks.read_attacks()) + len(ODD) + len(SUBMISSIONS) >= 120
