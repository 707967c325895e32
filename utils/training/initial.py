"""Where a training starts from: another run's weights (`--init RUN`) in place of random ones."""

from collections.abc import Mapping
from typing import Any

import torch

from utils.config import spell
from utils.errors import UserError
from utils.files import show
from utils.training import checkpoint
from utils.training.checkpoint import blame
from utils.training.task import Task


def start_from(task: Task, run: str) -> str:
    """Gives a task's networks the weights of a run's best epoch; says in a line what they are.

    UserError where there is no such run of this kind, or its weights do not fit; nothing is changed
    then. The networks that a checkpoint lacks (it keeps what draws, not a discriminator) stay new.
    """
    try:
        path = checkpoint.find(run)
        content = checkpoint.load(path, task.config.kind)
    except UserError as problem:
        mended = str(problem).replace("--ckpt_name", "--init")  # the way out is another of these
        raise UserError(f"--init {run}: {mended}") from None
    with blame(path, "it is no start for this training"):
        weights, notes = task.take_over(content)
        wanted = task.model.state_dict()
        shapes = [{name: tuple(w.shape) for name, w in of.items()} for of in (weights, wanted)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"--init {run}: {show(path)} does not fit, {describe_misfit(content, task)}"
            )
    fresh = []
    for name, network in task.modules.items():
        if network.state_dict().keys() == wanted.keys():
            network.load_state_dict(weights)
        else:
            fresh.append(f"the {name} is new")
    start = f"starts from the weights of {run}, epoch {content['epoch']}"
    return "; ".join([start, *notes, *fresh])


def describe_misfit(content: Mapping[str, Any], task: Task) -> str:
    """Names the settings, or what else, in which a checkpoint's model is not the task's."""
    before, now = content["config"]["model"], vars(task.config.model)
    changed = [
        f"its {spell(task.config, 'model', name)} is {before[name]!r}, not {value!r}"
        for name, value in now.items()
        if name in before and before[name] != value and not isinstance(value, float)
        if name != "name"
    ]
    changed += [
        f"its {name} is {content.get(name)!r}, not {value!r}"
        for name, value in task.identity().items()
        if name != "alphabet" and content.get(name) != value
    ]
    return ", ".join(changed) or "its weights have other shapes"


def match_symbols(
    weights: Mapping[str, torch.Tensor],
    fresh: Mapping[str, torch.Tensor],
    larger: Mapping[str, torch.Tensor],
    old: list[str],
    new: list[str],
) -> dict[str, torch.Tensor]:
    """Puts the weights of an alphabet in the places that their characters have in another one.

    `fresh` are the model's own, which what the old alphabet lacks keeps; `larger` those of a model
    with one character more: the axis on which it is longer faces the alphabet. The models' input
    is one-hot times sqrt(V) (`characters`), so the columns that read it are scaled to what they
    gave before.
    """
    kept = [char for char in new if char in set(old)]
    there = torch.tensor([old.index(char) for char in kept], dtype=torch.int64)
    here = torch.tensor([new.index(char) for char in kept], dtype=torch.int64)
    matched = dict(weights)
    for name, own in fresh.items():
        sizes = list(zip(own.shape, larger[name].shape, strict=True))
        axis = next((axis for axis, (size, more) in enumerate(sizes) if size != more), None)
        if axis is None or name not in weights:
            continue
        found = weights[name].to(own)
        rest = [(*w.shape[:axis], *w.shape[axis + 1 :]) for w in (found, own)]
        if rest[0] == rest[1] and found.shape[axis] == len(old):
            reads = axis == 1
            part = found.cpu()[(slice(None),) * axis + (there,)]
            part = part * (len(old) / len(new)) ** 0.5 if reads else part
            matched[name] = own.cpu().index_copy(axis, here, part)
    return matched
