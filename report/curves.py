"""Curves over epochs as SVG: the same drawing for the page, light and dark, and for the PDF.

Matplotlib's figures (utils/training/curves.py) are pictures for a folder; here letters and colors
are those of the page around them.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

from report.blocks import Chart

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 44
MOST_POINTS = 400  # of a curve: more than a point for two pixels say nothing
LOGARITHMIC = 30  # largest by smallest value from which on the axis is
# Of ink, grid and curves, on paper; the page has its own for light and for dark (report.css).
PAPER = {"ink": "#444444", "grid": "#e3e3e3", "1": "#2b6cb0", "2": "#c05621", "3": "#2f855a"}
PAGE = {name: f"var(--{name})" for name in ("ink", "grid")}
Text = Callable[..., str]  # makes a <text> at x, y, of words, anchored
PAGE |= {name: f"var(--curve-{name})" for name in "123"}


def draw(chart: Chart, colors: dict[str, str], font: str) -> str:
    """Draws a chart as an SVG."""
    points = [point for _, curve in chart.series for point in curve]
    across = Scale([x for x, _ in points], LEFT, WIDTH - RIGHT, whole=True)
    values = [y for _, y in points]
    steep = min(values) > 0 and max(values) > LOGARITHMIC * min(values)
    up = Scale(values, HEIGHT - BOTTOM, TOP, logarithmic=steep)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="{escape(font)}" font-size="12">'
    ]

    def text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        return f'<text {place} style="fill:{colors["ink"]}"{more}>{escape(words)}</text>'

    def line(x1: float, y1: float, x2: float, y2: float, color: str, more: str = "") -> str:
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        return f'<line {ends} style="stroke:{color};stroke-width:0.8{more}"/>'

    for value, label in up.ticks():
        parts.append(line(LEFT, up(value), WIDTH - RIGHT, up(value), colors["grid"]))
        parts.append(text(LEFT - 7, up(value) + 4, label, "end"))
    for value, label in across.ticks():
        parts.append(text(across(value), HEIGHT - BOTTOM + 16, label, "middle"))
    parts.append(line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, colors["ink"]))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.across, "middle"))
    turned = f' transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.1f})"'
    parts.append(text(14, (TOP + HEIGHT - BOTTOM) / 2, chart.axis, "middle", turned))
    if chart.mark is not None:
        x = across(chart.mark)
        parts.append(line(x, TOP, x, HEIGHT - BOTTOM, colors["ink"], ";stroke-dasharray:2 3"))
    for index, (_, curve) in enumerate(chart.series, 1):
        parts += draw_curve([(across(x), up(y)) for x, y in thin(curve)], colors[str(index)])
    places = [(across(x), up(y)) for _, curve in chart.series for x, y in curve]
    right = [y for x, y in places if x > WIDTH * 0.7]
    low = sum(right) < len(right) * HEIGHT / 2  # the curves end above: below there is room
    parts += draw_legend(
        chart, colors, text, HEIGHT - BOTTOM - 16 * len(chart.series) if low else TOP
    )
    return "".join([*parts, "</svg>"])


def draw_curve(points: Sequence[tuple[float, float]], color: str) -> list[str]:
    """Draws a curve, and its points where there are few."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f"fill:none;stroke:{color};stroke-width:1.6;stroke-linejoin:round"
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" style="fill:{color}"/>'
        for x, y in (points if len(points) < 30 else ())
    ]
    return [f'<polyline points="{places}" style="{style}"/>', *dots]


def draw_legend(chart: Chart, colors: dict[str, str], text: Text, top: float) -> list[str]:
    """Names the curves, at the right, from a height on."""
    parts, right = [], WIDTH - RIGHT - 6
    for index, (name, _) in enumerate(chart.series, 1):
        y = top + 16 * index - 8
        style = f"stroke:{colors[str(index)]};stroke-width:2"
        parts.append(f'<line x1="{right - 22}" y1="{y}" x2="{right}" y2="{y}" style="{style}"/>')
        parts.append(text(right - 28, y + 4, name, "end"))
    return parts


def thin(curve: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Leaves out points of a long curve, evenly; the last one stays."""
    step = math.ceil(len(curve) / MOST_POINTS)
    return curve if step == 1 else [*curve[:-1:step], curve[-1]]


class Scale:
    """An axis: values to places, and the values that are written beside it."""

    def __init__(
        self,
        values: Sequence[float],
        low: float,
        high: float,
        *,
        whole: bool = False,
        logarithmic: bool = False,
    ) -> None:
        self.first, self.last = min(values), max(values)
        self.low, self.high, self.whole, self.logarithmic = low, high, whole, logarithmic
        if self.first == self.last:
            room = 1 if whole else abs(self.first) * 0.1 or 1
            self.first, self.last = self.first - room, self.last + room
        elif not whole and not logarithmic:
            room = 0.05 * (self.last - self.first)
            self.first, self.last = self.first - room, self.last + room

    def __call__(self, value: float) -> float:
        first, last = self.first, self.last
        if self.logarithmic:
            first, last, value = math.log(first), math.log(last), math.log(value)
        return self.low + (value - first) / (last - first) * (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Lists about five round values, and how they are written."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.first)), math.ceil(math.log10(self.last)) + 1)
            few = (1,) if len(powers) > 4 else (1, 3)
            steps = [factor * 10.0**power for power in powers for factor in few]
        else:
            step = round_step((self.last - self.first) / 5)
            step = max(1, round(step)) if self.whole else step
            count = range(math.ceil(self.first / step), math.floor(self.last / step) + 1)
            steps = [index * step for index in count]
        return [(v, f"{v:,.10g}") for v in steps if self.first <= v <= self.last]


def round_step(rough: float) -> float:
    """Finds the 1, 2 or 5 times a power of ten that is next to a distance, from above."""
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
