"""Our LSTM beside nn.LSTM, its fast kernel beside the readable one and beside the floor.

    python benchmarks/speed/recurrence.py            the table, and where our time goes
    python benchmarks/speed/recurrence.py --quick    tiny sizes, no bound: does it work?

"layer": forward and backward of one layer (B, T, I, H) against nn.LSTM. "kernel": the same, fast
(ours) against readable (theirs). "floor": the operators of both loops alone (ours), in memory and
with views that are there already, against nn.LSTM: what separate operators cost at least. "over the
floor": our layer against them. "stream": 2,000 characters, each read by a call of its own, without
gradients, against nn.LSTM. All sides run in one process in turns, on all of torch's threads.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn

from benchmarks.speed.turns import Table, describe_machine, make_parser, prepare_passes
from models.lstm.modules import LSTM
from utils.errors import command

SIZES = {  # B, T, I, H: the largest ratio to nn.LSTM that is allowed
    (32, 100, 64, 128): 1.7,
    (32, 100, 64, 256): 1.3,
    (64, 128, 64, 512): 1.1,
    (1, 200, 45, 128): 3.0,
}
FAST = 0.9  # of the readable kernel's time, at most
OVER_FLOOR = 1.2  # times the floor, at most; with a batch of one Python's share of it is larger
OVER_FLOOR_ALONE = 1.7


def prepare_floor(T: int, B: int, inputs: int, H: int) -> Callable[[], None]:
    """Prepares a call of the operators that a layer's two loops cannot do without.

    These are a product and seven small steps a character forwards, a product and four backwards
    (models/lstm/recurrence.py says which), and the products over all characters at once. Nothing is
    allocated, checked or recorded, and what the equations give is not asked for.
    """
    x, gates = torch.randn(T * B, inputs), torch.randn(T, B, 4 * H)
    W, U, U_T = torch.randn(4 * H, inputs), torch.randn(4 * H, H), torch.randn(H, 4 * H)
    hs, cs, tanh_c, factors, dhs = (torch.randn(T, B, H) for _ in range(5))
    da, dc, dW, dU, db = torch.randn_like(gates), hs[0].clone(), *map(torch.clone, (W, U, W[:, 0]))
    i, f, g, o = (gate.unbind() for gate in gates.chunk(4, dim=2))
    forwards = (gates.unbind(), gates[:, :, : 2 * H].unbind(), i, f, g, o)
    forwards = list(zip(*forwards, hs.unbind(), cs.unbind(), tanh_c.unbind(), strict=True))
    by_dc = da.unflatten(2, (4, H))[:, :, :3].unbind()
    backwards = (dhs.unbind(), da.unbind(), by_dc, da[:, :, 3 * H :].unbind())
    backwards = list(zip(*backwards, factors.unbind(), f, strict=True))
    dc_thrice, all_gates, all_da = dc[:, None], gates.flatten(0, 1), da.flatten(0, 1)
    dx, all_hs = torch.empty_like(x), hs.flatten(0, 1)
    sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward

    @torch.no_grad()
    def run() -> None:
        torch.mm(x, W.T, out=all_gates)
        for gate, i_f, i_t, f_t, g_t, o_t, h_t, c_t, tanh_c_t in forwards:
            gate.addmm_(h_t, U_T)
            i_f.sigmoid_()
            g_t.tanh_()
            o_t.sigmoid_()
            torch.mul(f_t, c_t, out=c_t).addcmul_(i_t, g_t)
            torch.tanh(c_t, out=tanh_c_t)
            torch.mul(o_t, tanh_c_t, out=h_t)
        for gate, part in zip(gates.chunk(4, dim=2), da.chunk(4, dim=2), strict=True):
            sigmoid_backward(gate, gate, grad_input=part)
        tanh_backward(tanh_c, tanh_c, grad_input=factors)
        for dh, da_t, by_dc_t, da_o_t, factor, f_t in backwards:
            dh.addmm_(da_t, U)
            dc.addcmul_(dh, factor)
            by_dc_t.mul_(dc_thrice)
            da_o_t.mul_(dh)
            dc.mul_(f_t)
        torch.sum(all_da, dim=0, out=db)
        torch.mm(all_da.T, all_hs, out=dU)
        torch.mm(all_da.T, x, out=dW)
        torch.mm(all_da, W, out=dx)

    def run_from_small_numbers() -> None:
        dhs.fill_(1e-3)
        dc.fill_(1e-3)
        run()

    return run_from_small_numbers


def profile_layer(run: Callable[[], None], most: int = 6) -> str:
    """Names the operators that forward and backward spend their time in: shares of it, calls."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        run()
    found = profiler.key_averages()
    whole = sum(row.self_cpu_time_total for row in found)
    found = sorted(found, key=lambda row: -row.self_cpu_time_total)[:most]
    parts = (
        f"{row.key.removeprefix('aten::')} {row.self_cpu_time_total / whole:.0%} in {row.count:,}"
        for row in found
    )
    return ", ".join(parts)


@torch.no_grad()
def stream(lstm: nn.Module, characters: torch.Tensor) -> None:
    """Reads characters (T, 1, 1, I) one by one, without gradients."""
    state = None
    for x in characters:
        _, state = lstm(x, state)


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=20).parse_args(argv)
    table = Table(quick=args.quick, turns=args.turns, processor=args.processor)
    profiles = []
    for size, bound in ({(2, 5, 4, 3): 1} if args.quick else SIZES).items():
        x, (inputs, hidden) = torch.randn(size[:3], requires_grad=True), size[2:]
        layers = [
            LSTM(inputs, hidden),
            nn.LSTM(inputs, hidden, batch_first=True),
            LSTM(inputs, hidden, kernel="readable"),
        ]
        sides = [prepare_passes(lstm, x) for lstm in layers]
        floor = prepare_floor(x.shape[1], x.shape[0], inputs, hidden)
        ours, theirs, readable, alone = table.time(*sides, floor)
        table.add_times(f"layer {size}", ours, theirs, at_most=bound)
        table.add_times(f"floor {size}", alone, theirs, at_most=bound)
        over = OVER_FLOOR if size[0] > 1 else OVER_FLOOR_ALONE
        table.add_times(f"over the floor {size}", ours, alone, at_most=over)
        table.add_times(f"kernel {size}", ours, readable, at_most=FAST)
        profiles.append(f"{size}: {profile_layer(sides[0])}")
    length = 10 if args.quick else 2000
    characters = torch.randn(length, 1, 1, 45)
    layers = LSTM(45, 128).eval(), nn.LSTM(45, 128, batch_first=True).eval()
    sides = [partial(stream, lstm, characters) for lstm in layers]
    table.compare(f"stream of {length}", *sides, at_most=1.0)
    print(describe_machine(), table, sep="\n\n")
    print("\nour time by operators, and their calls:", *profiles, sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
