"""Finds a function in a file's text, empties it, and changes a line in it."""

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef


def find(source: str, name: str) -> Function:
    """Finds a function "name" or "Class.name" in a file's text; KeyError where it is not."""
    body = ast.parse(source).body
    *classes, function = name.split(".")
    for outer in classes:
        body = next((n.body for n in body if isinstance(n, ast.ClassDef) and n.name == outer), [])
    for node in body:
        if isinstance(node, Function) and node.name == function:
            return node
    raise KeyError(f"there is no function {name}")


def find_body(source: str, name: str) -> tuple[int, int]:
    """Returns where a function's body stands, without its docstring: lines first..end, from 0."""
    node = find(source, name)
    documented = ast.get_docstring(node, clean=False) is not None
    before = node.body[0].end_lineno if documented else node.body[0].lineno - 1
    return before, node.end_lineno


def read_body(source: str, name: str) -> list[str]:
    """Returns the lines of a function's body, without its docstring."""
    first, end = find_body(source, name)
    return source.splitlines()[first:end]


def empty(source: str, name: str, message: str) -> str:
    """Replaces a function's body by an error that says what is to be done; the docstring stays."""
    node, (first, end) = find(source, name), find_body(source, name)
    indent = " " * (node.col_offset + 4)
    lines = source.splitlines()
    lines[first:end] = [f"{indent}raise NotImplementedError({quote(message)})"]
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """Writes a text as a Python literal in double quotes."""
    return '"' + repr(text)[1:-1].replace('"', '\\"').replace("\\'", "'") + '"'


def change(source: str, name: str, old: str, new: str) -> str:
    """Replaces a text that stands exactly once in a function; ValueError where it does not."""
    node = find(source, name)
    lines = source.splitlines(keepends=True)
    within = slice(node.lineno - 1, node.end_lineno)
    function = "".join(lines[within])
    if function.count(old) != 1:
        raise ValueError(f"{old!r} stands {function.count(old)} times in {name}, not once")
    lines[within] = [function.replace(old, new)]
    return "".join(lines)
