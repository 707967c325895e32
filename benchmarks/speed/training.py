"""Time what surrounds the layers: preparing a text, the memory format, and the training loop.

    python benchmarks/speed/training.py            the table: some minutes
    python benchmarks/speed/training.py --quick    tiny sizes, no bound: does it work?

"text": tinyshakespeare (or the default text where it is not there) to codes, against a loop over
its characters. "format": a training step of the beta-VAE on 64 pictures, against the same step in
torch's default memory format. "loop": the steps of an epoch in `fit`, by each config.json but at a
constant learning rate, against forward, backward, clip and step on batches that are in memory
already. Below the table is printed which share of the whole run evaluating and saving take. Both
sides run in turns, in one process, on as many threads as torch takes.
"""

import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import torch
from torch import nn
from torch.nn import functional

from benchmarks.speed.turns import (
    Row,
    describe_machine,
    make_parser,
    make_row,
    render_table,
    time_in_turns,
)
from utils import files
from utils.config import C, override, read_config, shorten
from utils.errors import command
from utils.text.data import cut_text
from utils.text.preparation import encode_text, read_blocks, read_text
from utils.text.training import NextCharacter
from utils.training.loop import fit
from utils.training.run import Run
from utils.training.task import Batch, Task
from vae.faces.head import render_faces
from vae.losses import kl_per_dim, reconstruction
from vae.networks import VAE
from vae.training import VAEConfig, VAETask, build_model

TEXT_MODELS = ("lstm", "tcn", "transformer")
DEFAULT_TEXT = files.ROOT / "data" / "text.txt"


def encode_by_loop(text: str) -> tuple[list[str], list[int]]:
    """Turns a text into its alphabet and codes as `encode_text` does, character by character."""
    alphabet = sorted(set(text))
    code_of = {character: code for code, character in enumerate(alphabet)}
    codes = []
    for character in text:
        codes.append(code_of[character])
    return alphabet, codes


def time_text(quick: bool, turns: int) -> Row:
    """Times turning a text into codes."""
    shakespeare = files.ROOT / "data" / "raw" / "tinyshakespeare.txt"
    file = shakespeare if shakespeare.is_file() else DEFAULT_TEXT
    text = read_text(file, raw=True)[: 1000 if quick else None]
    sides = {"ours": partial(encode_text, [text]), "theirs": partial(encode_by_loop, text)}
    bound = None if quick else 0.05
    return make_row(
        f"text: {len(text):,} characters", time_in_turns(sides, turns=turns), bound=bound
    )


def compute_vae_loss(vae: VAE, x: torch.Tensor) -> torch.Tensor:
    """Computes the VAE's loss at beta 1 on pictures (B, C, H, W), without its task."""
    logits, _, mu, logvar = vae(x)
    nats = reconstruction(logits, x, "bernoulli").mean()
    return nats + kl_per_dim(mu, logvar).sum(dim=1).mean()


def step_vae(vae: VAE, x: torch.Tensor) -> None:
    """Takes a step without an optimiser: forward and backward."""
    vae.zero_grad()
    compute_vae_loss(vae, x).backward()


def time_format(config: VAEConfig, quick: bool, turns: int) -> Row:
    """Times a step of the VAE with channels last in memory, as its task has them."""
    x, sides = torch.rand(4 if quick else 64, 3, 64, 64), {}
    for name, kept in (("ours", torch.channels_last), ("theirs", torch.contiguous_format)):
        vae = build_model((3, 64, 64), config).to(memory_format=kept)
        sides[name] = partial(step_vae, vae, x.to(memory_format=kept))
    bound = None if quick else 0.85
    return make_row(
        f"format: VAE, {len(x)} pictures", time_in_turns(sides, turns=turns), bound=bound
    )


def train_bare(
    task: Task,
    batches: list[Batch],
    compute_loss: Callable[[Batch], torch.Tensor],
    clip_norm: float | None,
) -> float:
    """Takes forward, backward, clip and step on each batch, nothing else; returns the seconds."""
    began = time.perf_counter()
    for batch in batches:
        task.model.zero_grad()
        compute_loss(batch).backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(task.model.parameters(), clip_norm)
        for optimizer in task.optimizers.values():
            optimizer.step()
    return time.perf_counter() - began


