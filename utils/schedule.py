"""The learning rate over time."""

import math


def warmup_cosine(step: int, *, warmup: int, total: int, final: float) -> float:
    """The share of the peak learning rate at a step in 1..total.

    It climbs in a straight line to 1 at step `warmup`, then falls along half a cosine to `final` at
    the last step (Loshchilov & Hutter 2017, equation 5, without restarts). With warmup 2, total 6
    and final 0: 0.5, 1, 0.85, 0.5, 0.15, 0.
    """
    if step <= warmup:
        return step / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
