"""What the test of distributed training has torchrun start: commands, one after another.

Every rank writes to the repository of its own name, as on two machines without a common disk, and
what it met to <rank>.json: exit statuses, losses, what was printed. The names of the threads that
are left at its end go to <rank>.threads, where the system tells them.
"""

import contextlib
import importlib
import io
import json
import os
import signal
import sys
import warnings
from pathlib import Path

import torch
from torch import distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import files
from utils.training import distributed
from utils.training.progress import Progress


@contextlib.contextmanager
def recorded(interrupt=None):
    """Collects the losses of every step; after so many of them the process interrupts itself."""
    losses, add, average = [], Progress.add, distributed.average

    def adding(progress, values):
        losses.append(values)
        add(progress, values)
        if len(losses) == interrupt:
            signal.raise_signal(signal.SIGINT)

    def averaging(values):
        losses[-1] = average(values)
        return losses[-1]

    Progress.add, distributed.average = adding, averaging
    try:
        yield losses
    finally:
        Progress.add, distributed.average = add, average


@contextlib.contextmanager
def in_double(wanted):
    """Computes in float64 what would be float32: what then still differs is no rounding."""
    single = torch.Tensor.float
    if wanted:
        torch.set_default_dtype(torch.float64)
        torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = single


def outcome(module, argv, interrupt=None, double=False):
    """Calls a command; returns its exit status, losses and printed lines."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with recorded(interrupt) as losses, in_double(double), streams[0], streams[1]:
        status = importlib.import_module(module).main(argv)
    return {"status": status, "losses": losses, "out": out.getvalue(), "err": err.getvalue()}


def main():
    root, rank = Path(sys.argv[1]), os.environ["RANK"]
    files.ROOT = root / rank
    outcomes, leave = [], dist.destroy_process_group
    dist.destroy_process_group = lambda: None
    for module, argv, interrupted, double in json.loads(sys.argv[2]):
        outcomes.append(outcome(module, argv, 5 if rank == interrupted else None, double))
        # The ranks find one another once: torch is not made for meeting again.
        dist.init_process_group = lambda *args, **options: None
    leave()
    (root / f"{rank}.json").write_text(json.dumps(outcomes), encoding="utf-8")
    names = [file.read_text("utf-8") for file in Path("/proc/self/task").glob("*/comm")]
    (root / f"{rank}.threads").write_text("".join(names), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
