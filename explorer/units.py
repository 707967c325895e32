"""What single units know of a text: cells and gates of an LSTM, channels, features, by measurement.

For every property of a text (this is a vowel, we are within quotation marks, letters since the word
began) the unit that knows most of it is chosen on one half of a held-out text and scored on the
other: by the area under the ROC curve where the property is there or not (0.5 is chance, 1 knows
it), by the rank correlation where it is a number. Either sign counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from utils import files
from utils.errors import UserError
from utils.text.data import TextModel, cut, decode, encode, read
from utils.text.fitting import fit_text, is_lowered, leave_out
from utils.text.preparation import read_text
from utils.training.checkpoint import Loaded
from utils.training.device import evaluating

OPENING, CLOSING, EITHER = "“«„", "”»", '"'
GATES = ("i", "f", "g", "o")
PIECE, SLICE = 256, 64  # characters, and units, that are looked at in one go


class Found(NamedTuple):
    """The unit that knows most of a property: its score on the half it was not chosen on."""

    property: str
    is_rank: bool  # a rank correlation; else an area under the ROC curve
    group: str  # "c1": the cells of the first layer
    unit: int
    score: float  # of the other half, after the sign
    sign: int
    chosen_by: float  # the score of the half it was chosen on
    chance: float  # what the same search finds in shifted properties, on average


def held_out(loaded: Loaded, most: int = 8000) -> tuple[Tensor, str]:
    """Returns codes that a model was not trained on, and where they are from.

    That is the validation part of its own text where it is prepared, else the end of data/text.txt.
    """
    data, alphabet = loaded.config.data, loaded.content["alphabet"]
    data = replace(data, validation_share=data.validation_share or 0.1)
    folder = files.find("data", data.name)
    if (folder / "alphabet.npy").is_file():
        known, codes = read(folder)
        if known == alphabet:
            part = np.asarray(cut(codes, data)[1][:most], dtype=np.int64)
            return torch.from_numpy(part), data.name
    text = read_text(files.ROOT / "data" / "text.txt", raw=not is_lowered(alphabet))
    text, _ = leave_out(fit_text(cut(text, data)[1], alphabet)[0], alphabet)
    return encode(text[:most], alphabet), "the end of data/text.txt"


# Units


def read_pieces(model: TextModel, codes: Tensor, piece: int) -> Iterator[dict[str, Tensor]]:
    """Reads codes (T,) piece by piece; yields every group of its units (at most piece, U)."""
    size, state = model.position_limit or piece, None
    for start in range(0, len(codes), size):
        with evaluating(model) as device:  # within a piece: nobody else meets it switched off
            before = state
            x = codes[start : start + size][None].to(device)
            seen, state = watch(model, x, None if model.position_limit else state)
            part = name_units(model, seen, before)
        yield {name: values.cpu() for name, values in part.items()}


def join(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Puts the pieces of every group together: (T, U)."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def read_units(model: TextModel, codes: Tensor, piece: int = 512) -> dict[str, Tensor]:
    """Reads codes (T,); returns every group of units (T, U) by its name."""
    return join(list(read_pieces(model, codes, piece)))


def watch(model: nn.Module, x: Tensor, state: object) -> tuple[list[tuple], object]:
    """Reads x, and collects what goes into every layer or block, and what comes out."""
    layers = model.lstm.layers if hasattr(model, "lstm") else model.blocks
    seen: list[tuple] = []
    hooks = [layer.register_forward_hook(lambda *call: seen.append(call)) for layer in layers]
    try:
        _, state = model(x, state)
    finally:
        for hook in hooks:
            hook.remove()
    return seen, state


def name_units(model: nn.Module, seen: list[tuple], state: object) -> dict[str, Tensor]:
    """Names what was seen in one piece of a text: (T, U) each."""
    found = {}
    for depth, (layer, given, (out, _)) in enumerate(seen, 1):
        if hasattr(model, "lstm"):
            h, c = given[1]
            found |= {f"{n}{depth}": v for n, v in open_cell(layer, given[0], out, h, c).items()}
        elif hasattr(model, "kernel_size"):
            found[f"block {depth}"] = out[0].T
        else:
            found[f"block {depth}"] = out[0]
    return found


def open_cell(layer: nn.Module, x: Tensor, out: Tensor, h: Tensor, c: Tensor) -> dict[str, Tensor]:
    """Computes the gates i, f, g, o and the cells c of an LSTM layer from x and its outputs h."""
    earlier = torch.cat([h[:, None], out[:, :-1]], dim=1)  # h_{t-1}
    i, f, g, o = (functional.linear(x, layer.W, layer.b) + earlier @ layer.U.T)[0].chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()  # (T, H) each
    cells, cell = [], c[0]
    for keep, add in zip(f, i * g, strict=True):
        cell = keep * cell + add
        cells.append(cell)
    return {"c": torch.stack(cells), "h": out[0]} | dict(zip(GATES, (i, f, g, o), strict=True))


# Properties


def within_quotes(text: str) -> list[float]:
    """Tells of each character whether a quotation is open after it."""
    found, is_open = [], False
    for char in text:
        if char in OPENING or char in CLOSING:
            is_open = char in OPENING
        elif char in EITHER:
            is_open = not is_open
        found.append(float(is_open))
    return found


def count_since(text: str, starts: Callable[[str], bool]) -> list[float]:
    """Counts the characters since the last one that starts something new."""
    found, count = [], 0
    for char in text:
        count = 0 if starts(char) else count + 1
        found.append(float(count))
    return found


def measure_text(text: str) -> dict[str, tuple[bool, np.ndarray]]:
    """Measures the properties of a text's characters: name -> (is it a number, values (T,))."""
    following = [*text[1:], " "]
    there = {
        "space": [c.isspace() for c in text],
        "vowel": [c.lower() in "aeiou" for c in text],
        "upper case": [c.isupper() for c in text],
        "punctuation": [not c.isalnum() and not c.isspace() for c in text],
        "within quotation marks": within_quotes(text),
        "the word ends here": [
            c.isalpha() and not n.isalpha() for c, n in zip(text, following, strict=True)
        ],
        "the next is a vowel": [c.lower() in "aeiou" for c in following],
    }
    numbers = {
        "letters since the word began": count_since(text, lambda c: not c.isalpha()),
        "characters since the line began": count_since(text, lambda c: c == "\n"),
        "characters since the sentence began": count_since(text, lambda c: c in ".!?"),
    }
    found = {name: (False, np.array(values, dtype=float)) for name, values in there.items()}
    return found | {name: (True, np.array(values, dtype=float)) for name, values in numbers.items()}


