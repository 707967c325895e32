"""What the student writes: a Markdown file for each question, read as data and never as a page.

A file is made with its question and three points to think about; what is not of these is the text.
Paragraphs, lists, quotations, tables, code and pictures of the same folder come through; HTML is
shown as it is typed, and of a link its address, so that nothing is fetched from anywhere.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from PIL import Image, UnidentifiedImageError

from report import facts
from report.blocks import (
    Block,
    Bullets,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Picture,
    Styled,
    Table,
)
from report.settings import LANGUAGES
from utils.errors import UserError
from utils.files import open_plain, show, write_whole
from utils.words import escape

Words = dict[str, Any]

DEEPEST = 20  # lists and quotations in one another
MOST_PIXELS = 40_000_000
READER = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST}).enable("table")
READER.disable(["html_block", "html_inline"])


def find_file(folder: Path, question: Words) -> Path:
    return folder / "discussion" / f"{question['id']}.md"


def make_file(folder: Path, question: Words, language: str, words: Words) -> Path:
    """Makes a question's file, if it is not there: the question, and points to think about."""
    file = find_file(folder, question)
    if not file.exists():
        write_whole(file, fill(question, language, words).encode("utf-8"))
    return file


def fill(question: Words, language: str, words: Words) -> str:
    """Writes what a new file has in it."""
    lines = [f"# {question['title'][language]}", "", f"> {question[language]}", ">"]
    lines += [f"> - {point}" for point in question["points"][language]]
    return "\n".join([*lines, ">", f"> *{words['write_here']}*", ""]) + "\n"


def read_text(file: Path, question: Words, all_words: dict[str, Words]) -> str:
    """Reads what a student has written: all lines but those of the empty file, in any language.

    UserError for a file that is not UTF-8, or that is a link to one elsewhere.
    """
    if not file.resolve().is_relative_to(file.parent.resolve()):
        raise UserError(f"{show(file)} is a link out of its folder: put the text itself there")
    given = set()
    for language in LANGUAGES:
        given |= set(fill(question, language, all_words[language]).splitlines())
    lines = escape(facts.read(file)).split("\n")
    return "\n".join("" if line.rstrip() in given else line for line in lines).strip()


def read_blocks(text: str, folder: Path, words: Words) -> list[Block]:
    """Turns Markdown into blocks."""
    return list(Reader(folder, words).blocks(SyntaxTreeNode(READER.parse(text)).children))


class Reader:
    """Goes through what markdown-it has found in a text."""

    def __init__(self, folder: Path, words: Words) -> None:
        self.folder, self.words = folder.resolve(), words

    def blocks(self, nodes: list[SyntaxTreeNode], style: str = "") -> Iterator[Block]:
        for node in nodes:
            if node.type == "paragraph":
                yield from self.paragraph(node, style)
            elif node.type == "heading":
                yield Heading(tuple(self.inline(node)))
            elif node.type in ("bullet_list", "ordered_list"):
                items = [list(self.blocks(item.children)) for item in node.children]
                yield Bullets(items, ordered=node.type == "ordered_list")
            elif node.type == "blockquote":
                yield from self.blocks(node.children, "quote")
            elif node.type in ("fence", "code_block"):
                yield Listing((node.content.rstrip("\n"),), code=True)
            elif node.type == "table":
                yield self.table(node)

    def paragraph(self, node: SyntaxTreeNode, style: str) -> Iterator[Block]:
        """Yields its words, and after them its pictures."""
        parts = list(self.inline(node))
        found = [part for part in parts if isinstance(part, Picture)]
        parts = [part for part in parts if not isinstance(part, Picture)]
        if any(not isinstance(part, str) or part.strip() for part in parts):
            yield Paragraph(tuple(parts), style)
        yield from found

    def table(self, node: SyntaxTreeNode) -> Table:
        rows = [
            [tuple(part for part in self.inline(cell) if not isinstance(part, Picture)) for cell in
             row.children]
            for part in node.children
            for row in part.children
        ]  # fmt: skip
        return Table(rows[0], rows[1:], "l" * len(rows[0]))

    def inline(self, node: SyntaxTreeNode) -> Iterator[Inline | Picture]:
        for child in node.children:
            if child.type in ("inline", "s"):
                yield from self.inline(child)
            elif child.type in ("strong", "em"):
                style = "strong" if child.type == "strong" else "emph"
                inner = tuple(p for p in self.inline(child) if not isinstance(p, Picture))
                yield Styled(style, inner)
            elif child.type == "code_inline":
                yield Styled("code", (child.content,))
            elif child.type in ("softbreak", "hardbreak"):
                yield " "
            elif child.type == "link":
                inner = [p for p in self.inline(child) if not isinstance(p, Picture)]
                yield from inner
                address = str(child.attrs.get("href", ""))
                if inner != [address]:
                    yield Styled("quiet", (f" ({address})",))
            elif child.type == "image":
                yield self.image(child)
            else:
                yield child.content

    def image(self, node: SyntaxTreeNode) -> Picture | Styled:
        """Takes a picture of the folder; of any other only its words, and why."""
        name, words = unquote(str(node.attrs.get("src", ""))), node.content
        try:
            file = (self.folder / name).resolve()
            inside = file.is_relative_to(self.folder)
            if inside and file.is_file():
                return read_picture(file, (words or name,), words or name)
        except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
            pass
        return Styled("quiet", (f"[{words or name}: {self.words['outside']}]",))


def read_picture(file: Path, caption: tuple, words: str, source: Any = None) -> Picture:
    """Reads a PNG or a JPEG. ValueError or OSError for what is none."""
    with open_plain(file) as opened:
        content = opened.read()
    image = Image.open(io.BytesIO(content))
    if image.format not in ("PNG", "JPEG") or image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{show(file)} is no PNG or JPEG of at most {MOST_PIXELS:,} pixels")
    image.load()
    width = min(100, max(20, round(image.width / 14)))
    return Picture(content, image.format.lower(), caption, words, source, width)
