"""Puts a page together: words and equations at the left, the code they belong to at the right."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from string import Template

from docs.annotation.code import Code
from docs.annotation.equations import docstring_of, find_equations
from docs.annotation.shapes import Position
from docs.annotation.sources import PAGES, Proof, Source, proofs_of, read_source, text_of_test
from docs.annotation.stamp import elsewhere, fingerprint, tests_of
from docs.annotation.words import formula_html, render_reason, render_words, spans_of_code
from utils.files import ROOT

HERE = Path(__file__).parent


@dataclass
class Row:
    """Words beside lines of code, from a line of the file on."""

    line: int
    words: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # functions and classes that begin here


class Page:
    """One file as a page."""

    def __init__(self, name: str, source: Source, up: str, shapes: dict[Position, str]) -> None:
        self.name, self.source, self.up = name, source, up
        self.blocks = find_equations(source)
        self.proofs = proofs_of(source)
        self.elsewhere = elsewhere(source, self.blocks)
        self.tests = tests_of(source, self.blocks)
        self.code = Code(source.text, shapes)

    def link(self, name: str) -> str:
        """Finds where a name of the code, or a line of a file, is on this page or another one."""
        path, _, line = name.partition(":")
        if line:
            own = path == self.source.path
            return f"#L{line}" if own else f"#{anchor_of(path, self.holder(path, int(line)))}"
        defined = [n for n in self.source.definitions if n == name or n.endswith(f".{name}")]
        if defined:
            return f"#{defined[0]}"
        other = [n for (p, n) in self.elsewhere if name.endswith(f".{n}")]
        if other:
            return f"#{anchor_of(next(p for p, n in self.elsewhere if n == other[0]), other[0])}"
        for page, file in PAGES.items():
            module = file.removesuffix(".py").replace("/", ".")
            if (page != self.name and name.startswith(f"{module}.")) or name == file:
                found = name.removeprefix(f"{module}.")
                known = read_source(ROOT / file).definitions
                return f"{page}.html#{found}" if found in known else f"{page}.html"
        return ""

    def holder(self, path: str, line: int) -> str:
        source = next(s for (p, _), s in self.elsewhere.items() if p == path)
        inside = [n for n, d in source.definitions.items() if d.lineno <= line <= d.end_lineno]
        return inside[-1]

    def hidden(self) -> dict[int, str]:
        """Lists the lines that stand at the left instead: docstrings, comments by themselves."""
        found = {}
        for node in (self.source.tree, *self.source.definitions.values()):
            if docstring_of(node)[0]:
                first = node.body[0]
                found |= dict.fromkeys(range(first.lineno, first.end_lineno + 1), "docstring")
        for number, line in enumerate(self.source.lines, start=1):
            if line.strip().startswith("#") and number not in found:
                found[number] = "comment"
        return found

    def rows(self) -> list[Row]:
        """Divides the file: a row begins at a function, a comment, or a line with an equation."""
        rows: dict[int, Row] = {}

        def row(line: int) -> Row:
            return rows.setdefault(line, Row(line))

        hidden = self.hidden()
        row(1 + max((n for n in hidden if n <= (docstring_end(self.source) or 0)), default=0))
        for name, node in self.source.definitions.items():
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            row(first).names.append(name)
            docstring = docstring_of(node)[0]
            if docstring:
                blocks = [block for block in self.blocks if block.owner == name]
                row(first).words.append(render_words(docstring, self.link, blocks))
        for line, words in self.comments(hidden):
            row(line).words.append(f'<div class="comment">{render_words(words, self.link)}</div>')
        for line, words in self.equations_beside_their_lines():
            row(line).words.append(words)
        return [rows[line] for line in sorted(rows)]

    def comments(self, hidden: dict[int, str]) -> Iterator[tuple[int, str]]:
        """Yields comments that have lines of their own, each with the line of code after it."""
        gathered: list[str] = []
        for number, line in enumerate(self.source.lines, start=1):
            if hidden.get(number) == "comment":
                gathered.append(line.strip().removeprefix("#").strip())
            elif gathered:
                yield number, "\n".join(gathered)
                gathered = []

    def equations_beside_their_lines(self) -> Iterator[tuple[int, str]]:
        """Yields equations of another docstring than the function's own, at the line of each."""
        for block in self.blocks:
            for equation in block.equations:
                for place in equation.places:
                    if place.source is self.source and place.name != block.owner:
                        formula = formula_html(equation.formula)
                        reason = render_reason(equation.reason)
                        why = f'<span class="reason">{reason}</span>' if reason else ""
                        yield (
                            place.last[0].lines[0],
                            f'<div class="equation beside"><span>{formula}</span>{why}</div>',
                        )

    def render(self) -> str:
        """Renders the whole page."""
        docstring = docstring_of(self.source.tree)[0]
        title, _, rest = docstring.partition("\n\n")
        skipped = title.count("\n") + 2  # lines
        blocks = [replace(b, first=b.first - skipped) for b in self.blocks if not b.owner]
        names = list(PAGES)
        at = names.index(self.name)
        return fill(
            "page.html",
            title=escape(f"{self.name}: {self.source.path}"),
            stamp=fingerprint(self.source, self.blocks),
            path=self.source.path,
            up=self.up,
            heading=render_words(title.replace("\n", " "), self.link),
            pages=navigation(self.name),
            intro=render_words(rest, self.link, blocks),
            outline=self.outline(),
            rows="".join(self.render_rows()),
            elsewhere="".join(self.render_elsewhere()),
            tests="".join(render_test(test, self.up) for test in self.tests),
            before=names[at - 1],
            after=names[(at + 1) % len(names)],
        )

    def outline(self) -> str:
        links = ""
        for name, node in self.source.definitions.items():
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            if "." not in name:
                links += f'<a class="{kind}" href="#{name}">{escape(name)}</a> '
        return links

    def render_rows(self) -> Iterator[str]:
        rows, hidden, count = self.rows(), self.hidden(), len(self.source.lines)
        for row, after in zip(rows, [*rows[1:], Row(count + 1)], strict=True):
            shown = [n for n in range(row.line, after.line) if n not in hidden]
            while shown and self.is_blank(shown[-1]):
                shown.pop()
            while shown and self.is_blank(shown[0]):
                shown.pop(0)
            shown = [n for n in shown if not (self.is_blank(n) and n - 1 in hidden)]
            lines = "".join(self.code.line(number) for number in shown)
            anchors = "".join(f'<span id="{escape(name)}"></span>' for name in row.names)
            heading = "".join(f"<h3>{escape(name)}</h3>" for name in row.names[:1])
            proofs = render_proofs([p for p in self.proofs if p.line in shown])
            kind = " begins" if row.names else ""
            words = f"{heading}{''.join(row.words)}{proofs}"
            yield (
                f'<section class="row{kind}">{anchors}<div class="words">{words}</div>'
                f'<div class="code">{lines}</div></section>\n'
            )

    def is_blank(self, line: int) -> bool:
        return not self.source.lines[line - 1].strip()

    def render_elsewhere(self) -> Iterator[str]:
        """Renders the functions of other files that compute an equation of this one."""
        for (path, name), source in self.elsewhere.items():
            node = source.definitions[name]
            code = Code(source.text, {})
            last = docstring_of(node)[1] and node.body[0].end_lineno
            numbers = [
                n
                for n in range(node.lineno, node.end_lineno + 1)
                if not (last and node.body[0].lineno <= n <= last)
            ]
            lines = "".join(code.line(n, anchor=False) for n in numbers)
            proofs = [p for p in proofs_of(source) if p.line in numbers]
            equations = "".join(self.equations_of(path, name))
            yield (
                f'<section class="row begins" id="{anchor_of(path, name)}"><div class="words">'
                f'<h3>{escape(name)}</h3><p>in <a href="{self.up}{path}">{path}</a></p>{equations}'
                f"{render_proofs(proofs, here=False)}</div>"
                f'<div class="code">{lines}</div></section>\n'
            )

    def equations_of(self, path: str, name: str) -> Iterator[str]:
        for block in self.blocks:
            for equation in block.equations:
                for place in equation.places:
                    if (place.source.path, place.name) == (path, name):
                        line = place.last[0].lines[0]
                        formula = formula_html(equation.formula)
                        yield (
                            f'<div class="equation beside"><span>{formula}</span>'
                            f'<span class="reason">line {line}</span></div>'
                        )


