"""Tells of what a page was made: an old one is noticed without the packages that make it."""

import hashlib

from docs.annotation.equations import Block
from docs.annotation.sources import Source, proofs_of, text_of_test


def tests_of(source: Source, blocks: list[Block]) -> list[str]:
    """Lists the tests of a file, and of the functions elsewhere that compute its equations."""
    proofs = proofs_of(source)
    for (_, name), other in elsewhere(source, blocks).items():
        node = other.definitions[name]
        proofs += [p for p in proofs_of(other) if node.lineno <= p.line <= node.end_lineno]
    return list(dict.fromkeys(proof.test for proof in proofs))


def elsewhere(source: Source, blocks: list[Block]) -> dict[tuple[str, str], Source]:
    """Lists the functions of other files that compute an equation of this one."""
    return {
        (place.source.path, place.name): place.source
        for block in blocks
        for equation in block.equations
        for place in equation.places
        if place.source is not source
    }


def fingerprint(source: Source, blocks: list[Block]) -> str:
    """Returns a number of all that a page shows: of its file, of other files, of tests."""
    shown = [source.text]
    for (_, name), other in elsewhere(source, blocks).items():
        node = other.definitions[name]
        shown.append(f"{node.lineno}\n" + "\n".join(other.lines[node.lineno - 1 : node.end_lineno]))
    shown += [f"{test}\n{text_of_test(test)}" for test in tests_of(source, blocks)]
    shown += [f"{proof.line} {proof.old} {proof.new}" for proof in proofs_of(source)]
    return hashlib.sha256("\0".join(shown).encode()).hexdigest()[:16]
