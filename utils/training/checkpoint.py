"""Checkpoints: state dicts and plain values in one file that alone rebuilds its model.

Keys of a text model's checkpoint: format, project, torch (versions), kind ("lstm", ...), config,
alphabet, data (its fingerprint), epoch, row (the losses at that time), model (its weights).
`last.pt` also holds "training": the place in the data with the history, and what the task keeps
(task.py).
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from utils import files
from utils.config import C, Config, build
from utils.errors import UserError
from utils.files import show, write_whole
from utils.training.device import choose_device

FORMAT = 1
PROJECT = "1.0"


class Content(dict[str, Any]):
    """A checkpoint's entries. Where one is missing, the error blames the file."""

    def __init__(self, entries: Mapping[str, Any], path: Path) -> None:
        super().__init__(entries)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise UserError(
            f"{show(self.path)} has no {name} in it: train again, or take another --epoch"
        )


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Saves a checkpoint with the versions that made it."""
    buffer = io.BytesIO()
    versions = {"format": FORMAT, "project": PROJECT, "torch": str(torch.__version__)}
    torch.save(versions | content, buffer)
    write_whole(path, buffer.getvalue())


def load(path: Path, kind: str | None = None) -> dict[str, Any]:
    """Loads a checkpoint of this kind, or of any, to the CPU. UserError without a sound one."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"no such checkpoint: {show(path)}") from None
    except Exception:  # torch, zipfile and pickle each raise their own for a broken file
        raise UserError(
            f"{show(path)} is damaged, cut short or no checkpoint: "
            "train again, or take another --epoch"
        ) from None
    if not isinstance(content, dict) or not content.keys() >= {"format", "kind", "model"}:
        raise UserError(f"{show(path)} is no checkpoint of this project: take another --ckpt_name")
    if content["format"] != FORMAT:
        raise UserError(
            f"{show(path)} has format {content['format']}, this version reads {FORMAT}: train again"
        )
    if kind is not None and content["kind"] != kind:
        raise UserError(
            f"{show(path)} is a checkpoint of {content['kind']}, not of {kind}: "
            "take another --ckpt_name"
        )
    return Content(content, path)


def locate_epoch(folder: Path, epoch: str | int) -> Path:
    """Names the file in a run's folder of "last", "best" or a numbered epoch."""
    is_number = isinstance(epoch, int) or epoch.isdecimal()
    return folder / (f"epoch_{int(epoch):04}.pt" if is_number else f"{epoch}.pt")


def find(run: str, epoch: str | None = None) -> Path:
    """Finds the file of a run: in checkpoints/<run>/, else the shipped pretrained/<run>.pt.

    `epoch` is "last", "best" (the default) or a number. UserError lists what is there instead.
    """
    files.check_name(run, "the run's name")
    folder, shipped = files.find("checkpoints", run), files.ROOT / "pretrained" / f"{run}.pt"
    if folder.is_dir() and any(folder.glob("*.pt")):
        path = locate_epoch(folder, epoch or "best")
        if not path.is_file():
            there = ", ".join(sorted(file.stem for file in folder.glob("*.pt")))
            raise UserError(f"{show(folder)} has no epoch {epoch or 'best'!r}; there is: {there}")
        return path
    if not shipped.is_file():
        places = {place / "checkpoints" for place in (files.output(), files.ROOT)}
        runs = {file.parent.name for place in places for file in place.glob("*/*.pt")}
        runs |= {file.stem for file in (files.ROOT / "pretrained").glob("*.pt")}
        raise UserError(f"no run {run!r}; there is: {', '.join(sorted(runs)) or 'none yet'}")
    if epoch not in (None, "best"):
        raise UserError(f"{show(shipped)} is a shipped file with one epoch: leave --epoch out")
    return shipped


def rebuild(model: nn.Module, content: Mapping[str, Any], path: Path) -> None:
    """Puts a checkpoint's weights into its model. UserError where they do not fit."""
    try:
        model.load_state_dict(content["model"])
    except (RuntimeError, KeyError, AttributeError, TypeError):
        raise UserError(
            f"{show(path)}: its weights do not fit its own config: "
            "train again, or take another --epoch"
        ) from None


class Loaded(NamedTuple):
    """A model in evaluation mode on its device, with its settings and its checkpoint's content."""

    model: nn.Module
    config: Config
    content: dict[str, Any]


def load_model(
    config_type: type[C],
    run: str,
    epoch: str | None,
    build_model: Callable[[C, dict[str, Any]], nn.Module],
    device: str = "auto",
) -> Loaded:
    """Loads a run's model, in evaluation mode. Its checkpoint is all that is needed.

    `build_model(config, content)` makes the model that the weights are put into. UserError where
    there is no such run, or not a sound one of this kind.
    """
    where = choose_device(device)
    path = find(run, epoch)
    content = load(path, config_type.kind)
    config = build(content.get("config"), config_type, path)
    model = build_model(config, content)
    rebuild(model, content, path)
    return Loaded(model.to(where).eval(), config, content)
