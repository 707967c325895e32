"""What an edition stores of the solution: numbers alone, in one file without pickles."""

from pathlib import Path

import numpy as np

from course.judging import Known


def save_references(file: Path, known: dict[str, Known]) -> None:
    """Writes what is known of every function, by its name."""
    arrays = {}
    for function, one in known.items():
        arrays[f"{function}|sentences"] = np.array([sentence for sentence, _ in one.mistakes])
        groups = {"inputs": [one.inputs], "right": one.right}
        groups["mistake"] = [outputs for _, outputs in one.mistakes]
        for group, members in groups.items():
            for number, member in enumerate(members):
                for name, array in member.items():
                    arrays[f"{function}|{group}|{number}|{name}"] = array
    np.savez_compressed(file, **arrays)


def load_references(file: Path) -> dict[str, Known]:
    """Reads what `save_references` wrote."""
    groups: dict[str, dict[str, dict[int, dict[str, np.ndarray]]]] = {}
    sentences: dict[str, list[str]] = {}
    with np.load(file, allow_pickle=False) as stored:
        for key in stored.files:
            function, group, *rest = key.split("|")
            if group == "sentences":
                sentences[function] = stored[key].tolist()
            else:
                number, name = rest
                members = groups.setdefault(function, {}).setdefault(group, {})
                members.setdefault(int(number), {})[name] = stored[key]
    known = {}
    for function, found in groups.items():
        members = {name: [table[n] for n in sorted(table)] for name, table in found.items()}
        mistakes = zip(sentences[function], members.get("mistake", ()), strict=True)
        known[function] = Known(members["inputs"][0], tuple(members["right"]), tuple(mistakes))
    return known
