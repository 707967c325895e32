"""What a blank is asked: inputs, how its function is called with them, what must hold of it.

A probe never holds an answer. It is called on the solution and on every known mistake when an
edition is made, and on the student's function afterwards; what comes out is compared as numbers.
"""

import importlib
import itertools
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

Arrays = dict[str, np.ndarray]
Project = Callable[[str], ModuleType]  # from "models/lstm/modules.py" to the solution's module
# Outputs that every probe has, or any may have; judging.py knows what to say of them.
INPUTS_KEPT, GRADIENT = "inputs kept", "gradient by "


class Probe:
    """Asks one blank; a subclass for each, found by its `function`."""

    function: str
    returns = True  # None from a function that has something to return is a forgotten return

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        """Draws inputs. What a neighbour's blank would compute is taken from the solution."""
        raise NotImplementedError

    def run(self, module: ModuleType, inputs: Arrays) -> Mapping[str, Any]:
        """Calls the function of a module with the inputs; returns named numbers."""
        raise NotImplementedError

    def neighbours(self, inputs: Arrays) -> dict[str, Any]:
        """Names functions "file.py:name" that others are asked for, and what stands in for them.

        So a blank's verdict does not depend on another one. A student who does without the
        neighbour is right as well: outputs of the solution without the stand-in are accepted, too.
        """
        return {}

    def summarise(self, outputs: Arrays) -> Arrays:
        """Turns outputs into what is compared; needed where they are random, by their shares."""
        return outputs

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        """Yields a sentence for each property that the outputs do not have."""
        yield from ()

    def show(self, outputs: Arrays, right: Arrays) -> str:
        """Draws the student's outputs beside the right ones, in characters, where that helps."""
        return ""


def find_probes() -> dict[str, Probe]:
    """Makes the probes of all blanks, by the function that they ask."""
    found = {}
    for place in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"{__package__}.{place.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Probe) and kind is not Probe:
                found[kind.function] = kind()
    return found


def ask(probe: Probe, module: ModuleType, inputs: Arrays, *, alone: bool = True) -> Arrays:
    """Calls a probe's function; `alone` with stand-ins for its neighbours.

    Everything is computed in float64 from the same random numbers.
    """
    stand_ins = probe.neighbours(inputs) if alone else {}
    before = torch.get_default_dtype()
    given = {name: array.copy() for name, array in inputs.items()}
    with replaced(module, stand_ins), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        try:
            outputs = probe.run(module, given)
        finally:
            torch.set_default_dtype(before)
    kept = all(np.array_equal(given[name], array) for name, array in inputs.items())
    return {name: to_array(value) for name, value in (outputs | {INPUTS_KEPT: kept}).items()}


def derive(outputs: Sequence[torch.Tensor], **by: Any) -> dict[str, torch.Tensor]:
    """Computes gradients of outputs by tensors, or a module's parameters: 0 where none flows.

    Each number of an output has a weight of its own, so that no sum hides a gradient.
    """
    weights = [torch.linspace(1, 2, out.numel(), dtype=out.dtype).view_as(out) for out in outputs]
    loss = sum((weight * out).sum() for weight, out in zip(weights, outputs, strict=True))
    gradients = {}
    for name, of in by.items():
        leaves = [of] if isinstance(of, torch.Tensor) else list(of.parameters())
        found = [torch.zeros_like(leaf) for leaf in leaves]
        if loss.requires_grad:
            found = torch.autograd.grad(
                loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        gradients[GRADIENT + name] = torch.cat([gradient.flatten() for gradient in found])
    return gradients


def to_array(value: Any) -> np.ndarray:
    """Turns numbers, texts and tensors into arrays of numbers; ValueError for anything else."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind == "U":  # characters by their code points
        array = np.array([ord(char) for char in "\0".join(array.ravel())])
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{type(value).__name__} of {array.dtype} is no array of numbers")
    return array


@contextmanager
def replaced(module: ModuleType, stand_ins: dict[str, Any]) -> Iterator[None]:
    """Puts stand-ins where functions are defined, and where a module has taken them from there."""
    done = []
    for function, stand_in in stand_ins.items():
        file, _, name = function.partition(":")
        *outer, last = name.split(".")
        places = [module]
        if dotted(file) != module.__name__:
            places.append(sys.modules.get(dotted(file)) or importlib.import_module(dotted(file)))
        for place in places:
            for part in outer:
                place = getattr(place, part, None)
            if place is not None and hasattr(place, last):
                done.append((place, last, getattr(place, last)))
                setattr(place, last, stand_in)
    try:
        yield
    finally:
        for place, name, original in reversed(done):
            setattr(place, name, original)


def dotted(file: str) -> str:
    """Turns "models/lstm/modules.py" into "models.lstm.modules"."""
    return file.removesuffix(".py").replace("/", ".")


def tensors(inputs: Arrays, *names: str) -> list[torch.Tensor]:
    """Takes inputs as tensors."""
    return [torch.from_numpy(inputs[name]) for name in names]


def fill(module: torch.nn.Module, numbers: np.ndarray) -> torch.nn.Module:
    """Gives a module's parameters the given numbers, one after another, from the start if short."""
    place = 0
    with torch.no_grad():
        for parameter in module.parameters():
            indices = (np.arange(parameter.numel()) + place) % len(numbers)
            parameter.copy_(torch.from_numpy(numbers[indices]).view_as(parameter))
            place += parameter.numel()
    return module


class Masks(torch.nn.Module):
    """Dropout with masks known beforehand: the t-th call takes the t-th, from the first again."""

    def __init__(self, masks: np.ndarray) -> None:
        super().__init__()
        self.masks = itertools.cycle(torch.from_numpy(masks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * next(self.masks)
