"""What is typed is put as a model's alphabet has it, and only where it is not in it already."""

import pytest

from utils.errors import UserError
from utils.text.fitting import fit_text, is_lowered, leave_out
from utils.text.testing import read_typed

PRINTED = [*"\n abcdefghijklmnopqrstuvwxyz.,?", "–", "‘", "’", "“", "”"]
TYPED = [*"\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,?-'\""]


@pytest.mark.parametrize(
    ("alphabet", "text", "expected", "said"),
    [
        (PRINTED, "he said", "he said", []),
        (PRINTED, "He said", "he said", ["lower-cased"]),
        (PRINTED, '"Yes," he said', "“yes,” he said", ["lower-cased", "'\"' taken as '“'"]),
        (PRINTED, "it's 'now'", "it’s ‘now’", ['"\'" taken as']),
        (PRINTED, "now - or well-known", "now – or well–known", ["'-' taken as '–'"]),
        (PRINTED, "one\r\ntwo\rthree", "one\ntwo\nthree", [r"'\r\n' taken as '\n'"]),
        (PRINTED, r"one\ntwo", "one\ntwo", [r"'\n' taken as '\n'"]),
        (PRINTED, "\ufeffone\u00a0two\tthree…", "one two three...", ["'\\xa0' taken as ' '"]),
        (TYPED, "“You’re late,” – she", '"You\'re late," - she', ["'“' taken as '\"'"]),
        (TYPED, "«Oui» — SHE", '"Oui" - SHE', ["'«' taken as"]),
        (TYPED, "It’s", "It's", ["'’' taken as"]),
        ([*"αaσς "], "ΑΣ aΣ", "ας aς", ["lower-cased"]),
    ],
)
def test_what_is_typed_is_put_as_the_alphabet_has_it(alphabet, text, expected, said):
    fitted, notes = fit_text(text, alphabet)
    assert fitted == expected
    for words in said:
        assert any(words in note for note in notes), notes
    assert bool(notes) == (fitted != text)


def test_what_is_in_the_alphabet_stays_as_it_is():
    both = [*PRINTED, '"', "'", "-", "\r", "\\"]
    text = '"it\'s" “it’s” - –\r\n\\n'
    assert fit_text(text, both) == (text, [])
    assert fit_text("He", [*PRINTED, "T"])[0] == "He", "this text was not lower-cased"
    assert not is_lowered([*"123"])
    assert is_lowered([*"道a"])


def test_what_is_still_unknown_is_named_as_it_was_typed():
    with pytest.raises(UserError, match="not in this model's alphabet: '5' 'É' \\(it knows"):
        read_typed("prompt", "He said É5É", PRINTED)
    kept, notes = leave_out("a5b55É", PRINTED)
    assert kept == "ab"
    assert notes == ["4 left out, not in this model's alphabet: '5' 'É'"]
    assert leave_out("ab", PRINTED) == ("ab", [])
