"""Checkpoints: state dicts and plain values in one file that alone rebuilds its model.

content.py describes its entries. `last.pt` alone also holds "training": the place in the data with
the history, and what the task keeps (task.py). Whoever wrote a file, it is checked before use.
"""

import io
import os
import pickletools
import platform
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from utils import files
from utils.config import C, Config, build
from utils.errors import UserError
from utils.files import open_plain, show, write_whole
from utils.training.content import Misfit, check_content, describe
from utils.training.device import choose_device
from utils.training.fitting import UNLIKE, check_weights, no_larger_than, watch
from utils.words import count

FORMAT = 1
PROJECT = "1.0"
MOST_BYTES = 4 * 10**9
MOST_STEPS = 2 * 10**6  # of the pickle in it, which gives the tensors their names and shapes
MADE_BY = r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch [A-Z][A-Za-z0-9]*Storage"


class Content(dict[str, Any]):
    """A checkpoint's entries. Where one is missing, the error blames the file."""

    def __init__(self, entries: Mapping[str, Any], path: Path) -> None:
        super().__init__(entries)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise UserError(
            f"{show(self.path)} has no {name} in it: train again, or take another epoch"
        )


@contextmanager
def blame(path: Path, what: str = "") -> Iterator[None]:
    """Turns whatever fails inside into a UserError that blames the file, and says what it was."""
    try:
        yield
    except UserError:
        raise
    except Exception as problem:
        reason = str(problem) if isinstance(problem, Misfit) else f"{what} ({problem})"
        raise UserError(f"{show(path)}: {reason}: train again, or take another epoch") from problem


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Saves a checkpoint with the versions and the machine that made it."""
    buffer = io.BytesIO()
    made_by = {"format": FORMAT, "project": PROJECT, "torch": str(torch.__version__)}
    made_by["machine"] = describe_machine(content["model"])
    torch.save(made_by | content, buffer)
    write_whole(path, buffer.getvalue())


def describe_machine(weights: Mapping[str, torch.Tensor]) -> str:
    """Says in a line what computes: "Linux x86_64, 2 processors, Python 3.11.7", and which GPU."""
    system = f"{platform.system()} {platform.machine()}, {count(os.cpu_count() or 1, 'processor')}"
    devices = {weight.device for weight in weights.values() if weight.is_cuda}
    names = [torch.cuda.get_device_name(device) for device in devices]
    return ", ".join([system, *names, f"Python {platform.python_version()}"])


def load(path: Path, kind: str | None = None) -> dict[str, Any]:
    """Loads a checkpoint of this kind, or of any, to the CPU. UserError without a sound one."""
    try:
        content, size = read(path)
    except FileNotFoundError:
        raise UserError(f"no such checkpoint: {show(path)}") from None
    except UserError:
        raise
    except Exception:  # torch, zipfile and pickle each raise their own for a broken file
        raise UserError(
            f"{show(path)} is damaged, cut short or no checkpoint: "
            "train again, or take another epoch"
        ) from None
    if not isinstance(content, dict) or not content.keys() >= {"format", "kind", "model"}:
        raise UserError(f"{show(path)} is no checkpoint of this project: take another --ckpt_name")
    if type(content["format"]) is not int or content["format"] != FORMAT:
        raise UserError(
            f"{show(path)} has format {describe(content['format'])}, this version reads {FORMAT}: "
            "train again"
        )
    with blame(path):
        check_content(content, size)
    if kind is not None and content["kind"] != kind:
        raise UserError(
            f"{show(path)} is a checkpoint of {content['kind']}, not of {kind}: "
            "take another --ckpt_name"
        )
    return Content(content, path)


def read(path: Path) -> tuple[Any, int]:
    """Reads what was saved, and how many bytes its parts have. Raises anything for a broken file.

    torch runs no code from a file; but it looks neither at the checksums nor at what a few bytes
    may unpack to.
    """
    with open_plain(path) as file, zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
        if not stored or len(set(archive.namelist())) < len(parts) or size > MOST_BYTES:
            raise Misfit("no archive as torch writes it")
        if size > file.seek(0, io.SEEK_END) or archive.testzip() is not None:
            raise Misfit("its checksums are wrong")
        (pickled,) = (part for part in parts if part.filename.endswith("/data.pkl"))
        for step, (code, value, _) in enumerate(pickletools.genops(archive.read(pickled))):
            calls = code.name == "GLOBAL" and not re.fullmatch(MADE_BY, value)
            if calls or code.name in ("STACK_GLOBAL", "INST") or step > MOST_STEPS:
                raise Misfit("no pickle as torch writes it")
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True), size


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
        places = {files.output("checkpoints"), files.ROOT / "checkpoints"}
        runs = {file.parent.name for place in places for file in place.glob("*/*.pt")}
        runs |= {file.stem for file in (files.ROOT / "pretrained").glob("*.pt")}
        raise UserError(f"no run {run!r}; there is: {', '.join(sorted(runs)) or 'none yet'}")
    if epoch not in (None, "best"):
        raise UserError(f"{show(shipped)} is a shipped file with one epoch: leave --epoch out")
    return shipped


def rebuild(model: nn.Module, content: Mapping[str, Any], path: Path) -> None:
    """Puts a checkpoint's weights into its model. UserError where they do not fit."""
    with blame(path, UNLIKE):
        check_weights("model", content["model"], model)
        model.load_state_dict(content["model"])


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
    loaded = load_file(path, load(path, config_type.kind), config_type, build_model)
    return loaded._replace(model=loaded.model.to(where))


def load_file(
    path: Path,
    content: dict[str, Any],
    config_type: type[C],
    build_model: Callable[[C, dict[str, Any]], nn.Module],
) -> Loaded:
    """Rebuilds the model of what was loaded from a file, on the CPU. UserError where it is none."""
    config = build(content.get("config"), config_type, path)
    with no_larger_than(content["model"], path):
        model = build_model(config, content)
    rebuild(model, content, path)
    watch(model, path)
    return Loaded(model.eval(), config, content)
