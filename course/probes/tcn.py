"""Exercise 1b TCN: a causal convolution with its past, and the block around two of them."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch

from course.probes.probe import Arrays, Probe, Project, derive, fill, tensors

FILE = "models/tcn/modules.py"
B, C, T, K = 2, 4, 11, 3


class CausalConvolution(Probe):
    function = f"{FILE}:CausalConv.forward"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "x": rng.normal(size=(B, C, T)),
            "weights": rng.normal(size=200),
            "past": rng.normal(size=(B, C, 4)),
        }

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        x, past = tensors(inputs, "x", "past")
        conv = fill(module.CausalConv(C, 5, K, 2), inputs["weights"])
        out, state = conv(x)
        changed = x.clone()
        changed[:, :, 7:] += 1
        outputs = {"out": out, "past": state, "future_changed": conv(changed)[0][:, :, :7]}
        x, past = x.requires_grad_(), past.requires_grad_()
        outputs["continued"], outputs["its_past"] = conv(x, past)
        outputs |= derive([outputs["continued"]], x=x, past=past, weights=conv)
        x = x.detach()
        single = fill(module.CausalConv(C, 5, 1, 2), inputs["weights"])
        outputs["of_one_tap"], outputs["past_of_one_tap"] = single(x)
        pieces, state = [], None
        for piece in x.split([1, 3, 1, 1, 5], dim=2):
            out, state = conv(piece, state)
            pieces.append(out)
        return outputs | {"stream": torch.cat(pieces, dim=2), "past_of_stream": state}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        out = outputs["out"]
        if not np.allclose(out[:, :, :7], outputs["future_changed"]):
            yield "the output at t depends on inputs after t"
        if not np.allclose(out, outputs["stream"]):
            yield "read in pieces, each with the past of the one before, a text gives other numbers"


class Block(Probe):
    """The stand-in for a convolution tells which one it is by its history."""

    function = f"{FILE}:ResidualBlock.forward"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "x": rng.normal(size=(B, C, T)),
            "weights": rng.normal(size=300),
            "first": rng.normal(size=(B, C, 4)),
            "second": rng.normal(size=(B, C, 4)),
            "seed": rng.integers(1000, size=1),
        }

    def neighbours(self, inputs: Arrays) -> dict:
        def forward(conv, x, past=None):
            shift = 0 if past is None else past.mean(dim=2, keepdim=True)
            gain = 1 + conv.conv.bias[:, None]
            return gain * x.roll(1, dims=2) + shift - 0.1, x[:, :, -4:] * 2

        return {f"{FILE}:CausalConv.forward": forward}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        x, first, second = tensors(inputs, "x", "first", "second")
        outputs = {}
        for activation in ("relu", "gelu"):
            block = module.ResidualBlock(C, K, 2, dropout=0.5, activation=activation)
            fill(block, inputs["weights"]).eval()
            outputs[activation], pasts = block(x, (None, None))
            outputs[f"{activation}_first"], outputs[f"{activation}_second"] = pasts
        outputs["continued"], _ = block(x, (first, second))
        torch.manual_seed(int(inputs["seed"][0]))
        outputs["dropped"], _ = block.train()(x.repeat(8, 1, 1), (None, None))
        return outputs
