"""An optimiser's step whose averages have decayed below 1.2e-38, beside one with usual averages.

    python benchmarks/speed/denormals.py
    python benchmarks/speed/denormals.py --quick        does it work?

A unit that is dead gets no gradient, and what its past has left in the averages shrinks by a factor
each step: after some thousand steps these are denormal numbers, with which a processor may compute
a hundred times as slowly. Every command takes them for 0 (utils/errors.py, flush_denormals), in all
of torch's threads, so both sides take the same time.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn

from benchmarks.speed.turns import Side, Table, describe_machine, make_parser
from utils.errors import command
from utils.training.optimizers import Muon

SIZE, DEAD = 1024, 1e-39
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": torch.optim.AdamW,
    "Adam, fused": partial(torch.optim.Adam, fused=True),
    "RMSprop": torch.optim.RMSprop,
    "Muon": partial(Muon, momentum=0.95),
}


def prepare_steps(make: Callable[..., torch.optim.Optimizer], left: float, steps: int) -> Side:
    """Prepares a call of some steps without a gradient, each average set to `left` before it."""
    weight = nn.Parameter(torch.randn(SIZE, SIZE))
    weight.grad = torch.zeros_like(weight)
    optimizer = make([weight], lr=1e-3)
    optimizer.step()
    averages = [value for value in optimizer.state[weight].values() if value.dim() > 0]

    def run() -> None:
        for _ in range(steps):
            for average in averages:
                average.fill_(left)
            optimizer.step()

    return run


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=20).parse_args(argv)
    table = Table(quick=args.quick, turns=args.turns)
    usual = torch.get_num_threads()
    for name, make in OPTIMIZERS.items():
        steps = 1 if args.quick else 3 if name == "Muon" else 20
        for threads in (1, 2):
            torch.set_num_threads(threads)
            sides = (prepare_steps(make, left, steps) for left in (DEAD, 1e-3))
            table.compare(f"{name}, {threads} threads"[: -1 if threads == 1 else None], *sides,
                          at_most=1.1)  # fmt: skip
    torch.set_num_threads(usual)
    print(describe_machine(), table, sep="\n\n")


if __name__ == "__main__":
    raise SystemExit(main())
