"""Our LSTM beside nn.LSTM: training steps, and one character at a time.

    python benchmarks/recurrence.py            the tables
    python benchmarks/recurrence.py --quick    tiny sizes, no bound: does it work?

"layer": forward and backward of one layer (B, T, I, H). "stream": 2,000 characters, each read by a
call of its own, without gradients. Both sides run in one process in turns, on as many threads as
torch takes.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root

import torch
from torch import nn

from benchmarks.turns import in_turns, row, table
from models.lstm.modules import LSTM
from utils.errors import Parser, command, number

SIZES = {  # B, T, I, H: at most so many times as long as nn.LSTM
    (32, 100, 64, 128): 1.7,
    (32, 100, 64, 256): 1.3,
    (64, 128, 64, 512): 1.1,
    (1, 200, 45, 128): 3.0,
}


def step(lstm: nn.Module, B: int, T: int, features: int, H: int) -> Callable[[], None]:
    """Forward and backward, all gradients from nothing."""
    torch.manual_seed(0)
    x, d_out = torch.randn(B, T, features, requires_grad=True), torch.randn(B, T, H)

    def run() -> None:
        lstm.zero_grad()
        x.grad = None
        lstm(x)[0].backward(d_out)

    return run


@torch.no_grad()
def stream(lstm: nn.Module, characters: torch.Tensor) -> None:
    """Reads characters (T, 1, 1, I) one by one."""
    state = None
    for x in characters:
        _, state = lstm(x, state)


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no bound: does it work?")
    parser.add_argument("--turns", type=number(int, 1), default=20, help="of both (default: 20)")
    args = parser.parse_args(argv)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32\n")
    rows, turns = [], 2 if args.quick else args.turns
    for size, bound in ({(2, 5, 4, 3): None} if args.quick else SIZES).items():
        sides = {"ours": LSTM(*size[2:]), "theirs": nn.LSTM(*size[2:], batch_first=True)}
        measured = in_turns({name: step(it, *size) for name, it in sides.items()}, turns=turns)
        rows.append(row(f"layer {size}", measured, bound=bound))
    length = 10 if args.quick else 2000
    characters = torch.randn(length, 1, 1, 45)
    sides = {"ours": LSTM(45, 128), "theirs": nn.LSTM(45, 128, batch_first=True)}
    sides = {name: partial(stream, lstm.eval(), characters) for name, lstm in sides.items()}
    measured = in_turns(sides, turns=turns)
    rows.append(row(f"stream of {length}", measured, bound=None if args.quick else 1.0))
    print(table(rows))


if __name__ == "__main__":
    raise SystemExit(main())
