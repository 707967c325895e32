"""Attention by blocks, with its gradient derived by hand: the same numbers, faster and smaller.

Autograd would keep every weight a_ts for the backward pass, T x T of them in every head, and most
of the time would go into writing and reading them. Here a block of queries meets a block of keys
at a time, small enough for the processor's cache; pairs of blocks where no query may look at any
key are skipped, so a context of w characters costs T w. What is kept is the output and one number
per query (Dao et al. 2022, "FlashAttention", algorithms 1 and 4, with our loops over the blocks).

Forward, the softmax of a row in pieces (Milakov & Gimelshein 2018, "Online normalizer
calculation"): with m the largest score so far, z the sum of exp(s - m) and o the sum of
exp(s - m) v, a block of scores S (`scores`) makes m' (`largest`) of m, and `Blockwise.forward`
computes the output O (`out`) and L, which is kept, the log of the sum of exp:

    m' = max(m, max S)
    o  = exp(m - m') o + exp(S - m') V
    z  = exp(m - m') z + rowsum exp(S - m'),   m = m'
    O  = o / z,   L = m + log z                   after the last block

Backward, with dX the gradient of the loss by X, from S = Q K^T / √D, P = softmax(S), O = P V,
`Blockwise.backward` computes:

    P   = exp(S - L)                              the weights once more, from what was kept
    dV  = P^T dO,   dP = dO V^T                   since O = P V
    dS  = P * (dP - rowsum(P * dP))               softmax: ∂P_s / ∂S_r = P_s (1[r = s] - P_r)
        = P * (dP - rowsum(dO * O))               since Σ_s P_ts (dO_t · V_s) = dO_t · O_t
    dQ  = dS K / √D,   dK = dS^T Q / √D           since S = Q K^T / √D

The last form of dS needs no whole row, so block after block adds its share to dQ, dK and dV. All
exponentials are powers of 2, which torch computes in half the time: Q takes log2(e) / √D with it,
and L is a log2. `attend` in modules.py is the readable form, called alike; tests hold the two
equal, and gradcheck approves the derivation.

Only this first derivative, backwards, is derived here. Where another is asked for (the gradient of
a gradient, forward-mode, torch.func) the readable form takes over. Products are added in place or
written with `out`, as autocast never does in half precision.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]


class Sizes(NamedTuple):
    """How much is computed at a time, at most."""

    queries: int = 64  # of a block
    keys: int = 1024  # of a block; at least as many as its queries
    scores_on_cpu: int = 2**19  # over several heads: about what a core's cache holds
    scores_on_gpu: int = 2**25  # a larger piece keeps it busy


USUAL = Sizes()


def refuse(q: Tensor, k: Tensor, v: Tensor, context: int) -> Tensor:
    """Stands for the readable form where none was given. NotImplementedError."""
    raise NotImplementedError(
        "attend_fast has a first derivative, backwards, and no other: take CausalAttention(..., "
        "kernel='readable'), as a setting kernel: readable, or call it with `attend` as well"
    )


def is_transformed(*tensors: Tensor) -> bool:
    """Tells whether torch.func is at work, or `is_grads_batched`, or forward-mode on a tensor."""
    if torch.compiler.is_compiling():
        return False
    batched = torch._C._functorch.is_legacy_batchedtensor  # its batch's axis is hidden
    return torch._C._are_functorch_transforms_active() or any(
        batched(tensor) or unpack_dual(tensor).tangent is not None for tensor in tensors
    )


def attend_fast(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    context: int,
    readable: Attend = refuse,
    *,
    sizes: Sizes = USUAL,
) -> Tensor:
    """Computes attention by blocks: the fast twin of `attend` in modules.py, same shapes.

    float64 is computed as such, all else in float32: long sums are too much for half precision.
    `readable` is called instead where more is asked for than a first derivative, backwards, and
    where operators are recorded to export them.
    """
    if torch.jit.is_tracing() or is_transformed(q, k, v):
        return readable(q, k, v, context)
    return Blockwise.apply(q, k, v, context, readable, sizes)


class Blockwise(torch.autograd.Function):
    """Attention as one operation of autograd: `attend_fast` forwards, the equations above back."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, context: int, readable: Attend, sizes: Sizes
    ) -> Tensor:
        B, N, T, D = q.shape
        S = k.shape[2]
        out = q.new_empty(B, T, N, D).transpose(1, 2)  # in the order of x: heads side by side
        L = q.new_empty(B, N, T, 1, dtype=torch.promote_types(q.dtype, torch.float32))
        blocks = Blocks(L, S, context, sizes)
        room = blocks.room()
        for part in blocks.parts():
            Q, K, V = (heads(tensor[part], L.dtype) for tensor in (q, k, v))  # (R, T or S, D)
            Q = Q * (math.log2(math.e) / math.sqrt(D))
            for queries, key_blocks in blocks.meetings():
                o = torch.zeros_like(Q[:, queries])
                z, m = o.new_zeros(*o.shape[:2], 1), o.new_full((*o.shape[:2], 1), -math.inf)
                for keys in key_blocks:
                    scores = product(Q[:, queries], K[:, keys], room)
                    blocks.hide(scores, queries, keys)
                    largest = torch.maximum(m, scores.amax(2, keepdim=True))
                    fade = m.sub_(largest).exp2_()
                    m = largest
                    P = scores.sub_(m).exp2_()
                    z.mul_(fade).add_(P.sum(2, keepdim=True))
                    o.mul_(fade).baddbmm_(P, V[:, keys])
                put(out[part][:, :, queries], o.div_(z))
                put(L[part][:, :, queries], m.add_(z.log2_()))
        ctx.save_for_backward(q, k, v, out, L)
        ctx.context, ctx.readable, ctx.sizes = context, readable, sizes
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, L = ctx.saved_tensors
        more = torch.is_grad_enabled() or is_transformed(d_out)
        if more and not torch.compiler.is_compiling():
            by_readable = partial(ctx.readable, context=ctx.context)
            _, pull_back = torch.func.vjp(by_readable, q, k, v)
            return *pull_back(d_out), None, None, None
        D, S = q.shape[3], k.shape[2]
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        blocks = Blocks(L, S, ctx.context, ctx.sizes)
        room, second_room = blocks.room(), blocks.room()
        for part in blocks.parts():
            Q, K, V = (heads(tensor[part], L.dtype) for tensor in (q, k, v))
            O_part, dO, L_part = (heads(tensor[part], L.dtype) for tensor in (out, d_out, L))
            Q = Q * (math.log2(math.e) / math.sqrt(D))
            dO_O = (dO * O_part).sum(2, keepdim=True)  # (R, T, 1)
            dQ, dK, dV = torch.zeros_like(Q), torch.zeros_like(K), torch.zeros_like(V)
            for queries, key_blocks in blocks.meetings():
                for keys in key_blocks:
                    scores = product(Q[:, queries], K[:, keys], room)
                    blocks.hide(scores, queries, keys)
                    P = scores.sub_(L_part[:, queries]).exp2_()
                    dV[:, keys].baddbmm_(P.transpose(1, 2), dO[:, queries])
                    dP = product(dO[:, queries], V[:, keys], second_room)
                    dS = dP.sub_(dO_O[:, queries]).mul_(P)
                    dQ[:, queries].baddbmm_(dS, K[:, keys])
                    dK[:, keys].baddbmm_(dS.transpose(1, 2), Q[:, queries])
            put(dq[part], dQ.div_(math.sqrt(D)))
            put(dk[part], dK.mul_(math.log(2)))  # Q had log2(e) / √D with it
            put(dv[part], dV)
        return dq, dk, dv, None, None, None


