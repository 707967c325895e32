"""A Transformer decoder written out, and the character model around it.

Vaswani et al. 2017, "Attention is all you need", section 3, with the norms moved to the front of
each sublayer (Xiong et al. 2020). For a query at t, over the keys with 0 <= t - s < context,
`attend` computes attention (Vaswani et al. 2017, section 3.2, equation 1):

    a_ts = softmax_s(q_t · k_s / √D)        how much of s goes to t
    out_t = Σ_s a_ts v_s                    the mean of the values, so weighted

Every layer looks back over `context` characters, itself included: in a full pass this is a band in
the T x T scores, in a stream a cache of the last context - 1 keys and values. Both are the same
function, tested equal, however long the text. `attend` is the equation as it stands; what trains
is its fast twin, which works by blocks, in attention.py.

What a model knows of order: `positions` "none" leaves it to the causal mask alone (Haviv et al.
2022), "learned" and "sinusoidal" add a vector to every character, "rotary" turns queries and keys
so that their product depends on the distance t - s (Su et al. 2021).

Run: python models/transformer/train.py
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.transformer.attention import attend_fast
from models.transformer.quicker import quicken
from utils.config import ModelSection, key
from utils.errors import SettingError
from utils.helper_functions import characters
from utils.inputs import take, take_parts, without_autocast

Cache = tuple[Tensor, Tensor]  # keys and values, (B, N, S, D) each
State = tuple[int, tuple[Cache, ...]]  # characters read so far, and every layer's cache
KERNELS = ("fast", "readable")


@dataclass(frozen=True)
class ModelConfig(ModelSection):
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    width: int = key("d, features of every character", low=1)
    heads: int = key("N, attention heads of d / N features each", low=1)
    layers: int = key("blocks on top of each other", low=1)
    context: int = key("characters that every layer attends to, itself included", low=1)
    positions: str = key(
        "what tells the order of characters", choices=("none", "learned", "sinusoidal", "rotary")
    )
    dropout: float = key("share of every sublayer's output dropped in training", low=0, below=1)
    window: int | None = key(
        "attend to this many characters only; null: to the context", low=1, default=None
    )
    kernel: str = key(
        "fast: by blocks, the backward pass derived by hand; readable: the equation, for study",
        choices=KERNELS,
        default="fast",
    )
    recipe: str = key("quick learns sooner", choices=("course", "quick"), default="course")


def sinusoids(first: int, count: int, width: int) -> Tensor:
    """Computes cos and sin of angles (Vaswani et al. 2017, section 3.5): (2, count, width / 2).

        angles_tj = t / 10000^{2 j / width}         t = first, first + 1, ...

    In float64 and on the CPU, since t of a long stream is large.
    """
    t = torch.arange(first, first + count, dtype=torch.float64)[:, None]
    angles = t / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, waves: Tensor) -> Tensor:
    """Turns pairs of features of x (..., T, D) by the angles of waves (2, T, D / 2).

    A pair is first = x_j, second = x_{j + D/2}; it becomes (Su et al. 2021, section 3.2)

        rotate(x) = (first * cos - second * sin, first * sin + second * cos)
    """
    cos, sin = waves
    first, second = x.chunk(2, dim=-1)  # (..., T, D / 2)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def band(queries: int, keys: int, context: int, device: torch.device) -> Tensor:
    """Returns a mask (queries, keys), True where a query may look: 0 <= t - s < context.

    The queries are the last ones among the keys. With context 3 and 4 queries after 1 cached key:

        1 1 . . .
        1 1 1 . .
        . 1 1 1 .
        . . 1 1 1
    """
    t = torch.arange(keys - queries, keys, device=device)[:, None]
    distance = t - torch.arange(keys, device=device)
    return (distance >= 0) & (distance < context)


def attend(q: Tensor, k: Tensor, v: Tensor, context: int) -> Tensor:
    """Computes equation 1: the readable form, whose gradient autograd finds.

    q (B, N, T, D), the queries of the last T of S characters; their keys k and values v
    (B, N, S, D) -> (B, N, T, D). A query looks at the last `context` keys, its own included.
    As by blocks, half precision is computed in float32, under autocast too.
    """
    (T, D), S = q.shape[2:], k.shape[2]
    exact = torch.promote_types(q.dtype, torch.float32)
    with without_autocast(q):
        scores = q.to(exact) @ k.to(exact).transpose(2, 3) / math.sqrt(D)  # (B, N, T, S)
        if T > 1 or context < S:  # else a single query, which may look at everything there is
            scores = scores.masked_fill(~band(T, S, context, q.device), -math.inf)
        a = torch.softmax(scores, dim=3)
        out = a @ v.to(exact)  # (B, N, T, D)
    return out.to(q.dtype)


def take_features(x: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Returns x if it is (B, T >= 1, d) of the weights' dtype. TypeError or ValueError if not."""
    if getattr(x, "shape", ())[2:] != (width,) or x.shape[1] == 0 or x.dtype != dtype:
        return take("x is", x, ("B", "T >= 1", width), dtype)
    return x


