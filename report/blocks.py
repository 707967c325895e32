"""What a report consists of: a tree of plain parts that the page and the PDF are both made from.

Inline parts are texts, Facts and Styled ones; blocks are made of them. Nothing here is HTML or
Typst: a text is data wherever it comes from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from report.facts import Fact


@dataclass(frozen=True)
class Styled:
    """Inline parts in a style: strong, emph, code, quiet, or count, the report's own numbers."""

    style: str
    parts: tuple["Inline", ...]


Inline = str | Fact | Styled
Cell = Sequence[Inline]


@dataclass(frozen=True)
class Paragraph:
    parts: Cell
    style: str = ""  # "note" is one of the report's own, "quote" a quotation


@dataclass(frozen=True)
class Heading:
    """A heading within a discussion: it is in no list of contents."""

    parts: Cell


@dataclass(frozen=True)
class Bullets:
    items: Sequence[Sequence["Block"]]
    ordered: bool = False


@dataclass(frozen=True)
class Listing:
    """Lines that keep their line ends, in a typewriter's letters."""

    parts: Cell
    caption: Cell = ()
    code: bool = False  # of a discussion: the report gives it no number


@dataclass(frozen=True)
class Table:
    """Rows of cells. `aligned` has l, r or c for each column. A number goes with a caption only."""

    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    aligned: str
    caption: Cell = ()
    typewriter: bool = False  # whether its last column is text that a model wrote
    folded: bool = False  # on the page, behind its caption
    marked: bool = True  # whether its numbers need that of their file behind them


@dataclass(frozen=True)
class Picture:
    """A picture's bytes, PNG or JPEG, and its words."""

    content: bytes
    kind: str  # "png", "jpeg"
    caption: Cell
    words: str  # for those who do not see it
    source: Fact | None = None
    width: int = 100  # percent of a page's, at most


@dataclass(frozen=True)
class Chart:
    """Curves over epochs, with a color each: drawn by curves.py."""

    series: Sequence[tuple[str, Sequence[tuple[float, float]]]]  # its name, its points
    axis: str
    across: str  # "epoch"
    mark: float | None
    caption: Cell
    source: Fact


@dataclass(frozen=True)
class Equation:
    latex: str
    typst: str
    words: Cell


@dataclass(frozen=True)
class Section:
    """A heading with what follows; `number` is like "2.1", "" where it has none."""

    title: Cell
    blocks: Sequence["Block"]
    sections: Sequence["Section"] = ()
    number: str = ""
    columns: int = 1  # of a page
    said: bool = False  # by the student


Block = Paragraph | Heading | Bullets | Listing | Table | Picture | Chart | Equation


@dataclass(frozen=True)
class Report:
    """The whole: whose it is, its sections, its words."""

    title: Fact
    people: Sequence[dict[str, Fact]]
    language: str
    sections: Sequence[Section]


def list_facts(node: object) -> Iterator[Fact]:
    """Yields every fact in a tree, in the order of reading."""
    if isinstance(node, Fact):
        yield node
    elif isinstance(node, (list, tuple)):
        for part in node:
            yield from list_facts(part)
    elif isinstance(node, dict):
        yield from list_facts(list(node.values()))
    elif hasattr(node, "__dataclass_fields__"):
        order = {"caption": 0, "title": 0, "source": 1}
        names = sorted(node.__dataclass_fields__, key=lambda name: order.get(name, 2))
        for name in names:
            yield from list_facts(getattr(node, name))


def list_files(report: Report) -> dict[Path, int]:
    """Numbers the files that a report takes facts from, from 1 on, by first use."""
    numbers: dict[Path, int] = {}
    for fact in list_facts(report):
        numbers.setdefault(fact.file, len(numbers) + 1)
    return numbers


def number_sections(sections: Sequence[Section], before: str = "") -> list[Section]:
    """Numbers sections 1, 2, ... and those in them 1.1, 1.2, ..."""
    numbered = []
    for index, section in enumerate(sections, 1):
        number = f"{before}{index}"
        inner = number_sections(section.sections, f"{number}.")
        numbered.append(replace(section, sections=inner, number=number))
    return numbered
