"""Training by several processes together, on one machine or on many: torchrun starts them.

    torchrun --nproc_per_node 2 models/lstm/train.py

Every process, a rank from 0 on, holds the whole model. It learns from its own share of the rows of
every batch, and the gradients are averaged before each step, so the models stay the same (Li et al.
2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training"). The batch of the
configuration is that of all ranks together: two of them learn what one process would. Rank 0 alone
writes. Without torchrun there is one rank, and nothing in here does anything.

Every rank must make the calls that concern all ranks, in the same order, or the others wait for
ever.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn

from utils.errors import UserError
from utils.words import count

# How gloo says that a rank has ended, or its machine is gone. It has no class for it.
LOST = re.compile("closed by peer|reset by peer|Broken pipe|[Tt]imed out|Connection refused")


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Returns this process's number: 0 without torchrun."""
    return distributed.get_rank() if _together() else 0


def size() -> int:
    """Returns how many ranks there are: 1 without torchrun."""
    return distributed.get_world_size() if _together() else 1


@contextlib.contextmanager
def join_ranks() -> Iterator[None]:
    """Lets the ranks that torchrun has started meet; inside, only rank 0 prints.

    UserError where another rank ends before this one is done.
    """
    # Optimisers import this. Imported after the ranks have met, it would keep their group, whose
    # threads would then outlive Python, and now and then abort the process at its very end.
    import torch._dynamo

    distributed.init_process_group(
        # Gradients go by NCCL where they are on GPUs; everything else goes by gloo on the CPU.
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        timeout=timedelta(hours=12),  # all others wait while rank 0 validates, draws and saves
    )
    try:
        with contextlib.ExitStack() as stack:
            if rank() > 0:
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            yield
    except RuntimeError as problem:
        if not LOST.search(str(problem)):
            raise
        raise UserError("another process of this training has ended; it may say why") from None
    finally:
        distributed.destroy_process_group()


def own_rows(batch_size: int) -> slice:
    """Returns which rows of a batch are this rank's.

    UserError where the ranks cannot take equal shares: the mean of their means would be another.
    """
    rows, rest = divmod(batch_size, size())
    if rest:
        raise UserError(
            f"--batch_size {batch_size} cannot be shared by {size()} processes: "
            f"take a multiple of {size()}"
        )
    return slice(rank() * rows, (rank() + 1) * rows)


def take_own_gpu() -> None:
    """Makes "cuda" this process's own GPU. UserError where a machine has more processes."""
    if not _together():
        return
    processes, there = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if processes > there:
        raise UserError(
            f"{count(processes, 'process')} for {count(there, 'GPU')}: "
            f"--nproc_per_node {there}, or the device cpu"
        )
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def separate_random_numbers() -> None:
    """Gives every rank its own: dropout would otherwise take the same units from all shares."""
    if rank() > 0:
        torch.manual_seed(torch.initial_seed() + rank())


def average_gradients(modules: Iterable[nn.Module]) -> None:
    """Gives all ranks rank 0's weights; from here on every backward pass averages the gradients.

    A BatchNorm layer still normalises each share by the share's own mean, so with it the losses are
    not quite those of the whole batch; the running statistics that count are those of rank 0.
    """
    if not _together():
        return

    def average_gradient(parameter: torch.Tensor) -> None:
        parameter.grad /= size()
        distributed.all_reduce(parameter.grad)

    for module in modules:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)
        for parameter in module.parameters():
            parameter.register_post_accumulate_grad_hook(average_gradient)


def add_up(tensors: Iterable[torch.Tensor]) -> None:
    """Turns each tensor into the sum of all ranks' own."""
    if _together():
        for tensor in tensors:
            distributed.all_reduce(tensor)


def average(values: dict[str, float]) -> dict[str, float]:
    """Averages every value over all ranks."""
    if not _together():
        return values
    numbers = torch.tensor(list(values.values()), dtype=torch.float64)
    distributed.all_reduce(numbers)
    return dict(zip(values, (numbers / size()).tolist(), strict=True))


def find_largest(value: int) -> int:
    """Returns the largest value of all ranks."""
    if not _together():
        return value
    number = torch.tensor(value)
    distributed.all_reduce(number, distributed.ReduceOp.MAX)
    return int(number)


def ask_first(make: Callable[[], Any]) -> Any:
    """Gives all ranks what make() returns on rank 0, or the UserError that it raises there."""
    if not _together():
        return make()
    made = [None]
    if rank() == 0:
        try:
            made = [make()]
        except UserError as mistake:
            made = [mistake]
    distributed.broadcast_object_list(made)
    if isinstance(made[0], UserError):
        raise made[0]
    return made[0]


def gather_per_rank(value: Any) -> Any:
    """Collects a value from every rank into a list; a single process keeps the bare value."""
    if not _together():
        return value
    values = [None] * size()
    distributed.all_gather_object(values, value)
    return values


def pick_own(gathered: Any) -> Any:
    """Returns this rank's part of what `gather_per_rank` collected.

    UserError where there are more or fewer ranks now than there were.
    """
    values = gathered if isinstance(gathered, list) else [gathered]
    if len(values) != size():
        before = f"{len(values)} process{'es'[: 2 * (len(values) > 1)]}"
        raise UserError(
            f"the run is that of {before}, not of {size()}: go on with "
            + (f"torchrun --nproc_per_node {len(values)}" if len(values) > 1 else "no torchrun")
        )
    return values[rank()]