def take_cache(cache: Cache, sizes: tuple[int, int, int], dtype: torch.dtype) -> Cache:
    """Returns the keys and values of a cache if they are (B, N, S, D) each, sizes B, N, D."""
    B, N, D = sizes
    if not isinstance(cache, tuple) or len(cache) != 2:
        cache = take_parts("the cache is", cache, 2, f"keys and values ({B}, {N}, S, {D})")
    k, v = cache
    shape = getattr(k, "shape", ())
    if shape[:2] != (B, N) or shape[3:] != (D,) or k.dtype != dtype:
        k = take("the keys' cache is", k, (B, N, "S", D), dtype)
    if getattr(v, "shape", None) != k.shape or v.dtype != dtype:
        v = take("the values' cache is", v, k.shape, dtype)
    return k, v


class CausalAttention(nn.Module):
    """Multi-head attention to the last `context` characters (Vaswani et al. 2017, 3.2).

    Two forms give the same numbers. `attend` above takes single queries (a stream has no blocks),
    and everything with kernel="readable"; `attend_fast`, by blocks (attention.py), takes all else.
    SettingError for an unknown `kernel`, and where heads do not divide the width.
    """

    def __init__(self, width: int, heads: int, context: int, *, kernel: str = "fast") -> None:
        super().__init__()
        if kernel not in KERNELS:
            raise SettingError(f"kernel: {kernel!r} is not one of {list(KERNELS)}")
        if min(width, heads, context) < 1 or width % heads:
            raise SettingError(f"no attention of width {width}, {heads} heads, context {context}")
        self.kernel, self.heads, self.context = kernel, heads, context
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, waves: Tensor | None = None, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """x (B, T, d), the cache so far -> output (B, T, d), the next cache.

        Rotary positions are waves (2, T, D / 2), which turn the new characters' queries and keys.
        """
        x, waves, cache = self.take_inputs(x, waves, cache)
        B, T, d = x.shape
        qkv = self.qkv(x).to(x.dtype)  # under autocast the product alone is of half precision
        q, k, v = qkv.view(B, T, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if waves is not None:
            q, k = rotate(torch.stack([q, k]), waves)  # (B, N, T, D) each
        if cache is not None:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)  # (B, N, S, D)
        if self.kernel == "readable" or T == 1:
            out = attend(q, k, v, self.context)  # (B, N, T, D)
        else:
            out = attend_fast(q, k, v, self.context, attend)
        out = out.transpose(1, 2).reshape(B, T, d)  # heads side by side
        first = max(0, k.shape[2] - (self.context - 1))  # older ones are never looked at again
        return self.out(out), (k[:, :, first:], v[:, :, first:])

    def take_inputs(
        self, x: Tensor, waves: Tensor | None, cache: Cache | None
    ) -> tuple[Tensor, Tensor | None, Cache | None]:
        """Returns what forward is given if it is such. TypeError or ValueError if not."""
        x = take_features(x, self.out.in_features, self.out.weight.dtype)
        B, T, D = x.shape[0], x.shape[1], x.shape[2] // self.heads
        shape = (2, T, D // 2)
        if waves is not None and (getattr(waves, "shape", None) != shape or waves.dtype != x.dtype):
            waves = take("waves are", waves, shape, x.dtype)
        sizes = (B, self.heads, D)
        return x, waves, None if cache is None else take_cache(cache, sizes, x.dtype)


class TransformerBlock(nn.Module):
    """Attention, then a two-layer network on every character, each beside a shortcut."""

    def __init__(
        self, width: int, heads: int, context: int, *, dropout: float, kernel: str = "fast"
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, context, kernel=kernel)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, waves: Tensor | None, cache: Cache | None) -> tuple[Tensor, Cache]:
        """x (B, T, d), the cache so far -> output (B, T, d), the next cache."""
        x = take_features(x, self.attention.out.in_features, self.attention.out.weight.dtype)
        attended, cache = self.attention(self.attention_norm(x), waves, cache)
        x = x + self.dropout(attended)
        return x + self.dropout(self.mlp(self.mlp_norm(x))), cache


