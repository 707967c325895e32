"""Puts a report together: its chapters, their runs, what the student says to them, an appendix."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report import discussion
from report.appendix import list_files_table, list_settings
from report.blocks import Block, Equation, Paragraph, Report, Section, Styled, list_files
from report.comparing import compare_runs
from report.runs import Run
from report.sections import Writer
from report.settings import Settings, read_template
from utils.files import show

Words = dict[str, Any]


def assemble(
    runs: Sequence[Run], settings: Settings, folder: Path, *, as_is: bool
) -> tuple[Report, Words]:
    """Builds the report on these runs; returns it with the words of its language."""
    all_words = read_template("words.toml")
    words, language = all_words[settings.language], settings.language
    sheet, equations = read_template("sheet.toml"), read_template("equations.toml")
    sections = []
    for chapter in sheet["chapter"]:
        own = [run for run in runs if name_part(run) in chapter["kinds"]]
        own.sort(key=lambda run: (chapter["kinds"].index(name_part(run)), spread(run.name)))
        questions = [q for q in sheet["question"] if q["chapter"] == chapter["id"]]
        if own:
            said = {q["id"]: discuss(q, folder, language, all_words) for q in questions}
            blocks: list[Block] = make_equations(chapter, own, equations, language)
            blocks += compare_runs(own, words)
            inner = [Writer(run, words, as_is=as_is).section() for run in own]
            inner = place_discussions(inner, own, questions, said)
            sections.append(Section((chapter[language],), blocks, inner))
    report = Report(settings.title, settings.people, language, sections)
    listed = [list_settings(run, words) for run in runs]
    appendix = [Section((words["settings"],), listed, columns=2)]
    report = Report(report.title, report.people, language, [*sections, *appendix])
    files = list_files(report)
    appendix.append(Section((words["files"],), [list_files_table(files, words)]))
    whole = Section((words["appendix"],), [], appendix)
    return Report(report.title, report.people, language, [*sections, whole]), words


def name_part(run: Run) -> str:
    """Names the part of the sheet that a run belongs to: autoencoders are in two."""
    if run.kind != "vae":
        return run.kind
    return "vae_exact" if run.config.loss.likelihood == "categorical" else "vae_pictures"


def spread(name: str) -> list[tuple[int, str]]:
    """Spreads a name so that names sort as people count: vae_beta_4 before vae_beta_20."""
    return [
        (int(part or -1), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name)
    ]


def make_equations(
    chapter: Words, runs: Sequence[Run], equations: Words, language: str
) -> list[Equation]:
    """Picks the equations of a chapter, those of one kind only where it has such runs."""
    kinds = {run.kind for run in runs}
    picked = [equations[name] for name in chapter["equations"]]
    return [
        Equation(one["latex"], one["typst"], (one[language],))
        for one in picked
        if one.get("kind") is None or one["kind"] in kinds
    ]


def discuss(question: Words, folder: Path, language: str, all_words: Words) -> Section:
    """Makes the section of a question: the question, and what its file has to say."""
    words = all_words[language]
    file = discussion.make_file(folder, question, language, words)
    text = discussion.read_text(file, question, all_words)
    blocks: list[Block] = [Paragraph((question[language],), "quote")]
    if text:
        blocks += discussion.read_blocks(text, file.parent, words)
    else:
        before, after = words["unwritten"].split("{}")
        blocks.append(
            Paragraph((before, Styled("code", (name_short(file, folder),)), after), "note")
        )
    return Section((f"{words['discussion']}: {question['title'][language]}",), blocks, said=True)


def name_short(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else show(file)


def place_discussions(
    sections: list[Section],
    runs: Sequence[Run],
    questions: Sequence[Words],
    said: dict[str, Section],
) -> list[Section]:
    """Puts each question behind the last run of its kind, the others at the end of the chapter.

    A question about a kind that has no run here is left out.
    """
    placed: list[Section] = []
    for index, (run, section) in enumerate(zip(runs, sections, strict=True)):
        placed.append(section)
        if index + 1 == len(runs) or runs[index + 1].kind != run.kind:
            placed += [said[q["id"]] for q in questions if q.get("kind") == run.kind]
    return placed + [said[q["id"]] for q in questions if "kind" not in q]
