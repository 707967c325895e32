"""Finds the equations in a file's docstrings, and the lines that compute each.

An indented block of a docstring whose lines hold an `=` is a block of equations, any other one a
drawing. A line is a formula (formulas.py) and, after two spaces or more, its reason; several
formulas on a line are set apart by a comma and two spaces. A line that begins with `=` goes on with
the left side of the line above. A reason "since a = b" is a formula as well.

Who computes them: the functions named in `backticks` in the paragraph before the block, by their
full name where they are in another file (`vae.training.VAETask.objective`); without one, the
function or class that the docstring belongs to. Its lines are those that compute the left side, and
what these depend on. A left side that is no name of the code stands for what the function returns:
it is a whole expression, or a symbol of the docstring's first sentence ("Computes R: ...").

Every symbol must be in these lines: spelled as in the code (c_{t-1} is `c`, da_o is `da_o`), or
introduced in the docstring with the code's name behind it: S (`scores`).
"""

import ast
import re
from contextlib import suppress
from dataclasses import dataclass, field

from docs.annotation.formulas import Formula, FormulaError, read_formula
from docs.annotation.places import Place, find_place, helper_words, lacking
from docs.annotation.slices import Function
from docs.annotation.sources import Source, read_source
from utils.errors import UserError
from utils.files import ROOT

NAMED = re.compile(r"`([\w.]+)`")


@dataclass
class Equation:
    """One formula of a docstring, with its reason and where it is computed."""

    formula: Formula
    reason: str
    line: int  # in the file, of the docstring's line
    places: list[Place] = field(default_factory=list)
    continues: bool = False  # has its left side from the formula before it


@dataclass
class Block:
    """Equations side by side: an indented block of a docstring, from a line of the file on."""

    owner: str  # whose docstring, "" for the module's
    line: int
    first: int  # the same line, counted in the docstring
    equations: list[Equation]


