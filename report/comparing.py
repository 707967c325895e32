"""Runs side by side: those of a chapter, and those that differ in one setting only."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from report.blocks import Cell, Inline, Styled, Table
from report.facts import Fact, take_number
from report.runs import Run
from utils.config import spell

Words = dict[str, Any]
# Settings that change nothing of what is learned, or that say only where.
ASIDE = {("model", "name"), ("training", "device")}
MOST_COLUMNS = 3  # of settings, in a table of runs
BITS = {"lstm": "val_nats", "tcn": "val_nats", "transformer": "val_nats"}


def cell(fact: Fact | str | None) -> Cell:
    """Puts a fact into a cell; a dash where there is none."""
    return ("–",) if fact is None else (fact,)


def name_run(run: Run, words: Words) -> Cell:
    """Names a run, and marks one that ships with the project."""
    mark = (" ", Styled("quiet", (f"({words['shipped_mark']})",))) if run.shipped else ()
    return (Styled("code", (run.name,)), *mark)


def count_parameters(run: Run) -> Fact | None:
    return take_number(run.best, "weights")


def count_minutes(run: Run) -> Fact | None:
    """Adds up the seconds of all epochs; of a shipped model only one is known."""
    if run.history is None:
        return None
    return take_number(run.history, "all rows/seconds", "in minutes", digits=3)


def compare_runs(runs: Sequence[Run], words: Words) -> list[Table]:
    """Makes the table of a chapter's runs, and one for each setting in which alone some differ."""
    tables, changes = [], find_single_changes(runs)
    if len(runs) > 1 and not any(len(group) == len(runs) for _, group in changes):
        columns = [(words["text"], lambda run: run.setting("data", "name"))]
        if runs[0].kind not in BITS:
            columns = [
                (Styled("code", (spell(runs[0].config, *at),)), lambda run, at=at: run.setting(*at))
                for at in find_varying(runs)[:MOST_COLUMNS]
            ]
        tables.append(side_by_side(runs, (words["models_caption"],), words, columns))
    for (section, name), group in changes:
        before, after = words["one_setting"].split("{}")
        option = spell(group[0].config, section, name)
        caption = (before, Styled("code", (option,)), after)
        column = (Styled("code", (option,)), lambda run, at=(section, name): run.setting(*at))
        tables.append(side_by_side(group, caption, words, [column]))
    return tables


def find_varying(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Lists the settings that are not the same in all runs."""
    found = [list_settings(run) for run in runs]
    return [at for at in found[0] if len({repr(one.get(at)) for one in found}) > 1]


def side_by_side(
    runs: Sequence[Run],
    caption: Cell,
    words: Words,
    further: list[tuple[Inline, Callable[[Run], Fact | None]]],
) -> Table:
    """Makes a table with a row for each run, at its best epoch, without columns that none has."""
    columns = [
        *further,
        (words["parameters"], count_parameters),
        (words["best_epoch"], lambda run: run.number("epoch")),
        *(
            (words["columns"][name], lambda run, name=name: run.number(name))
            for name in dict.fromkeys(name for run in runs for name in run.of.columns)
        ),
    ]
    if all(run.kind in BITS for run in runs):
        bits = lambda run: run.number("val_nats", way="in bits")  # noqa: E731
        columns.append((words["columns"]["in_bits"], bits))
    columns.append((words["minutes"], count_minutes))
    found = [(title, [take(run) for run in runs]) for title, take in columns]
    found = [(title, facts) for title, facts in found if any(facts)]
    rows = [
        [name_run(run, words), *(cell(facts[index]) for _, facts in found)]
        for index, run in enumerate(runs)
    ]
    head = [(words["run"],), *((title,) for title, _ in found)]
    return Table(head, rows, "l" + "r" * len(found), caption)


def find_single_changes(runs: Sequence[Run]) -> list[tuple[tuple[str, str], list[Run]]]:
    """Finds groups of runs that have all settings in common but one: (section, key) -> its runs.

    They come in the order of that setting's values.
    """
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        settings = list_settings(run)
        for place in (place for place in settings if place[0] != "data"):
            rest = tuple(sorted((key, repr(v)) for key, v in settings.items() if key != place))
            groups.setdefault((run.kind, place, rest), []).append(run)
    found = []
    for (_, place, _), group in groups.items():
        values = [list_settings(run)[place] for run in group]
        if len({repr(value) for value in values}) > 1:
            order = sorted(range(len(group)), key=lambda index: sort_key(values[index]))
            found.append((place, [group[index] for index in order]))
    return found


def list_settings(run: Run) -> dict[tuple[str, str], Any]:
    """Lists the settings that decide what a run has learned, and from which data."""
    return {
        (section.name, name): value
        for section in dataclasses.fields(run.config)
        if section.name != "protocol"
        for name, value in vars(getattr(run.config, section.name)).items()
        if (section.name, name) not in ASIDE
    }


def sort_key(value: Any) -> tuple[int, Any]:
    """Orders numbers by size, and before them what is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (1, value) if number else (0, repr(value))
