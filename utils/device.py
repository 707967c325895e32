"""Where and how a model runs, and the one place where randomness is saved and put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from utils.errors import UserError

DEVICES = ("auto", "cuda", "mps", "cpu")


def choose_device(name: str) -> torch.device:
    """auto is CUDA when present, else MPS, else the CPU. UserError where the device is absent."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        raise UserError(f"this machine has no {name} device: use auto or cpu")
    return torch.device(name)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of torch's random numbers, on the CPU and on the device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_state(states: dict[str, Any], device: torch.device) -> None:
    """Puts back what random_state gave; a run may go on on another device than it began on."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def moved(state: Any, device: torch.device | str) -> Any:
    """A state (tensors in tuples, beside plain numbers) cut off its gradients, on a device."""
    if isinstance(state, torch.Tensor):
        return state.detach().to(device)
    if isinstance(state, tuple):
        return tuple(moved(part, device) for part in state)
    return state


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Dropout off and no gradients inside; the model's mode restored after. Gives its device."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield next(model.parameters()).device
    finally:
        model.train(training)
