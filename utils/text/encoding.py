"""Text files in any encoding: decoded in blocks of whole lines, or the likely encoding named."""

import argparse
import codecs
import io
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, AnyStr, BinaryIO

from utils.errors import UserError
from utils.files import open_plain

SAMPLE = 2**16  # bytes that a guess looks at
# What texts come in. Fewer to choose from make fewer mistakes: each fits some text of the others.
LIKELY = ["utf_8", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "cp1252", "cp1250", "iso8859_2"]
LIKELY += ["cp1251", "koi8_r", "cp866", "cp1253", "cp1254"]
LIKELY += ["shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"]
# Letters beyond ASCII, the commonest first, of the languages written in an encoding.
EASTERN = ("łąęóżśćńź", "íáéěřčšžýůúťďňó", "áíéúčýľšžťôóďňäŕĺ", "áéöóőíüúű", "ăîâşţ", "čšžćđ")
LETTERS = {
    "cp1252": (
        *("éàèêçôûîùâœëï", "üäößé", "óíáñéúü", "ãçéáóíêõâúà", "èàùòìé", "àéèíòóçúïü"),
        *("äöåé", "åæøéäö", "íáðöþéúóæý", "éëïüó"),
    ),
    "cp1250": EASTERN,
    "iso8859_2": EASTERN,
    "cp1254": ("ıüşöçğâ",),
}
MARKS = "“”„‘’‚«»‹›–—…•°§¿¡ \N{SOFT HYPHEN}"  # which tell nothing of the language
RARE = 1e-4  # how likely any other character is
PRIOR = 2.0  # nats by which cp1252, which most texts have, is likelier before one looks


def encoding(name: str) -> str:
    """Parses an argparse value: the name of an encoding that Python can decode text by."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name).read()
    except (LookupError, ValueError):  # a name of none, of one that is not for text, or no name
        raise argparse.ArgumentTypeError(
            f"{name!r:.40} is no encoding: give utf-8, latin-1, cp1252, utf-16, shift-jis, ..."
        ) from None
    return name


def decode_file(file: Path, name: str, size: int) -> Iterator[str]:
    """Yields a file's text in blocks of about `size` bytes: whole lines, their ends as they are.

    UserError where there is no such file, or no text in that encoding in it.
    """
    try:
        with open_plain(file) as content:
            if codecs.lookup(name).name != "utf-8" and is_utf8(content):
                print(
                    f"note: {file} is UTF-8 text, other characters in {name}: leave --encoding out"
                )
            try:
                for block in _decode(content, name, size):
                    if "\0" in block:
                        raise UnicodeError("contains NUL characters")
                    yield block
            except UnicodeError as problem:
                raise UserError(_describe_misfit(file, content, name, problem)) from None
    except FileNotFoundError:
        raise UserError(f"no such file: {file}: give a text file") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a folder: give one text file") from None


def is_utf8(content: BinaryIO) -> bool:
    """Tells whether the start of a file has letters beyond ASCII, and has them in UTF-8.

    In another encoding hardly any text is that by chance.
    """
    sample = content.read(SAMPLE)
    content.seek(0)
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return not sample.isascii() and "\0" not in text


def _decode(content: BinaryIO, name: str, size: int) -> Iterator[str]:
    """Decodes as `decode_file`. UnicodeError; of UTF-8, with the place in the file."""
    if codecs.lookup(name).name != "utf-8":
        text = io.TextIOWrapper(content, encoding=name, newline="")
        try:
            while lines := "".join(_read_lines(text, size)):
                lines.encode("utf-8")  # some decoders let half a surrogate pair through
                yield lines
        finally:
            text.detach()  # or it would close the file
        return
    place = 0
    while encoded := b"".join(_read_lines(content, size)):
        try:
            yield encoded.decode("utf-8")
        except UnicodeDecodeError as problem:
            problem.start += place
            raise
        place += len(encoded)


def _read_lines(content: IO[AnyStr], size: int) -> Iterator[AnyStr]:
    """Yields `size` bytes or characters and the rest of their line; no more where NUL is in it.

    A file of 10 GB that is empty but for its size would otherwise be read as one line.
    """
    part = content.read(size)
    yield part
    while len(part) == size and ("\0" if isinstance(part, str) else b"\0") not in part:
        part = content.readline(size)
        yield part


def _describe_misfit(file: Path, content: BinaryIO, name: str, problem: UnicodeError) -> str:
    """Says what a file is not, and what it probably is."""
    is_utf8 = codecs.lookup(name).name == "utf-8"
    place = problem.start if is_utf8 and isinstance(problem, UnicodeDecodeError) else None
    likely = guess_encoding(content, place or 0)
    if "NUL" in str(problem) and not _is_wide(content):
        return f"{file} contains NUL characters: it is no text file"
    byte = "" if place is None else f" (byte {place})"
    way_out = f"it may be {likely}: --encoding {likely}" if likely else "convert it to UTF-8"
    return f"{file} is not {'UTF-8' if is_utf8 else name} text{byte}: {way_out}"


def _is_wide(content: BinaryIO) -> bool:
    """Tells whether a file's NULs are halves of characters of two bytes: one in twenty, in step."""
    content.seek(0)
    sample = content.read(SAMPLE)
    halves = [sample[start::2].count(0) for start in (0, 1)]
    return max(halves) > max(3, len(sample) / 20, 20 * min(halves))


def guess_encoding(content: BinaryIO, place: int = 0) -> str | None:
    """Guesses a file's encoding from what surrounds a byte; None where nothing fits."""
    from charset_normalizer import from_bytes  # seldom needed

    content.seek(max(0, place - SAMPLE // 2) // 4 * 4)
    sample = content.read(SAMPLE)
    found = from_bytes(sample, cp_isolation=LIKELY)
    best = found.best()
    if best is None:
        return None
    latin = [one for one in found if LETTERS.keys() & one.could_be_from_charset]
    if any((one.chaos, -one.coherence) <= (best.chaos, -best.coherence) for one in latin):
        return guess_latin(sample)
    return best.encoding.replace("_", "-")


def guess_latin(sample: bytes) -> str:
    """Guesses which of the encodings of Latin letters a text has, by the letters beyond ASCII.

    They share most bytes, but a language has few such letters, and of these a few often. Each
    language thus gives the sample a likelihood, the k-th letter of its list being as likely as
    1 / (k + 1). A text that two encodings decode alike is taken for the first one's, and for
    Latin-1 where it has no character that cp1252 adds.
    """
    scores = {}
    for name, languages in LETTERS.items():
        text = sample.decode(name, errors="replace").lower()
        beyond = Counter(char for char in text if char > "\x7f" and char not in MARKS)
        for letters in languages:
            total = sum(1 / (k + 2) for k in range(len(letters)))
            shares = {letter: 1 / (k + 2) / total for k, letter in enumerate(letters)}
            score = sum(n * math.log(shares.get(char, RARE)) for char, n in beyond.items())
            scores[name] = max(score, scores.get(name, -math.inf))
    scores["cp1252"] += PRIOR
    likeliest = max(scores, key=lambda name: scores[name])
    if sample.decode(likeliest, errors="replace") == sample.decode("cp1252", errors="replace"):
        likeliest = "cp1252"
    if likeliest == "cp1252" and not any(0x80 <= byte < 0xA0 for byte in sample):
        return "latin-1"
    return likeliest.replace("iso8859_", "iso-8859-")
