"""What a command says on its two streams, and how it ends when its readers have gone."""

import contextlib
import io
import logging
import subprocess
import sys
import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.every_command import call
from tests.helpers.repository import REPOSITORY
from utils import errors
from utils.errors import LONGEST, Interrupted, UserError, command

SAID = [UserError, lambda text: OSError(5, text, text), lambda text: Interrupted(2, text)]
COMMANDING = ["\x1b[2J", "\r", "\b", "\x9b31m", "\u202e", "\ud800", "\u2028", "\x00", "a\n"]
texts = st.lists(st.text() | st.sampled_from(COMMANDING) | st.just("word " * 99)).map("".join)


def is_safe(text):
    """Whether a terminal would obey nothing in it but line ends and tabs."""
    kinds = {unicodedata.category(char) for char in text if char not in "\n\t"}
    turns = {unicodedata.bidirectional(char) for char in text}
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not turns & {"RLO", "LRO", "RLI", "LRI", "PDF"}


@given(text=texts, error=st.sampled_from(SAID))
def test_whatever_goes_wrong_is_one_plain_line(text, error):
    def main(argv):
        print(text, end="")
        print(text)
        warnings.warn("a library's", UserWarning, stacklevel=1)
        logging.getLogger("a library").warning("its own")
        raise error(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as outside of tests: they are shown, not raised
        outcome = call(command(main), [])
    assert outcome.status in (2, 130)
    assert outcome.err.count("\n") == 1
    for line in (*outcome.out.splitlines(), *outcome.err.splitlines()):
        assert is_safe(line)
        assert len(line) <= LONGEST


def test_a_long_mistake_keeps_its_beginning_and_its_end():
    def main(argv):
        raise UserError(f"the file {'x' * 5000} is missing: give another")

    line = call(command(main), []).err
    assert line.startswith("error: the file xxx")
    assert line.endswith("xxx is missing: give another\n")


def test_a_long_line_is_broken_between_words_and_loses_nothing():
    words = " ".join(f"word{n}" for n in range(500))
    out = call(command(lambda argv: print(words[:90], words[90:], sep="")), []).out
    assert out.replace(" \n", " ") == words + "\n"
    assert max(map(len, out.splitlines())) <= LONGEST


def test_a_warning_is_still_raised_where_that_is_asked_for():
    def main(argv):
        warnings.warn("a library's", UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            command(main)([])


def test_stdout_is_given_back():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        command(lambda argv: print("\r"))([])
        assert sys.stdout is stream
    assert stream.getvalue() == "\\r\n"
    assert not isinstance(sys.stdout, errors.Screen)


def test_a_reader_that_has_gone_is_no_error():
    code = (
        "from utils.errors import command\n"
        "main = command(lambda argv: [print('line', flush=True) for _ in range(100_000)])\n"
        "raise SystemExit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
