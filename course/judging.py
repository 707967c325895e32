"""Judges outputs by numbers: right, equal to a known mistake, or unknown and where it differs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from course.probes.probe import GRADIENT, INPUTS_KEPT, Arrays, Probe

CLOSE = 1e-4  # relative to 1 + |expected|: float32 is right
APART = 1e-3  # at least so far are the bank's versions from each other

RIGHT, NAMED, UNKNOWN, NOT_DONE = "right", "wrong (named)", "wrong (unknown)", "not done"
SLOW, MEMORY, CRASHED = "too slow", "too much memory", "crashed"


@dataclass(frozen=True)
class Verdict:
    """What a blank is, in one word of the above, and a sentence for the student."""

    kind: str
    sentence: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Known:
    """What is known of a blank on the same inputs: right outputs, and those of known mistakes."""

    inputs: Arrays
    right: tuple[Arrays, ...]  # with stand-ins for the neighbours, and without
    mistakes: tuple[tuple[str, Arrays], ...]  # a sentence, and outputs, with and without


def distance(found: Arrays, expected: Arrays) -> float:
    """Measures how far outputs are apart: the largest difference, infinite for other forms."""
    if found.keys() != expected.keys():
        return np.inf
    largest = 0.0
    for name, right in expected.items():
        if not have_same_form(found[name], right):
            return np.inf
        largest = max(largest, float(differences(found[name], right).max(initial=0.0)))
    return largest


def differences(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Measures |found - expected| / (1 + |expected|); NaN and infinity equal themselves alone."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(found - expected) / (1 + np.abs(expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))


def judge(probe: Probe, outputs: Arrays, known: Known) -> Verdict:
    """Judges a function's outputs. Of several faults the one that has a name is said."""
    return compare(probe, probe.summarise(outputs), known)


def compare(probe: Probe, outputs: Arrays, known: Known) -> Verdict:
    """Judges outputs that were summarised already."""
    nearest = min(known.right, key=lambda right: distance(outputs, right))
    violated = next(find_violations(probe, outputs, known), "")
    if distance(outputs, nearest) <= CLOSE and not violated:
        return Verdict(RIGHT)
    picture = probe.show(outputs, nearest) if have_same_forms(outputs, nearest) else ""
    for sentence, mistaken in known.mistakes:
        if distance(outputs, mistaken) <= CLOSE:
            return Verdict(NAMED, sentence, picture)
    if not violated:
        violated = f"not one of the mistakes we know: {say_first_difference(outputs, nearest)}"
    return Verdict(UNKNOWN, violated, picture)


def find_violations(probe: Probe, outputs: Arrays, known: Known) -> Iterator[str]:
    """Yields what is wrong before numbers are compared: names, shapes, properties."""
    if not any(have_same_forms(outputs, right) for right in known.right):
        yield say_forms(outputs, known.right[0])
        return
    yield from probe.violations(known.inputs, outputs)
    if not outputs[INPUTS_KEPT]:
        yield "it changes what it is given: work on a copy"
    values = [{n: a for n, a in one.items() if not n.startswith(GRADIENT)} for one in known.right]
    if min(distance({n: outputs[n] for n in right}, right) for right in values) > CLOSE:
        return
    for name, right in known.right[0].items():
        if name.startswith(GRADIENT) and right.any() and not outputs[name].any():
            of = name.removeprefix(GRADIENT)
            yield f"the numbers are right, but no gradient reaches {of}: is something detached?"


def have_same_form(found: np.ndarray, expected: np.ndarray) -> bool:
    """Tells whether arrays have one shape, and one kind of number: bool, uint, int or float."""
    return found.shape == expected.shape and found.dtype.kind == expected.dtype.kind


def have_same_forms(found: Arrays, expected: Arrays) -> bool:
    return found.keys() == expected.keys() and all(
        have_same_form(found[name], right) for name, right in expected.items()
    )


def say_forms(found: Arrays, expected: Arrays) -> str:
    for name, right in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != right.shape:
            return f"{name} has the shape {found[name].shape}, expected {right.shape}"
        if found[name].dtype.kind != right.dtype.kind:
            return f"{name} is of {found[name].dtype}, expected {right.dtype}"
    return f"{', '.join(found.keys() - expected.keys())}: more than was asked for"


def say_first_difference(found: Arrays, expected: Arrays) -> str:
    """Says where outputs of the same shapes first differ, and by how much."""
    for name, right in expected.items():
        wrong = np.argwhere(differences(found[name], right) > CLOSE)
        if len(wrong):
            place = tuple(wrong[0].tolist())
            at = f"{name}[{', '.join(map(str, place))}]" if place else name
            return f"{at} is {found[name][place]:.6g}, expected {right[place]:.6g}"
    return "the numbers are right, and a property is not"
