"""Writes the table of main.py's options into docs/commands.md, out of the command's own parser.

    python -m docs.options              from the repository's root

A test compares the page with what this makes.
"""

import argparse
import re
from pathlib import Path

import main

PAGE = Path(__file__).with_name("commands.md")
BEGIN, END = "<!-- made by python -m docs.options -->\n", "<!-- until here -->\n"


def make_table() -> str:
    """Makes the table: how an option is written, the tasks that it serves, what it means."""
    parser = main.make_parser([])[0]
    lines = ["| option | for | meaning |", "|---|---|---|"]
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or action.dest == "help":
            continue
        spelled = ", ".join(f"`{word}`" for word in action.option_strings)
        tasks = main.USES.name(action.dest)
        meaning = action.help.removesuffix(f"; for {tasks}")
        for sign, written in {"%%": "%", "|": "\\|", "<": "&lt;"}.items():
            meaning = meaning.replace(sign, written)
        lines.append(f"| {spelled} | {tasks} | {meaning} |")
    return "\n".join(lines) + "\n"


def put_in(page: str) -> str:
    """Puts the table between the two marks of a page."""
    pattern = re.escape(BEGIN) + ".*" + re.escape(END)
    part = f"{BEGIN}\n{make_table()}\n{END}"
    return re.sub(pattern, lambda _: part, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(put_in(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
