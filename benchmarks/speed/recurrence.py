"""Our LSTM beside nn.LSTM, and its fast kernel beside the readable one.

    python benchmarks/speed/recurrence.py            the table
    python benchmarks/speed/recurrence.py --quick    tiny sizes, no bound: does it work?

"layer": forward and backward of one layer (B, T, I, H) against nn.LSTM. "kernel": the same, fast
(ours) against readable (theirs). "stream": 2,000 characters, each read by a call of its own,
without gradients, against nn.LSTM. Both sides run in one process in turns, on as many threads as
torch takes.
"""

import sys
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


@torch.no_grad()
def stream(lstm: nn.Module, characters: torch.Tensor) -> None:
    """Reads characters (T, 1, 1, I) one by one, without gradients."""
    state = None
    for x in characters:
        _, state = lstm(x, state)


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=20).parse_args(argv)
    table = Table(quick=args.quick, turns=args.turns)
    for size, bound in ({(2, 5, 4, 3): 1} if args.quick else SIZES).items():
        x, (inputs, hidden) = torch.randn(size[:3], requires_grad=True), size[2:]
        layers = [
            LSTM(inputs, hidden),
            nn.LSTM(inputs, hidden, batch_first=True),
            LSTM(inputs, hidden, kernel="readable"),
        ]
        ours, theirs, readable = table.time(*(prepare_passes(lstm, x) for lstm in layers))
        table.add_times(f"layer {size}", ours, theirs, at_most=bound)
        table.add_times(f"kernel {size}", ours, readable, at_most=FAST)
    length = 10 if args.quick else 2000
    characters = torch.randn(length, 1, 1, 45)
    layers = LSTM(45, 128).eval(), nn.LSTM(45, 128, batch_first=True).eval()
    sides = [partial(stream, lstm, characters) for lstm in layers]
    table.compare(f"stream of {length}", *sides, at_most=1.0)
    print(describe_machine(), table, sep="\n\n")


if __name__ == "__main__":
    raise SystemExit(main())
