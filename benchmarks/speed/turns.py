"""Two sides of a comparison, timed in turns: A B A B ...

What slows the machine down for a while so slows down both. The table has medians over the turns and
the spread: half the distance between the quartiles, as a share of the median. The ratio is the
median of the turns' ratios, so that a slow minute does not count for one side only.

    measured = time_in_turns({"ours": step, "theirs": other_step}, turns=10)
    print(render_table([make_row("a step", measured, "ours", "theirs", bound=1.2)]))
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from utils.command_line import Parser, number

HEAD = "| what | ours | theirs | ratio | spread | at most |\n|---|---|---|---|---|---|"


class Row(NamedTuple):
    """A line of the table; `ratio` is ours / theirs, met where it is at most `bound`."""

    what: str
    ours: str
    theirs: str
    ratio: float
    spread: float | None
    bound: float | None


def make_parser(description: str | None, turns: int) -> Parser:
    """Makes a parser with the options of every benchmark of speed; `turns` is a default."""
    parser = Parser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no bound: does it work?")
    parser.add_argument(
        "--turns",
        type=number(int, 1),
        default=turns,
        help=f"times that each side is measured, A B A B ... (default: {turns})",
    )
    return parser


def describe_machine() -> str:
    """Says in a line what the numbers depend on."""
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32"


def prepare_passes(
    layer: nn.Module, x: torch.Tensor, forward: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[], None]:
    """Prepares a call that takes forward and backward of a layer on x, with no gradients left over.

    x must require a gradient.
    """
    d_out = torch.randn_like(forward(x))

    def run() -> None:
        layer.zero_grad()
        x.grad = None
        forward(x).backward(d_out)

    return run


@torch.no_grad()
def reread(model: nn.Module, length: int, x: torch.Tensor) -> None:
    """Writes greedily without a state: reads all of x (1, T) once more for every character."""
    for _ in range(length):
        x = torch.cat([x[:, 1:], model(x)[0][:, -1:].argmax(2)], dim=1)


def time_in_turns(
    sides: Mapping[str, Callable[[], object]], *, turns: int = 10, warmup: int = 2
) -> dict[str, list[float]]:
    """Calls every side once a turn; returns its seconds in each turn, the warm-up left out."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(warmup + turns):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def compute_spread(values: list[float]) -> float:
    """Computes half the distance between the quartiles, by the median; 0 for one value."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / middle


def make_row(
    what: str,
    measured: Mapping[str, list[float]],
    ours: str = "ours",
    theirs: str = "theirs",
    *,
    bound: float | None = None,
) -> Row:
    """Makes the line of two sides that were timed in turns."""
    ratios = [a / b for a, b in zip(measured[ours], measured[theirs], strict=True)]
    medians = (f"{1000 * statistics.median(measured[side]):,.1f} ms" for side in (ours, theirs))
    return Row(what, *medians, statistics.median(ratios), compute_spread(ratios), bound)


def render_table(rows: list[Row]) -> str:
    """Renders the rows in Markdown."""
    lines = [HEAD]
    for line in rows:
        within = "" if line.spread is None else f"± {100 * line.spread:.0f} %"
        bound = "" if line.bound is None else f"{line.bound:g}"
        lines.append(
            f"| {line.what} | {line.ours} | {line.theirs} | {line.ratio:.3f} | {within} | {bound} |"
        )
    return "\n".join(lines)
