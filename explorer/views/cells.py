"""Cells: a text coloured by one unit, chosen from a list of what units know, by measurement."""

from typing import Any

from explorer.library import TEXT_KINDS, Library
from explorer.units import Found, held_out, read_units, search
from explorer.views.write import fit_prompt
from explorer.web import Query
from utils.errors import UserError
from utils.text.data import decode

NAME = "cells"
MOST = 1500  # characters of a text


def list_known(query: Query, library: Library) -> dict[str, Any]:
    """Lists for each property the unit that knows most of it, with its score."""
    run = query.text("run", "lstm", most=120)
    query.finish()
    loaded = library.text_model(run)
    entry, epoch = library.find(run, TEXT_KINDS)

    def measure() -> tuple[list[Found], str, int]:
        return search(loaded)

    found, where, count = library.keep(f"{entry.name}@{epoch}", entry, measure, "units")
    return {"known": [one._asdict() for one in found], "text": where, "characters": count}


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
