"""Turns lines of Python into HTML: coloured, numbered, with the shape of every name."""

from html import escape

from pygments.lexers import PythonLexer
from pygments.token import Token, _TokenType

from docs.annotation.shapes import Position

# Colours by the kind of a token, the first that fits.
KINDS = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "n"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Function, "d"),
    (Token.Name.Class, "d"),
    (Token.Name.Decorator, "k"),
)


def kind_of(token: _TokenType) -> str:
    return next((letter for kind, letter in KINDS if token in kind), "")


def colour(text: str) -> list[list[tuple[str, str]]]:
    """Splits a file into lines of characters, each with the letter of its kind."""
    lines: list[list[tuple[str, str]]] = [[]]
    for token, value in PythonLexer(stripnl=False, ensurenl=True).get_tokens(text):
        for character in value:
            if character == "\n":
                lines.append([])
            else:
                lines[-1].append((character, kind_of(token)))
    return lines


class Code:
    """A file's lines as HTML; `shapes` are what was seen at each place of a name."""

    def __init__(self, text: str, shapes: dict[Position, str]) -> None:
        self.lines = colour(text)
        self.shapes: dict[int, list[tuple[int, int, str]]] = {}
        encoded = text.splitlines()
        for (line, first, end), said in shapes.items():
            before, name = encoded[line - 1].encode()[:first], encoded[line - 1].encode()[first:end]
            start = len(before.decode())
            found = (start, start + len(name.decode()), said)
            self.shapes.setdefault(line, []).append(found)

    def line(self, number: int, *, anchor: bool = True) -> str:
        """Renders one line with its number, which is where links to it lead."""
        characters = self.lines[number - 1]
        starts = {start: (end, said) for start, end, said in self.shapes.get(number, [])}
        html, at = "", 0
        while at < len(characters):
            if at in starts:
                end, said = starts[at]
                name = "".join(character for character, _ in characters[at:end])
                html += f'<var title="{escape(said)}">{escape(name)}</var>'
                at = end
                continue
            end = at + 1
            while (
                end < len(characters)
                and characters[end][1] == characters[at][1]
                and end not in starts
            ):
                end += 1
            piece = escape("".join(c for c, _ in characters[at:end]), quote=False)
            kind = characters[at][1]
            html += f'<b class="{kind}">{piece}</b>' if kind and piece.strip() else piece
            at = end
        name = f' id="L{number}" href="#L{number}"' if anchor else ""
        link = f'<a class="l"{name} tabindex="-1">{number}</a>'
        return f'<span class="r">{link}<code>{html}</code></span>'
