"""A text of one's own in a model's alphabet: as a prompt, or to be scored.

Preparation lower-cases a text unless it is kept raw, and printed books have quotation marks and
dashes that no keyboard has. So what is typed is put as the alphabet has it, where that is clear.
"""

import re
import unicodedata
from collections import Counter

from utils.text.data import describe_unknown

DOUBLE = ("“", "”", "„", "‟", "«", "»", '"')
SINGLE = ("‘", "’", "‚", "‛", "′", "`", "'")
DASHES = ("–", "—", "−", "‒", "―", "‐", "‑", "-")
KEYS = (("\r\n", "\n"), ("\r", "\n"), (r"\n", "\n"), (r"\t", "\t"))  # line ends, and a way to type


def is_lowered(alphabet: list[str]) -> bool:
    """Tells whether a text of this alphabet was lower-cased: it has small letters, no capitals."""
    return any(char.islower() for char in alphabet) and all(c == c.lower() for c in alphabet)


def list_alternatives(char: str, before: str) -> tuple[str, ...]:
    """Lists what may stand for a character after another ("" at the start), best first."""
    opens = before == "" or before.isspace() or before in "([“‘«–—-"
    if char in DOUBLE:
        return ("“", "«", "„", '"', "”") if opens else ("”", "»", '"', "“")
    if char in SINGLE:
        opens = opens and char != "’"  # which an apostrophe is as well
        return ("‘", "'", "’") if opens else ("’", "'", "‘")
    if char in DASHES:
        return DASHES if char != "-" else ("‐", "‑", "–", "—", "−")
    if char == "…":
        return ("...",)
    if char.isspace():
        return (" ", "\n")
    return ("",) if char == "\ufeff" else ()


def fit_text(text: str, alphabet: list[str]) -> tuple[str, list[str]]:
    """Puts a text in an alphabet as preparation does, where a character is not in it.

    Returns the text, and what was changed, in words. What nothing stands for is left in.
    """
    known, notes = set(alphabet), []
    if not set(text) <= known and is_lowered(alphabet) and text != text.lower():
        text = text.lower()
        notes.append("lower-cased")
    for typed, meant in KEYS:
        if typed in text and not set(typed) <= known and meant in known:
            text = text.replace(typed, meant)
            notes.append(f"{typed!r} taken as {meant!r}".replace("\\\\", "\\"))
    became: dict[tuple[str, str], None] = {}

    def stand_in(match: re.Match[str]) -> str:
        char, before = match[0], text[max(0, match.start() - 1) : match.start()]
        composed = unicodedata.normalize("NFC", char)
        for other in (composed, *list_alternatives(char, before)):
            if set(other) <= known:
                became[char, other] = None
                return other
        return char

    if others := set(text) - known:
        text = re.sub(f"[{re.escape(''.join(sorted(others)))}]", stand_in, text)
    notes += [f"{char!r} taken as {other!r}" for char, other in became]
    return text, notes


def leave_out(text: str, alphabet: list[str]) -> tuple[str, list[str]]:
    """Leaves out the characters that an alphabet lacks; returns the text, and a note of them."""
    unknown = Counter(text)
    for char in alphabet:
        unknown.pop(char, None)
    if not unknown:
        return text, []
    kept = text.translate({ord(char): None for char in unknown})
    return kept, [f"{unknown.total():,} left out, {describe_unknown(unknown)}"]
