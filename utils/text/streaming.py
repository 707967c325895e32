"""A model that reads and writes one text through its state: evaluation and sampling.

All models share one contract, `forward(x, state=None) -> (logits, state)`, so everything here
exists once. Nothing is ever read twice, with one exception: positions that end (see `Reader`).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from utils.text.data import TextModel
from utils.training.device import evaluating


class Reader:
    """Reads a text in pieces of any length, keeping the model's state between them.

    A model whose positions end (learned ones, at `model.position_limit`) cannot read on for ever.
    Where they end, it starts anew from the last half of what it read; `restarts` counts how often.
    """

    def __init__(self, model: TextModel) -> None:
        self.model, self.limit = model, model.position_limit
        self.state, self.restarts = None, 0
        self.recent = None  # what was read since the last start, kept only where there is a limit

    def read(self, codes: torch.Tensor) -> torch.Tensor:
        """Reads codes (B, T); returns logits (B, T, V) of the character after each of them."""
        if self.limit is None:
            logits, self.state = self.model(codes, self.state)
            return logits
        if self.recent is None:
            self.recent = codes[:, :0]
        parts = []
        while codes.shape[1] > 0:
            if self.recent.shape[1] == self.limit:
                self.recent = self.recent[:, self.limit - self.limit // 2 :]
                self.state = self.model(self.recent)[1] if self.recent.shape[1] > 0 else None
                self.restarts += 1
            room = self.limit - self.recent.shape[1]
            logits, self.state = self.model(codes[:, :room], self.state)
            self.recent = torch.cat([self.recent, codes[:, :room]], dim=1)
            codes = codes[:, room:]
            parts.append(logits)
        return torch.cat(parts, dim=1)


def score_stream(model: TextModel, codes: np.ndarray, piece: int = 1024) -> tuple[float, float]:
    """Measures how well a whole text (N,) is predicted: nats per character, share guessed right.

    Starting cold, every character is predicted exactly once, from all those before it in this text.
    Before the first one nothing is known: it counts as a guess among V equally likely symbols.
    The pieces in which it is read change nothing but the speed.
    """
    nats, right = 0.0, 0
    with evaluating(model) as device:
        codes = torch.from_numpy(np.asarray(codes, dtype=np.int64)).to(device)
        reader = Reader(model)
        for start in range(0, len(codes) - 1, piece):
            x, y = codes[start : start + piece], codes[start + 1 : start + piece + 1]
            logits = reader.read(x[None, : len(y)])[0]  # (T, V)
            nats += functional.cross_entropy(logits, y, reduction="sum").item()
            right += (logits.argmax(dim=1) == y).sum().item()
        nats += float(np.log(model.vocabulary))
    return nats / len(codes), right / len(codes)


def score_blocks(model: TextModel, codes: np.ndarray, block: int = 256, batch: int = 32) -> float:
    """Measures nats per character on cold blocks, which know nothing of the text before them.

    Projects that evaluate on separate windows measure so; it gives no credit for a long memory. A
    text of N characters gives the N - 1 predictions of its characters from the second on.
    """
    nats = 0.0
    with evaluating(model) as device:
        codes = torch.from_numpy(np.asarray(codes, dtype=np.int64)).to(device)
        block = min(block, len(codes) - 1)
        whole = (len(codes) - 1) // block * block
        x, y = codes[:whole].view(-1, block), codes[1 : whole + 1].view(-1, block)
        batches = list(zip(x.split(batch), y.split(batch), strict=True))
        if whole < len(codes) - 1:
            batches.append((codes[None, whole:-1], codes[None, whole + 1 :]))
        for x, y in batches:
            logits = Reader(model).read(x).flatten(0, 1)  # (B T, V)
            nats += functional.cross_entropy(logits, y.flatten(), reduction="sum").item()
    return nats / (len(codes) - 1)


def weigh(
    logits: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes what `choose` draws from: the codes kept, likeliest first, and their shares.

    Both are (K,), on the CPU; the shares, in float64, are those of one another: before `top_p`
    they add up to 1. ValueError for a setting that keeps nothing.
    """
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"temperature {temperature} is below 0, or top_k {top_k} below 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p} is not above 0 and at most 1")
    if temperature == 0:
        return logits.argmax().cpu()[None], torch.ones(1, dtype=torch.float64)
    best, codes = logits.cpu().topk(min(top_k or len(logits), len(logits)))
    probabilities = torch.softmax((best - best[0]).double() / temperature, dim=0)
    if top_p is not None:
        likelier = probabilities.cumsum(dim=0) - probabilities  # what those before one add up to
        probabilities = probabilities[likelier < top_p]
    return codes[: len(probabilities)], probabilities


def choose(
    logits: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> int:
    """Samples a code from softmax(logits / temperature), logits (V,), among the likeliest.

    First the temperature applies; 0 is greedy, the likeliest code. Then the top_k likeliest are
    kept. Of them, then, the fewest whose probabilities add up to top_p at least (Holtzman et al.
    2020, "The curious case of neural text degeneration", section 3.1: the nucleus).

    Logits (2, 1, 0) have the probabilities (0.67, 0.24, 0.09) at temperature 1, (0.87, 0.12, 0.02)
    at 0.5, (0.73, 0.27, 0) at top_k 2 or top_p 0.9, and (1, 0, 0) at top_k 2 with top_p 0.7. A
    top_k above V keeps all; among equals, exactly k are kept.
    """
    codes, probabilities = weigh(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    if temperature == 0:
        return int(codes[0])
    return int(codes[torch.multinomial(probabilities, 1, generator=generator)])


class Writing:
    """A text in the making: reads a prompt (T >= 1,), then writes a character at a time.

    Its steps are taken within `evaluating(model)`. What was written depends on the seed alone, and
    so does what follows a character that was forced.
    """

    def __init__(
        self,
        model: TextModel,
        prompt: torch.Tensor,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> None:
        self.how = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self.generator = torch.Generator().manual_seed(seed)
        self.reader, self.read = Reader(model), prompt

    def step(self, forced: int | None = None) -> tuple[int, torch.Tensor]:
        """Writes one character, or takes the forced one; returns its code, and the logits (V,)."""
        where = next(self.reader.model.parameters()).device
        logits = self.reader.read(self.read[None].to(where))  # (1, T, V)
        code = choose(logits[0, -1], generator=self.generator, **self.how)
        code = code if forced is None else forced
        self.read = torch.tensor([code])
        return code, logits[0, -1]


def write(
    model: TextModel,
    prompt: torch.Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    watch: Callable[[int], bool] | None = None,
) -> tuple[torch.Tensor, int]:
    """Reads a prompt (T >= 1,), then writes `length` characters, reading each back as its input.

    `watch` is called with each code at once, and ends the text where it returns True. Returns the
    codes written, and how often `learned` positions made it start anew.
    """
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    writing, written = Writing(model, prompt, seed=seed, **how), []
    with evaluating(model):
        while len(written) < length:
            code, _ = writing.step()
            written.append(code)
            if watch and watch(code):
                break
    return torch.tensor(written, dtype=torch.int64), writing.reader.restarts
