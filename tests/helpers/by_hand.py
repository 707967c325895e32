"""What every step of a training consists of, written out plainly, to hold ours against.

Meant for float64 (`in_double` of distributed_worker.py), where all but rounding is a mistake.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from utils.training.loop import fit
from utils.training.run import Run
from utils.training.task import Row, Task


def train(task: Task, folder: Path, seed: int = 7) -> list[Row]:
    """Trains as the commands do, from random numbers of this seed."""
    torch.manual_seed(seed)
    run = Run(task.config, folder / "checkpoints", folder / "results")
    return fit(task, run, quiet=True)


def rate_share(number: int, warmup: int, total: int, final: float) -> float:
    """The share of the peak rate at a step: a line up to it, then half a cosine down to `final`."""
    if number <= warmup:
        return number / warmup
    angle = math.pi * (number - warmup) / (total - warmup)
    return final + (1 - final) * (1 + math.cos(angle)) / 2


def clip(gradients: Sequence[Tensor], longest: float) -> tuple[list[Tensor], bool]:
    """Shortens all gradients together to a length, where they are longer; says whether they were.

    torch adds 1e-6 to the length.
    """
    length = math.sqrt(sum((g**2).sum().item() for g in gradients))
    factor = longest / (length + 1e-6)
    return [g * min(1.0, factor) for g in gradients], factor < 1


class Adam:
    """Kingma & Ba 2015, algorithm 1; with a decay, Loshchilov & Hutter 2019, algorithm 2."""

    def __init__(self, parameters: Sequence[Tensor], beta1: float, beta2: float) -> None:
        self.parameters, self.beta1, self.beta2, self.t = list(parameters), beta1, beta2, 0
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.v = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float, decays: Sequence[float] = ()) -> None:
        self.t += 1
        decays = decays or [0.0] * len(self.parameters)
        for p, g, m, v, decay in zip(
            self.parameters, gradients, self.m, self.v, decays, strict=True
        ):
            m.copy_(self.beta1 * m + (1 - self.beta1) * g)
            v.copy_(self.beta2 * v + (1 - self.beta2) * g**2)
            unbiased_m, unbiased_v = m / (1 - self.beta1**self.t), v / (1 - self.beta2**self.t)
            p.copy_(p - rate * decay * p - rate * unbiased_m / (unbiased_v.sqrt() + 1e-8))


class Muon:
    """Jordan et al. 2024: of one matrix, with Nesterov's momentum of 0.95."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter, self.mean = parameter, torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, gradient: Tensor, rate: float, decay: float) -> None:
        self.mean.copy_(0.95 * self.mean + 0.05 * gradient)
        ahead = (0.95 * self.mean + 0.05 * gradient).flatten(1)
        X = ahead / ahead.square().sum().sqrt().clamp(min=1e-30)  # zeros stay zeros
        for _ in range(5):
            A = X @ X.T
            X = 3.4445 * X - 4.7750 * A @ X + 2.0315 * A @ A @ X
        length = 0.2 * math.sqrt(max(ahead.shape))
        p = self.parameter
        p.copy_(p - rate * decay * p - rate * length * X.view_as(p))


@torch.no_grad()
def average(mean: nn.Module, now: nn.Module, decay: float, number: int) -> None:
    """Takes the weights after a step into their running mean, a short one in the first steps."""
    decay = min(decay, number / (number + 10))
    weights = now.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.copy_(decay * value + (1 - decay) * weights[name])
        else:
            value.copy_(weights[name])


def assert_same_weights(found: nn.Module, expected: nn.Module, what: str = "") -> None:
    """Compares all weights and running statistics, beyond what rounding does."""
    weights = expected.state_dict()
    assert found.state_dict().keys() == weights.keys()
    for name, value in found.state_dict().items():
        assert value.dtype == weights[name].dtype
        off = (value - weights[name]).abs().max().item()
        assert torch.allclose(value, weights[name], rtol=1e-8, atol=1e-9), (
            f"{what} {name}: {off:.1e}"
        )
