"""Asks a student's function and says what came of it: outputs, or why there are none."""

import functools
import importlib
import operator
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from course.judging import CRASHED, MEMORY, NOT_DONE, Verdict
from course.probes.probe import Arrays, Probe, ask, dotted, replaced

NO_MEMORY = ("can't allocate memory", "out of memory")


def attempt(probe: Probe, inputs: Arrays, root: Path) -> Arrays | Verdict:
    """Imports the file that a probe asks, and asks it: outputs, or a verdict where there are none.

    `root` is where the student's files lie, already on the path that Python imports from.
    """
    try:
        module = importlib.import_module(dotted(probe.function.partition(":")[0]))
        watched = {probe.function: notice_nothing(probe, module)} if probe.returns else {}
        with replaced(module, watched):
            return ask(probe, module, inputs)
    except Nothing:
        return Verdict(CRASHED, "it returns nothing: is its return missing?")
    except NotImplementedError:
        return Verdict(NOT_DONE)
    except SyntaxError as problem:
        file = Path(problem.filename or probe.function.partition(":")[0]).name
        line = f" line {problem.lineno}" if problem.lineno else ""
        return Verdict(CRASHED, f"{file}{line} is no Python: {problem.msg}")
    except (MemoryError, RuntimeError) as problem:
        if isinstance(problem, MemoryError) or any(text in str(problem) for text in NO_MEMORY):
            return Verdict(MEMORY, "there is no memory for what it makes")
        return Verdict(CRASHED, say_place(problem, root))
    except Exception as problem:
        return Verdict(CRASHED, say_place(problem, root))


class Nothing(Exception):
    """A function has returned None, where none of ours does."""


def notice_nothing(probe: Probe, module: ModuleType) -> Callable:
    """Wraps the function that is asked: who forgets a return is told so."""
    function = operator.attrgetter(probe.function.partition(":")[2])(module)

    @functools.wraps(function)
    def ask_it(*arguments: Any, **named: Any) -> Any:
        answer = function(*arguments, **named)
        if answer is None:
            raise Nothing
        return answer

    return ask_it


def say_place(problem: BaseException, root: Path) -> str:
    """Says an error in a line, with the last place of the student's files that it passed."""
    what = f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:200]
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        file = Path(frame.filename)
        if file.is_relative_to(root) and "course" not in file.relative_to(root).parts:
            return f"{file.relative_to(root).as_posix()} line {frame.lineno}: {what}"
    return what
