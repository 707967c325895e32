"""Runs a file with eyes open: what shape every local name of its functions has.

The file's syntax tree is rewritten so that each local name, and each attribute of one, is shown to
a Recorder where it stands: `h = step(x)` becomes `h = see(step)(see(x)); see(h)`. The run's
numbers are the same, for a Recorder only looks. What has been seen is written with the letters of
the run's sizes: (2, 5, 28) is (B, T, 4 H).
"""

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch

Position = tuple[int, int, int]  # line, first column, column after it
SEE = "see_it"
MOST = 2  # different shapes shown of one name
FEW = 4  # parts shown of a tuple or a list
PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)


@dataclass
class Recorder:
    """What has been seen of each name, by where it stands."""

    sizes: dict[str, int]  # letters of the run: {"B": 2, "T": 5}
    seen: dict[Position, list[str]] = field(default_factory=dict)

    def __call__(self, value: Any, line: int, first: int, end: int) -> Any:
        said = self.describe(value)
        known = self.seen.setdefault((line, first, end), [])
        if said not in known:
            known.append(said)
        return value

    def describe(self, value: Any) -> str:
        """Writes what a value is: a tensor's shape, small values as they are, else its kind."""
        if isinstance(value, torch.Tensor):
            return self.shape(value)
        if isinstance(value, slice):
            return f"{value.start or ''}:{value.stop or ''}"
        if isinstance(value, PLAIN):
            return str(value) if len(str(value)) < 40 else type(value).__name__
        if isinstance(value, torch.Size):
            return f"shape {self.letters(tuple(value))}"
        if isinstance(value, tuple | list):
            parts = [self.describe(part) for part in value[:FEW]]
            if len(value) > 1 and len(set(parts)) == 1:
                return f"{len(value)} × {parts[0]}"
            more = ", ..." if len(value) > FEW else ""
            fields = getattr(value, "_fields", ())
            parts = [f"{name} {part}" for name, part in zip(fields, parts, strict=False)] or parts
            return f"{', '.join(parts)}{more}" if parts else "nothing yet"
        if isinstance(value, torch.nn.Module):
            return type(value).__name__.removeprefix("Parametrized")
        if callable(value) and hasattr(value, "__name__"):
            own = str(value.__module__).split(".")[0] in ("models", "vae", "utils")
            return f"the function {value.__name__}" if own else "a function"
        return type(value).__name__

    def shape(self, tensor: torch.Tensor) -> str:
        shape = tuple(tensor.shape)
        kind = "" if tensor.dtype in (torch.float32,) else f" {str(tensor.dtype)[6:]}"
        if not shape:
            return f"a number{kind}"
        letters = self.letters(shape)
        numbers = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
        return f"{letters}{kind}" + ("" if letters == numbers else f" = {numbers}")

    def letters(self, shape: tuple[int, ...]) -> str:
        names = [self.letter(size) for size in shape]
        return f"({', '.join(names)}{',' * (len(names) == 1)})"

    def letter(self, size: int) -> str:
        """Writes a size by the run's letters: alone, a few times, or a little more or less."""
        for name, number in self.sizes.items():
            if size == number:
                return name
        for times in (2, 3, 4):
            for name, number in self.sizes.items():
                if size == times * number and number > 4:
                    return f"{times} {name}"
        for name, number in self.sizes.items():
            if size == number + 1 and number > 4:
                return f"{name} + 1"
        return str(size)