def docstring_end(source: Source) -> int | None:
    return source.tree.body[0].end_lineno if docstring_of(source.tree)[0] else None


def anchor_of(path: str, name: str) -> str:
    return f"{path}:{name}".replace("/", ".")


def render_proofs(proofs: list[Proof], *, here: bool = True) -> str:
    """Renders the tests of some lines: each with the change that it notices."""
    found: dict[str, list[Proof]] = {}
    for proof in proofs:
        found.setdefault(proof.test, []).append(proof)
    items = ""
    for same in found.values():
        to = '<a href="#L{0}">{0}</a>' if here else "{0}"
        lines = ", ".join(dict.fromkeys(to.format(proof.line) for proof in same))
        said = "; ".join(f"{p.old} were {p.new or 'gone'}" for p in same)
        items += (
            f'<li>{lines} <a href="#{same[0].name}" title="{escape(f"It fails if {said}")}">'
            f"{escape(same[0].name.removeprefix('test_').replace('_', ' '))}</a></li>"
        )
    return f'<ul class="proofs" aria-label="tests of these lines">{items}</ul>' if items else ""


def render_test(test: str, up: str) -> str:
    path, _, name = test.partition("::")
    text = text_of_test(test)
    code = Code(text, {})
    lines = "".join(code.line(n, anchor=False) for n in range(1, len(text.splitlines()) + 1))
    return (
        f'<details id="{name}"><summary>{escape(name)}</summary>'
        f'<p>in <a href="{up}{path}">{path}</a></p><div class="code">{lines}</div></details>\n'
    )


def navigation(here: str) -> str:
    links = ""
    for name in PAGES:
        mark = ' aria-current="page"' if name == here else ""
        links += f'<a href="{name}.html"{mark}>{name}</a> '
    return links


def fill(template: str, **parts: str) -> str:
    """Fills a template of this folder; style and script are put into it: it stands alone."""
    shared = {
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
    }
    text = Template((HERE / template).read_text(encoding="utf-8"))
    return text.substitute(shared | parts)


def render_index(pages: list[Page], made_with: str) -> str:
    """Renders the page that leads to all others."""
    cards = ""
    for page in pages:
        title = docstring_of(page.source.tree)[0].partition("\n\n")[0].replace("\n", " ")
        equations = sum(len(block.equations) for block in page.blocks)
        cards += (
            f'<a class="card" href="{page.name}.html"><h2>{page.name}</h2>'
            f'<p>{spans_of_code(title)}</p><p class="facts"><code>{page.source.path}</code><br>'
            f"{equations} equation{'s' * (equations != 1)} · {len(page.tests)} "
            f"test{'s' * (len(page.tests) != 1)}</p></a>\n"
        )
    return fill("index.html", cards=cards, made_with=made_with)
