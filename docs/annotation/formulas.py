"""Reads a formula as it stands in a docstring: its LaTeX, and the symbols that it names.

    h_t = o_t * tanh(c_t)           h_t and c_{t-1}: an index; x^2, K^T: a power, the transposed
    a b                             a product is written side by side; a * b is elementwise
    Q K^T / √D                      a fraction, of all that stands side by side; 1/2 binds first
    Σ_t a_t, sum_t a_t              a sum; √, ∂, |x|, m' as on paper
    E [log q(z|x) - log p(z)]       E, KL, N, p, q before a bracket are those of probability
    mu, sigma, logvar, ...          Greek letters by name, or as they are

A name of several letters is a word of the code. dU stands for the gradient by U. What this cannot
read is an error: a formula is never shown otherwise than it was meant.
"""

import re
from typing import NamedTuple

from docs.annotation.latex import fraction, letter, shorten

RELATIONS = {
    **{"=": "=", "+=": r"\;\text{+=}\;", "~": r"\sim", "≈": r"\approx", "->": r"\to"},
    **{"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge"},
}
# Functions, with the words of code that compute them.
FUNCTIONS = {
    "σ": {"sigmoid"},
    "tanh": {"tanh"},
    "exp": {"exp", "exp2", "logsumexp"},
    "log": {"log", "log2", "logsumexp", "entropy", "softplus"},
    "cos": {"cos"},
    "sin": {"sin"},
    "min": {"min"},
    "max": {"max", "maximum", "amax"},
    "softmax": {"softmax", "entropy"},
    "rowsum": {"sum"},
    "Σ": {"sum", "logsumexp", "matmul", "linear", "conv", "product"},
    "√": {"sqrt"},
    "E": {"mean"},
}
PROBABILITY = {"E": r"\mathbb{E}", "KL": r"\text{KL}", "N": r"\mathcal{N}", "p": "p", "q": "q"}
CONSTANTS = {"pi"}
OF_LATEX = ("tanh", "exp", "log", "cos", "sin", "min", "max")  # functions that it knows
OPERATORS = {"*": r"\odot", "·": r"\cdot", "+": "+", "-": "-"}
SEPARATORS = {",": ",\\,", ";": ";\\,", "|": r"\mid ", "||": r"\,\|\,"}
TOKEN = re.compile(
    r"(?P<space>\s*)(?P<text>\d+(?:\.\d+)?|[A-Za-zα-ωΑ-ΡΤ-Ω]+\d*|\+=|<=|>=|->|\|\||"
    r"[-=<>~≈+*·/()\[\]{},;|_^'√Σ∂])"
)


class FormulaError(ValueError): ...  # a formula that cannot be read


class Symbol(NamedTuple):
    """A name of a formula with its index: c_{t-1} is c with (t,), da_o is da with (o,)."""

    base: str
    index: tuple[str, ...] = ()
    prime: str = ""


class Formula(NamedTuple):
    """What was read: its LaTeX, and all that it names."""

    text: str
    parts: tuple[str, ...]  # its LaTeX: the left side, then each relation with what follows it
    left: Symbol | None  # where it is nothing but a symbol
    lefts: tuple[Symbol, ...]  # all of the left side
    symbols: tuple[Symbol, ...]
    functions: frozenset[str]
    bound: frozenset[str]  # indices of sums and of the left side


def read_formula(text: str) -> Formula:
    """Reads a whole formula with at least one relation. FormulaError says where it cannot."""
    reader = Reader(text)
    parts, left = [shorten(reader.sum())], None
    lefts, reader.symbols = tuple(reader.symbols), []
    if len(lefts) == 1 and reader.single:
        left = lefts[0]
    while (sign := reader.peek()) in RELATIONS:
        reader.take()
        parts.append(f"{RELATIONS[sign]} {shorten(reader.sum())}")
    if reader.peek() or len(parts) == 1:
        raise FormulaError(f"cannot read {text!r} from {reader.peek() or 'its end'!r} on")
    for symbol in lefts:  # its indices are bound where the right side has them
        reader.bound |= set(symbol.index) & {i for s in reader.symbols for i in (s.base, *s.index)}
    return Formula(
        text,
        tuple(parts),
        left,
        lefts,
        tuple(dict.fromkeys([*lefts, *reader.symbols])),
        frozenset(reader.functions),
        frozenset(reader.bound),
    )


def read_symbol(text: str) -> str:
    """Returns the LaTeX of a symbol with its index."""
    return Reader(text).power()