class Rewriter(ast.NodeTransformer):
    """Puts the Recorder around every local name in the functions of a file."""

    def __init__(self) -> None:
        self.locals: list[set[str]] = []
        self.places: dict[Position, str] = {}  # of every name that is looked at

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Shows the arguments first, then what the body names; decorators stay as they are."""
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a]
        self.locals.append({a.arg for a in every} | stored_names(node))
        docstring = node.body[:1] if is_docstring(node.body[0]) else []
        body = self.block(node.body[len(docstring) :])
        node.body = [*docstring, *(self.look(a.arg, position_of(a)) for a in every), *body]
        self.locals.pop()
        return node

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Rewrites statements, each followed by a look at what it has bound."""
        done = []
        for statement in statements:
            bound = [] if ends(statement) else list(self.bound_by(statement))
            for part in ("body", "orelse", "finalbody"):
                inner = getattr(statement, part, None)
                if inner and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                    setattr(statement, part, self.block(inner))
            if isinstance(statement, ast.For | ast.With):
                statement.body = [*bound, *statement.body]
                bound = []
            done += [self.visit_head(statement), *bound]
        return done

    def visit_head(self, statement: ast.stmt) -> ast.stmt:
        """Rewrites a statement's own expressions; its body has been rewritten already."""
        parts = ("body", "orelse", "finalbody", "handlers")
        inner = {} if isinstance(statement, ast.FunctionDef) else vars(statement)
        bodies = {part: inner[part] for part in parts if part in inner}
        for part in bodies:
            setattr(statement, part, [])
        statement = self.visit(statement)
        for part, inner in bodies.items():
            setattr(statement, part, inner)
        return statement

    def bound_by(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        """Yields a look at each local name that a statement binds."""
        for expression in heads(statement):
            for node in ast.walk(expression):
                binds = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                if binds and self.locals and node.id in self.locals[-1]:
                    yield self.look(node.id, position_of(node))

    def show(self, node: ast.expr, position: Position, name: str) -> ast.Call:
        """Puts the Recorder around an expression."""
        self.places[position] = name
        arguments = [node, *(ast.Constant(number) for number in position)]
        return ast.copy_location(ast.Call(ast.Name(SEE, ast.Load()), arguments, []), node)

    def look(self, name: str, position: Position) -> ast.Expr:
        return ast.Expr(self.show(ast.Name(name, ast.Load()), position, name))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and self.locals and node.id in self.locals[-1]:
            return self.show(node, position_of(node), node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Shows x.shape and self.W; what is called is no value of its own."""
        whole = position_of(node)
        position = (node.end_lineno, node.end_col_offset - len(node.attr), whole[2])
        local = root(node) in self.locals[-1] if self.locals else False
        node.value = self.visit(node.value)
        if isinstance(node.ctx, ast.Load) and local:
            return self.show(node, position, node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
        elif not isinstance(node.func, ast.Name):
            node.func = self.visit(node.func)
        node.args = [self.visit(argument) for argument in node.args]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        return node  # where its parts stand is known from Python 3.12 on only

    def visit_Delete(self, node: ast.Delete) -> ast.Delete:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        if node.value and self.locals:
            node.value = self.visit(node.value)
        return node


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def ends(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Return | ast.Raise | ast.FunctionDef | ast.ClassDef)


def heads(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yields where a statement binds names."""
    if isinstance(statement, ast.Assign):
        yield from statement.targets
    elif isinstance(statement, ast.AugAssign | ast.For):
        yield statement.target
    elif isinstance(statement, ast.With):
        yield from (item.optional_vars for item in statement.items if item.optional_vars)


def stored_names(function: ast.FunctionDef) -> set[str]:
    return {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def position_of(node: ast.arg | ast.expr) -> Position:
    name = node.arg if isinstance(node, ast.arg) else getattr(node, "id", "")
    end = node.col_offset + len(name.encode()) if name else node.end_col_offset
    return node.lineno, node.col_offset, end


@contextmanager
def watched(path: str, tree: ast.Module, recorder: Recorder) -> Iterator[ModuleType]:
    """Gives a file's module, rewritten and watched by a recorder, in the place of the real one."""
    name = path.removesuffix(".py").replace("/", ".")
    real = importlib.import_module(name)
    module = ModuleType(name)
    module.__file__ = real.__file__
    module.__dict__[SEE] = recorder
    sys.modules[name] = module
    try:
        exec(compile(ast.fix_missing_locations(tree), real.__file__, "exec"), module.__dict__)
        yield module
    finally:
        sys.modules[name] = real


def record_shapes(
    path: str, text: str, sizes: dict[str, int], run: Callable[[ModuleType], None]
) -> dict[Position, str]:
    """Runs a file on a small input: what was seen at each place of a name, the first kinds of it.

    A place that the run does not reach has what the name was last before it.
    """
    rewriter, recorder = Rewriter(), Recorder(sizes)
    tree = rewriter.visit(ast.parse(text))
    with watched(path, tree, recorder) as module, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        run(module)
    found: dict[Position, str] = {}
    last: dict[str, str] = {}
    for position, name in sorted(rewriter.places.items()):
        said = recorder.seen.get(position)
        if said:
            last[name] = " or ".join(said[:MOST]) + (" ..." if len(said) > MOST else "")
        if name in last:
            found[position] = last[name]
    return found
