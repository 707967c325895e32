"""The protocol of a training run: what the model writes early and late, beside the original.

At a few epochs the same prompts are continued greedily and written to results/<run>/protocol.md.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from utils import words
from utils.config import key
from utils.errors import UserError
from utils.files import write_whole
from utils.text.data import Text, decode
from utils.text.streaming import write


@dataclass(frozen=True)
class ProtocolConfig:
    """The "protocol" section of config.json."""

    epochs: list[int] = key("epochs to be kept and recorded, beside the last one", low=1)
    prompts: int = key("passages to be continued, half of them from the training text", low=1)
    prompt_length: int = key("characters fed in", low=1)
    length: int = key("characters written", low=1)


def space_evenly(size: int, count: int, window: int) -> list[int]:
    """Finds where `count` evenly spaced windows start in `size` characters; UserError: no room."""
    if size < window:
        raise UserError(
            f"{words.count(size, 'character')}, fewer than a prompt and its continuation, {window}"
        )
    return [int(place) for place in np.linspace(0, size - window, count + 2)[1:-1]]


class Protocol:
    """Collects what was written at each epoch; `entries` travels with the checkpoint."""

    def __init__(self, config: ProtocolConfig, text: Text) -> None:
        self.config = config
        self.alphabet = text.alphabet
        self.entries: list[dict[str, Any]] = []
        self.window = config.prompt_length + config.length
        self.passages = []  # (where from, codes of prompt and original continuation)
        unseen = config.prompts // 2 if len(text.validation) else 0
        counts = {"training": config.prompts - unseen, "validation": unseen}
        for name, count in counts.items():
            codes = getattr(text, name)
            for place in space_evenly(len(codes), count, self.window) if count else []:
                self.passages.append((name, np.asarray(codes[place : place + self.window])))

    def shorten(self) -> None:
        """Keeps a passage, and ten characters of it to read and to write, for a dry run."""
        read, written = self.config.prompt_length, self.config.length
        self.config = replace(self.config, prompt_length=min(read, 10), length=min(written, 10))
        self.passages = self.passages[:1]

    def add(self, row: dict[str, Any], model: nn.Module) -> None:
        """Continues every prompt, greedily, and remembers it with the losses of this epoch."""
        written = []
        for _, codes in self.passages:
            prompt = torch.from_numpy(codes[: self.config.prompt_length].astype(np.int64))
            continuation, _ = write(model, prompt, self.config.length, temperature=0)
            written.append(decode(continuation, self.alphabet))
        losses = {name: row[name] for name in ("epoch", "train_nats", "val_nats")}
        self.entries.append(losses | {"written": written})

    def write(self, path: Path, run: str, data: str) -> None:
        """Writes the whole protocol: per passage the original, then every epoch's continuation."""
        read, written = self.config.prompt_length, self.config.length
        lines = [
            f"# What {run} writes, early and late",
            "",
            f"{words.count(read, 'character')} at a time of data/{data} read, {written} written, "
            "always the likeliest next one. `↵` is a line end.",
            "",
            "| epoch | training nats per character | validation nats per character |",
            "|---|---|---|",
        ]
        for entry in self.entries:
            validation = entry["val_nats"]
            losses = f"{entry['train_nats']:.3f} | "
            losses += "none" if validation is None else f"{validation:.3f}"
            lines.append(f"| {entry['epoch']} | {losses} |")
        for index, (split, codes) in enumerate(self.passages):
            passage = decode(codes, self.alphabet)
            prompt, original = passage[:read], passage[read:]
            lines += ["", f"## Passage {index + 1}, from the {split} text", "", "```"]
            rows = [("prompt", prompt), ("original", original)]
            rows += [(f"epoch {e['epoch']}", e["written"][index]) for e in self.entries]
            lines += [f"{label:>10}  {make_visible(text)}" for label, text in rows]
            lines.append("```")
        write_whole(path, ("\n".join(lines) + "\n").encode("utf-8"))


def make_visible(text: str) -> str:
    """Puts a text on one line: line ends as ↵, other control characters escaped."""
    text = text.replace("\r\n", "↵").replace("\n", "↵")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
