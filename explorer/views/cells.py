"""Cells: a text coloured by one unit, chosen from a list of what units know, by measurement."""

from collections.abc import Iterator
from typing import Any

from explorer.library import Library
from explorer.units import Search, held_out, read_units
from explorer.views.write import fit_prompt
from explorer.web import Query
from utils.errors import UserError
from utils.text.data import decode
from utils.text.training import TEXT_KINDS

NAME = "cells"
MOST = 1500  # characters of a text


def list_known(query: Query, library: Library) -> Iterator[dict[str, Any]]:
    """Lists for each property the unit that knows most of it; tells meanwhile what share is done.

    It is measured once: pages that wait for the same run work on the same search.
    """
    run = query.text("run", "lstm", most=120)
    query.finish()
    loaded = library.text_model(run)
    entry, epoch = library.find(run, TEXT_KINDS)
    name = f"{entry.name}@{epoch}"
    search = library.keep(name, entry, lambda: Search(loaded), "units")
    while search.found is None:
        yield {"share": round(search.step(), 3)}
    known = [one._asdict() for one in search.found]
    yield {"known": known, "text": search.where, "characters": len(search.codes)}


def colour_text(query: Query, library: Library) -> dict[str, Any]:
    """Gives a text, and what one unit is at each of its characters."""
    run = query.text("run", "lstm", most=120)
    group = query.text("group", "", most=40)
    unit = query.whole("unit", 0, 0, 10**6)
    typed = query.text("text", "", most=MOST)
    query.finish()
    loaded = library.text_model(run)
    alphabet = loaded.content["alphabet"]
    codes = fit_prompt(typed, alphabet)[0] if typed else held_out(loaded, 600)[0]
    units = read_units(loaded.model, codes)
    group = group or next(iter(units))
    if group not in units:
        raise UserError(f"{run} has no {group!r:.40}: choose one of {', '.join(units)}")
    if unit >= units[group].shape[1]:
        raise UserError(f"{group} has {units[group].shape[1]} units, counted from 0: not {unit}")
    values = units[group][:, unit]
    return {
        "text": list(decode(codes, alphabet)),
        "values": [round(float(value), 3) for value in values],
        "groups": {name: values.shape[1] for name, values in units.items()},
        "group": group,
    }


ROUTES = {"known": list_known, "text": colour_text}
