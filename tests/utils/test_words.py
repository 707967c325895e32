"""How things are counted, and what a terminal never gets to see."""

import unicodedata

import pytest

from utils.words import count, escape, make_csv


@pytest.mark.parametrize(
    ("number", "thing", "words"),
    [
        (0, "epoch", "0 epochs"),
        (1, "epoch", "1 epoch"),
        (2, "epoch", "2 epochs"),
        (1, "validation picture", "1 validation picture"),
        (73_030, "character", "73,030 characters"),
        (1, "process", "1 process"),
        (2, "process", "2 processes"),
        (3, "batch", "3 batches"),
        (2, "box", "2 boxes"),
    ],
)
def test_things_are_counted_in_the_singular_and_the_plural(number, thing, words):
    assert count(number, thing) == words


def test_no_control_character_is_sent():
    """Of all of Unicode; line ends, tabs and what joins an emoji stay."""
    shown = escape("".join(map(chr, range(0x110000))))
    found = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert found == {"\n", "\t"}
    assert not {c for c in shown if unicodedata.bidirectional(c) in ("LRO", "RLO", "LRI", "RLE")}
    assert escape("a\rb\x1b[2J\x07\x9b\u202e\n\tend") == r"a\rb\x1b[2J\x07\x9b\u202e" + "\n\tend"
    for text in ("plain é 道可道", "👩\u200d🚀", r"a \ stays"):
        assert escape(text) == text


def test_a_table_has_a_line_for_each_row():
    assert make_csv([{"a": 1, "b": 0.5}, {"a": 2, "b": 1e-9}]) == "a,b\n1,0.5\n2,1e-09\n"
