"""An LSTM layer over time with its gradient derived by hand: the same numbers, faster.

Autograd would record every operation of every character and add up a gradient of U, as large as
U itself, T times. Written by hand, the backward pass reads (Hochreiter & Schmidhuber 1997;
BPTT: Werbos 1990): with dh and dc the gradients of the loss by h_t and c_t, and dy (`d_out`) that
by the output h_t, from t = T to 1, `differentiate` computes

    dh    = dy_t + da_{t+1} U                   what comes from above, and from t + 1
    dc   += dh * o * (1 - tanh(c)^2)            since h = o * tanh(c)
    da_o  = dh * tanh(c) * o * (1 - o)          a: the gates before σ and tanh
    da_i  = dc * g * i * (1 - i)                since c = f * c_{t-1} + i * g
    da_f  = dc * c_{t-1} * f * (1 - f)
    da_g  = dc * i * (1 - g^2)
    dc    = dc * f                              on to t - 1

All factors beside dh and dc are known after the forward pass, so they are computed for many t at
once: for a piece of time that the processor's cache holds. After its loop `differentiate` takes
one product each, since a_t = W x_t + U h_{t-1} + b:

    dU += Σ_t da_t^T h_{t-1},   dW += Σ_t da_t^T x_t,   db += Σ_t da_t,   dx_t = da_t W

What remains in the loop are the products with U and a few small steps in place; the views of every
character are made beforehand. `read` in modules.py is the readable form, called alike; tests hold
the two equal, and gradcheck approves the derivation.

Only this first derivative, backwards, is derived here. Where another is asked for (the gradient of
a gradient, forward-mode, torch.func) the readable form takes over, which autograd and torch.func
differentiate as often as they like. Under autocast the products alone are of half precision.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

Read = Callable[..., tuple[Tensor, Tensor, Tensor]]
PIECE = 2**21  # numbers of da, T' B 4H, that are worked on at a time: about what a cache holds

# By torch's names: grad * y * (1 - y) for y = σ(a), and grad * (1 - y^2) for y = tanh(a).
sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def is_transformed(*tensors: Tensor) -> bool:
    """Tells whether torch.func is at work, or `is_grads_batched`, or forward-mode on a tensor."""
    batched = torch._C._functorch.is_legacy_batchedtensor  # its batch's axis is hidden
    return torch._C._are_functorch_transforms_active() or any(
        batched(tensor) or unpack_dual(tensor).tangent is not None for tensor in tensors
    )


def refuse(*inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Stands for the readable form where none was given. NotImplementedError."""
    raise NotImplementedError(
        "read_fast has a first derivative, backwards, and no other: take LSTM(..., "
        "kernel='readable'), as a setting kernel: readable, or call it with `read` as well"
    )