def time_loop(
    task: Task,
    compute_loss: Callable[[Batch], torch.Tensor],
    *,
    quick: bool,
    turns: int,
    clip_norm: float | None = None,
) -> tuple[Row, float]:
    """Times an epoch of `fit` and of the bare loop.

    Returns the row, and which share of `fit` evaluating and saving take.
    """
    batches = list(task.loader.epoch(1))
    measured, shares = {"ours": [], "theirs": []}, []
    for turn in range(turns + 1):
        with tempfile.TemporaryDirectory() as folder:
            run = Run(task.config, Path(folder, "checkpoints"), Path(folder, "results"), dry=True)
            began = time.perf_counter()
            steps = fit(task, run, quiet=True)[0]["seconds"]
            whole = time.perf_counter() - began
        seconds = train_bare(task, batches, compute_loss, clip_norm)
        if turn > 0:  # the first one warms up
            measured["ours"].append(steps)
            measured["theirs"].append(seconds)
            shares.append(1 - steps / whole)
    what = f"loop: {task.config.kind}, {len(batches)} steps"
    return make_row(what, measured, bound=None if quick else 1.05), statistics.median(shares)


def settle(config: C) -> C:
    """Returns the settings for one epoch at a constant learning rate, on the CPU.

    Every turn calls `fit` on one task, and it starts from the rate that the last one ended with.
    """
    changes = {
        ("training", "epochs"): 1,
        ("training", "final_rate"): 1.0,
        ("training", "device"): "cpu",
    }
    if config.training.warmup_steps > 0:
        changes["training", "warmup_steps"] = 0
    return override(config, changes)


def make_text_task(kind: str, quick: bool) -> NextCharacter:
    """Makes the task of a text model's train.py, by its config.json, on the default text."""
    module = importlib.import_module(f"models.{kind}.train")
    config = read_config(files.ROOT / "models" / kind / "config.json", module.Config)
    alphabet, codes = encode_text(read_blocks(DEFAULT_TEXT))
    if quick:
        config, codes = shorten(config), codes[:2000]
    torch.manual_seed(0)
    text = cut_text([str(character) for character in alphabet], codes)
    return NextCharacter(module.Model(len(alphabet), config.model), text, settle(config))


def compute_text_loss(task: NextCharacter, batch: Batch) -> torch.Tensor:
    """Computes the loss of a text model on codes x and the codes y that follow, (B, T) each."""
    x, y = batch
    return functional.cross_entropy(task.model(x)[0].flatten(0, 1), y.flatten())


def make_vae_task(config: VAEConfig, quick: bool) -> VAETask:
    """Makes the task of `main.py` on rendered faces."""
    if quick:
        config = override(config, {("training", "batch_size"): 4})
    faces = render_faces(8 if quick else 1280, seed=1)
    model = build_model(faces.shape, config)
    return VAETask(model, faces, faces.take(slice(4)), settle(config))


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__, turns=10).parse_args(argv)
    quick, turns = args.quick, 1 if args.quick else args.turns
    print(describe_machine() + "\n")
    config = read_config(files.ROOT / "vae" / "faces.json", VAEConfig)
    rows, shares = [time_text(quick, turns), time_format(config, quick, turns)], {}
    for kind in TEXT_MODELS:
        task = make_text_task(kind, quick)
        clip_norm = task.config.training.clip_norm
        loss = partial(compute_text_loss, task)
        line, shares[kind] = time_loop(task, loss, quick=quick, turns=turns, clip_norm=clip_norm)
        rows.append(line)
    task = make_vae_task(config, quick)
    line, shares["vae"] = time_loop(
        task,
        lambda batch: compute_vae_loss(task.model, batch[0].to(memory_format=torch.channels_last)),
        quick=quick,
        turns=turns,
    )
    print(render_table([*rows, line]))
    text = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
    print(f"\nof an epoch, evaluating and saving it as a milestone: {text}")


if __name__ == "__main__":
    raise SystemExit(main())
