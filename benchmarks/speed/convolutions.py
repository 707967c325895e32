"""Our TCN beside the design it comes from, and writing with it beside re-reading.

    python benchmarks/speed/convolutions.py            the table
    python benchmarks/speed/convolutions.py --quick    tiny sizes, no bound: does it work?

"blocks": forward and backward of residual blocks of all dilations together, against the design of
locuslab/TCN: padding on both sides, then what lies ahead is cut off. "writing": characters one by
one through the state, against the same model re-reading its receptive field for each of them. Both
sides run in one process in turns, on as many threads as torch takes.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from benchmarks.speed.turns import Table, describe_machine, make_parser, prepare_passes, reread
from models.tcn.modules import Model, ModelConfig, ResidualBlock
from utils.errors import command
from utils.text.streaming import write

NO_PAST = (None, None)  # of a block's two convolutions


class PaddedBlock(nn.Module):
    """Computes relu(x + f(x)); f is twice a padded convolution with its end cut off, relu, dropout.

    This is the block of locuslab/TCN.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.ahead = (kernel_size - 1) * dilation
        sizes = {"padding": self.ahead, "dilation": dilation}
        self.first = weight_norm(nn.Conv1d(channels, channels, kernel_size, **sizes))
        self.second = weight_norm(nn.Conv1d(channels, channels, kernel_size, **sizes))
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor, past: tuple[None, None]) -> tuple[torch.Tensor, None]:
        """x (B, C, T) -> output (B, C, T); called as ours is, but it has no past."""
        out = x
        for convolution in (self.first, self.second):
            out = convolution(out)[:, :, : -self.ahead].contiguous()
            out = self.dropout(torch.relu(out))
        return torch.relu(x + out), None


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=10).parse_args(argv)
    table = Table(quick=args.quick, turns=args.turns, processor=args.processor)
    B, C, T, levels, length = (2, 4, 16, 2, 3) if args.quick else (32, 128, 256, 7, 50)
    dilations = [2**level for level in range(levels)]
    x = torch.randn(B, C, T, requires_grad=True)
    ours = [prepare_passes(ResidualBlock(C, 3, d, dropout=0.2), x, NO_PAST) for d in dilations]
    theirs = [prepare_passes(PaddedBlock(C, 3, d), x, NO_PAST) for d in dilations]
    table.compare(
        f"blocks ({B}, {C}, {T}), dilations 1 to {dilations[-1]}",
        lambda: [run() for run in ours],
        lambda: [run() for run in theirs],
        at_most=1.0,
    )

    levels = 2 if args.quick else 8
    config = ModelConfig(name="writer", channels=C, kernel_size=3, levels=levels, dropout=0.0)
    model = Model(65, config).eval()
    x = torch.randint(65, (1, model.receptive_field))
    table.compare(
        f"writing {length}, receptive field {model.receptive_field}",
        # A turn is 1/20 of the 1,000 characters: both cost the same for each.
        partial(write, model, x[0, :1], length, temperature=0),
        partial(reread, model, length, x),
        at_most=0.1,
    )
    print(describe_machine(), table, sep="\n\n")


if __name__ == "__main__":
    raise SystemExit(main())