def read_fast(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W: Tensor,
    U: Tensor,
    b: Tensor,
    readable: Read = refuse,
    *,
    piece: int = PIECE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Reads characters one after another: the fast twin of `read` in modules.py, same shapes.

    `readable` is called instead where more is asked for than a first derivative, backwards, and
    where operators are recorded to compile or export them.
    """
    inputs = x, h, c, W, U, b
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # which want plain operators
    if traced or is_transformed(*inputs):
        return readable(*inputs)
    half = not x.is_meta and torch.is_autocast_enabled(x.device.type)
    dtype = torch.get_autocast_dtype(x.device.type) if half else x.dtype
    return Recurrence.apply(*inputs, readable, piece, dtype)


def add_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Adds a b to a total in place; of half precision is the product alone, where b is so."""
    if b.dtype == total.dtype:
        return total.addmm_(a, b)
    return total.add_(torch.mm(a.to(b.dtype), b))


class Recurrence(torch.autograd.Function):
    """The layer as one operation of autograd: `read_fast` forwards, the equations above back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor,
        c: Tensor,
        W: Tensor,
        U: Tensor,
        b: Tensor,
        readable: Read,
        piece: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        T, B, H = len(x), *h.shape
        gates = b.repeat(T, B, 1)  # i, f, g, o side by side, (T, B, 4H)
        hs, cs = h.new_empty(T + 1, B, H), h.new_empty(T + 1, B, H)  # from 0 to T
        tanh_c = h.new_empty(T, B, H)
        hs[0], cs[0] = h, c
        h_t, c_t = hs[0], cs[0]
        U_T = U.T.to(dtype)
        add_product(gates.flatten(0, 1), x.flatten(0, 1), W.T.to(dtype))  # all W x_t + b
        views = gates, gates[:, :, : 2 * H], *gates.chunk(4, dim=2), hs[1:], cs[1:], tanh_c
        for gate, i_f, i, f, g, o, h_next, c_next, tanh_c_next in zip(*views, strict=True):
            add_product(gate, h_t, U_T)
            i_f.sigmoid_()
            g.tanh_()
            o.sigmoid_()
            torch.mul(f, c_t, out=c_next).addcmul_(i, g)
            torch.tanh(c_next, out=tanh_c_next)
            h_t, c_t = torch.mul(o, tanh_c_next, out=h_next), c_next
        ctx.save_for_backward(x, h, c, W, U, b, gates, hs, cs, tanh_c)
        ctx.readable, ctx.piece, ctx.dtype = readable, piece, dtype
        return hs[1:].clone(), hs[T].clone(), cs[T].clone()  # a caller may change them in place

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, gates, hs, cs, tanh_c = ctx.saved_tensors
        if torch.is_grad_enabled() or is_transformed(*d_outputs):
            _, pull_back = torch.func.vjp(ctx.readable, *inputs)
            return *pull_back(d_outputs), None, None, None
        return *differentiate(ctx, inputs, gates, hs, cs, tanh_c, *d_outputs), None, None, None


def differentiate(
    ctx: Any,
    inputs: list[Tensor],
    gates: Tensor,
    hs: Tensor,
    cs: Tensor,
    tanh_c: Tensor,
    d_out: Tensor,
    d_h: Tensor,
    d_c: Tensor,
) -> tuple[Tensor | None, ...]:
    """Computes the equations above: gradients by the outputs -> those by x, h, c, W, U and b."""
    x, _, _, W, U, _ = inputs
    x, dtype = x.contiguous(), ctx.dtype
    W, U = W.to(dtype), U.to(dtype)
    T, B, H = tanh_c.shape
    dU, dW, db = (gates.new_zeros(4 * H, *size) for size in ((H,), (x.shape[2],), ()))
    dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
    da_next, dc = torch.zeros_like(gates[0]), d_c.clone()
    dc_thrice = dc[:, None]  # (B, 1, H)
    steps = min(T, max(1, ctx.piece // max(1, 4 * B * H)))
    for_da, for_through_h = gates.new_empty(steps, B, 4 * H), gates.new_empty(steps, B, H)
    for start in reversed(range(0, T, steps)):
        part = slice(start, min(start + steps, T))
        i, f, g, o = gates[part].chunk(4, dim=2)
        da = for_da[: len(i)]  # the factors first; the loop multiplies dc and dh into them
        da_i, da_f, da_g, da_o = da.chunk(4, dim=2)
        sigmoid_backward(g, i, grad_input=da_i)
        sigmoid_backward(cs[part], f, grad_input=da_f)
        tanh_backward(i, g, grad_input=da_g)
        sigmoid_backward(tanh_c[part], o, grad_input=da_o)
        through_h = tanh_backward(o, tanh_c[part], grad_input=for_through_h[: len(i)])
        by_dc = da.unflatten(2, (4, H))[:, :, :3]
        dhs = d_out[part].clone(memory_format=torch.contiguous_format)
        if part.stop == T:
            dhs[-1] += d_h  # h_T is given out twice
        views = zip(dhs, da, by_dc, da_o, through_h, f, strict=True)
        for dh, da_t, by_dc_t, da_o_t, through_h_t, f_t in reversed(list(views)):
            add_product(dh, da_next, U)
            dc.addcmul_(dh, through_h_t)
            by_dc_t.mul_(dc_thrice)
            da_o_t.mul_(dh)
            dc.mul_(f_t)
            da_next = da_t
        da_next = da_next.clone()  # the next part takes its memory
        da = da.flatten(0, 1)
        db += da.sum(dim=0)
        da = da.to(dtype)
        add_product(dU, da.T, hs[part].flatten(0, 1).to(dtype))
        add_product(dW, da.T, x[part].flatten(0, 1).to(dtype))
        if dx is not None:
            dx[part] = torch.mm(da, W).view_as(dx[part])
    return dx, add_product(torch.zeros_like(dc), da_next, U), dc, dW, dU, db
