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

from benchmarks.speed.turns import Table, describe_machine, make_parser, prepare_passes, reread
from models.transformer.modules import CausalAttention, Model, ModelConfig, State
from utils.errors import command

Builder = Callable[..., CausalAttention]
Sizes = dict[tuple[int, int], float]  # B, T: the largest ratio that is allowed

WIDTH, HEADS, WINDOW = 256, 8, 64
LAYER = {(64, 64): 1.2, (16, 256): 1.6, (4, 1024): 2.5}
KERNEL = {(64, 64): 1.2, (16, 256): 0.6, (4, 1024): 0.4}

Readable = partial(CausalAttention, kernel="readable")


class Library(CausalAttention):
    """Causal attention with the same projections around torch's own kernel."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        B, T, d = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(out.transpose(1, 2).reshape(B, T, d)), None


def step(build: Builder, B: int, T: int, context: int) -> Callable[[], None]:
    """Returns a run: forward and backward of one layer, all gradients from nothing."""
    torch.manual_seed(0)
    layer = build(WIDTH, HEADS, context)
    return prepare_passes(layer, torch.randn(B, T, WIDTH, requires_grad=True))


def compare_layers(table: Table, what: str, theirs: Builder, sizes: Sizes) -> None:
    """Compares causal attention with another layer of its sizes."""
    for (B, T), bound in ({(2, 16): 1} if table.quick else sizes).items():
        sides = [step(build, B, T, T) for build in (CausalAttention, theirs)]
        table.compare(f"{what}, B {B}, T {T}", *sides, at_most=bound)


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


def compare_windows(table: Table) -> None:
    """Compares time and peak memory: of the two kernels, then of a long text and a short one."""
    T, short, long = (96, 64, 128) if table.quick else (4096, 1024, 16384)
    kernels = [step(build, 1, T, WINDOW) for build in (CausalAttention, Readable)]
    lengths = [step(CausalAttention, 1, length, WINDOW) for length in (long, short)]
    for what, sides, bound in ((f"{T}", kernels, 0.05), (f"{long} to {short}", lengths, 20)):
        table.compare(f"window {WINDOW}, T {what}: time", *sides, at_most=bound)
        a, b = map(peak, sides)
        what = f"window {WINDOW}, T {what}: peak memory"
        table.add(what, f"{a:,.1f} MB", f"{b:,.1f} MB", a / b, at_most=bound)


@torch.no_grad()
def cached(model: Model, length: int, state: State) -> None:
    """Writes `length` characters greedily after a whole context, each read once."""
    logits = torch.zeros(1, 1, 1)
    for _ in range(length):
        logits, state = model(logits[:, -1:].argmax(2), state)


def compare_writing(table: Table) -> None:
    """Compares writing through a full cache with reading the context for every character."""
    # A turn is 1/20 of the 1,000: both cost the same for each, and re-running takes minutes.
    length = 3 if table.quick else 50
    for context, bound in ({16: 1} if table.quick else {256: 0.2, 1024: 0.1}).items():
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
        x = torch.randint(65, (1, context))
        with torch.no_grad():
            _, state = model(x)
        ours, theirs = partial(cached, model, length, state), partial(reread, model, length, x)
        table.compare(f"{length} characters, context {context}", ours, theirs, at_most=bound)


PARTS = {
    "layer": partial(compare_layers, what="layer", theirs=Library, sizes=LAYER),
    "kernel": partial(compare_layers, what="kernel", theirs=Readable, sizes=KERNEL),
    "window": compare_windows,
    "writing": compare_writing,
}


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__, turns=10)
    parser.add_argument("--part", choices=PARTS, help="one table (default: all four)")
    args = parser.parse_args(argv)
    print(describe_machine())
    for name in [args.part] if args.part else PARTS:
        began, table = (
            time.perf_counter(),
            Table(quick=args.quick, turns=args.turns, processor=args.processor),
        )
        PARTS[name](table)
        print(f"\n{table}\n\n{(time.perf_counter() - began) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
