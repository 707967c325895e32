"""Time what surrounds the layers: preparing a text, the memory format, and the training loop.

    python benchmarks/speed/training.py            the table: some minutes
    python benchmarks/speed/training.py --quick    tiny sizes, no bound: does it work?

"text": tinyshakespeare (or the default text where it is not there) to codes, against a loop over
its characters. "format": a step of the beta-VAE on 32, 64 and 128 pictures, against the same step
in torch's default memory format. "loop": the steps of an epoch in `fit`, by each config.json but at
a constant learning rate, against forward, backward, clip and step on batches that are in memory
already. Below the table is printed which share of the whole run evaluating and saving take. Both
sides run in turns, in one process, on as many threads as torch takes.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn
from torch.nn import functional

from benchmarks.speed.turns import Table, describe_machine, make_parser
from benchmarks.tasks import QUICK, make_text_task, read_settings, take_start, train_quietly
from utils import files
from utils.config import override, read_config
from utils.errors import command
from utils.text.data import load_text
from utils.text.preparation import encode_text, read_text
from utils.text.training import NextCharacter
from utils.training.task import Batch, Task
from vae.faces.head import render_faces
from vae.losses import kl_per_dim, reconstruction
from vae.networks import VAE
from vae.training import VAEConfig, VAETask, build_model

Loss = Callable[[Batch], torch.Tensor]

# Every turn calls `fit` on one task, which starts from the rate that the last turn ended with.
ONE_EPOCH = {
    ("training", "epochs"): 1,
    ("training", "final_rate"): 1.0,
    ("training", "device"): "cpu",
}


def encode_by_loop(text: str) -> tuple[list[str], list[int]]:
    """Turns a text into its alphabet and codes as `encode_text` does, character by character."""
    alphabet = sorted(set(text))
    code_of = {character: code for code, character in enumerate(alphabet)}
    codes = []
    for character in text:
        codes.append(code_of[character])
    return alphabet, codes


def compare_encoding(table: Table) -> None:
    """Compares two ways to turn a text into codes."""
    data = files.ROOT / "data"
    shakespeare = data / "raw" / "tinyshakespeare.txt"
    text = read_text(shakespeare if shakespeare.is_file() else data / "text.txt", raw=True)
    text = text[: 1000 if table.quick else None]
    ours, theirs = partial(encode_text, [text]), partial(encode_by_loop, text)
    table.compare(f"text: {len(text):,} characters", ours, theirs, at_most=0.05)


def compute_vae_loss(vae: VAE, x: torch.Tensor) -> torch.Tensor:
    """Computes the VAE's loss at beta 1 on pictures (B, C, H, W), without its task."""
    logits, _, mu, logvar = vae(x)
    nats = reconstruction(logits, x, "bernoulli").mean()
    return nats + kl_per_dim(mu, logvar).sum(dim=1).mean()


def compare_formats(table: Table, config: VAEConfig) -> None:
    """Compares forward and backward of the VAE in its memory format, channels last, and torch's."""

    def step(vae: VAE, x: torch.Tensor) -> None:
        vae.zero_grad()
        compute_vae_loss(vae, x).backward()

    for count in (4,) if table.quick else (32, 64, 128):
        x, sides = torch.rand(count, 3, 64, 64), []
        for kept in (torch.channels_last, torch.contiguous_format):
            vae = build_model((3, 64, 64), config).to(memory_format=kept)
            sides.append(partial(step, vae, x.to(memory_format=kept)))
        table.compare(f"format: VAE, {count} pictures", *sides, at_most=0.85)


def train_bare(task: Task, batches: list[Batch], compute_loss: Loss) -> float:
    """Takes forward, backward, clip and step on each batch, nothing else; returns the seconds."""
    began = time.perf_counter()
    for batch in batches:
        task.model.zero_grad()
        compute_loss(batch).backward()
        if isinstance(task, NextCharacter):  # the VAE's gradients are not clipped
            nn.utils.clip_grad_norm_(task.model.parameters(), task.config.training.clip_norm)
        for optimizer in task.optimizers.values():
            optimizer.step()
    return time.perf_counter() - began


def compare_loops(table: Table, task: Task, compute_loss: Loss) -> float:
    """Compares an epoch of `fit` with the bare loop; returns its share of evaluating and saving."""
    batches = list(task.loader.epoch(1))
    ours, theirs, shares = [], [], []
    for _ in range(1 + table.turns):
        began = time.perf_counter()
        ours.append(train_quietly(task)[0]["seconds"])
        shares.append(1 - ours[-1] / (time.perf_counter() - began))
        theirs.append(train_bare(task, batches, compute_loss))
    what = f"loop: {task.config.kind}, {len(batches)} steps"
    table.add_times(what, ours[1:], theirs[1:], at_most=1.05)  # the first ones warm up
    return statistics.median(shares[1:])


def compute_text_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Computes the loss of a text model on codes x and the codes y that follow, (B, T) each."""
    x, y = batch
    return functional.cross_entropy(model(x)[0].flatten(0, 1), y.flatten())


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=10).parse_args(argv)
    table, shares = Table(quick=args.quick, turns=args.turns, processor=args.processor), {}
    faces_config = read_config(files.ROOT / "vae" / "faces.json", VAEConfig)
    compare_encoding(table)
    compare_formats(table, faces_config)
    for kind in ("lstm", "tcn", "transformer"):
        config = read_settings(kind, ONE_EPOCH | {("training", "warmup_steps"): 0})
        text = load_text(config.data)
        if args.quick:
            text, config = take_start(text), override(config, QUICK)
        task = make_text_task(text, config)
        shares[kind] = compare_loops(table, task, partial(compute_text_loss, task.model))
    changes = ONE_EPOCH | ({("training", "batch_size"): 4} if args.quick else {})
    faces = render_faces(8 if args.quick else 1280, seed=1)
    vae = build_model(faces.shape, faces_config)
    task = VAETask(vae, faces, faces.take(slice(4)), override(faces_config, changes))
    shares["vae"] = compare_loops(
        table,
        task,
        lambda batch: compute_vae_loss(vae, batch[0].to(memory_format=torch.channels_last)),
    )
    print(describe_machine(), table, sep="\n\n")
    text = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
    print(f"\nof an epoch, evaluating and saving it as a milestone: {text}")


if __name__ == "__main__":
    raise SystemExit(main())
