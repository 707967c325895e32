"""Arrays as bytes: what a process that is not trusted hands back. Numbers, nothing that runs."""

import json
import math

import numpy as np

from course.judging import CRASHED, MEMORY, NOT_DONE, Verdict
from course.probes.probe import Arrays

LONGEST = 2**25  # bytes of an answer
KINDS = {"?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d"}  # numpy's letters
SAID_BY_CHILD = (NOT_DONE, MEMORY, CRASHED)  # never that something is right


def pack(found: Arrays | Verdict) -> bytes:
    """Turns outputs or a verdict into bytes: a line of JSON, then the numbers."""
    if isinstance(found, Verdict):
        return json.dumps({"verdict": [found.kind, found.sentence]}).encode() + b"\n"
    table = {name: [array.dtype.char, list(array.shape)] for name, array in found.items()}
    numbers = b"".join(np.ascontiguousarray(array).tobytes() for array in found.values())
    return json.dumps({"arrays": table}).encode() + b"\n" + numbers


def unpack(content: bytes) -> Arrays | Verdict:
    """Reads what `pack` wrote. ValueError for anything else: bytes may come from anyone."""
    head, _, numbers = content.partition(b"\n")
    table = json.loads(head)
    if not isinstance(table, dict) or len(table) != 1:
        raise ValueError("neither outputs nor a verdict")
    if "verdict" in table:
        kind, sentence = table["verdict"]
        if kind not in SAID_BY_CHILD or not isinstance(sentence, str):
            raise ValueError("no verdict that a child may give")
        text = "".join(char if char.isprintable() else "?" for char in sentence[:300])
        return Verdict(kind, text)
    arrays, place = {}, 0
    for name, (kind, shape) in table["arrays"].items():
        if kind not in KINDS or not all(type(n) is int and 0 <= n < LONGEST for n in shape):
            raise ValueError(f"{name!r:.40} is no array of numbers")
        dtype, count = np.dtype(kind), math.prod(shape)
        if count * dtype.itemsize > len(numbers) - place:
            raise ValueError("fewer numbers than were announced")
        arrays[name] = np.frombuffer(numbers, dtype, count, place).reshape(shape)
        place += count * dtype.itemsize
    return arrays
