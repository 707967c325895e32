"""Reach: how far back a prediction depends on what was read, by formula and measured gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from explorer.library import Library
from explorer.units import held_out
from explorer.views.write import fit_prompt
from explorer.web import Query
from utils.errors import UserError
from utils.text.data import decode

NAME = "reach"
MOST = 320  # characters of a text


def measure_gradient(model: nn.Module, codes: Tensor, at: int) -> Tensor:
    """Measures |d log p / d x_s| (at + 1,), p of the likeliest character after codes[: at + 1].

    x_s is the vector of the character at s, as it enters the first layer.
    """
    entrance = model.lstm if hasattr(model, "lstm") else model.embed
    leaves: list[Tensor] = []

    def replace(module: nn.Module, given: tuple) -> tuple:
        leaves.append(given[0].detach().requires_grad_())
        return (leaves[0], *given[1:])

    hook = entrance.register_forward_pre_hook(replace)
    try:
        with torch.enable_grad():
            logits, _ = model(codes[None, : at + 1].to(next(model.parameters()).device))
            (gradient,) = torch.autograd.grad(logits[0, -1].log_softmax(0).max(), leaves)
    finally:
        hook.remove()
    return gradient[0].norm(dim=1).cpu()


def grow_tree(model: nn.Module, at: int) -> list[dict[str, Any]]:
    """Lists which places every convolution of a TCN looks at for an output, the last first."""
    rows, places = [], [at]
    for block in reversed(model.blocks):
        for convolution in (block.second, block.first):
            dilation = convolution.conv.dilation[0]
            taps = convolution.conv.kernel_size[0]
            reached = {place - tap * dilation for place in places for tap in range(taps)}
            rows.append({"dilation": dilation, "taps": taps, "from": places})
            places = sorted(place for place in reached if place >= 0)
    return [*rows, {"dilation": 0, "taps": 0, "from": places}]


def describe_reach(model: nn.Module, kind: str) -> dict[str, Any]:
    """Says what the formula gives: R characters, the present one included; None has no end."""
    if kind == "tcn":
        k, L = model.kernel_size, len(model.blocks)
        formula = f"R = 1 + 2 (k − 1)(2^L − 1) = 1 + 2 ({k} − 1)(2^{L} − 1)"
        return {"field": model.receptive_field, "formula": formula}
    if kind == "transformer":
        L, context = len(model.blocks), model.blocks[0].attention.context
        return {
            "field": 1 + L * (context - 1),
            "formula": f"R = 1 + L (context − 1) = 1 + {L} ({context} − 1)",
        }
    return {"field": None, "formula": "no end: all that was read, through the cell"}


def show_reach(query: Query, library: Library) -> dict[str, Any]:
    """Gives a text, the gradient of one prediction by all characters before it, and the formula."""
    run = query.text("run", "tcn", most=120)
    typed = query.text("text", "", most=MOST)
    at = query.whole("at", -1, -1, MOST)
    query.finish()
    loaded = library.text_model(run)
    model, config, content = loaded
    codes = fit_prompt(typed, content["alphabet"])[0] if typed else held_out(loaded, 200)[0]
    at = len(codes) - 1 if at < 0 else at
    if at >= len(codes):
        raise UserError(f"the text has {len(codes)} characters, counted from 0: not {at}")
    if model.position_limit and at >= model.position_limit:
        raise UserError(f"the positions of {run} end at {model.position_limit} characters")
    gradient = measure_gradient(model, codes, at)
    first = int((gradient > 0).nonzero()[0]) if bool((gradient > 0).any()) else at
    return {
        "text": list(decode(codes, content["alphabet"])),
        "at": at,
        "gradient": [float(f"{value:.4g}") for value in gradient],
        "measured": at - first + 1,
        "tree": grow_tree(model, at) if config.kind == "tcn" else None,
        **describe_reach(model, config.kind),
    }


ROUTES = {"gradient": show_reach}
