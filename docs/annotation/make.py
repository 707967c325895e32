"""Makes all pages, and looks at every link of them before any is written."""

import os
import re
from html import unescape
from importlib.metadata import version
from pathlib import Path

from docs.annotation.page import Page, render_index
from docs.annotation.papers import is_address, papers, unknown_citations
from docs.annotation.runs import RUNS
from docs.annotation.shapes import record_shapes
from docs.annotation.sources import PAGES, Source, read_source
from utils.errors import UserError
from utils.files import ROOT

PACKAGES = ("latex2mathml", "markdown-it-py", "pygments")
FOLDER = ROOT / "docs" / "annotated"


def make_pages(folder: Path = FOLDER) -> dict[str, str]:
    """Makes the ten pages and their index, by the files' names. UserError where a check fails."""
    try:
        up = Path(os.path.relpath(ROOT, folder)).as_posix() + "/"
    except ValueError:  # Windows
        raise UserError(f"{folder} is not on the project's drive, as its links need it") from None
    pages = [make_page(name, read_source(ROOT / path), up) for name, path in PAGES.items()]
    made = {f"{page.name}.html": page.render() for page in pages}
    made["index.html"] = render_index(pages, made_with())
    check_links(made, folder)
    return made


def made_with() -> str:
    """Names the packages that decide how a page is written, with their versions."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def make_page(name: str, source: Source, up: str) -> Page:
    """Makes the page of a file: its equations checked, its run done."""
    if unknown := unknown_citations(source.text):
        raise UserError(f"{source.path} cites {unknown[0]}, which papers.toml does not know")
    run = RUNS[name]
    return Page(name, source, up, record_shapes(source.path, source.text, run.sizes, run.call))


def check_links(made: dict[str, str], folder: Path) -> None:
    """Follows every link: to a place on a page, to a file, or by its form to a paper."""
    places = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in made.items()}
    for name, text in made.items():
        for href in map(unescape, re.findall(r'\bhref="([^"]*)"', text)):
            if href.startswith("https://"):
                form = re.sub(r"^https://ar5iv\.labs\.arxiv\.org/html/([\d.]+)(#[\w.]+)?$",
                              r"https://arxiv.org/abs/\1", href)  # fmt: skip
                if not is_address(form) or form not in papers().values():
                    raise UserError(f"{name}: {href} is no paper's address")
                continue
            page, _, place = href.partition("#")
            if page and page not in made and not Path(os.path.normpath(folder / page)).is_file():
                raise UserError(f"{name}: the link {href} leads nowhere")
            if place and page in ("", *made) and place not in places[page or name]:
                raise UserError(f"{name}: the link {href} leads nowhere: no place is named so")
