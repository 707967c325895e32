"""Python files as the pages need them: text, functions and classes, and the tests of a line."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.trust.mutants import Mutant, read_mutants
from utils.errors import UserError
from utils.files import ROOT

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
PAGES = {
    "lstm": "models/lstm/modules.py",
    "recurrence": "models/lstm/recurrence.py",
    "tcn": "models/tcn/modules.py",
    "transformer": "models/transformer/modules.py",
    "attention": "models/transformer/attention.py",
    "networks": "vae/networks.py",
    "ladder": "vae/ladder.py",
    "losses": "vae/losses.py",
    "gan": "models/gan/modules.py",
    "aae": "models/aae/modules.py",
}


@dataclass(frozen=True, eq=False)
class Source:
    """A Python file: its text, and its functions and classes by their names ("LSTM.forward")."""

    path: str  # from the repository's root
    text: str
    tree: ast.Module
    definitions: dict[str, Definition]

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(frozen=True)
class Proof:
    """A test that fails where a line is changed, and the change (benchmarks/trust/mutants.toml)."""

    line: int
    old: str
    new: str
    test: str  # tests/vae/test_vae.py::test_bits_per_dimension

    @property
    def name(self) -> str:
        return self.test.partition("::")[2]


@cache
def read_source(path: Path) -> Source:
    """Reads a file of the repository. UserError where it is no Python."""
    text = path.read_text(encoding="utf-8")
    return parse_source(path.relative_to(ROOT).as_posix(), text)


def parse_source(path: str, text: str) -> Source:
    try:
        tree = ast.parse(text)
    except SyntaxError as problem:
        raise UserError(f"{path}: {problem.msg} in line {problem.lineno}") from None
    return Source(path, text, tree, definitions_of(tree))


def definitions_of(node: ast.AST, prefix: str = "") -> dict[str, Definition]:
    """Lists functions and classes, with those inside them, by their full names, in order."""
    found = {}
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            found[prefix + child.name] = child
            found |= definitions_of(child, f"{prefix}{child.name}.")
        else:
            found |= definitions_of(child, prefix)
    return found


@cache
def all_mutants() -> tuple[Mutant, ...]:
    return tuple(read_mutants())


def proofs_of(source: Source) -> list[Proof]:
    """Lists the tests of a file's lines, by line: what the list of mutants says they notice."""
    found = []
    for mutant in all_mutants():
        if mutant.file == source.path and source.text.count(mutant.old) == 1:
            first = source.text.index(mutant.old)
            first += len(mutant.old) - len(mutant.old.lstrip())
            line = source.text.count("\n", 0, first) + 1
            old, new = (" ".join(text.split()) for text in (mutant.old, mutant.new))
            found += [Proof(line, old, new, test) for test in mutant.tests]
    return sorted(found, key=lambda proof: proof.line)


def text_of_test(test: str) -> str:
    """Returns the source of a test. UserError where it is not there."""
    path, _, name = test.partition("::")
    file = ROOT / path
    source = read_source(file) if file.is_file() else None
    if source is None or name not in source.definitions:
        raise UserError(f"there is no test {test}, which benchmarks/trust/mutants.toml names")
    node = source.definitions[name]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(source.lines[first - 1 : node.end_lineno])
