"""Where and how a model runs, and the one place where randomness is saved and put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from utils.errors import UserError
from utils.training import distributed


def choose_device(name: str) -> torch.device:
    """Chooses for auto: CUDA when present, else MPS, else the CPU. UserError for an absent one."""
    present = {
        "cuda": torch.cuda.is_available(),
        # torchrun's processes have no way to share gradients on it.
        "mps": torch.backends.mps.is_available() and distributed.size() == 1,
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        raise UserError(f"this machine has no {name} device: use auto or cpu")
    if name == "cuda":
        distributed.take_own_gpu()
    return torch.device(name)


def in_precision(name: str, device: torch.device) -> torch.autocast:
    """Lets the large products of a forward pass have 8 bits of mantissa, not 24, for "bfloat16".

    It is mixed precision (Micikevicius et al. 2018): weights, optimiser, and sums such as the loss
    stay float32. A bfloat16 has the range of a float32, so gradients need no scaling. On a GPU made
    for it that is faster and takes less memory; a CPU mostly computes it more slowly.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=name == "bfloat16")


def random_state(device: torch.device) -> dict[str, Any]:
    """Reads the state of torch's random numbers, on the CPU and on the device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_state(states: dict[str, Any], device: torch.device) -> None:
    """Puts back what random_state read; a run may go on on another device than it began on."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draws random numbers from a seed inside; after it, CPU and device go on where they were."""
    before = random_state(device)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        restore_random_state(before, device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Turns dropout and gradients off inside, and restores the mode after. Gives the device.

    Weights that are computed from others (by weight_norm) are computed once: they cannot change.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), parametrize.cached():
            yield next(model.parameters()).device
    finally:
        model.train(training)
