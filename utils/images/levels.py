"""Which values of a set of pictures are black and white.

Bytes are usually 0 ... 255, but data sets of two values keep 0 and 1, cameras write 12 bits into
16, and arrays of floats are in [0, 1], [-1, 1] or [0, 255]. A single dark picture would be taken
for one of those, so the whole set decides, and what was assumed is said.
"""

import threading

import numpy as np

from utils.errors import UserError

BYTES, WHOLE, FLOAT = "bytes", "whole numbers", "floats"  # kinds of values
# White, where the largest value is no larger: of 1, 2, 3, 4 bits, scikit-learn's digits, bytes,
# cameras of 10, 12 and 14 bits, then whatever is left.
TOPS = (1, 3, 7, 15, 16, 255, 1023, 4095, 16383, 65535, 2**24 - 1, 2**32 - 1, 2**64 - 1)
DARK = 16  # bytes beyond it are surely the usual ones
USUAL = {BYTES: (0, 255), WHOLE: (0, 65535), FLOAT: (0, 1)}
Range = tuple[float, float]


def choose_levels(lowest: float, highest: float, kind: str) -> Range:
    """Returns the values that are black and white in a set with these smallest and largest ones.

    Bytes of 0 and 1: (0, 1). Whole numbers up to 4,000: (0, 4095). Floats in -0.9 ... 0.8: (-1, 1).
    """
    if kind != FLOAT:
        if highest <= 0 <= lowest:
            return USUAL[kind]  # nothing but 0
        if lowest >= 0:
            return 0, next(top for top in TOPS if highest <= top)
        if -lowest <= 1 >= highest:
            return -1, 1
        half = next(2**bits for bits in (7, 9, 11, 13, 15, 23, 31, 63) if 2**bits >= -lowest)
        while highest >= half:
            half *= 2
        return -half, half - 1
    if lowest == highest < 0:
        return USUAL[kind]
    slack = 0.01 * max(-lowest, highest)  # smooth filters and rounding go a little beyond
    if lowest < -slack:
        symmetric = [half for half in (0.5, 1) if max(-lowest, highest) <= 1.01 * half]
        return (-symmetric[0], symmetric[0]) if symmetric else (lowest, highest)
    if DARK / 255 < highest <= 1.01 or highest <= 0:
        return 0, 1
    fitting = [top for top in TOPS if DARK < highest <= 1.01 * top <= 1.01 * 65535]
    return (0, fitting[0]) if fitting else (0, highest)


class Levels:
    """Black and white of each kind of values, and the smallest and largest values seen so far.

    Threads that decode pictures share one. `settle` tells whether what was assumed held.
    """

    def __init__(self, assumed: dict[str, Range] | None = None) -> None:
        self.assumed = dict(assumed or {})
        self.seen: dict[str, Range] = {}
        self.lock = threading.Lock()

    def asks(self, kind: str) -> bool:
        """Tells whether it still matters which values of this kind there are."""
        return not (kind == BYTES and self.seen.get(BYTES, (0, 0))[1] > DARK)

    def see(self, lowest: float, highest: float, kind: str) -> None:
        """Takes note of values. ValueError where they are no finite numbers."""
        lowest, highest = (x.item() if isinstance(x, np.generic) else x for x in (lowest, highest))
        if not (abs(lowest) < 1e300 and abs(highest) < 1e300):
            raise ValueError("values that are no finite numbers")
        with self.lock:
            low, high = self.seen.get(kind, (lowest, highest))
            self.seen[kind] = min(low, lowest), max(high, highest)

    def settle(self) -> bool:
        """Assumes what was seen; tells whether that is the same as before."""
        before = dict(self.assumed)
        self.assumed = {kind: choose_levels(*seen, kind) for kind, seen in self.seen.items()}
        return all(self.of(kind) == before.get(kind, USUAL[kind]) for kind in self.seen)

    def of(self, kind: str) -> Range:
        return self.assumed.get(kind, USUAL[kind])

    def to_bytes(self, values: np.ndarray, kind: str) -> np.ndarray:
        """Turns values of any type into uint8: black into 0, white into 255."""
        black, white = self.of(kind)
        if values.dtype == np.uint8 and (black, white) == (0, 255):
            return values
        shares = (values.astype(np.float64) - black) / (white - black)
        return np.rint(255 * shares.clip(0, 1)).astype(np.uint8)

    def table(self) -> list[int] | None:
        """Returns what becomes of each byte; None where it stays as it is."""
        if self.of(BYTES) == (0, 255):
            return None
        return self.to_bytes(np.arange(256), BYTES).tolist()

    def describe(self) -> str:
        """Says what was assumed beyond the usual; "" where that is nothing."""
        lines = []
        for kind, (lowest, highest) in sorted(self.seen.items()):
            black, white = self.of(kind)
            if kind == FLOAT or (black, white) != USUAL[kind]:
                found = f"{kind} from {lowest:g} to {highest:g}"
                lines.append(f"{found}, taken for black {black:g} to white {white:g}")
        return "; ".join(lines)


def kind_of(dtype: np.dtype) -> str:
    """Names the kind of an array's values."""
    return BYTES if dtype in (np.uint8, bool) else FLOAT if dtype.kind == "f" else WHOLE


def find_levels(stack: np.ndarray, source: str, part: int = 2**26) -> Levels:
    """Looks at all values of an array (N, ...), `part` bytes at a time."""
    kind, levels = kind_of(stack.dtype), Levels()
    rows = max(1, part // max(1, stack[0].nbytes))
    try:
        for start in range(0, len(stack), rows):
            if not levels.asks(kind):
                break
            some = np.asarray(stack[start : start + rows])
            levels.see(some.min(), some.max(), kind)
    except ValueError as problem:
        raise UserError(
            f"{source} has {problem} (NaN or infinite): right would be finite ones"
        ) from None
    levels.settle()
    return levels
