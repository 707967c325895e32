"""Turns docstrings and comments into HTML: prose as Markdown, equations as MathML."""

import re
from collections.abc import Callable, Sequence
from html import escape, unescape
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

from docs.annotation.equations import Block, Equation, blocks_of
from docs.annotation.formulas import Formula, FormulaError, read_formula, read_symbol
from docs.annotation.papers import split_citations
from docs.annotation.sources import proofs_of

Link = Callable[[str], str]  # a name of the code -> where it is on the page, or ""
# Mathematics in prose: x_t and h_{t-1}, and what is built of letters, as O = P V.
INDEXED = r"(?:[A-Za-zα-ω]{1,2}_(?:\{[^}]+\}|[A-Za-z0-9]{1,2})|\d\^[A-Za-z])"
ATOM = rf"(?:{INDEXED}|softmax\([A-Z]\)|√?[A-Za-z](?:\^T)?|d[A-Z]|\d+)(?![\w(])"
MATHS = re.compile(
    rf"(?<![\w`.])({ATOM} = {ATOM}(?: (?:[-+*/] )?{ATOM})*(?!\.\.)|{INDEXED}(?![\w`]))"
)
COMMAND = re.compile(r"^Run: (python [^`]*)$", re.MULTILINE)
PUNCTUATED = re.compile(r"(<math(?:(?!</math>).)*</math>[,.;:)]+)")  # never cut in two
ENTITY = re.compile(r"&#x0*(?!3c;|3e;|26;)[0-9a-f]+;", re.IGNORECASE)  # all but < > &


def formula_html(formula: Formula) -> str:
    """Renders a formula; where it is too long for its place, it breaks before a relation."""
    first, *others = formula.parts
    return mathml(first) + "".join(f"<wbr>{mathml('{} ' + part)}" for part in others)


def mathml(latex: str) -> str:
    """Turns LaTeX into MathML, its sums and fractions in their full size."""
    text = ENTITY.sub(lambda entity: unescape(entity[0]), convert(latex))
    text = re.sub(
        "<msup><mi>(.)</mi><mi>′</mi></msup>", r"<mrow><mi>\1</mi><mo>′</mo></mrow>", text
    )
    text = text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    return text.replace(' display="inline"', ' displaystyle="true"')


def render_words(text: str, link: Link, blocks: Sequence[Block] = ()) -> str:
    """Renders a docstring; each of its blocks of equations knows the line where it begins."""
    lines = {block.first: block for block in blocks}
    shown = [lines.get(first) or indented for first, indented, _ in blocks_of(text)]
    markdown = MarkdownIt("commonmark", {"html": False}).disable(["heading", "lheading", "list"])

    def code_block(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        part = shown[sum(token.type == "code_block" for token in tokens[:index])]
        return render_block(part, link) if isinstance(part, Block) else drawing(part)

    def code_inline(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        return name_of_code(tokens[index].content, link)

    def plain(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        return render_prose(tokens[index].content)

    markdown.add_render_rule("code_block", code_block)
    markdown.add_render_rule("code_inline", code_inline)
    markdown.add_render_rule("text", plain)
    return markdown.render(COMMAND.sub(r"Run: `\1`", join_lines(text)))


def join_lines(text: str) -> str:
    """Puts each paragraph on one line, so that a citation is never cut in two."""
    joined: list[str] = []
    for line in text.splitlines():
        inside = line and not line.startswith("    ")
        if inside and joined and joined[-1] and not joined[-1].startswith("    "):
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return "\n".join(joined)


def name_of_code(name: str, link: Link) -> str:
    target = link(name)
    code = f"<code>{escape(name)}</code>"
    return f'<a href="{escape(target)}">{code}</a>' if target else code


def render_prose(text: str) -> str:
    """Escapes a text, with its citations as links and its arrows as arrows."""
    pieces = []
    for sign, typeset in {"->": "→", "<=": "≤", ">=": "≥"}.items():
        text = text.replace(sign, typeset)
    for words, address in split_citations(text):
        words = "".join(
            symbols_of(part) if number % 2 else escape(part, quote=False)
            for number, part in enumerate(MATHS.split(words))
        )
        pieces.append(f'<a href="{escape(address)}">{words}</a>' if address else words)
    return PUNCTUATED.sub(r'<span class="whole">\1</span>', "".join(pieces))


def symbols_of(text: str) -> str:
    if "=" in text:
        return formula_html(read_formula(text))
    return mathml(read_symbol(text))


def drawing(lines: list[str]) -> str:
    text = "\n".join(lines).rstrip()
    return f'<pre class="drawing">{escape(text)}</pre>\n'


def render_block(block: Block, link: Link) -> str:
    rows = "".join(render_equation(equation, link) for equation in block.equations)
    return f'<div class="equations">{rows}</div>\n'


def render_equation(equation: Equation, link: Link) -> str:
    """Renders one equation: the formula, its reason, and the lines that compute it."""
    goes_on = ' class="goes-on"' if equation.continues else ""
    lines = "".join(dict.fromkeys(line_link(p, link) for p in equation.places))
    tests = "".join(f'<a href="#{name}">its test</a>' for name in tests_of(equation)[:1])
    reason = f'<span class="reason">{render_reason(equation.reason)}</span>'
    return (
        f'<div class="equation" title="{escape(equation.formula.text)}"><span{goes_on}>'
        f"{formula_html(equation.formula)}</span>{reason}"
        f'<span class="at">{lines} {tests}</span></div>'
    )


def tests_of(equation: Equation) -> list[str]:
    """Lists the tests that notice a change of an equation's lines, of the last lines first."""
    found = []
    for place in equation.places:
        for statement in (*place.last, *place.behind[::-1]):
            first, last = statement.lines
            found += [p.name for p in proofs_of(place.source) if first <= p.line <= last]
    return found


def line_link(place: Any, link: Link) -> str:
    first = place.last[0].lines[0]
    target = link(f"{place.source.path}:{first}")
    words = f"line {first}" if target.startswith("#L") else f"{place.name.rpartition('.')[2]}"
    return f'<a href="{escape(target)}">{words}</a>'


def render_reason(reason: str) -> str:
    """Renders a reason; what follows "since" is a formula."""
    if reason.startswith("since "):
        formula = read_formula(reason.removeprefix("since "))
        return f"since {formula_html(formula)}"
    label, colon, rest = reason.rpartition(": ")
    try:
        formula = read_formula(rest)
    except FormulaError:
        return spans_of_code(reason)
    return f"{escape(label)}{colon}{formula_html(formula)}"


def spans_of_code(text: str) -> str:
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        f"<code>{escape(part)}</code>" if number % 2 else render_prose(part)
        for number, part in enumerate(parts)
    )
