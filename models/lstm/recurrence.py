"""The time loop of the LSTM with its gradient derived by hand: the same numbers, faster.

Autograd would record every operation of every character and add up a gradient of U, as large as
U itself, T times. Written by hand, the backward pass reads (Hochreiter & Schmidhuber 1997;
BPTT: Werbos 1990): with dh and dc the gradients of the loss by h_t and c_t, from t = T to 1,

    dh   += gradient of the output h_t                      (what comes from above)
    dc   += dh * o * (1 - tanh(c)^2)                        since h = o * tanh(c)
    da_o  = dh * tanh(c) * o * (1 - o)                      a: the gates before σ and tanh
    da_i  = dc * g * i * (1 - i)                            since c = f * c_{t-1} + i * g
    da_f  = dc * c_{t-1} * f * (1 - f)
    da_g  = dc * i * (1 - g^2)
    dc    = dc * f,   dh = da U                             on to t - 1

All factors beside dh and dc are known after the forward pass, so they are computed for all T at
once; and dU = Σ_t da_t^T h_{t-1} is one product after the loop. `LSTMLayer.step` in modules.py
is the readable form of a step; a test holds the two equal, and gradcheck approves the derivation.
"""

from typing import Any

import torch


class Recurrence(torch.autograd.Function):
    """(W x + b (T, B, 4H), h_0 (B, H), c_0 (B, H), U (4H, H)) -> h_1..h_T (T, B, H), h_T, c_T."""

    @staticmethod
    def forward(
        ctx: Any, Wx_b: torch.Tensor, h: torch.Tensor, c: torch.Tensor, U: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        T, B, H = len(Wx_b), *h.shape
        gates = torch.empty_like(Wx_b)  # i, f, g, o side by side
        hs, cs = Wx_b.new_empty(T + 1, B, H), Wx_b.new_empty(T + 1, B, H)  # from 0 to T
        tanh_c = Wx_b.new_empty(T, B, H)
        hs[0], cs[0] = h, c
        for t in range(T):
            gate = torch.addmm(Wx_b[t], hs[t], U.T, out=gates[t])
            gate[:, : 2 * H].sigmoid_()
            gate[:, 2 * H : 3 * H].tanh_()
            gate[:, 3 * H :].sigmoid_()
            i, f, g, o = gate.chunk(4, dim=1)
            torch.mul(f, cs[t], out=cs[t + 1]).addcmul_(i, g)
            torch.tanh(cs[t + 1], out=tanh_c[t])
            torch.mul(o, tanh_c[t], out=hs[t + 1])
        ctx.save_for_backward(gates, hs, cs, tanh_c, U)
        return hs[1:], hs[T].clone(), cs[T].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, d_out: torch.Tensor, d_h: torch.Tensor, d_c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        gates, hs, cs, tanh_c, U = ctx.saved_tensors
        T, B, H = tanh_c.shape
        i, f, g, o = gates.chunk(4, dim=2)
        da = torch.cat(  # the factors first; the loop multiplies dc and dh into them
            [
                g * i * (1 - i),
                cs[:-1] * f * (1 - f),
                i * (1 - g * g),
                tanh_c * o * (1 - o),
            ],
            dim=2,
        )
        through_h = o * (1 - tanh_c * tanh_c)
        dh, dc = d_h.clone(), d_c.clone()
        for t in reversed(range(T)):
            dh += d_out[t]
            dc.addcmul_(dh, through_h[t])
            da[t, :, : 3 * H].view(B, 3, H).mul_(dc[:, None])
            da[t, :, 3 * H :].mul_(dh)
            dc *= f[t]
            torch.mm(da[t], U, out=dh)
        dU = da.flatten(0, 1).T @ hs[:-1].flatten(0, 1)
        return da, dh, dc, dU