# Scores


def rank(values: np.ndarray) -> np.ndarray:
    """Ranks values (T,) from 0; equal ones share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place]


def score_units(ranks: np.ndarray, values: np.ndarray, is_rank: bool) -> np.ndarray:
    """Scores ranks (T, U) against a property (T,): signed, 0.5 chance for an area, 0 for a rank."""
    if is_rank:
        a, b = ranks - ranks.mean(axis=0), rank(values) - (len(values) - 1) / 2
        norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum())
        return (a * b[:, None]).sum(axis=0) / np.where(norm > 0, norm, 1)
    positive = values > 0.5
    n, others = positive.sum(), (~positive).sum()
    return (ranks[positive].sum(axis=0) - n * (n - 1) / 2) / (n * others)


Properties = dict[str, tuple[bool, np.ndarray]]


def search_group(
    group: str, values: np.ndarray, properties: Properties, first: int = 0
) -> list[Found]:
    """Finds in one group of units (T, U) the one that knows most of each property.

    They are counted from `first` on. A property that fewer than 20 characters of either half have,
    or lack, is left out.
    """
    half = len(values) // 2
    ranks = np.argsort(np.argsort(values[:half], axis=0, kind="stable"), axis=0).astype(float)
    found = []
    for name, (is_rank, property_) in properties.items():
        parts = property_[:half], property_[half:]
        if any(min((p > 0.5).sum(), (p <= 0.5).sum()) < 20 for p in parts):
            continue
        middle = 0.0 if is_rank else 0.5
        scores = score_units(ranks, parts[0], is_rank)
        best = int(np.abs(scores - middle).argmax())
        sign = 1 if scores[best] >= middle else -1
        other = score_units(rank(values[half:, best])[:, None], parts[1], is_rank)[0]
        shifted = np.roll(parts[0], half // 2)
        chance = np.abs(score_units(ranks, shifted, is_rank) - middle).max()
        found.append(
            Found(
                name, is_rank, group, first + best,
                float(middle + sign * (other - middle)), sign,
                float(middle + abs(scores[best] - middle)), float(middle + chance),
            )
        )  # fmt: skip
    return found


def choose(found: list[Found]) -> list[Found]:
    """Chooses of every group's units the one that knows most, and sorts: the best known first."""
    best: dict[str, Found] = {}
    for one in found:
        first = best.setdefault(one.property, one)
        stronger = one if one.chosen_by > first.chosen_by else first
        best[one.property] = stronger._replace(chance=max(one.chance, first.chance))
    return sorted(best.values(), key=lambda f: -(f.score if f.is_rank else 2 * f.score - 1))


def find_units(units: dict[str, Tensor], text: str) -> list[Found]:
    """Finds for each property the unit that knows most of it, the best known first."""
    properties = measure_text(text)
    every = [search_group(name, values.numpy(), properties) for name, values in units.items()]
    return choose([one for found in every for one in found])


class Search:
    """Finds what the units of a model know, a piece at a time, so that others need not wait."""

    def __init__(self, loaded: Loaded) -> None:
        self.codes, self.where = held_out(loaded)
        self.found: list[Found] | None = None
        self.work = self.search(loaded.model, decode(self.codes, loaded.content["alphabet"]))

    def step(self) -> float:
        """Works on for some tens of milliseconds; returns the share that is done."""
        if (share := next(self.work, None)) is None:
            raise UserError("measuring the units of this run failed: start the explorer anew")
        return share

    def search(self, model: TextModel, text: str) -> Iterator[float]:
        """Reads, which is counted as half, then searches; yields the share that is done."""
        parts, found = [], []
        for done, part in enumerate(read_pieces(model, self.codes, PIECE), 1):
            parts.append(part)
            yield min(0.5, done * PIECE / len(self.codes) / 2)
        units, properties = join(parts), measure_text(text)
        slices = [(name, at) for name in units for at in range(0, units[name].shape[1], SLICE)]
        for done, (name, at) in enumerate(slices, 1):
            values = units[name][:, at : at + SLICE].numpy()
            found += search_group(name, values, properties, first=at)
            yield 0.5 + done / len(slices) / 2
        self.found = choose(found)
        yield 1.0
