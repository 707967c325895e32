"""Our attention beside the library's, beside its readable form, and generation beside re-running.

    python benchmarks/speed/attention.py                 all four tables
    python benchmarks/speed/attention.py --part window   one of them
    python benchmarks/speed/attention.py --quick         tiny sizes, no bound: does it work?

"layer": causal attention with its projections, forward and backward, against the same around
F.scaled_dot_product_attention. "kernel": the same layers, fast (ours) against readable (theirs).
"window": attention to the last 64 characters, fast against readable, in time and in peak memory,
and how both grow with T. "writing": characters through a full cache against the same model
re-running its last `context` characters for each of them. Both sides run in one process in turns,
on as many threads as torch takes.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.turns import (
    Row,
    describe_machine,
    make_parser,
    make_row,
    prepare_passes,
    render_table,
    reread,
    time_in_turns,
)
from models.transformer.modules import CausalAttention, Model, ModelConfig, State
from utils.errors import command

WIDTH, HEADS, WINDOW = 256, 8, 64
# B, T: the largest ratio to the library's layer that is allowed, and to the readable kernel's.
SIZES = {(64, 64): (1.2, 1.2), (16, 256): (1.6, 0.6), (4, 1024): (2.5, 0.4)}

Readable = partial(CausalAttention, kernel="readable")


class Library(CausalAttention):
    """Causal attention with the same projections around torch's own kernel."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        B, T, d = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(out.transpose(1, 2).reshape(B, T, d)), None


def step(build: Callable[..., CausalAttention], B: int, T: int, context: int) -> Callable[[], None]:
    """Returns a run: forward and backward of one layer, all gradients from nothing."""
    torch.manual_seed(0)
    layer = build(WIDTH, HEADS, context)
    x = torch.randn(B, T, WIDTH, requires_grad=True)
    return prepare_passes(layer, x, lambda x: layer(x)[0])


def layers(quick: bool, turns: int) -> list[Row]:
    rows = []
    for (B, T), (bound, _) in ({(2, 16): (None, None)} if quick else SIZES).items():
        sides = {"ours": step(CausalAttention, B, T, T), "theirs": step(Library, B, T, T)}
        rows.append(
            make_row(f"layer, B {B}, T {T}", time_in_turns(sides, turns=turns), bound=bound)
        )
    return rows


def kernels(quick: bool, turns: int) -> list[Row]:
    rows = []
    for (B, T), (_, bound) in ({(2, 16): (None, None)} if quick else SIZES).items():
        sides = {"ours": step(CausalAttention, B, T, T), "theirs": step(Readable, B, T, T)}
        rows.append(
            make_row(f"kernel, B {B}, T {T}", time_in_turns(sides, turns=turns), bound=bound)
        )
    return rows


def peak(run: Callable[[], None]) -> float:
    """Measures the most memory that tensors of a run hold at once, in MB, of its own alone."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    held, most = 0, 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 1e6


def windows(quick: bool, turns: int) -> list[Row]:
    T, short, long = (96, 64, 128) if quick else (4096, 1024, 16384)
    bound = None if quick else 0.05
    sides = {"ours": step(CausalAttention, 1, T, WINDOW), "theirs": step(Readable, 1, T, WINDOW)}
    rows = [
        make_row(
            f"window {WINDOW}, T {T}: time",
            time_in_turns(sides, turns=turns, warmup=1),
            bound=bound,
        )
    ]
    ours, theirs = (peak(run) for run in sides.values())
    what = f"window {WINDOW}, T {T}: peak memory"
    rows.append(Row(what, f"{ours:,.1f} MB", f"{theirs:,.1f} MB", ours / theirs, None, bound))
    sides = {name: step(CausalAttention, 1, T, WINDOW) for name, T in (("a", long), ("b", short))}
    bound = None if quick else 20
    what = f"window {WINDOW}, T {long} to {short}"
    rows.append(make_row(f"{what}: time", time_in_turns(sides, turns=turns), "a", "b", bound=bound))
    a, b = (peak(run) for run in sides.values())
    rows.append(Row(f"{what}: peak memory", f"{a:,.1f} MB", f"{b:,.1f} MB", a / b, None, bound))
    return rows


@torch.no_grad()
def cached(model: Model, length: int, state: State) -> None:
    """Writes `length` characters greedily after a whole context, each read once."""
    logits = torch.zeros(1, 1, 1)
    for _ in range(length):
        logits, state = model(logits[:, -1:].argmax(2), state)


def writing(quick: bool, turns: int) -> list[Row]:
    rows, sizes = [], {256: 0.2, 1024: 0.1}
    for context, bound in ({16: None} if quick else sizes).items():
        torch.manual_seed(0)
        config = ModelConfig(
            name="writer",
            width=128,
            heads=4,
            layers=4,
            context=context,
            positions="rotary",
            dropout=0.0,
        )
        model = Model(65, config).eval()
        # A turn is 1/20 of the 1,000: both cost the same for each, and re-running takes minutes.
        length = 3 if quick else 50
        x = torch.randint(65, (1, context))
        with torch.no_grad():
            _, state = model(x)
        sides = {
            "ours": partial(cached, model, length, state),
            "theirs": partial(reread, model, length, x),
        }
        measured = time_in_turns(sides, turns=turns, warmup=1)
        rows.append(make_row(f"{length} characters, context {context}", measured, bound=bound))
    return rows


PARTS = {"layer": layers, "kernel": kernels, "window": windows, "writing": writing}


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__, turns=10)
    parser.add_argument("--part", choices=PARTS, help="one table (default: all four)")
    args = parser.parse_args(argv)
    print(describe_machine())
    for name in [args.part] if args.part else PARTS:
        began = time.perf_counter()
        rows = PARTS[name](args.quick, 2 if args.quick else args.turns)
        print(
            f"\n{render_table(rows)}\n\n{(time.perf_counter() - began) / 60:.1f} minutes",
            flush=True,
        )


if __name__ == "__main__":
    raise SystemExit(main())
