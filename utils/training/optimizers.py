"""Muon, an optimiser for matrices, written out; what each optimiser steps; the mean of weights.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". The gradient of a
matrix is mostly a few directions, those of its largest singular values; along all others a step of
gradient descent hardly moves. Muon takes the mean M of the last gradients, sets each of its
singular values to one, and steps by that:

    M = U S Vᵀ   ->   U Vᵀ

No singular value decomposition is needed. X -> a X + b (X Xᵀ) X + c (X Xᵀ)² X changes nothing but
the singular values, from s to a s + b s³ + c s⁵, and a few rounds with the right a, b and c bring
all of them from (0, 1] to near 1 (Newton and Schulz's iteration): matrix products, nothing else.
"""

from collections.abc import Iterable

import torch
from torch import nn

from utils.training import distributed

ROUNDS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's: steep at 0, and from 0.68 to 1.20 near 1


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """Turns a matrix (m, n) into roughly its U Vᵀ (m, n): singular values of 0.68 to 1.20, not 1.

    Those below 0.002 of its Frobenius norm come out smaller. A matrix of zeros stays one.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    X = matrix.T if tall else matrix  # the smaller of X Xᵀ and Xᵀ X
    X = X / X.norm().clamp_min(1e-30)  # Frobenius: at least the largest singular value
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        A = X @ X.T
        X = a * X + torch.addmm(A, A, A, beta=b, alpha=c) @ X
    return X.T if tall else X


class Muon(torch.optim.Optimizer):
    """Steps of matrices, or of convolutions (C', C, k) read as matrices (C', C k).

    A step is as long as AdamW's usually are, 0.2 for every weight in the root of the mean square,
    so that its learning rate and weight decay may serve here too (Liu et al. 2025, "Muon is
    scalable for LLM training", equation 4). Under torchrun each rank turns its share of the
    matrices, and all of them get all.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        rank, ranks = distributed.rank(), distributed.size()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            steps = [torch.zeros_like(p) for p in parameters]
            for index, (p, step) in enumerate(zip(parameters, steps, strict=True)):
                if not self.state[p]:
                    self.state[p]["mean"] = torch.zeros_like(p)
                mean = self.state[p]["mean"].lerp_(p.grad, 1 - group["momentum"])
                if index % ranks == rank:
                    ahead = p.grad.lerp(mean, group["momentum"])  # Nesterov's
                    matrix = ahead.flatten(1)
                    step.copy_(orthogonalise(matrix).view_as(p) * 0.2 * max(matrix.shape) ** 0.5)
            if ranks > 1:
                distributed.add_up(steps)
            for p, step in zip(parameters, steps, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(step, alpha=group["lr"])


def make_optimizers(
    model: nn.Module, hidden: list[nn.Parameter], rate: float, *, decay: float = 0.0, beta2: float
) -> dict[str, torch.optim.Optimizer]:
    """Makes Muon for the `hidden` matrices, if there are any, and AdamW for the rest, by name.

    Decay is for matrices: vectors are spared.
    """
    by_muon = {id(p) for p in hidden}
    matrices, vectors = [], []
    for p in model.parameters():
        if id(p) not in by_muon:
            (matrices if is_matrix(p) else vectors).append(p)
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizers = {"adamw": torch.optim.AdamW(groups, lr=rate, betas=(0.9, beta2))}
    if hidden:
        optimizers["muon"] = Muon(hidden, rate, weight_decay=decay)
    return optimizers


def is_matrix(p: torch.Tensor) -> bool:
    """Tells whether more than one of its axes has a length: a bias (C, 1) is a vector."""
    return sum(size > 1 for size in p.shape) > 1


def update_average(average: nn.Module, model: nn.Module, decay: float, number: int) -> None:
    """Sets average <- decay * average + (1 - decay) * model: every weight and running statistic.

    In the first steps the mean is a short one: decay is at most number / (number + 10), or the
    untrained weights would stay in it for long.
    """
    decay = min(decay, number / (number + 10))
    for mean, now in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)
