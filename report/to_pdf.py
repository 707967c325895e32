"""The report as a PDF, set by Typst: no LaTeX, no browser, nothing of the system.

templates/report.typ is the program that sets it; what it sets comes as JSON beside it, so that no
word of a discussion is ever read as Typst. It is written in the form PDF/UA-1, for which every
character needs a font that has it: where this computer has none, the code is put in its place.
"""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report.blocks import (
    Chart,
    Equation,
    Listing,
    Paragraph,
    Picture,
    Report,
    Section,
    Styled,
    Table,
    list_files,
)
from report.curves import PAPER, draw
from report.facts import Fact, name_file
from report.settings import TEMPLATES
from utils.errors import UserError, say
from utils.files import show

HOW = "uv run --extra report report/write.py"
SERIF = "Libertinus Serif"
UNSHOWN = re.compile(r'the text `?"((?:\\.|[^"\\])+)"`? could not be displayed')
MOST_ROUNDS = 20  # of setting it anew, with codes for characters that no font has
MARKED = re.compile(r"\d")

Node = dict[str, Any]


def make_pdf(report: Report, words: dict[str, str], fonts: Path) -> bytes:
    """Makes the PDF, with the fonts of a folder, too. UserError where Typst is not there."""
    try:
        import typst
    except ImportError:
        raise UserError(f"report.html is written; report.pdf needs typst: {HOW}") from None
    sheet = Sheet(list_files(report))
    whole = sheet.whole(report, words)
    missing: set[str] = set()
    for _ in range(MOST_ROUNDS):
        data = replace(whole, missing) if missing else whole
        codes = name_some([code(char) for char in sorted(missing)])
        data["missing"] = [words["missing_glyphs"].format(codes)] if missing else []
        sheet.files["report.json"] = json.dumps(data, ensure_ascii=False).encode()
        try:
            pdf = compile_files(sheet.files, fonts)
        except typst.TypstError as problem:
            found = find_unshown(problem.diagnostic)
            if not found - missing:
                raise UserError(f"report.pdf cannot be set: {problem.message}") from problem
            missing |= found
            continue
        if missing:
            shown = name_some(sorted(missing))
            say(
                f"note: this computer has no font for {shown}: report.pdf shows their codes, "
                f"report.html the characters; a font's file in {show(fonts)}/ is used, too"
            )
        return pdf
    raise UserError("report.pdf cannot be set: too many characters without a font")


def compile_files(files: dict[str, bytes], fonts: Path) -> bytes:
    """Sets report.typ with these files beside it, which Typst reads from a folder."""
    import typst

    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        main = Path(folder, "report.typ")
        main.write_bytes((TEMPLATES / main.name).read_bytes())
        paths = [fonts] if fonts.is_dir() else []
        return typst.compile(
            main, root=folder, font_paths=paths, format="pdf", pdf_standards="ua-1"
        )


def name_some(things: list[str], most: int = 12) -> str:
    """Lists things, of many the first ones, and how many there are."""
    more = f" ... ({len(things):,})" if len(things) > most else ""
    return ", ".join(things[:most]) + more


def find_unshown(diagnostic: str) -> set[str]:
    """Finds the characters without a font in what Typst says, where controls are \\u{7}."""
    texts = "".join(UNSHOWN.findall(diagnostic))
    texts = re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), texts)
    return set(texts) - {"\\", "\u200b"}  # the latter is report.typ's, where a line may end


def code(char: str) -> str:
    return f"U+{ord(char):04X}"


def replace(node: Any, missing: set[str]) -> Any:
    """Puts codes in the place of characters, in all texts of a tree."""
    if isinstance(node, str):
        runs = re.compile(f"[{re.escape(''.join(sorted(missing)))}]+")
        return runs.sub(lambda found: f"[{' '.join(map(code, found[0]))}]", node)
    if isinstance(node, list):
        return [replace(part, missing) for part in node]
    if isinstance(node, dict):
        return {name: replace(part, missing) for name, part in node.items()}
    return node


