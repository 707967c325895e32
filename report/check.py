"""Prove that each number of a report is in the file that it names.

    python report/check.py                     hand_in/
    python report/check.py --to first_draft    another folder

Reads report.html from outside, as a reader does: every number must carry its file and the place in
it, and that place is looked up anew. Of report.pdf it compares each number with a footnote's number
behind it with those of the page (where poppler's pdftotext is installed).
"""

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

import utils.start  # noqa: F401

from report.facts import WAYS, find_named, look_up, plain, read
from utils import files
from utils.command_line import Parser
from utils.errors import UserError, command
from utils.files import show
from utils.words import count

# Where a digit is no result: the report's own numbers, names, formulas, drawings, words of others.
OUTSIDE = ("count", "note", "said", "equation")
WITHOUT = ("head", "style", "svg", "math", "code", "nav")
EMPTY = {"meta", "link", "br", "img", "hr"}
MOST_FAULTS = 20  # that are printed
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


@dataclass
class Shown:
    """A piece of the page with its marks: title, data-file, data-at, data-value, data-way."""

    marks: dict[str, str]
    text: str = ""


@dataclass
class Reading(HTMLParser):
    """What a page shows: its facts, and the text that is none."""

    facts: list[Shown] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        marks = {name: value or "" for name, value in attributes}
        if tag not in EMPTY:
            self.open.append((tag, marks.get("class", "")))
        if marks.get("class") == "f":
            self.facts.append(Shown(marks))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Passes by what has nothing in it."""

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, text: str) -> None:
        tags, classes = {tag for tag, _ in self.open}, {name for _, name in self.open}
        if "f" in classes:
            self.facts[-1].text += text
        elif not (tags.intersection(WITHOUT) or classes.intersection(OUTSIDE)):
            self.rest.append(text)


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where it is (default: hand_in)")
    folder = parser.parse_args(argv).to or files.output("results").with_name("hand_in")
    page, pdf = folder / "report.html", folder / "report.pdf"
    if not page.is_file():
        raise UserError(f"{show(page)} is not there: python report/write.py writes it")
    reading = Reading()
    reading.feed(read(page))
    faults = [*check_facts(reading.facts), *find_bare(reading.rest)]
    numbers = sum(bool(re.search(r"\d", fact.text)) for fact in reading.facts)
    named = {fact.marks.get("data-file") for fact in reading.facts}
    print(f"{show(page)}: {count(numbers, 'number')} of {count(len(named), 'file')} looked up")
    if pdf.is_file() and shutil.which("pdftotext"):
        marked, wrong = check_pdf(pdf, reading.facts)
        print(f"{show(pdf)}: {count(marked, 'number')} with the number of a file compared")
        faults += wrong
    for fault in faults[:MOST_FAULTS]:
        print(fault)
    if faults:
        raise UserError(f"{count(len(faults), 'number')} not found: write the report anew")
    print("every number is in the file that it names")


def check_facts(facts: list[Shown]) -> Iterator[str]:
    """Looks up every fact; yields a line for each that is not where it says."""
    for fact in facts:
        name = fact.marks.get("data-file", "")
        try:
            why = "it names no file" if not name else check_fact(fact, find_named(name))
        except (UserError, OSError, KeyError, ValueError) as problem:
            why = str(problem)
        if why:
            yield f"{fact.text!r:.60} of {name}, {fact.marks.get('data-at', '')}: {why}"


def check_fact(fact: Shown, file: Path) -> str:
    """Says why a fact is not what a file has at its place; "" where it is."""
    place, value = fact.marks.get("data-at", ""), fact.marks.get("data-value", "")
    if place == "text":
        return "" if fact.text in look_up(file, place) else "these words are not in it"
    if place == "command":
        return check_command(fact.text, file)
    if place == "name":
        found = re.findall(r"\d+", file.stem)[-1]
        return "" if int(found) == int(fact.text) else f"it is called {file.name}"
    if place in ("size", "sha256"):
        content = file.read_bytes()
        found = str(len(content)) if place == "size" else hashlib.sha256(content).hexdigest()[:12]
    else:
        found = look_up(file, place)
        found = found if isinstance(found, str) else plain(found)
    if found != value:
        return f"there is {found!r:.60}, not {value!r:.60}"
    return (
        "" if agrees(fact.text, value, fact.marks.get("data-way", "")) else f"that is {value:.60}"
    )


def agrees(text: str, value: str, way: str) -> bool:
    """Tells whether a number, as it is shown, is a value rounded to the digits shown."""
    if text == value.strip() and not way:
        return True
    if not NUMBER.fullmatch(text):
        return False
    digits, _, power = text.replace(",", "").partition("e")
    decimals = len(digits.partition(".")[2]) - int(power or 0)
    return abs(float(text.replace(",", "")) - WAYS[way](float(value))) <= 0.501 * 10.0**-decimals


def check_command(text: str, file: Path) -> str:
    """Says which option of a command is not in the settings of its run; "" where all are."""
    settings: dict[str, Any] = read(file)
    settings = settings["config"] if file.suffix == ".pt" else settings
    known = {f"--{s}.{key}": value for s, part in settings.items() for key, value in part.items()}
    words = shlex.split(text)
    for option, value in pairwise(words):
        if option.startswith("--") and option not in ("--ckpt_name", "--config"):
            # Where several sections have a key, the command line has it in full.
            found = [v for name, v in known.items() if name.endswith(f".{option[2:]}")]
            found = [known[option]] if option in known else found
            if value not in [plain(one).replace(", ", ",") for one in found]:
                return f"{option} {value} is not in it"
    return ""


def find_bare(texts: list[str]) -> Iterator[str]:
    """Yields a line for each number that carries no file."""
    for text in texts:
        for number in NUMBER.findall(text):
            yield f"{number} in {text.strip()!r:.60} carries no file"


def check_pdf(pdf: Path, facts: list[Shown]) -> tuple[int, list[str]]:
    """Compares the numbers of a PDF that have a file's number behind them with those of the page.

    Returns how many there are, and a line for each that the page does not have of that file. Files
    are numbered as the list at the end of the report has them.
    """
    files_listed = [f.marks.get("data-file") for f in facts if f.marks.get("data-at") == "size"]
    ends: dict[str | None, set[str]] = {name: set() for name in files_listed}
    for fact in facts:
        ends.setdefault(fact.marks.get("data-file"), set()).update(fact.text.split()[-1:])
    told = subprocess.run(
        ["pdftotext", "-bbox", str(pdf), "-"], capture_output=True, check=True, timeout=60
    ).stdout.decode("utf-8")
    told = told.replace("\u200b", "")  # where report.typ lets a line end
    marked, faults = 0, []
    for word, number in find_marked(told):
        marked += 1
        name = files_listed[number - 1] if number <= len(files_listed) else None
        if not any(word.endswith(end) for end in ends.get(name, ())):
            faults.append(f"{word} of report.pdf is not of file {number}, {name}")
    return marked, faults


def find_marked(told: str) -> Iterator[tuple[str, int]]:
    """Yields words with a digit that have a small, raised number behind them, and that number."""
    pattern = r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>'
    before, right, top, height = "", 0.0, 0.0, 0.0
    for found in re.findall(pattern, told):
        (x1, y1, x2, y2), word = map(float, found[:4]), unescape(found[4])
        raised = y2 - y1 < 0.75 * height and abs(x1 - right) < 1 and abs(y1 - top) < 2
        if raised and word.isdecimal():
            if re.search(r"\d", before):
                yield before, int(word)
        else:
            before, right, top, height = word, x2, y1, y2 - y1


if __name__ == "__main__":
    raise SystemExit(main())
