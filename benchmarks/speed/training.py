"""What stands around the layers: preparing a text, memory format, and the training loop itself.

    python benchmarks/training.py            the table: some minutes
    python benchmarks/training.py --quick    tiny sizes, no bound: does it work?

"text": tinyshakespeare (or the default text where it is not there) to codes, against a loop over
its characters. "format": a training step of the beta-VAE on 64 pictures, against the same in
torch's default memory format. "loop": the steps of `fit`, by each config.json, against forward,
backward, clip and step on batches in memory; how much longer the whole run takes, for evaluating
and saving, is printed below. In turns, in one process, on as many threads as torch takes.
"""

import dataclasses
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn
from torch.nn import functional

from benchmarks.speed.turns import Row, in_turns, machine, options, row, table
from utils import files
from utils.config import defaults_of, override
from utils.errors import command
from utils.text.data import Text
from utils.text.preparation import encode_text, read_text
from utils.text.training import TextTask, config_type, tiny
from utils.training.loop import fit
from utils.training.run import Run
from vae.data import rendered
from vae.losses import kl_per_dim, reconstruction
from vae.networks import VAE, draw
from vae.training import CONFIG, VAETask, built

TEXT_MODELS = ("lstm", "tcn", "transformer")


def one_by_one(text: str) -> tuple[list[str], list[int]]:
    """What `encode_text` does, as a loop over characters."""
    alphabet = sorted(set(text))
    code_of = {character: code for code, character in enumerate(alphabet)}
    codes = []
    for character in text:
        codes.append(code_of[character])
    return alphabet, codes


def text_row(quick: bool, turns: int) -> Row:
    shakespeare = files.ROOT / "data" / "raw" / "tinyshakespeare.txt"
    file = shakespeare if shakespeare.is_file() else files.ROOT / "data" / "text.txt"
    text = read_text(file, raw=True)[: 1000 if quick else None]
    sides = {"ours": partial(encode_text, [text]), "theirs": partial(one_by_one, text)}
    bound = None if quick else 0.05
    return row(f"text: {len(text):,} characters", in_turns(sides, turns=turns), bound=bound)


def vae_loss(vae: VAE, x: torch.Tensor) -> torch.Tensor:
    """beta 1, by hand: encoder, draw, decoder."""
    mu, logvar = vae.encoder(x)
    nats = reconstruction(vae.logits(draw(mu, logvar)), x, "bernoulli").mean()
    return nats + kl_per_dim(mu, logvar).sum(dim=1).mean()


def vae_step(vae: VAE, x: torch.Tensor) -> None:
    """Forward and backward, without an optimiser."""
    vae.zero_grad()
    vae_loss(vae, x).backward()


def format_row(config: Any, quick: bool, turns: int) -> Row:
    x, sides = torch.rand(4 if quick else 64, 3, 64, 64), {}
    for name, kept in (("ours", torch.channels_last), ("theirs", torch.contiguous_format)):
        vae = built((3, 64, 64), config).to(memory_format=kept)
        sides[name] = partial(vae_step, vae, x.to(memory_format=kept))
    bound = None if quick else 0.85
    return row(f"format: VAE, {len(x)} pictures", in_turns(sides, turns=turns), bound=bound)


def bare(
    task: Any,
    batches: Sequence[Any],
    loss_of: Callable[[Any], torch.Tensor],
    clip_norm: float | None,
) -> float:
    """Forward, backward, clip, step for each batch, and nothing else -> seconds."""
    began = time.perf_counter()
    for batch in batches:
        task.model.zero_grad()
        loss_of(batch).backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(task.model.parameters(), clip_norm)
        for optimizer in task.optimizers.values():
            optimizer.step()
    return time.perf_counter() - began


def loop_row(
    what: str,
    task: Any,
    loss_of: Callable[[Any], torch.Tensor],
    *,
    turns: int,
    clip_norm: float | None = None,
    bound: float | None = None,
) -> tuple[Row, float]:
    """An epoch of `fit` against the bare loop -> the row, the share of evaluating and saving."""
    batches = list(task.batches(1, 0))
    measured, shares = {"ours": [], "theirs": []}, []
    for turn in range(turns + 1):
        with tempfile.TemporaryDirectory() as folder:
            run = Run("benchmark", Path(folder, "checkpoints"), Path(folder, "results"), dry=True)
            began = time.perf_counter()
            steps = fit(task, run, epochs=1, milestones=(), quiet=True)[0]["seconds"]
            whole = time.perf_counter() - began
        seconds = bare(task, batches, loss_of, clip_norm)
        if turn > 0:
            measured["ours"].append(steps)
            measured["theirs"].append(seconds)
            shares.append(1 - steps / whole)
    line = row(f"loop: {what}, {len(batches)} steps", measured, bound=bound)
    return line, statistics.median(shares)


def text_task(kind: str, quick: bool) -> TextTask:
    """The task of a train.py, by its config.json, on the default text."""
    module = importlib.import_module(f"models.{kind}.train")
    file = files.ROOT / "models" / kind / "config.json"
    config = defaults_of(file, config_type(module.ModelConfig))
    text = Text(*encode_text([read_text(files.ROOT / "data" / "text.txt")]))
    text = Text([str(character) for character in text.alphabet], text.codes)
    if quick:
        config, text = tiny(config, text)
    torch.manual_seed(0)
    return TextTask(kind, module.build(config.model, text.alphabet), text, config)


def text_loss(task: TextTask, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    x, y = batch
    return functional.cross_entropy(task.model(x)[0].flatten(0, 1), y.flatten())


@command
def main(argv: list[str] | None = None) -> None:
    args = options(__doc__, turns=10).parse_args(argv)
    turns, bound = (1, None) if args.quick else (args.turns, 1.05)
    print(machine() + "\n")
    config = defaults_of(files.ROOT / "vae" / "faces.json", CONFIG)
    config = override(config, {("training", "device"): "cpu"})
    rows, shares = [text_row(args.quick, turns), format_row(config, args.quick, turns)], {}
    for kind in TEXT_MODELS:
        task = text_task(kind, args.quick)
        clip_norm = task.config.training.clip_norm
        line, shares[kind] = loop_row(
            kind, task, partial(text_loss, task), turns=turns, clip_norm=clip_norm, bound=bound
        )
        rows.append(line)
    if args.quick:
        config = dataclasses.replace(
            config, training=dataclasses.replace(config.training, batch_size=4)
        )
    faces = rendered(8 if args.quick else 1280, seed=1)
    task = VAETask(built(faces.shape, config), faces, faces.take(slice(4)), config)
    line, shares["vae"] = loop_row(
        "vae",
        task,
        lambda x: vae_loss(task.model, x.to(memory_format=torch.channels_last)),
        turns=turns,
        bound=bound,
    )
    print(table([*rows, line]))
    text = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
    print(f"\nof an epoch, evaluating and saving it as a milestone: {text}")


if __name__ == "__main__":
    raise SystemExit(main())