class Sheet:
    """Turns the parts of a report into plain values for Typst, and collects its pictures."""

    def __init__(self, numbers: dict[Path, int]) -> None:
        self.numbers = numbers
        self.files: dict[str, bytes] = {}
        self.noted: set[Path] = set()  # files with a footnote

    def fact(self, text: str, file: Path, *, marked: bool = True) -> Node:
        """Turns a fact; behind it stands the number of its file, a footnote where it is new."""
        new = marked and file not in self.noted
        if marked:
            self.noted.add(file)
        return {"fact": text, "file": self.numbers[file] if marked else 0, "new": new}

    def whole(self, report: Report, words: dict[str, str]) -> Node:
        return {
            "language": report.language,
            "title": self.cell([report.title]),
            "plain_title": report.title.text,
            "people": [
                {name: self.cell([fact]) for name, fact in person.items()}
                for person in report.people
                if person
            ],
            "matriculation": words["matriculation"],
            "contents": words["contents"],
            "about": [f"{words['about_pdf']} {words['discussion_note']}"],
            "sections": [self.section(section) for section in report.sections],
            "files": {str(number): name_file(file) for file, number in self.numbers.items()},
        }

    def section(self, section: Section) -> Node:
        return {
            "title": self.cell(section.title, marks=False),
            "blocks": [self.block(block) for block in section.blocks],
            "sections": [self.section(one) for one in section.sections],
            "columns": section.columns,
        }

    def cell(self, parts: Sequence[Any], *, marks: bool = True) -> list[Any]:
        return [self.inline(part, marks) for part in parts]

    def inline(self, part: Any, marks: bool) -> Any:
        if isinstance(part, str):
            return part
        if isinstance(part, Styled):
            return {"style": part.style, "parts": self.cell(part.parts, marks=marks)}
        return self.fact(part.text, part.file, marked=marks and bool(MARKED.search(part.text)))

    def block(self, block: Any) -> Node:
        name = type(block).__name__.lower()
        special = getattr(self, name, None)
        return {"block": name, **(special(block) if special else self.plain(block))}

    def plain(self, block: Any) -> Node:
        """Turns a paragraph, a heading, a list."""
        if hasattr(block, "items"):
            items = [[self.block(one) for one in item] for item in block.items]
            return {"items": items, "ordered": block.ordered}
        style = block.style if isinstance(block, Paragraph) else ""
        return {"parts": self.cell(block.parts), "style": style}

    def caption(self, parts: Sequence[Any], source: Fact | None = None) -> list[Any]:
        """Turns a caption; behind it stands the number of the file that is shown."""
        cells = self.cell(parts)
        named = any(isinstance(cell, dict) and cell.get("file") for cell in cells)
        mark = [self.fact("", source.file)] if source and not named else []
        return [*cells, *mark]

    def listing(self, block: Listing) -> Node:
        facts = [part for part in block.parts if isinstance(part, Fact)]
        parts = self.cell(block.parts, marks=False)
        words = "".join(part if isinstance(part, str) else part.text for part in block.parts)
        caption = self.caption(block.caption, facts[0] if facts else None)
        return {"parts": parts, "words": words, "caption": caption}

    def table(self, block: Table) -> Node:
        caption, last = self.cell(block.caption), len(block.head) - 1  # it stands above
        rows = [
            [
                self.cell(cell, marks=block.marked and not (block.typewriter and n == last))
                for n, cell in enumerate(row)
            ]
            for row in block.rows
        ]
        return {
            "head": [self.cell(cell) for cell in block.head],
            "rows": rows,
            "aligned": list(block.aligned),
            "caption": caption,
            "typewriter": block.typewriter,
            "folded": block.folded,
        }

    def keep(self, content: bytes, ending: str) -> str:
        name = f"{len(self.files)}.{ending}"
        self.files[name] = content
        return name

    def picture(self, block: Picture) -> Node:
        return {
            "file": self.keep(block.content, block.kind),
            "words": block.words,
            "width": block.width,
            "caption": self.caption(block.caption, block.source),
        }

    def chart(self, block: Chart) -> Node:
        return {
            "file": self.keep(draw(block, PAPER, SERIF).encode(), "svg"),
            "words": block.axis,
            "width": 84,
            "caption": self.caption(block.caption, block.source),
        }

    def equation(self, block: Equation) -> Node:
        return {"typst": block.typst, "latex": block.latex, "words": self.cell(block.words)}
