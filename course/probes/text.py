"""Exercise 1a: characters as one-hot vectors, a text as samples."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np

from course.probes.probe import Arrays, Probe, Project

LETTERS = "abcdefghijklmnopqrstuvwxyz ,.!?'\"äöüß"


LINE_ENDS = ("\n", "\r\n", "\r", "\n\n", "\n")
NO_LINE_ENDS = "A\x0cb\x0b\u2028a"  # whatever str.splitlines says; and a capital is no small letter


def draw_text(rng: np.random.Generator) -> str:
    """Draws a few lines; the last one has no line end."""
    lines = ["".join(rng.choice(list(LETTERS), rng.integers(2, 12))) for _ in range(5)]
    return "".join(map(str.__add__, lines, LINE_ENDS)) + NO_LINE_ENDS


class CharToOneHot(Probe):
    function = "utils/helper_functions.py:char_to_one_hot"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        alphabet = sorted(rng.choice(list(LETTERS), 12, replace=False))
        return {"alphabet": np.array(alphabet), "chars": rng.permutation(alphabet)[:7]}

    def run(self, module: ModuleType, inputs: Arrays) -> Arrays:
        alphabet = inputs["alphabet"]
        outputs = {}
        for number, char in enumerate(inputs["chars"].tolist()):
            outputs[f"vector_{number}"] = module.char_to_one_hot(char, alphabet)
        outputs["of_a_list"] = module.char_to_one_hot(str(alphabet[3]), alphabet.tolist())
        outputs["refuses_strangers"] = refuses(module.char_to_one_hot, "#", alphabet)
        outputs["refuses_two"] = refuses(module.char_to_one_hot, "ab", alphabet)
        return outputs

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not outputs["refuses_strangers"]:
            yield "a character that is not in the alphabet is encoded: raise a ValueError"
        if not outputs["refuses_two"]:
            yield "two characters are encoded as one: raise a ValueError"


class TxtToNumpy(Probe):
    function = "data_preparation.py:txt_to_numpy"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        text = draw_text(rng)
        encode = project("utils/helper_functions.py").char_to_one_hot
        alphabet = sorted(set(text))
        return {"text": np.array(text), "table": np.stack([encode(c, alphabet) for c in alphabet])}

    def neighbours(self, inputs: Arrays) -> dict:
        rows = dict(zip(sorted(set(str(inputs["text"]))), inputs["table"], strict=True))
        name = "utils/helper_functions.py:char_to_one_hot"
        return {name: lambda char, alphabet: rows[str(char)].copy()}

    def run(self, module: ModuleType, inputs: Arrays) -> Arrays:
        alphabet, samples = module.txt_to_numpy(str(inputs["text"]))
        return {"alphabet": alphabet} | {f"sample_{n}": s for n, s in enumerate(samples)}


def refuses(function, *arguments: object) -> bool:
    """Tells whether a function raises a ValueError."""
    try:
        function(*arguments)
    except ValueError:
        return True
    return False