def take_state(state: State, depth: int) -> State:
    """Returns a state if it is one of so many blocks. TypeError or ValueError if not."""
    expected = f"(characters read, {depth} caches)"
    read, caches = take_parts("the state is", state, 2, expected)
    if isinstance(read, bool) or not isinstance(read, int | torch.SymInt) or read < 0:
        raise ValueError(f"the state has read {read!r} characters, expected a whole number")
    return read, take_parts("the state's caches are", caches, depth, expected)


class Model(nn.Module):
    """Next-character model: one-hot character -> d features -> blocks -> scores.

    SettingError where heads do not divide the width, or a head's width is odd with "rotary" (the
    width itself with "sinusoidal"): both work on pairs.
    """

    outer = ("embed.", "pairs.", "position_table", "head.")  # face the alphabet: left to AdamW

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        if width % heads:
            raise SettingError(f"--width {width} is not a multiple of --heads {heads}")
        if config.positions == "rotary" and width // heads % 2:
            raise SettingError(
                f"rotary positions need an even width per head, not {width // heads}"
            )
        if config.positions == "sinusoidal" and width % 2:
            raise SettingError(f"sinusoidal positions need an even --width, not {width}")
        self.vocabulary = vocabulary
        self.positions = config.positions
        # The most characters of a text that positions can count; None where there is no end.
        self.position_limit = config.context if config.positions == "learned" else None
        context = min(config.context, config.window or config.context)
        self.embed = nn.Linear(vocabulary, width)
        if config.positions == "learned":
            self.position_table = nn.Parameter(0.02 * torch.randn(config.context, width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, context, dropout=config.dropout, kernel=config.kernel)
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
        self.pairs = quicken(self.blocks, vocabulary) if config.recipe == "quick" else None

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Codes x (B, T) in 0..V-1, state (count, caches) -> logits (B, T, V), state.

        ValueError where `learned` positions would run past `context`.
        """
        stack = self.blocks if self.pairs is None else [self.pairs.after(x), *self.blocks]
        read, caches = (0, (None,) * len(stack)) if state is None else take_state(state, len(stack))
        dtype = self.head.weight.dtype  # of all that goes along the shortcut, under autocast too
        hidden = self.embed(characters(x, self.vocabulary, dtype)).to(dtype)  # (B, T, d)
        T, waves = hidden.shape[1], None
        if self.positions == "learned":
            if read + T > self.position_limit:
                raise ValueError(
                    f"{read + T} characters in a row: "
                    f"learned positions end at {self.position_limit}"
                )
            hidden = hidden + self.position_table[read : read + T]
        elif self.positions == "sinusoidal":
            cos, sin = sinusoids(read, T, hidden.shape[2]).to(hidden)
            hidden = hidden + torch.cat([sin, cos], dim=1)
        elif self.positions == "rotary":
            waves = sinusoids(read, T, hidden.shape[2] // self.blocks[0].attention.heads).to(hidden)
        hidden, new_caches = self.dropout(hidden), []
        for block, cache in zip(stack, caches, strict=True):
            hidden, cache = block(hidden, waves, cache)
            new_caches.append(cache)
        return self.head(self.norm(hidden)), (read + T, tuple(new_caches))
