"""An LSTM layer over time with its gradient derived by hand: the same numbers, faster.

Autograd would record every operation of every character and add up a gradient of U, as large as
U itself, T times. Written by hand, the backward pass reads (Hochreiter & Schmidhuber 1997;
BPTT: Werbos 1990): with dh and dc the gradients of the loss by h_t and c_t, from t = T to 1,

    dh    = gradient of the output h_t + da_{t+1} U         what comes from above, and from t + 1
    dc   += dh * o * (1 - tanh(c)^2)                        since h = o * tanh(c)
    da_o  = dh * tanh(c) * o * (1 - o)                      a: the gates before σ and tanh
    da_i  = dc * g * i * (1 - i)                            since c = f * c_{t-1} + i * g
    da_f  = dc * c_{t-1} * f * (1 - f)
    da_g  = dc * i * (1 - g^2)
    dc    = dc * f                                          on to t - 1

All factors beside dh and dc are known after the forward pass, so they are computed for many t at
once: for a piece of time that the processor's cache holds. After its loop, since
a_t = W x_t + U h_{t-1} + b, one product each:

    dU += Σ_t da_t^T h_{t-1},   dW += Σ_t da_t^T x_t,   db += Σ_t da_t,   dx_t = da_t W

What remains in the loop are the products with U and a few small steps in place; the views of every
character are made beforehand. `read` in modules.py is the readable form, called alike; tests hold
the two equal, and gradcheck approves the derivation.
"""

from typing import Any

import torch
from torch import Tensor

PIECE = 2**21  # numbers of da, T' B 4H, that are worked on at a time: about what a cache holds

# By torch's names: grad * y * (1 - y) for y = σ(a), and grad * (1 - y^2) for y = tanh(a).
sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def read_fast(
    x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor, *, piece: int = PIECE
) -> tuple[Tensor, Tensor, Tensor]:
    """Reads characters one after another: the fast twin of `read` in modules.py, same shapes."""
    return Recurrence.apply(x, h, c, W, U, b, piece)


class Recurrence(torch.autograd.Function):
    """The layer as one operation of autograd: `read_fast` forwards, the equations above back."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor, piece: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous()
        T, B, H = len(x), *h.shape
        gates = x.new_empty(T, B, 4 * H)  # i, f, g, o side by side
        hs, cs = x.new_empty(T + 1, B, H), x.new_empty(T + 1, B, H)  # from 0 to T
        tanh_c = x.new_empty(T, B, H)
        hs[0], cs[0] = h, c
        h, c = hs[0], cs[0]
        twice = torch.ones_like(b)  # tanh(a) = 2 σ(2 a) - 1: so one σ serves all four gates
        twice[2 * H : 3 * H] = 2
        W_T, U_T = twice * W.T, twice * U.T
        torch.addmm(twice * b, x.flatten(0, 1), W_T, out=gates.flatten(0, 1))  # all W x_t + b
        views = zip(gates, *gates.chunk(4, dim=2), hs[1:], cs[1:], tanh_c, strict=True)
        for gate, i, f, g, o, h_next, c_next, tanh_c_next in views:
            gate.addmm_(h, U_T)
            gate.sigmoid_()
            torch.mul(f, c, out=c_next).addcmul_(i, g, value=2).sub_(i)  # f c + i (2 g - 1)
            torch.tanh(c_next, out=tanh_c_next)
            h, c = torch.mul(o, tanh_c_next, out=h_next), c_next
        gates[:, :, 2 * H : 3 * H].mul_(2).sub_(1)  # g itself
        ctx.save_for_backward(x, W, U, gates, hs, cs, tanh_c)
        ctx.piece = piece
        return hs[1:], hs[T].clone(), cs[T].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        x, W, U, gates, hs, cs, tanh_c = ctx.saved_tensors
        T, B, H = tanh_c.shape
        dU, dW, db = torch.zeros_like(U), torch.zeros_like(W), U.new_zeros(4 * H)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        da_next, dc = torch.zeros_like(gates[0]), d_c.clone()
        dc_thrice = dc[:, None]  # (B, 1, H)
        steps = min(T, max(1, ctx.piece // max(1, 4 * B * H)))
        for_da, for_through_h = x.new_empty(steps, B, 4 * H), x.new_empty(steps, B, H)
        for start in reversed(range(0, T, steps)):
            piece = slice(start, min(start + steps, T))
            i, f, g, o = gates[piece].chunk(4, dim=2)
            da = for_da[: len(i)]  # the factors first; the loop multiplies dc and dh into them
            da_i, da_f, da_g, da_o = da.chunk(4, dim=2)
            sigmoid_backward(g, i, grad_input=da_i)
            sigmoid_backward(cs[piece], f, grad_input=da_f)
            tanh_backward(i, g, grad_input=da_g)
            sigmoid_backward(tanh_c[piece], o, grad_input=da_o)
            through_h = tanh_backward(o, tanh_c[piece], grad_input=for_through_h[: len(i)])
            by_dc = da.unflatten(2, (4, H))[:, :, :3]
            dhs = d_out[piece].clone(memory_format=torch.contiguous_format)
            if piece.stop == T:
                dhs[-1] += d_h  # h_T is given out twice
            views = zip(dhs, da, by_dc, da_o, through_h, f, strict=True)
            for dh, da_t, by_dc_t, da_o_t, through_h_t, f_t in reversed(list(views)):
                dh.addmm_(da_next, U)
                dc.addcmul_(dh, through_h_t)
                by_dc_t.mul_(dc_thrice)
                da_o_t.mul_(dh)
                dc.mul_(f_t)
                da_next = da_t
            da_next = da_next.clone()  # the next piece takes its memory
            da = da.flatten(0, 1)
            dU.addmm_(da.T, hs[piece].flatten(0, 1))
            dW.addmm_(da.T, x[piece].flatten(0, 1))
            db += da.sum(dim=0)
            if dx is not None:
                torch.mm(da, W, out=dx[piece].flatten(0, 1))
        return dx, da_next @ U, dc, dW, dU, db, None
