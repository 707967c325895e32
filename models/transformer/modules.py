"""A Transformer decoder written out, and the character model around it.

Vaswani et al. 2017, "Attention is all you need", section 3, with the norms moved to the front of
each sublayer (Xiong et al. 2020). Attention is equation 1, for a query at t over the keys s <= t:

    a_ts = softmax_s(q_t · k_s / √D),   out_t = Σ_s a_ts v_s,   0 <= t - s < context

Every layer looks back over `context` characters, itself included: in a full pass this is a band in
the T x T scores, in a stream a cache of the last context - 1 keys and values. Both are the same
function, tested equal, however long the text.

What a model knows of order: `positions` "none" leaves it to the causal mask alone (Haviv et al.
2022), "learned" and "sinusoidal" add a vector to every character, "rotary" turns queries and keys
so that their product depends on the distance t - s (Su et al. 2021).

Run: python models/transformer/train.py
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from utils.config import key
from utils.helper_functions import characters

Cache = tuple[torch.Tensor, torch.Tensor]  # keys and values, (B, N, S, D) each
State = tuple[int, tuple[Cache, ...]]  # characters read so far, and every layer's cache


@dataclass(frozen=True)
class ModelConfig:
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    width: int = key("d, features of every character", low=1)
    heads: int = key("N, attention heads of d / N features each", low=1)
    layers: int = key("blocks on top of each other", low=1)
    context: int = key("characters that every layer attends to, itself included", low=1)
    positions: str = key("order", choices=("none", "learned", "sinusoidal", "rotary"))
    dropout: float = key("share of every sublayer's output dropped in training", low=0, below=1)


def sinusoids(positions: torch.Tensor, width: int) -> torch.Tensor:
    """Angles t / 10000^(2j / width) for positions (T,) -> (T, width / 2), float64.

    Vaswani et al. 2017, section 3.5. In double precision, since a stream counts far.
    """
    j = torch.arange(0, width, 2, device=positions.device, dtype=torch.float64)
    return positions.double()[:, None] / 10_000 ** (j / width)


def rotate(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turns the pairs (x_j, x_{j + D/2}) of x (B, N, T, D) by angles (T, D / 2)."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)  # (B, N, T, D / 2)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def band(queries: int, keys: int, context: int, device: torch.device) -> torch.Tensor:
    """(queries, keys), True where a query may look: 0 <= t - s < context.

    The queries are the last ones among the keys. context 3, 4 queries after 1 cached key:

        1 1 . . .
        1 1 1 . .
        . 1 1 1 .
        . . 1 1 1
    """
    t = torch.arange(keys - queries, keys, device=device)[:, None]
    distance = t - torch.arange(keys, device=device)
    return (distance >= 0) & (distance < context)


class CausalAttention(nn.Module):
    """Multi-head attention to the last `context` characters (Vaswani et al. 2017, 3.2)."""

    def __init__(self, width: int, heads: int, context: int, *, rotary: bool) -> None:
        super().__init__()
        self.heads = heads
        self.context = context
        self.rotary = rotary
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: torch.Tensor, positions: torch.Tensor, cache: Cache | None
    ) -> tuple[torch.Tensor, Cache]:
        """x (B, T, d) at positions (T,), the cache so far -> output (B, T, d), the next cache."""
        B, T, d = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if self.rotary:
            angles = sinusoids(positions, d // self.heads)
            q, k = rotate(q, angles), rotate(k, angles)  # (B, N, T, D)
        if cache is not None:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)  # (B, N, S, D)
        S = k.shape[2]
        scores = (q / math.sqrt(d // self.heads)) @ k.transpose(2, 3)  # (B, N, T, S)
        if T > 1 or self.context < S:
            visible = band(T, S, self.context, x.device)
            scores = scores.masked_fill(~visible, -math.inf)
        out = torch.softmax(scores, dim=3) @ v  # (B, N, T, D)
        out = out.transpose(1, 2).reshape(B, T, d)  # the heads side by side
        first = max(0, S - (self.context - 1))  # older ones will never be looked at again
        return self.out(out), (k[:, :, first:], v[:, :, first:])


class Block(nn.Module):
    """Attention, then a two-layer network on every character, each beside a shortcut."""

    def __init__(
        self, width: int, heads: int, context: int, *, rotary: bool, dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, context, rotary=rotary)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, positions: torch.Tensor, cache: Cache | None
    ) -> tuple[torch.Tensor, Cache]:
        """x (B, T, d) at positions (T,), the cache so far -> output (B, T, d), the next cache."""
        attended, cache = self.attention(self.attention_norm(x), positions, cache)
        x = x + self.dropout(attended)
        return x + self.dropout(self.mlp(self.mlp_norm(x))), cache


class Model(nn.Module):
    """Next-character model: one-hot character -> d features -> blocks -> scores.

    ValueError where heads do not divide the width, or a head's width is odd with "rotary" (the
    width itself with "sinusoidal"): both work on pairs.
    """

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        if width % config.heads:
            raise ValueError(f"model.width {width} is not a multiple of model.heads {config.heads}")
        if config.positions == "rotary" and width // config.heads % 2:
            raise ValueError(
                f"rotary positions need an even width per head, not {width // config.heads}"
            )
        if config.positions == "sinusoidal" and width % 2:
            raise ValueError(f"sinusoidal positions need an even model.width, not {width}")
        self.vocabulary = vocabulary
        self.positions = config.positions
        self.embed = nn.Linear(vocabulary, width)
        if config.positions == "learned":
            self.position_table = nn.Parameter(0.02 * torch.randn(config.context, width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.heads,
                config.context,
                rotary=config.positions == "rotary",
                dropout=config.dropout,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        with torch.no_grad():  # 2 L outputs are added to the shortcut: keep their sum at the
            for block in self.blocks:  # scale of one (Radford et al. 2019, section 2.3)
                block.attention.out.weight /= math.sqrt(2 * config.layers)
                block.mlp[2].weight /= math.sqrt(2 * config.layers)

    @property
    def position_limit(self) -> int | None:
        """The last character that `learned` positions can count to; None where there is no end."""
        return len(self.position_table) if self.positions == "learned" else None

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Codes x (B, T) in 0..V-1, state (count, caches) -> logits (B, T, V), state.

        ValueError where `learned` positions would run past `context`.
        """
        read, caches = state if state is not None else (0, (None,) * len(self.blocks))
        positions = torch.arange(read, read + x.shape[1], device=x.device)
        hidden = self.embed(characters(x, self.vocabulary, self.head.weight.dtype))  # (B, T, d)
        if self.positions == "learned":
            if read + x.shape[1] > self.position_limit:
                raise ValueError(
                    f"{read + x.shape[1]} characters in a row: "
                    f"learned positions end at {self.position_limit}"
                )
            hidden = hidden + self.position_table[positions]
        elif self.positions == "sinusoidal":
            angles = sinusoids(positions, hidden.shape[2])
            hidden = hidden + torch.cat([angles.sin(), angles.cos()], dim=1).to(hidden.dtype)
        hidden, new_caches = self.dropout(hidden), []
        for block, cache in zip(self.blocks, caches, strict=True):
            hidden, cache = block(hidden, positions, cache)
            new_caches.append(cache)
        return self.head(self.norm(hidden)), (read + x.shape[1], tuple(new_caches))
