"""Attention: which earlier characters each head of a Transformer looks at, and its window."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from explorer.library import Library
from explorer.units import held_out
from explorer.views.write import fit_prompt
from explorer.web import Query
from models.transformer.modules import attend, rotate, sinusoids
from utils.errors import UserError
from utils.text.data import decode
from utils.training.device import evaluating

NAME = "attention"
MOST = 160  # characters of a text


def weigh_heads(model: nn.Module, codes: Tensor, layer: int) -> Tensor:
    """Reads codes (T,); returns the weights a_ts of a layer's heads (N, T, T).

    Attention is a weighted sum of values: with the identity as values it gives the weights.
    """
    attention, seen = model.blocks[layer].attention, []
    hook = attention.qkv.register_forward_hook(lambda module, given, out: seen.append(out))
    try:
        with evaluating(model) as device:
            model(codes[None].to(device))
    finally:
        hook.remove()
    T, N = len(codes), attention.heads
    q, k, _ = seen[0].view(1, T, 3, N, -1).permute(2, 0, 3, 1, 4)  # (1, N, T, D) each
    if model.positions == "rotary":
        q, k = rotate(torch.stack([q, k]), sinusoids(0, T, q.shape[3]).to(q))
    identity = torch.eye(T, device=q.device).expand(1, N, T, T)
    return attend(q, k, identity, attention.context)[0]


def show_heads(query: Query, library: Library) -> dict[str, Any]:
    """Gives a text and the weights of one layer's heads, in thousandths."""
    run = query.text("run", "transformer", most=120)
    typed = query.text("text", "", most=MOST)
    layer = query.whole("layer", 1, 1, 1000)
    query.finish()
    library.find(run, ("transformer",))
    model, _config, content = library.text_model(run)
    if layer > len(model.blocks):
        raise UserError(f"{run} has {len(model.blocks)} layers: not {layer}")
    alphabet = content["alphabet"]
    codes = fit_prompt(typed, alphabet)[0] if typed else held_out(library.text_model(run), 80)[0]
    if model.position_limit and len(codes) > model.position_limit:
        raise UserError(f"the positions of {run} end at {model.position_limit} characters")
    weights = weigh_heads(model, codes, layer - 1)
    entropy = -(weights * weights.clamp(min=1e-12).log()).sum(2).mean(1)
    back = torch.arange(len(codes))[:, None] - torch.arange(len(codes))
    distance = (weights.cpu() * back).sum(2).mean(1)
    return {
        "text": list(decode(codes, alphabet)),
        "layers": len(model.blocks),
        "positions": model.positions,
        "window": model.blocks[layer - 1].attention.context,
        "heads": (weights.cpu() * 1000).round().int().tolist(),
        "looks_at": [round(math.exp(float(value)), 1) for value in entropy],
        "back": [round(float(value), 1) for value in distance],
    }


ROUTES = {"heads": show_heads}
