"""Two sides of a comparison, timed in turns: A B A B ...

What slows the machine down for a while so slows down both. The table has medians over the turns and
the spread: half the distance between the quartiles, as a share of the median. The ratio is the
median of the turns' ratios, so that a slow minute does not count for one side only.

    table = Table(quick=False, turns=10)
    table.compare("a step", step, other_step, at_most=1.2)
    print(table)
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks import options
from utils.command_line import Parser

Side = Callable[[], object]


def make_parser(description: str | None, turns: int) -> Parser:
    """Makes a parser with the options of every benchmark of speed; `turns` is a default."""
    parser = options.make_parser(description)
    meaning = "times that each side is measured, A B A B ..."
    options.add_number(parser, "--turns", turns, meaning)
    meaning = "measure the processor's time, not the clock's: for a machine that does other work"
    parser.add_argument("--processor", action="store_true", help=meaning)
    return parser


def describe_machine() -> str:
    """Says in a line what the numbers depend on."""
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32"


class Table:
    """Rows of two sides each, in Markdown; the ratio, ours / theirs, should be `at_most` so much.

    A quick table takes two turns, and has no bounds. `processor`: seconds are the processor's, of
    all threads together.
    """

    def __init__(self, *, quick: bool, turns: int, processor: bool = False) -> None:
        self.quick, self.turns = quick, 2 if quick else turns
        self.clock = time.process_time if processor else time.perf_counter
        self.lines = ["| what | ours | theirs | ratio | spread | at most |", "|---" * 6 + "|"]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def time(self, *sides: Side) -> list[list[float]]:
        """Calls every side once a turn; returns each one's seconds but for the first, a warm-up."""
        seconds: list[list[float]] = [[] for _ in sides]
        for _ in range(1 + self.turns):
            for run, taken in zip(sides, seconds, strict=True):
                began = self.clock()
                run()
                taken.append(self.clock() - began)
        return [taken[1:] for taken in seconds]

    def compare(self, what: str, ours: Side, theirs: Side, *, at_most: float) -> None:
        """Adds the row of two sides that it times."""
        self.add_times(what, *self.time(ours, theirs), at_most=at_most)

    def add_times(
        self, what: str, ours: list[float], theirs: list[float], *, at_most: float
    ) -> None:
        """Adds the row of two sides that took so many seconds in each turn."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        quartiles = statistics.quantiles(ratios, method="inclusive") if ratios[1:] else 3 * ratios
        spread = (quartiles[2] - quartiles[0]) / 2 / quartiles[1]
        sides = [f"{1000 * statistics.median(side):,.1f} ms" for side in (ours, theirs)]
        self.add(what, *sides, quartiles[1], f"± {100 * spread:.0f} %", at_most=at_most)

    def add(
        self, what: str, ours: str, theirs: str, ratio: float, spread: str = "", *, at_most: float
    ) -> None:
        """Adds a row."""
        bound = "" if self.quick else f"{at_most:g}"
        self.lines.append(f"| {what} | {ours} | {theirs} | {ratio:.3f} | {spread} | {bound} |")


def prepare_passes(layer: nn.Module, x: torch.Tensor, *state: object) -> Callable[[], None]:
    """Prepares a call that takes forward and backward of a layer on x, with no gradients left over.

    x must require a gradient; the layer returns a tuple, its output first.
    """
    d_out = torch.randn_like(layer(x, *state)[0])

    def run() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x, *state)[0].backward(d_out)

    return run


@torch.no_grad()
def reread(model: nn.Module, length: int, x: torch.Tensor) -> None:
    """Writes greedily without a state: reads all of x (1, T) once more for every character."""
    for _ in range(length):
        x = torch.cat([x[:, 1:], model(x)[0][:, -1:].argmax(2)], dim=1)
