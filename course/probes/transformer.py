"""Exercise 1b Transformer: who may look at whom, attention, its heads, and the block."""

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import torch

from course.probes.probe import Arrays, Probe, Project, derive, fill, tensors

FILE = "models/transformer/modules.py"
CPU = torch.device("cpu")
CASES = ((6, 6, 6), (6, 6, 3), (3, 7, 4), (2, 7, 7), (1, 7, 7), (1, 7, 3))  # queries, keys, context
MOST = 8  # characters and context in the tables of masks
B, N, D = 2, 3, 4


class Band(Probe):
    function = f"{FILE}:band"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        keys = rng.integers(4, 12, size=8)
        queries = [rng.integers(1, most + 1) for most in keys]
        context = [rng.integers(1, most + 1) for most in keys]
        return {"cases": np.stack([queries, keys, context], axis=1)}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        outputs = {}
        for number, case in enumerate([*CASES, *inputs["cases"].tolist()]):
            outputs[f"mask_{number}"] = module.band(*case, CPU)
        return outputs | {"takes_device": takes_device(module.band)}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        whole = outputs["mask_0"].astype(bool)
        if not whole.diagonal().all():
            yield "a character may not look at itself: 0 <= t - s has the present in it"
        if np.triu(whole, 1).any():
            yield "a character looks at what comes after it"
        if not outputs["takes_device"]:
            yield "the mask is not on the device that is asked for"

    def show(self, outputs: Arrays, right: Arrays) -> str:
        rows = zip(outputs["mask_2"], right["mask_2"], strict=True)
        drawn = [f"    {draw_row(yours)}     {draw_row(target)}" for yours, target in rows]
        return "\n".join(["    yours             target   (3 queries, 7 keys, context 4)", *drawn])


def takes_device(band: Callable) -> bool:
    """Tells whether a mask is where it is asked for; the device "meta" is on every machine."""
    try:
        return band(3, 5, 2, torch.device("meta")).device.type == "meta"
    except (NotImplementedError, RuntimeError):  # numbers were read on the way: there are none
        return True


def draw_row(row: np.ndarray) -> str:
    return " ".join("1" if seen else "." for seen in row)


class Attend(Probe):
    function = f"{FILE}:attend"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        band = project(FILE).band
        masks = np.zeros((MOST + 1, MOST + 1, MOST + 1, MOST, MOST), dtype=bool)
        for keys in range(1, MOST + 1):
            for queries in range(1, keys + 1):
                for context in range(1, MOST + 1):
                    mask = band(queries, keys, context, CPU)
                    masks[queries, keys, context, :queries, :keys] = mask
        sizes = (len(CASES), B, N, MOST, D)
        return {"masks": masks} | {name: 2 * rng.normal(size=sizes) for name in "qkv"}

    def neighbours(self, inputs: Arrays) -> dict:
        masks = torch.from_numpy(inputs["masks"])

        def band(queries, keys, context, device=None):
            return masks[queries, keys, min(context, MOST), :queries, :keys].clone()

        return {f"{FILE}:band": band}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        outputs = {}
        for number, (queries, keys, context) in enumerate(CASES):
            q, k, v = (x[number] for x in tensors(inputs, "q", "k", "v"))
            out = module.attend(q[:, :, :queries], k[:, :, :keys], v[:, :, :keys], context)
            outputs[f"out_{number}"] = out
        q, k, v = (x[1].requires_grad_() for x in tensors(inputs, "q", "k", "v"))
        return outputs | derive([module.attend(q, k, v, 5)], q=q, k=k, v=v)

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        first = inputs["v"][0, :, :, 0]
        if not np.allclose(outputs["out_0"][:, :, 0], first):
            yield "the first character sees itself alone: its output is its own value v"


class Heads(Probe):
    """The stand-in for attention is none: it mixes what it is given, so that all of it counts."""

    function = f"{FILE}:CausalAttention.forward"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        past = (2, B, N, 3, D)
        return {
            "x": rng.normal(size=(B, 5, N * D)),
            "weights": rng.normal(size=700) / 3,
            "cache": rng.normal(size=past),
            "angles": rng.normal(size=(5, D // 2)),
        }

    def neighbours(self, inputs: Arrays) -> dict:
        def attend(q, k, v, context, *_):
            seen = k.mean(dim=2, keepdim=True) + v[:, :, :1]
            return q + 2 * seen + 3 * v[:, :, -q.shape[2] :] + context / 10

        fast = "models/transformer/attention.py:attend_fast"
        return {f"{FILE}:attend": attend, fast: attend}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        x, cache, angles = tensors(inputs, "x", "cache", "angles")
        waves = torch.stack([angles.cos(), angles.sin()])
        outputs = {}
        for context in (4, 20):
            layer = fill(module.CausalAttention(N * D, N, context), inputs["weights"])
            outputs[f"out_{context}"], (k, v) = layer(x)
            outputs[f"keys_{context}"], outputs[f"values_{context}"] = k, v
            turned, (k, v) = layer(x, waves, tuple(cache))
            outputs |= {f"turned_{context}": turned, f"turned_keys_{context}": k}
        return outputs


class Block(Probe):
    function = f"{FILE}:TransformerBlock.forward"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "x": rng.normal(size=(B, 5, N * D)),
            "weights": rng.normal(size=900) / 2,
            "cache": rng.normal(size=(2, B, N, 3, D)),
            "seed": rng.integers(1000, size=1),
        }

    def neighbours(self, inputs: Arrays) -> dict:
        def forward(layer, x, waves=None, cache=None):
            seen = x.cumsum(dim=1) / 2 + (0 if cache is None else cache[0].mean())
            return seen, (seen[:, :2], x[:, :2])

        return {f"{FILE}:CausalAttention.forward": forward}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        x, cache = tensors(inputs, "x", "cache")
        block = module.TransformerBlock(N * D, N, 20, dropout=0.5)
        fill(block, inputs["weights"]).eval()
        out, kept = block(x, None, None)
        outputs = {"out": out, "keys": kept[0], "values": kept[1]}
        outputs["continued"], _ = block(x, None, tuple(cache))
        torch.manual_seed(int(inputs["seed"][0]))
        outputs["dropped"], _ = block.train()(x, None, None)
        return outputs