class Reader:
    """A recursive descent over the tokens; each method returns the LaTeX of what it has read."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, [], 0
        end = 0
        for found in TOKEN.finditer(text.rstrip()):
            if found.start() != end:
                break
            self.tokens.append((found["text"], bool(found["space"])))  # a space before it?
            end = found.end()
        if end != len(text.rstrip()):
            raise FormulaError(f"cannot read {text!r} from {text[end:]!r} on")
        self.symbols: list[Symbol] = []
        self.functions: set[str] = set()
        self.bound: set[str] = set()
        self.single = True  # nothing but a symbol has been read so far

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def spaced(self) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][1]

    def take(self, expected: str = "") -> str:
        text = self.peek()
        if not text or (expected and text != expected):
            raise FormulaError(f"{self.text!r} has {text or 'its end'!r}, not {expected or 'more'}")
        self.at += 1
        return text

    def sum(self) -> str:
        latex = self.take() if self.peek() == "-" else ""
        latex += self.term()
        while self.peek() in ("+", "-"):
            latex += f" {self.take()} {self.term()}"
            self.single = False
        return latex

    def term(self) -> str:
        latex = self.product()
        while self.peek() in ("*", "·", "/"):
            sign, self.single = self.take(), False
            right = self.product()
            pair = f"{latex} {OPERATORS.get(sign)} {right}"
            latex = fraction(latex, right) if sign == "/" else pair
        return latex

    def product(self) -> str:
        factors = [self.tight()]
        while self.begins_factor():
            factors.append(self.tight())
            self.single = False
        return r" \, ".join(factors)

    def begins_factor(self) -> bool:
        text = self.peek()
        opens = text == "|" and self.spaced() and not self.tokens[self.at + 1][1]
        return opens or (bool(text) and (text[0].isalnum() or text in ("(", "[", "√", "Σ", "∂")))

    def tight(self) -> str:
        latex = self.power()
        while self.peek() == "/" and not self.spaced():
            self.take()
            latex = fraction(latex, self.power())
            self.single = False
        return latex

    def power(self) -> str:
        """Reads an atom with its index, its power, and the brackets right behind it."""
        text = self.take()
        if text in ("Σ", "sum"):
            return self.large_sum()
        if text in ("√", "∂"):
            self.functions |= {text} & set(FUNCTIONS)
            self.single = False
            return rf"\sqrt{{{self.power()}}}" if text == "√" else rf"\partial {self.power()}"
        if text in ("(", "["):
            self.single = False
            return self.raised(self.brackets(text))
        if text == "|":
            inside = self.sum()
            self.take("|")
            self.single = False
            return self.raised(rf"\left| {inside} \right|")
        if text[0].isdigit():
            self.single = False
            return self.raised(text)
        if text[0].isalpha():
            return self.name(text)
        raise FormulaError(f"{self.text!r} has {text!r} where a name should be")

    def name(self, text: str) -> str:
        digits = re.search(r"\d*$", text)[0]
        base = text.removesuffix(digits) if digits else text
        bracket = self.peek() in ("(", "[") and (not self.spaced() or base == "E")
        if base in PROBABILITY and bracket:
            self.functions |= {base} & set(FUNCTIONS)
            return self.applied(PROBABILITY[base])
        if base in FUNCTIONS:
            self.functions.add(base)
            index = self.index()[0]
            latex = f"\\{base}" if base in OF_LATEX else letter(base)
            return self.applied(self.raised(latex + index))
        index, parts = ("_{" + digits + "}", (digits,)) if digits else self.index()
        if index and len(parts) == 1 and len(parts[0]) > 2 and parts[0].isalpha():
            index, base, parts = "", f"{base}_{parts[0]}", ()  # a word of the code
        prime = self.take() if self.peek() == "'" else ""
        if base not in CONSTANTS:
            self.symbols.append(Symbol(base, parts, prime))
        return self.applied(self.raised(letter(base) + prime + index))

    def applied(self, latex: str) -> str:
        if self.peek() in ("(", "[") and (not self.spaced() or self.peek() == "["):
            self.single = False
            latex = self.raised(latex + self.brackets(self.take()))
        return latex

    def index(self) -> tuple[str, tuple[str, ...]]:
        """Reads _t, _ts or _{t - j d}: its LaTeX, and the names in it."""
        if self.peek() != "_":
            return "", ()
        self.take()
        if self.peek() == "{":
            self.take()
            inside = Reader(" ".join(self.until("}")))
            latex = inside.sum()
            if inside.peek():
                raise FormulaError(f"{self.text!r} has {inside.peek()!r} in an index")
            return f"_{{{latex}}}", tuple(symbol.base for symbol in inside.symbols)
        text = self.take()
        if len(text) == 2 and text.isalpha():  # a_ts: two indices
            return f"_{{{text[0]} {text[1]}}}", (text[0], text[1])
        return f"_{{{letter(text)}}}", (text,)

    def until(self, end: str) -> list[str]:
        found = []
        while self.peek() != end:
            found.append(self.take())
        self.take(end)
        return found

    def raised(self, latex: str) -> str:
        if self.peek() != "^":
            return latex
        self.take()
        self.single = False
        if self.peek() == "{":
            self.take()
            inside = self.sum()
            self.take("}")
        else:
            text = self.take()
            inside = r"\top" if text == "T" else text
            if text != "T" and not text[0].isdigit():
                self.symbols.append(Symbol(text))
                inside = letter(text)
        return f"{latex}^{{{inside}}}"

    def large_sum(self) -> str:
        self.functions.add("Σ")
        self.single = False
        index, names = self.index()
        self.bound |= set(names)
        return rf"\sum{index} {self.product()}"

    def brackets(self, opening: str) -> str:
        closing = {"(": ")", "[": "]"}[opening]
        latex = self.sum()
        while self.peek() in (*SEPARATORS, *RELATIONS):
            sign = self.take()
            latex += {**SEPARATORS, **RELATIONS}[sign] + self.sum()
        self.take(closing)
        if r"\frac" in latex or r"\sum" in latex:  # these alone are taller than a line
            return rf"\left{opening}{latex}\right{closing}"
        return f"{opening}{latex}{closing}"
