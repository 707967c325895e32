"""The protocol of a training: where its passages are, and how they are shown."""

import pytest

from utils.errors import UserError
from utils.text.protocol import make_visible, space_evenly


def test_places_are_evenly_spaced_and_fit():
    assert space_evenly(100, 1, 20) == [40]
    assert space_evenly(100, 3, 20) == [20, 40, 60]
    with pytest.raises(UserError, match="fewer"):
        space_evenly(10, 1, 11)
    assert make_visible("a\nb\r\nc\td\x07") == "a↵b↵c\\td\\x07"
