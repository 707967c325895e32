"""Holds an equation against the code: which lines compute it, and what of it they do not name."""

import ast
import re
from dataclasses import dataclass

from docs.annotation.formulas import FUNCTIONS, Formula, Symbol
from docs.annotation.slices import Slices, Statement, words_of
from docs.annotation.sources import Source

COUNTERS = {"t"}  # an index that need not be bound by a sum or the left side: time
ALIAS = re.compile(r"([A-Za-zα-ωΑ-Ω]\w*'?) \(`(\w+)`")  # S (`scores`)


@dataclass(frozen=True)
class Place:
    """Lines of a function that compute an equation's left side."""

    source: Source
    name: str  # of the function
    last: tuple[Statement, ...]  # those that write it, the one most like the equation first
    behind: tuple[Statement, ...]  # these, and what they depend on
    returned: bool  # the left side is what the function returns

    @property
    def words(self) -> set[str]:
        """All that these lines name, and the function's own name."""
        found = words_of(self.name.rpartition(".")[2])
        return found.union(*(s.words | s.reads for s in self.behind))


def find_place(
    source: Source, name: str, formula: Formula, docstring: str, nth: int
) -> Place | None:
    """Finds the lines of a function that compute a formula's left side, if there are any.

    Of lines that are alike the nth comes first: the formula is the nth with this left side.
    """
    node = source.definitions[name]
    if isinstance(node, ast.ClassDef):
        return None
    slices, left = Slices(node), formula.left
    spelled = spellings(left, docstring) if left else []
    writers = next((found for n in spelled if (found := slices.writers(n))), [])
    returned = not writers and (left is None or left.base in first_sentence(docstring))
    if returned:
        writers = slices.returns()
    if not writers:
        return None
    behind = slices.behind(writers)
    alike = {s: likeness(s, formula, docstring) for s in (behind if returned else writers)}
    first = [s for s in alike if alike[s] == max(alike.values())]
    chosen = first[min(nth, len(first) - 1)]
    writers = sorted({chosen, *writers}, key=lambda s: (s is not chosen, -alike[s], s.order))
    return Place(source, name, tuple(writers), tuple(behind), returned)


def first_sentence(docstring: str) -> list[str]:
    """Lists the words of a docstring's first sentence: what a function says that it computes."""
    return re.findall(r"\w+", re.split(r"[.:](?:\s|$)", docstring)[0])


def helper_words(source: Source, name: str, words: set[str]) -> set[str]:
    """Lists what a function names that the lines with these words call."""
    if name.rpartition(".")[2] not in words:
        return set()
    statements = Slices(source.definitions[name]).statements
    return set().union(*(s.words | s.reads for s in statements))


def likeness(statement: Statement, formula: Formula, docstring: str) -> float:
    """Counts what a statement has of a formula; one that binds many names at once has less."""
    words = statement.words | statement.reads | statement.changes
    shared = sum(any(n in words for n in spellings(s, docstring)) for s in formula.symbols)
    shared += sum(bool(FUNCTIONS[name] & words) for name in formula.functions)
    direct = statement.changes | statement.binds
    if formula.left and direct & set(spellings(formula.left, docstring)):
        shared += 3
    return shared - 2 * max(0, len(statement.binds) - 1)


def spellings(symbol: Symbol, docstring: str) -> list[str]:
    """Lists how the code may spell a symbol: as the docstring says, with its index, or without."""
    aliases = dict(ALIAS.findall(docstring))
    whole = "_".join((symbol.base, *symbol.index))
    for name in (whole + symbol.prime, symbol.base + "".join(symbol.index), symbol.base):
        if name in aliases and (not symbol.prime or name.endswith("'")):
            return [aliases[name]]
    if symbol.base + symbol.prime in aliases:
        return [aliases[symbol.base + symbol.prime]]
    return [] if symbol.prime else list(dict.fromkeys([whole, symbol.base]))


def lacking(formula: Formula, places: list[Place], docstring: str, helpers: set[str]) -> list[str]:
    """Lists the symbols and functions of a formula that the lines of all its places do not name."""
    words = set().union(helpers, *(place.words for place in places))
    given = {formula.left}  # the lines were found by it
    if any(place.returned for place in places):
        given = {s for s in formula.lefts if s.base in first_sentence(docstring)}
    missing = []
    for symbol in formula.symbols:
        whole = "_".join((symbol.base, *symbol.index))
        found = [n for n in spellings(symbol, docstring) if n in words]
        if symbol in given:
            found = [symbol.base]
        elif not symbol.index and symbol.base in formula.bound | COUNTERS:
            continue
        if not found:
            missing.append(whole + symbol.prime)
        elif found[0] != whole:
            free = set(symbol.index) - formula.bound - COUNTERS
            for index in sorted(i for i in free if not i.isdigit()):
                if not words & set(spellings(Symbol(index), docstring)):
                    missing.append(f"{whole} (its index {index})")
    missing += [n for n in sorted(formula.functions) if not FUNCTIONS.get(n, {n}) & words]
    return list(dict.fromkeys(missing))
