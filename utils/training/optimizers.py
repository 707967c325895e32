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

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from utils.errors import UserError
from utils.training import distributed
from utils.training.content import Misfit, anything, describe, each, entries, number, table

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
        matrices: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
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
    model: nn.Module,
    outer: tuple[str, ...],
    rate: float,
    *,
    decay: float = 0.0,
    beta2: float,
    muon: bool,
) -> dict[str, torch.optim.Optimizer]:
    """Makes AdamW and, if asked for, Muon for the hidden matrices, by name.

    Those are all whose names do not begin as one of `outer`: what faces the alphabet or the pixels,
    and tables. There each row or column has a meaning, and a size, of its own. Decay is for
    matrices. Vectors are spared, and so is what weight_norm makes of a matrix, its length and its
    direction: how long the direction is has no effect, a shorter one only turns faster.
    """
    hidden, directions, matrices, others = [], [], [], []
    for name, p in model.named_parameters():
        split = ".parametrizations." in name  # original0, the length, and original1, the direction
        length = split and name.endswith("original0")
        if muon and p.ndim > 1 and not (length or name.startswith(outer)):
            (directions if split else hidden).append(p)
        else:
            (matrices if p.ndim > 1 and not split else others).append(p)
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    # fused: one pass over the weights. The other form's roots are ten times as slow where an
    # average is 0, as of a dead unit.
    adamw = torch.optim.AdamW(groups, lr=rate, betas=(0.9, beta2), fused=True)
    optimizers: dict[str, torch.optim.Optimizer] = {"adamw": adamw}
    groups = [
        {"params": hidden, "weight_decay": decay},
        {"params": directions, "weight_decay": 0.0},
    ]
    if groups := [group for group in groups if group["params"]]:
        optimizers["muon"] = Muon(groups, rate)
    return optimizers


def restore_optimizers(
    optimizers: Mapping[str, torch.optim.Optimizer], saved: Mapping[str, Any], model: nn.Module
) -> None:
    """Puts back the state of optimisers. UserError where they stepped other parameters than now.

    A run that began when the direction of weight_norm was decayed goes on with that.
    """
    for name, optimizer in optimizers.items():
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        by_size = [[], []]  # as it was decided then: matrices, vectors
        for p in model.parameters():
            if id(p) in own:
                by_size[sum(size > 1 for size in p.shape) < 2].append(p)
        before = _count_members(saved[name]["param_groups"]) if name in saved else []
        if before != _count_members(optimizer.param_groups):
            if saved.keys() != optimizers.keys() or before != list(map(len, by_size)):
                raise UserError(
                    "the run's optimisers share its parameters in another way than today's: "
                    "--overwrite starts it anew"
                )
            for group, members in zip(optimizer.param_groups, by_size, strict=True):
                group["params"] = members
            print("note: the run goes on with the weights decayed that were when it began")
        optimizer.load_state_dict(check_optimizer(f"training.{name}", saved[name], optimizer))


# What each optimiser keeps of a parameter, in its shape; of those in SQUARES none is below 0.
KEPT = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},  # AdamW is one
    torch.optim.RMSprop: {"step", "square_avg"},
    Muon: {"mean"},
}
SQUARES = {"exp_avg_sq", "square_avg"}


def check_optimizer(
    place: str, state: dict[str, Any], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Checks what an optimiser kept, against one that is new; returns it with that one's settings.

    Of the settings in the file only the learning rate is taken: all others come from the config.
    """
    entries({"state": anything, "param_groups": each(table(anything))})(place, state)
    groups = optimizer.state_dict()["param_groups"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if [group.get("params") for group in state["param_groups"]] != [g["params"] for g in groups]:
        raise Misfit(f"{place} is that of other parameters")
    for group, found in zip(groups, state["param_groups"], strict=True):
        number(f"{place}.lr", found.get("lr"))
        group["lr"] = found["lr"]
    kept = state["state"]
    if not isinstance(kept, dict) or kept.keys() not in (set(), set(range(len(parameters)))):
        raise Misfit(f"{place} is that of other parameters")
    names = next((KEPT[kind] for kind in KEPT if isinstance(optimizer, kind)), None)
    for index, values in kept.items():
        table(anything)(f"{place}.{index}", values)
        if names is not None and values.keys() != names:
            raise Misfit(f"{place}.{index} has {describe(list(values))}, not {', '.join(names)}")
        for name, value in values.items():
            lone = torch.as_tensor(value) if name == "step" else value
            like = torch.zeros(()) if name == "step" else parameters[index]
            if not isinstance(lone, torch.Tensor) or lone.shape != like.shape:
                wanted = tuple(like.shape)
                raise Misfit(f"{place}.{index}.{name} is {describe(value)}, not {wanted}")
            if name in SQUARES | {"step"} and (lone < 0).any():
                raise Misfit(f"{place}.{index}.{name} has values below 0")
    return {"state": kept, "param_groups": groups}


def _count_members(groups: Sequence[Mapping[str, Any]]) -> list[int]:
    return [len(group["params"]) for group in groups]


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
