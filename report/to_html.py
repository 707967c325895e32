"""The report as one page: no request leaves it, whatever stands in a discussion.

A Fact becomes <span class="f" title="file and place">: check.py finds the number there again.
"""

import base64
import re
from collections.abc import Sequence
from html import escape

from latex2mathml.converter import convert

from report.blocks import (
    Bullets,
    Cell,
    Chart,
    Equation,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Picture,
    Report,
    Section,
    Styled,
    Table,
    number_sections,
)
from report.curves import PAGE, draw
from report.facts import Fact, name_file
from report.settings import TEMPLATES

TAGS = {"strong": ("<strong>", "</strong>"), "emph": ("<em>", "</em>")}
ALIGNED = {"l": "", "r": ' class="r"', "c": ' class="c"'}


def make_page(report: Report, words: dict[str, str]) -> str:
    """Makes the page."""
    page = Page(words)
    sections = number_sections(report.sections)
    body = "".join(page.section(section, 2) for section in sections)
    parts = {
        "language": report.language,
        "title": escape(report.title.text),
        "heading": page.inline(report.title),
        "style": (TEMPLATES / "report.css").read_text(encoding="utf-8"),
        "people": "".join(f"<li>{page.person(person)}</li>" for person in report.people if person),
        "contents_title": escape(words["contents"]),
        "contents": make_contents(sections, page),
        "about": page.block(Paragraph([words["about_html"], " ", words["discussion_note"]])),
        "body": body,
    }
    template = (TEMPLATES / "report.html").read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], template)  # in one go


def make_contents(sections: Sequence[Section], page: "Page") -> str:
    """Lists the sections, with those in them."""
    items = []
    for section in sections:
        link = f'<a href="#s{section.number}">{page.title(section)}</a>'
        items.append(f"<li>{link}{make_contents(section.sections, page)}</li>")
    return f"<ol>{''.join(items)}</ol>" if items else ""


class Page:
    """Turns the parts of a report into HTML, and counts its tables and figures."""

    def __init__(self, words: dict[str, str]) -> None:
        self.words, self.counts = words, {"table": 0, "figure": 0}

    def title(self, section: Section) -> str:
        return f'<span class="count">{section.number}</span> {self.cell(section.title, False)}'

    def section(self, section: Section, level: int) -> str:
        blocks = "".join(self.block(block) for block in section.blocks)
        inner = "".join(self.section(one, level + 1) for one in section.sections)
        tag = f"h{min(level, 6)}"
        heading = f"<{tag}>{self.title(section)}</{tag}>"
        mark = ' class="said"' if section.said else ""
        return f'<section id="s{section.number}"{mark}>{heading}{blocks}{inner}</section>'

    def person(self, person: dict[str, Fact]) -> str:
        parts = [f"<strong>{self.inline(person['name'])}</strong>"] if "name" in person else []
        if "number" in person:
            parts.append(f"{escape(self.words['matriculation'])} {self.inline(person['number'])}")
        if "email" in person:
            parts.append(self.inline(person["email"]))
        return "<br>".join(parts)

    def cell(self, parts: Cell, titles: bool = True) -> str:
        return "".join(self.inline(part, titles) for part in parts)

    def inline(self, part: Inline, titles: bool = True) -> str:
        if isinstance(part, str):
            return escape(part)
        if isinstance(part, Styled):
            before, after = TAGS.get(part.style, (f'<span class="{part.style}">', "</span>"))
            if part.style == "code":
                before, after = "<code>", "</code>"
            return before + self.cell(part.parts, titles) + after
        if not titles:
            return escape(part.text)
        data = {
            "title": part.origin,
            "data-file": name_file(part.file),
            "data-at": part.place,
            "data-value": part.value,
            "data-way": part.way,
        }
        marks = " ".join(f'{name}="{escape(value)}"' for name, value in data.items() if value)
        return f'<span class="f" {marks}>{escape(part.text)}</span>'

    def block(self, block: object) -> str:
        return getattr(self, type(block).__name__.lower())(block)

    def caption(self, thing: str, parts: Cell) -> str:
        if not parts:
            return ""
        self.counts[thing] += 1
        label = f'<span class="count">{escape(self.words[thing])} {self.counts[thing]}</span>'
        return f"{label} {self.cell(parts)}"

    def paragraph(self, block: Paragraph) -> str:
        if block.style == "quote":
            return f"<blockquote><p>{self.cell(block.parts)}</p></blockquote>"
        mark = f' class="{block.style}"' if block.style else ""
        return f"<p{mark}>{self.cell(block.parts)}</p>"

    def heading(self, block: Heading) -> str:
        return f'<p class="heading">{self.cell(block.parts)}</p>'

    def bullets(self, block: Bullets) -> str:
        tag = "ol" if block.ordered else "ul"
        items = "".join(f"<li>{''.join(map(self.block, item))}</li>" for item in block.items)
        return f"<{tag}>{items}</{tag}>"

    def listing(self, block: Listing) -> str:
        caption = self.caption("figure", block.caption)
        caption = f"<figcaption>{caption}</figcaption>" if caption else ""
        return f'<figure class="words"><pre>{self.cell(block.parts)}</pre>{caption}</figure>'

    def table(self, block: Table) -> str:
        aligned = [ALIGNED[letter] for letter in block.aligned]

        def row(cells: Sequence[Cell], tag: str) -> str:
            both = zip(cells, aligned, strict=True)
            inner = "".join(f"<{tag}{mark}>{self.cell(cell)}</{tag}>" for cell, mark in both)
            return f"<tr>{inner}</tr>"

        caption = self.caption("table", block.caption)
        head = f"<thead>{row(block.head, 'th')}</thead>" if any(block.head) else ""
        body = f"<tbody>{''.join(row(cells, 'td') for cells in block.rows)}</tbody>"
        mark = ' class="typewriter"' if block.typewriter else ""
        table = f"<div class='wide'><table{mark}>{head}{body}</table></div>"
        if block.folded:
            return f'<details class="table"><summary>{caption}</summary>{table}</details>'
        caption = f"<figcaption>{caption}</figcaption>" if caption else ""
        return f'<figure class="table">{caption}{table}</figure>'

    def picture(self, block: Picture) -> str:
        data = base64.b64encode(block.content).decode()
        source = block.source.origin if block.source else ""
        image = (
            f'<img src="data:image/{block.kind};base64,{data}" alt="{escape(block.words)}" '
            f'title="{escape(source)}" style="width:{block.width}%">'
        )
        caption = self.caption("figure", block.caption)
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"

    def chart(self, block: Chart) -> str:
        svg = draw(block, PAGE, "inherit")
        words = f"<title>{escape(block.source.origin)}</title>"
        svg = svg.replace(">", f' role="img">{words}', 1)
        caption = self.caption("figure", block.caption)
        return f'<figure class="chart">{svg}<figcaption>{caption}</figcaption></figure>'

    def equation(self, block: Equation) -> str:
        formula = convert(block.latex, display="block")
        return f'<p class="equation"><span>{self.cell(block.words)}</span>{formula}</p>'
