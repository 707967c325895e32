"""The appendix of a report: every setting of every run, and every file that it was made from."""

import hashlib
from pathlib import Path
from typing import Any

from report.blocks import Styled, Table
from report.facts import Fact, look_up, name_file, read, take_text
from report.kinds import default_file
from report.runs import Run

Words = dict[str, Any]


def list_settings(run: Run, words: Words) -> Table:
    """Lists all settings of a run as its file has them, beside the defaults where they differ."""
    file = run.best if run.shipped else run.best.with_name("config.json")
    sections = look_up(file, "config") if run.shipped else read(file)
    usual, rows = default_file(run.kind, run.config), []
    for section, values in sections.items():
        for name in values:
            at = f"config.{section}.{name}" if run.shipped else f"{section}.{name}"
            default = (
                take_text(usual, f"{section}.{name}") if (section, name) in run.changed else None
            )
            cells = [Styled("code", (f"{section}.{name}",)), take_text(file, at), default]
            rows.append([(part,) if part is not None else ("",) for part in cells])
    head = [(words["setting"],), (words["value"],), (words["default"],)]
    before, after = words["settings_caption"].split("{}")
    caption = (before, Styled("code", (run.name,)), after)
    if not any(row[2][0] for row in rows):  # all are the defaults
        head, rows = head[:2], [row[:2] for row in rows]
    return Table(head, rows, "l" * len(head), caption, folded=True)


def list_files_table(files: dict[Path, int], words: Words) -> Table:
    """Lists the files that a report was made from: number, name, size, digest."""
    rows = []
    for file, number in files.items():
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        rows.append(
            [
                (Styled("count", (str(number),)),),
                (Styled("code", (name_file(file),)),),
                (Fact(f"{len(content):,}", file, "size", str(len(content))),),
                (Styled("code", (Fact(digest, file, "sha256", digest),)),),
            ]
        )
    head = [(), (words["file"],), (words["bytes"],), (words["sha"],)]
    caption = (words["files_caption"],)
    return Table(head, rows, "rlrl", caption, marked=False)
