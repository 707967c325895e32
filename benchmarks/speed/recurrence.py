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

from benchmarks.speed.turns import (
    describe_machine,
    make_parser,
    make_row,
    prepare_passes,
    render_table,
    time_in_turns,
)
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
    print(describe_machine() + "\n")
    rows, kernels, turns = [], [], 2 if args.quick else args.turns
    at_most = None if args.quick else FAST
    for size, bound in ({(2, 5, 4, 3): None} if args.quick else SIZES).items():
        layers = {
            "ours": LSTM(*size[2:]),
            "theirs": nn.LSTM(*size[2:], batch_first=True),
            "readable": LSTM(*size[2:], kernel="readable"),
        }
        x = torch.randn(size[:3], requires_grad=True)
        sides = {
            name: prepare_passes(lstm, x, lambda x, lstm=lstm: lstm(x)[0])
            for name, lstm in layers.items()
        }
        measured = time_in_turns(sides, turns=turns)
        rows.append(make_row(f"layer {size}", measured, bound=bound))
        kernels.append(make_row(f"kernel {size}", measured, "ours", "readable", bound=at_most))
    length = 10 if args.quick else 2000
    characters = torch.randn(length, 1, 1, 45)
    sides = {"ours": LSTM(45, 128), "theirs": nn.LSTM(45, 128, batch_first=True)}
    sides = {name: partial(stream, lstm.eval(), characters) for name, lstm in sides.items()}
    measured = time_in_turns(sides, turns=turns)
    stream_row = make_row(f"stream of {length}", measured, bound=None if args.quick else 1.0)
    print(render_table([*rows, *kernels, stream_row]))


if __name__ == "__main__":
    raise SystemExit(main())