class Blocks:
    """Plans what is computed at a time: heads in parts, in them blocks of queries and of keys.

    L (B, N, T, 1) stands for the queries, those of the last T of the S characters.
    """

    def __init__(self, L: Tensor, S: int, context: int, sizes: Sizes) -> None:
        self.B, self.N, self.T, _ = L.shape
        self.context, self.past, self.sizes = context, S - self.T, sizes
        queries = min(sizes.queries, self.T)
        block = queries * min(sizes.keys, S, context + sizes.queries - 1)
        scores = sizes.scores_on_cpu if L.device.type == "cpu" else sizes.scores_on_gpu
        self.heads_at_a_time = min(self.B * self.N, max(1, scores // block))
        self.room = lambda: L.new_empty(self.heads_at_a_time * block)  # memory for their scores
        hidden = L.new_full((queries, queries), -math.inf)
        self.future, self.forgotten = hidden.triu(1), hidden.tril(-1)

    def parts(self) -> Iterator[tuple[slice, slice]]:
        """Yields (rows of the batch, heads): some whole rows, or some heads of one."""
        rows, heads = max(1, self.heads_at_a_time // self.N), min(self.N, self.heads_at_a_time)
        for b in range(0, self.B, rows):
            for n in range(0, self.N, heads):
                yield slice(b, b + rows), slice(n, n + heads)

    def meetings(self) -> Iterator[tuple[slice, list[slice]]]:
        """Yields each block of queries with the blocks of keys that it looks at.

        Keys come from right to left: the first block has every query's own key, so that no row of
        scores is hidden from end to end before its largest one is known.
        """
        for a in range(0, self.T, self.sizes.queries):
            b = min(a + self.sizes.queries, self.T)
            oldest = max(0, self.past + a - self.context + 1)  # key of the first query
            ends = range(self.past + b, oldest, -self.sizes.keys)
            yield slice(a, b), [slice(max(oldest, end - self.sizes.keys), end) for end in ends]

    def hide(self, scores: Tensor, queries: slice, keys: slice) -> None:
        """Adds -inf in place to scores (R, queries, keys) where a query may not look.

        These are two triangles, however wide the block between them. With 4 queries and context 3:
        the first query's own key stands in the first column of `future` (u), the key context - 1
        before it in the first column of `forgotten` (l).

            . . 1 u u u
            l . . 1 u u
            l l . . 1 u
            l l l . . 1
        """
        count, width = scores.shape[1:]
        own = self.past + queries.start - keys.start  # column of the first query's own key
        if own < width:
            scores[:, :, own:] += self.future[:count, : width - own]
        oldest = own - self.context + 1
        if -count < oldest < width:
            first, end = max(oldest, 0), min(oldest + count, width)
            scores[:, :, first:end] += self.forgotten[:count, first - oldest : end - oldest]


def product(a: Tensor, b: Tensor, room: Tensor) -> Tensor:
    """Computes a b^T (R, queries, keys) of a (R, queries, D), b (R, keys, D) in room's memory."""
    shape = (len(a), a.shape[1], b.shape[1])
    return torch.bmm(a, b.transpose(1, 2), out=room[: math.prod(shape)].view(shape))


def heads(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Turns (B, N, T, D) of any strides into (R = B N, T, D), contiguous, as bmm needs it."""
    return x.to(dtype).flatten(0, 1).contiguous()


def put(place: Tensor, values: Tensor) -> None:
    """Writes (R, T, D) to (B, N, T, D)."""
    place.copy_(values.view(place.shape))
