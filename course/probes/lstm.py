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


class Initialise(Probe):
    """Its numbers are random: compared are their bounds, in Xavier's, and which are alike.

    What initialises U writes how many rows it was given: H for a gate, 4H for all at once.
    """

    function = "models/lstm/modules.py:LSTMLayer.initialise"
    returns = False

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"sizes": rng.integers(40, 80, size=2)}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        layer = module.LSTMLayer(*inputs["sizes"].tolist())
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.fill_(7.0)

        def count_rows(U):
            with torch.no_grad():
                return U.fill_(len(U))

        layer.initialise(count_rows)
        learned = [p.requires_grad and p.is_leaf for p in (layer.W, layer.U, layer.b)]
        return {"W": layer.W, "U": layer.U, "b": layer.b, "learned": np.array(learned)}

    def summarise(self, outputs: Arrays) -> Arrays:
        W, U = outputs["W"], outputs["U"]
        if W.ndim != 2 or U.ndim != 2 or len(W) % 4 or len(U) % 4 or not W.size or not U.size:
            return outputs
        bound = np.sqrt(6 / (W.shape[1] + len(W) / 4))
        of_W = [
            [np.abs(gate).max() / bound / 0.1, gate.std() / bound / 0.15, gate.mean() / bound / 0.2]
            for gate in np.split(W, 4)
        ]
        of_U = [gate.max() if (gate == gate.max()).all() else -1 for gate in np.split(U, 4)]
        differ = (W[: len(W) // 4] != W[len(W) // 4 : len(W) // 2]).any()
        compared = {"W_largest_spread_mean": np.round(of_W), "gates_differ": np.array(differ)}
        rest = {name: array for name, array in outputs.items() if name != "W"}
        return compared | rest | {"U": np.array(of_U)}
