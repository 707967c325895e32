"""Finds the lines of a function that compute a name: those that write it, and what these take.

A line is looked at as a whole statement. It writes a name by assigning to it or to a part of it, as
the target of a loop, in place (`z.mul_(a)`, `out=z`, `grad_input=z`), or as the first argument of a
call whose value nobody takes (`add_product(dU, a, b)`). What is written in place changes all views
of the same memory, too. A statement takes a name from statements above it, and from those of a loop
around both.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Methods that return a view of their tensor: the same memory, seen otherwise.
VIEWS = {"chunk", "expand", "flatten", "permute", "split", "squeeze", "T", "transpose"}
VIEWS |= {"unbind", "unflatten", "unsqueeze", "view", "view_as"}
IN_PLACE = ("out", "grad_input")  # keywords of what a function writes to


@dataclass(eq=False)
class Statement:
    """A statement, or the head of a compound one, with the names that it takes and writes."""

    node: ast.stmt
    order: int
    loops: tuple[int, ...]
    reads: set[str] = field(default_factory=set)  # local names
    words: set[str] = field(default_factory=set)  # all that it names: attributes, operators
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)  # in place

    @property
    def lines(self) -> tuple[int, int]:
        body = getattr(self.node, "body", None)
        last = body[0].lineno - 1 if body else self.node.end_lineno
        return self.node.lineno, max(last, self.node.lineno)


class Slices:
    """The statements of one function, to be asked which of them compute a name."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.statements: list[Statement] = []
        self.memory: dict[str, str] = {}  # a name -> another one of the same memory
        self.tuples: dict[str, ast.expr] = {}  # a name -> the zip or the tuple that it stands for
        self.walk(function.body, ())

    def walk(self, body: list[ast.stmt], loops: tuple[int, ...]) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) or is_docstring(node):
                continue
            statement = Statement(node, len(self.statements), loops)
            self.statements.append(statement)
            inner = loops
            if isinstance(node, ast.For | ast.While):
                inner = (*loops, statement.order)
                statement.loops = inner
            self.describe(statement)
            for part in ("body", "orelse", "finalbody"):
                self.walk(getattr(node, part, []), inner)

    def describe(self, statement: Statement) -> None:
        """Notes what a statement takes and writes, and which names share their memory."""
        node = statement.node
        for expression in own_expressions(node):
            for part in ast.walk(expression):
                self.note(part, statement)
        if isinstance(node, ast.Expr) and called(node.value) and node.value.args:
            statement.changes |= {root(node.value.args[0])} - {""}
        if isinstance(node, ast.AugAssign):
            statement.changes.add(root(node.target))
            statement.reads.add(root(node.target))
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.share(target, node.value)
            if isinstance(node.targets[0], ast.Name):
                self.tuples[node.targets[0].id] = node.value
        if isinstance(node, ast.For):
            self.pair(node.target, node.iter)

    def note(self, part: ast.AST, statement: Statement) -> None:
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            statement.reads.add(part.id)
            statement.words |= words_of(part.id)
        elif isinstance(part, ast.Name):
            statement.binds.add(part.id)
        elif isinstance(part, ast.Attribute):
            statement.words |= words_of(part.attr)
            if isinstance(part.ctx, ast.Store):
                statement.changes.add(part.attr)
        elif isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
            statement.changes |= {root(part)} - {""}
        elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult):
            statement.words.add("matmul")
        elif isinstance(part, ast.Call):
            method = part.func.attr if isinstance(part.func, ast.Attribute) else ""
            if method.endswith("_") and not method.startswith("_"):
                statement.changes |= {root(part.func)} - {""}
            for keyword in part.keywords:
                if keyword.arg in IN_PLACE:
                    statement.changes |= {root(keyword.value)} - {""}

    def share(self, target: ast.expr, value: ast.expr) -> None:
        """Joins the memory of names with that of what they are a view of."""
        source = root(value) if is_view(value) else ""
        for part in ast.walk(target) if source else ():
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                own, other = self.find(part.id), self.find(source)
                if own != other:
                    self.memory[own] = other

    def pair(self, target: ast.expr, iterable: ast.expr) -> None:
        """Joins a loop's targets with the tensors that it runs over, one by one."""
        while getattr(iterable, "func", None) and len(iterable.args) == 1:  # reversed(list(views))
            iterable = iterable.args[0]
        if isinstance(iterable, ast.Name):
            iterable = self.tuples.get(iterable.id)
        if called(iterable) == "zip" and isinstance(target, ast.Tuple):
            for name, value in zip(target.elts, iterable.args, strict=False):
                if isinstance(value, ast.Starred):
                    return
                self.share(name, value)

    def find(self, name: str) -> str:
        while name in self.memory:
            name = self.memory[name]
        return name

    def writers(self, name: str) -> list[Statement]:
        """Lists the statements that give a name its value, or change its memory."""
        own = self.find(name)
        return [
            s
            for s in self.statements
            if name in s.binds or own in {self.find(changed) for changed in s.changes}
        ]

    def returns(self) -> list[Statement]:
        return [s for s in self.statements if isinstance(s.node, ast.Return) and s.node.value]

    def behind(self, last: list[Statement]) -> list[Statement]:
        """Lists these statements and all that they depend on, in order."""
        found, left = set(last), list(last)
        while left:
            statement = left.pop()
            for name in statement.reads:
                for writer in self.writers(name):
                    around = set(writer.loops) & set(statement.loops)
                    if writer not in found and (writer.order < statement.order or around):
                        found.add(writer)
                        left.append(writer)
        return sorted(found, key=lambda s: s.order)


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def called(node: ast.expr | None) -> str:
    """Returns the name of a function that is called, "" for anything else."""
    return getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""


def own_expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Yields what a statement evaluates itself, without the statements inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler):
            yield child


def root(node: ast.expr) -> str:
    """Finds the name at the root of a chain: z in z[0].mul_(a).add_(b)."""
    while True:
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return node.id if isinstance(node, ast.Name) else ""


def is_view(node: ast.expr) -> bool:
    """Tells whether a chain ends in the memory that it starts from."""
    while not isinstance(node, ast.Name):
        named = isinstance(node, ast.Attribute)
        if named and not (node.attr in VIEWS or node.attr.endswith("_")):
            return False
        if named or isinstance(node, ast.Subscript | ast.Starred):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func
        else:
            return False
    return True


def words_of(name: str) -> set[str]:
    """Lists what a name stands for: O_part is O, Wx_b is W, x and b, log2_ is log2."""
    words = {word for word in name.split("_") if word}
    for word in list(words):
        if len(word) == 2 and word[0].isupper() and word[1].islower():
            words |= set(word)
    return words | {name, name.rstrip("_")}
