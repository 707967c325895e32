"""Exercises on the LSTM: its cell, and how it reads characters one after another."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch

from course.probes.probe import Arrays, Masks, Probe, Project, derive, tensors

B, T, I, H = 3, 5, 4, 6  # noqa: E741


class Step(Probe):
    function = "models/lstm/modules.py:step"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "Wx_b": rng.normal(size=(B, 4 * H)),
            "h": np.tanh(rng.normal(size=(B, H))),
            "c": rng.normal(size=(B, H)),
            "U": rng.normal(size=(4 * H, H)),
        }

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        names = ("Wx_b", "h", "c", "U")
        given = dict(zip(names, (x.requires_grad_() for x in tensors(inputs, *names)), strict=True))
        h, c = module.step(*given.values())
        return {"h": h, "c": c} | derive([h, c], **given)

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not (np.abs(outputs["h"]) < 1).all():
            yield "h is not within -1..1: it is a sigmoid times a tanh"


class Read(Probe):
    """The stand-in for `step` is no LSTM: a student who calls it gets its numbers."""

    function = "models/lstm/modules.py:read"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "x": rng.normal(size=(T, B, I)),
            "h": np.tanh(rng.normal(size=(B, H))),
            "c": rng.normal(size=(B, H)),
            "W": rng.normal(size=(4 * H, I)),
            "U": rng.normal(size=(4 * H, H)),
            "b": rng.normal(size=4 * H),
            "kept": rng.integers(0, 2, size=(T, B, H)) * 2.0,
        }

    def neighbours(self, inputs: Arrays) -> dict:
        def step(Wx_b, h, c, U):
            mixed = Wx_b + h @ U.T
            return mixed[:, :H] / 3 + 0.5 * c, mixed[:, -H:] / 3 + 0.25 * c

        return {"models/lstm/modules.py:step": step}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        names = ("x", "h", "c", "W", "U", "b")
        given = dict(zip(names, (x.requires_grad_() for x in tensors(inputs, *names)), strict=True))
        outputs, h, c = module.read(*given.values(), dropout=torch.nn.Identity())
        found = {"outputs": outputs, "h": h, "c": c} | derive([outputs, h, c], **given)
        dropped, _, last = module.read(*given.values(), dropout=Masks(inputs["kept"]))
        return found | {"dropped": dropped, "dropped_c": last}
