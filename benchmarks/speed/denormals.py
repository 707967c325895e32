"""A step whose optimiser's averages have decayed below 1.2e-38, beside one with usual averages.

    python benchmarks/speed/denormals.py
    python benchmarks/speed/denormals.py --quick        does it work?

A unit that is dead gets no gradient, and what its past has left in the averages shrinks by a factor
each step: after some thousand steps these are denormal numbers, with which a processor may compute
a hundred times as slowly. Every command takes them for 0 (utils/errors.py, flush_denormals), in all
of torch's threads. First the optimisers alone, averages of 1e-39 against 1e-3, and the same against
0 for RMSprop, whose torch.sqrt is slow for 0 itself. Then whole steps of each training, half of all
units dead: late, with averages of 1e-39, against early, with 1e-3.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed.turns import Side, Table, describe_machine, make_parser
from benchmarks.tasks import make_text_task, read_settings
from models.aae import modules as aae
from models.aae.train import AAETask
from models.gan import modules as gan
from models.gan.train import GANTask
from utils import files
from utils.config import override, read_config
from utils.errors import command
from utils.images.mnist import digits
from utils.text.data import Text
from utils.training.optimizers import make_optimizers
from utils.training.task import Task
from vae.faces.head import render_faces
from vae.training import VAEConfig, VAETask, build_model

DEAD, USUAL = 1e-39, 1e-3


def make_optimizer(name: str, layer: nn.Module) -> torch.optim.Optimizer:
    """Makes an optimiser of a layer's weight as trainings do."""
    if name == "Adam":
        return torch.optim.Adam(layer.parameters(), fused=True)
    if name == "RMSprop":
        return torch.optim.RMSprop(layer.parameters())
    outer = ("weight",) if name == "AdamW" else ()
    return make_optimizers(layer, outer, 1e-3, beta2=0.999, muon=True)[name.lower()]


def find_averages(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Lists all that an optimiser keeps of its weights, but for numbers of steps."""
    return [mean for kept in optimizer.state.values() for mean in kept.values() if mean.dim() > 0]


def prepare_optimizer(name: str, size: int, steps: int, left: float) -> Side:
    """Prepares a call of some steps without a gradient, each average set to `left` before it."""
    layer = nn.Linear(size, size, bias=False)
    layer.weight.grad = torch.zeros_like(layer.weight)
    optimizer = make_optimizer(name, layer)
    optimizer.step()
    averages = find_averages(optimizer)

    def run() -> None:
        for _ in range(steps):
            for average in averages:
                average.fill_(left)
            optimizer.step()

    return run


def take_half(weight: Tensor) -> Tensor:
    """Returns the part of a weight, or of its gradient, that belongs to dead units: a view."""
    return weight[: len(weight) // 2]


def kill(gradient: Tensor) -> Tensor:
    """Returns a gradient as half of the units have it when they are dead."""
    gradient = gradient.clone()
    take_half(gradient).zero_()
    return gradient


def prepare_training(task: Task, steps: int, left: float) -> Side:
    """Prepares a call of some training steps, the averages of dead units set to `left` before."""
    batch = next(task.loader.epoch(1))
    for optimizer in task.optimizers.values():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.register_hook(kill)
    task.step(batch, 1)
    averages = [mean for each in task.optimizers.values() for mean in find_averages(each)]

    def run() -> None:
        for _ in range(steps):
            for average in averages:
                take_half(average).fill_(left)
            task.step(batch, 1)

    return run


def make_task(name: str, *, few: bool) -> Task:
    """Makes the task of a training by its own settings, with a new network and data for a step."""
    changes: dict[tuple[str, str], Any] = {("training", "device"): "cpu"}
    changes |= {("training", "batch_size"): 4} if few else {}
    if name == "TCN":
        codes = np.random.default_rng(0).integers(40, size=5000)
        text = Text([chr(97 + code) for code in range(40)], codes, codes[:500])
        return make_text_task(text, read_settings("tcn", changes))
    if name in ("GAN", "AAE"):
        settings = read_settings(name.lower(), changes | {("data", "dataset"): "digits"})
        pictures = digits("digits")[0].take(slice(settings.training.batch_size))
        rest = pictures, pictures, settings
        if name == "GAN":
            return GANTask(gan.Generator(settings.model), gan.Discriminator(), *rest)
        return AAETask(aae.Autoencoder(settings.model), aae.Discriminator(settings.model), *rest)
    file = "faces.json" if name == "rendered faces" else "mnist.json"
    if name == "ladder":
        changes |= {("model", "network"): "ladder", ("model", "z_dim"): 32}
    settings = override(read_config(files.ROOT / "vae" / file, VAEConfig), changes)
    count = settings.training.batch_size
    pictures = digits("digits")[0] if name == "ladder" else render_faces(count, seed=1)
    pictures = pictures.take(slice(count))
    model = build_model(pictures.shape, settings)
    return VAETask(model, pictures, pictures, settings)


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=20).parse_args(argv)
    table = Table(quick=args.quick, turns=args.turns, processor=args.processor)
    usual = torch.get_num_threads()
    for threads in (1,) if args.quick else (2, 1):
        torch.set_num_threads(threads)
        where = f"{threads} thread{'s'[: threads != 1]}"
        for name in ("AdamW", "Adam", "Muon", "RMSprop"):
            size, steps = (64, 1) if args.quick else (1024, 1 if name == "Muon" else 20)
            prepare = partial(prepare_optimizer, name, size, steps)
            table.compare(f"{name}, {where}", prepare(DEAD), prepare(USUAL), at_most=1.1)
            if name == "RMSprop":
                what = f"{name}, {where}, against averages of 0"
                table.compare(what, prepare(DEAD), prepare(0.0), at_most=1.1)
    for name in ("TCN", "GAN", "AAE", "ladder", "rendered faces"):
        late, early = (
            prepare_training(make_task(name, few=args.quick), 1 if args.quick else 3, left)
            for left in (DEAD, USUAL)
        )
        table.compare(f"{name}, late against early, {where}", late, early, at_most=1.1)
    torch.set_num_threads(usual)
    print(describe_machine(), table, sep="\n\n")


if __name__ == "__main__":
    raise SystemExit(main())
