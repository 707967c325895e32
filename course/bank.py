"""The bank of mistakes: wrong versions of a solution, each a small change with its sentence.

What they compute is never stored by hand: it comes from running them, on the same inputs as the
solution, when an edition is made or a submission is judged.
"""

import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from course import blanks
from course.judging import Known
from course.probes.probe import Probe, ask, dotted
from utils import files
from utils.errors import UserError
from utils.files import show

FOLDER = Path(__file__).with_name("mistakes")


@dataclass(frozen=True)
class Mistake:
    """A wrong version of a function: `old` stands once in it, `new` instead; and what to say."""

    function: str
    sentence: str
    old: str
    new: str

    def apply(self) -> str:
        """Returns the text of the solution's file with this mistake in it."""
        file, _, name = self.function.partition(":")
        source = (files.ROOT / file).read_text(encoding="utf-8")
        try:
            return blanks.change(source, name, self.old, self.new)
        except ValueError as problem:
            raise UserError(f"the mistake {self.sentence!r} does not fit: {problem}") from None


def read_mistakes(folder: Path = FOLDER) -> list[Mistake]:
    """Reads the mistakes of all files of a folder."""
    found = []
    for file in sorted(folder.glob("*.toml")):
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            found += [Mistake(**table) for table in content["mistake"]]
        except (ValueError, TypeError, KeyError) as problem:  # TOML's are ValueErrors
            said = str(problem).replace("__init__() ", "")
            raise UserError(f"{show(file)}, after mistake {len(found)}: {said}") from None
    return found


def load_solution(file: str) -> ModuleType:
    """Imports the solution's module of a file such as "models/lstm/modules.py"."""
    return importlib.import_module(dotted(file))


@contextmanager
def loaded(file: str, source: str) -> Iterator[ModuleType]:
    """Makes a module of another text in the place of a file; the true one is back afterwards."""
    name, before = dotted(file), load_solution(file)
    spec = importlib.util.spec_from_loader(name, None, origin=str(files.ROOT / file))
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(files.ROOT / file)
    sys.modules[name] = module
    try:
        exec(compile(source, file, "exec"), module.__dict__)
        yield module
    finally:
        sys.modules[name] = before


def draw_known(probe: Probe, seed: int | list[int], mistakes: list[Mistake]) -> Known:
    """Draws a probe's inputs, and runs the solution and its known mistakes on them."""
    inputs = probe.draw(np.random.default_rng(seed), load_solution)
    file = probe.function.partition(":")[0]
    right, wrong = ask_both(probe, load_solution(file), inputs), []
    for mistake in mistakes:
        if mistake.function == probe.function:
            with loaded(file, mistake.apply()) as module:
                wrong += [(mistake.sentence, out) for out in ask_both(probe, module, inputs)]
    return Known(inputs, tuple(right), tuple(wrong))


def ask_both(probe: Probe, module: ModuleType, inputs: dict[str, np.ndarray]) -> list[dict]:
    """Asks a function with stand-ins for its neighbours and, where it has any, without."""
    ways = (True, False) if probe.neighbours(inputs) else (True,)
    return [probe.summarise(ask(probe, module, inputs, alone=alone)) for alone in ways]
