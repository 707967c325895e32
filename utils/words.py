"""How numbers, texts and tables are written: counted in good grammar, nothing a terminal obeys.

count(1, "picture")             1 picture
count(73_030, "character")      73,030 characters
escape("a\\rb\\x1b[2J\\n")         a\\rb\\x1b[2J and a line end
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

# Controls, line separators, what turns the direction of writing (Unicode's Cc, Zl, Zp, bidi), and
# lone surrogates: a file's name holds them in place of bytes that are no text.
COMMANDING = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x061C, 0x200E, 0x200F]
COMMANDING += [*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)]
ESCAPES = {code: repr(chr(code))[1:-1] for code in COMMANDING if chr(code) not in "\n\t"}


def count(number: int, thing: str) -> str:
    """Counts things by their name in the singular; commas set thousands apart."""
    plural = thing + ("es" if thing.endswith(("s", "x", "sh", "tch")) else "s")
    return f"{number:,} {thing if number == 1 else plural}"


def escape(text: str) -> str:
    """Makes visible, as Python writes it, what a terminal would obey; line ends and tabs stay.

    A carriage return overwrites the line, an escape sequence can do anything to the terminal. Text
    from a model, a file or a name goes through here on its way there.
    """
    return text.translate(ESCAPES)


def make_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Turns rows of the same columns into the text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
