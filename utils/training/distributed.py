"""Training by several processes together, on one machine or on many: torchrun starts them.

    torchrun --nproc_per_node 2 models/lstm/train.py

Every process, a rank from 0 on, holds the whole model. It learns from its own share of the rows of
every batch, and the gradients are averaged before each step, so the models stay the same (Li et al.
2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training"). The batch of the
configuration is that of all ranks together: two of them learn what one process would. Rank 0 alone
writes. Without torchrun there is one rank, and nothing in here does anything.

What is said to "all ranks" must be called by all of them, in the same order, or they wait for ever.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from utils.errors import UserError

# How gloo says that a rank has ended, or its machine is gone. It has no class for it.
LOST = re.compile("closed by peer|reset by peer|Broken pipe|[Tt]imed out|Connection refused")


def rank() -> int:
    return distributed.get_rank() if _together() else 0


def size() -> int:
    """How many ranks there are."""
    return distributed.get_world_size() if _together() else 1


def first() -> bool:
    """Whether this is the rank that writes."""
    return rank() == 0


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


@contextlib.contextmanager
def group() -> Iterator[None]:
    """The ranks that torchrun has started meet at its beginning; only rank 0 prints inside.

    UserError where another rank ends before this one is done.
    """
    if not distributed.is_available() or not distributed.is_torchelastic_launched():
        yield
        return
    # Optimisers import this. Imported after the ranks have met, it would keep their group, whose
    # threads would then outlive Python, and now and then abort the process at its very end.
    import torch._dynamo

    distributed.init_process_group(
        # Gradients go by NCCL where they are on GPUs; all that is said here is on the CPU.
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        timeout=timedelta(hours=12),  # all others wait while rank 0 validates, draws and saves
    )
    try:
        with contextlib.ExitStack() as stack:
            if not first():
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            yield
    except RuntimeError as problem:
        if not LOST.search(str(problem)):
            raise
        raise UserError("another process of this training has ended; it may say why") from None
    finally:
        distributed.destroy_process_group()


def own_gpu() -> None:
    """Makes "cuda" this process's own GPU. UserError where a machine has more processes."""
    if not _together():
        return
    processes, there = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if processes > there:
        raise UserError(
            f"{processes} processes for {there} GPU{'s'[: there != 1]}: "
            f"--nproc_per_node {there}, or the device cpu"
        )
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def own_random_numbers() -> None:
    """From here on every rank draws its own: or dropout would take the same from all shares."""
    if not first():
        torch.manual_seed(torch.initial_seed() + rank())


def check_batch(batch_size: int) -> None:
    """UserError where the ranks cannot take equal shares: the mean of means would be another."""
    if batch_size % size():
        raise UserError(
            f"a batch_size of {batch_size} cannot be shared by {size()} processes: "
            f"take a multiple of {size()}"
        )


def share(batch: Any) -> Any:
    """A batch, one tensor (B, ...) or a tuple of them -> this rank's rows. UserError as above."""
    if isinstance(batch, tuple):
        return tuple(map(share, batch))
    check_batch(len(batch))
    rows = len(batch) // size()
    return batch[rank() * rows : (rank() + 1) * rows]


def parallel(model: nn.Module) -> nn.Module:
    """The model as a training step calls it: its backward pass averages all ranks' gradients.

    All else, evaluation above all, is done with the model itself. A BatchNorm layer normalises each
    share by the share's own mean, so with it the losses are not quite those of the whole batch; its
    running statistics are those of rank 0's shares, which are handed on before each step.
    """
    return DistributedDataParallel(model) if _together() else model


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The same where a model takes part in two losses, which DistributedDataParallel cannot."""
    if _together():
        gradients = [parameter.grad for parameter in parameters]
        add_up(gradients)
        for gradient in gradients:
            gradient /= size()


def add_up(tensors: Iterable[torch.Tensor]) -> None:
    """Each tensor becomes the sum of all ranks' own."""
    if _together():
        for tensor in tensors:
            distributed.all_reduce(tensor)


def mean(values: dict[str, float]) -> dict[str, float]:
    """Every value's mean over all ranks."""
    if not _together():
        return values
    numbers = torch.tensor(list(values.values()), dtype=torch.float64)
    distributed.all_reduce(numbers)
    return dict(zip(values, (numbers / size()).tolist(), strict=True))


def largest(value: int) -> int:
    """The largest value of all ranks."""
    if not _together():
        return value
    number = torch.tensor(value)
    distributed.all_reduce(number, distributed.ReduceOp.MAX)
    return int(number)


def from_first(make: Callable[[], Any]) -> Any:
    """What make() gives on rank 0, given to all ranks; so is a UserError that it raises there."""
    if not _together():
        return make()
    made = [None]
    if first():
        try:
            made = [make()]
        except UserError as mistake:
            made = [mistake]
    distributed.broadcast_object_list(made)
    if isinstance(made[0], UserError):
        raise made[0]
    return made[0]


def gathered(value: Any) -> Any:
    """What differs between all ranks -> a list of it, for a checkpoint. Without torchrun: it."""
    if not _together():
        return value
    values = [None] * size()
    distributed.all_gather_object(values, value)
    return values


def own(saved: Any) -> Any:
    """What `gathered` gave -> this rank's. UserError where there are more or fewer ranks now."""
    values = saved if isinstance(saved, list) else [saved]
    if len(values) != size():
        before = f"{len(values)} process{'es'[: 2 * (len(values) > 1)]}"
        raise UserError(
            f"the run is that of {before}, not of {size()}: go on with "
            + (f"torchrun --nproc_per_node {len(values)}" if len(values) > 1 else "no torchrun")
        )
    return values[rank()]


@contextlib.contextmanager
def in_turns() -> Iterator[None]:
    """All ranks, one after another: what the first one makes and writes, the next ones find."""
    for _ in range(rank()):
        largest(0)
    try:
        yield
    finally:
        for _ in range(size() - rank() - 1):
            largest(0)