def docstring_of(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> tuple[str, int]:
    """Returns a docstring without its indentation, and the line of the file where it begins.

    The indentation is that of its quotes: a docstring of equations alone keeps theirs.
    """
    text = ast.get_docstring(node, clean=False)
    if not text:
        return "", 0
    margin = " " * node.body[0].col_offset
    lines = [line.removeprefix(margin).rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip(), node.body[0].lineno


def blocks_of(docstring: str) -> list[tuple[int, list[str], str]]:
    """Lists the indented blocks: the first line's number, the lines, the paragraph before it."""
    lines, found, at = docstring.splitlines(), [], 0
    while at < len(lines):
        inside = lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip())
        if not inside:
            at += 1
            continue
        end = at
        while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
            end += 1
        above = "\n".join(lines[:at]).rstrip().rpartition("\n\n")[2]
        found.append((at, [line[4:] for line in lines[at:end]], above))
        at = end
    return found


def holds_equations(lines: list[str]) -> bool:
    return any(re.search(r"(^|\s)\+?= ", line) for line in lines)


def find_equations(source: Source) -> list[Block]:
    """Reads all equations of a file and finds their lines. UserError names what does not hold."""
    found = []
    for owner, node in {"": source.tree, **source.definitions}.items():
        docstring, start = docstring_of(node)
        refuse_at_the_margin(source, docstring, start)
        for first, lines, above in blocks_of(docstring):
            if holds_equations(lines):
                block = Block(owner, start + first, first, [])
                functions = computed_by(source, owner, above, block.line)
                for number, line in enumerate(lines):
                    for equation in read_line(source, block, line, block.line + number):
                        nth = sum(same_left(other, equation) for other in block.equations) - 1
                        locate(source, equation, functions, docstring, nth)
                found.append(block)
    return found


def refuse_at_the_margin(source: Source, docstring: str, start: int) -> None:
    """Raises a UserError for an equation that stands where prose does: it would not be set."""
    lines = ["", *docstring.splitlines(), ""]
    for number, (before, line, after) in enumerate(zip(lines, lines[1:], lines[2:], strict=False)):
        if line[:1].strip() and not before and not after and holds_equations([line]):
            with suppress(FormulaError):
                read_formula(re.split(r"\s{2,}", re.sub(r" +(\+?=) +", r" \1 ", line))[0])
                problem = (
                    f"{line!r} is an equation at the margin: indent it by four spaces, with a line "
                    "of words above or below (a formatter takes the spaces from equations alone)"
                )
                raise mistake(source, start + number, problem)


def read_line(source: Source, block: Block, line: str, number: int) -> list[Equation]:
    """Reads a line of a block into it: formulas set apart by commas, then their reason."""
    if not line.strip():
        return []
    line = re.sub(r"\s+(\+?=) +", r" \1 ", line.rstrip())
    parts = re.split(r"\s{2,}", line.strip())
    formulas = [parts.pop(0)]
    while formulas[-1].endswith(",") and parts:
        formulas[-1] = formulas[-1].removesuffix(",")
        formulas.append(parts.pop(0))
    read = []
    for text in formulas:
        goes_on = text.startswith("= ")
        if goes_on and not block.equations:
            raise mistake(source, number, f"{text!r} has no left side to go on with")
        if goes_on:
            text = f"{block.equations[-1].formula.text.split(' = ')[0]} {text}"
        try:
            formula = read_formula(text)
        except FormulaError as problem:
            raise mistake(source, number, str(problem)) from None
        read.append(Equation(formula, "", number, continues=goes_on))
        block.equations.append(read[-1])
    read[-1].reason = " ".join(parts)
    return read


def computed_by(source: Source, owner: str, above: str, line: int) -> list[tuple[Source, str]]:
    """Finds the functions that the paragraph before a block names, or else the docstring's own."""
    named = [place for name in NAMED.findall(above) if (place := resolve(source, owner, name))]
    if not named and owner:
        named = [(source, owner)]
    found = []
    for file, name in named:
        node = file.definitions[name]
        inner = [n for n in file.definitions if n.startswith(f"{name}.")]
        found += [(file, n) for n in inner] if isinstance(node, ast.ClassDef) else [(file, name)]
    if not found:
        raise mistake(source, line, "the paragraph before it must name, in backticks, the "
                      "function that computes these equations")  # fmt: skip
    return list(dict.fromkeys(found))


def resolve(source: Source, owner: str, name: str) -> tuple[Source, str] | None:
    """Finds a function or class by its name: of the same class or file, or of another file."""
    for full in (f"{owner}.{name}", f"{owner.rpartition('.')[0]}.{name}".lstrip("."), name):
        if full in source.definitions and full != owner:
            return source, full
    parts = name.split(".")
    for cut in range(len(parts) - 1, 1, -1):
        file = ROOT.joinpath(*parts[:cut]).with_suffix(".py")
        if file.is_file():
            other, inside = read_source(file), ".".join(parts[cut:])
            return (other, inside) if inside in other.definitions else None
    return None


def same_left(one: Equation, other: Equation) -> bool:
    return one.formula.lefts == other.formula.lefts and not one.continues


def locate(
    source: Source,
    equation: Equation,
    functions: list[tuple[Source, str]],
    docstring: str,
    nth: int,
) -> None:
    """Finds the lines that compute an equation. UserError where they lack a symbol of it."""
    said, where = equation.formula.text, " and ".join(name for _, name in functions)
    for file, name in functions:
        place = find_place(file, name, equation.formula, docstring, nth)
        equation.places += [place] if place else []
    if not equation.places:
        problem = f"no line of {where} computes the left side of {said!r}"
        raise mistake(source, equation.line, problem)
    words = set().union(*(place.words for place in equation.places))
    found = {(place.source, place.name) for place in equation.places}
    called = [
        f for f in functions if f not in found and isinstance(f[0].definitions[f[1]], Function)
    ]
    helpers = set().union(*(helper_words(file, name, words) for file, name in called))
    for formula in (equation.formula, *since(source, equation)):
        if missing := lacking(formula, equation.places, docstring, helpers):
            lines = sorted({s.lines[0] for place in equation.places for s in place.last})
            raise mistake(
                source,
                equation.line,
                f"{formula.text!r} names {', '.join(missing)}, but {where} does not, where line "
                f"{', '.join(map(str, lines))} computes it: mend it, or write the code's name "
                "behind the symbol, as in S (`scores`)",
            )


def since(source: Source, equation: Equation) -> list[Formula]:
    """Reads the formulas of a reason: "since a = b"."""
    if not equation.reason.startswith("since "):
        return []
    try:
        return [read_formula(equation.reason.removeprefix("since "))]
    except FormulaError as problem:
        raise mistake(source, equation.line, f"the reason: {problem}") from None


def mistake(source: Source, line: int, problem: str) -> UserError:
    return UserError(f"{source.path}:{line}: {problem}")
