"""Write: a model writes on from a prompt, with what it might have written instead.

The text is that of `test.py` with the same prompt, temperature, top-k and seed. A character that
was forced stands in place of the one drawn, and all before it stay as they were.
"""

from collections.abc import Iterator
from typing import Any

import torch

from explorer.library import Library
from explorer.web import Query
from utils.errors import UserError
from utils.text.data import encode
from utils.text.fitting import fit_text
from utils.text.streaming import Writing, weigh
from utils.training.device import evaluating

NAME = "write"
MOST = 2000  # characters of a text
BARS = 8
AT_ONCE = 8  # characters between two looks at who else is waiting


def fit_prompt(text: str, alphabet: list[str]) -> tuple[torch.Tensor, list[str]]:
    """Turns a prompt into codes (T,), and says what it was taken for. UserError: not possible."""
    fitted, notes = fit_text(text, alphabet)
    if not fitted:
        raise UserError("the prompt is empty: give at least one character")
    return encode(fitted, alphabet), notes


def read_forced(text: str, alphabet: list[str]) -> dict[int, int]:
    """Reads "12.101-40.32": at place 12 the character 101 (its number in Unicode), at 40 32."""
    forced = {}
    for part in text.split("-") if text else []:
        place, _, char = part.partition(".")
        if not (place.isdecimal() and char.isdecimal() and int(char) < 0x110000):
            raise UserError(f"force has {part!r:.40}: right would be PLACE.CHARACTER, as 12.101")
        forced[int(place)] = int(encode(chr(int(char)), alphabet)[0])
    return forced


def write(query: Query, library: Library) -> Iterator[dict[str, Any]]:
    """Streams a text: first the prompt as it is read, then its characters with their bars.

    A bar is [character, the model's probability, the one it is drawn with].
    """
    run = query.text("run", "lstm", most=120)
    text = query.text("prompt", "the bridge")
    length = query.whole("length", 300, 1, MOST)
    how = {
        "temperature": query.number("temperature", 0.7, 0, 10),
        "top_k": query.whole("k", 0, 0, 10_000) or None,
        "seed": query.whole("seed", 0, 0, 2**31),
    }
    force = query.text("force", "", most=4000)
    query.finish()
    model, config, content = library.text_model(run)
    alphabet = content["alphabet"]
    prompt, notes = fit_prompt(text, alphabet)
    forced = read_forced(force, alphabet)
    yield {
        "prompt": "".join(alphabet[int(code)] for code in prompt),
        "notes": notes,
        "kind": config.kind,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    writing = Writing(model, prompt, **how)
    for start in range(0, length, AT_ONCE):
        with evaluating(model):  # within one item: a stream that waits leaves nothing switched off
            part = [
                describe(*writing.step(forced.get(place)), how, alphabet)
                for place in range(start, min(start + AT_ONCE, length))
            ]
        yield {"steps": part, "restarts": writing.reader.restarts}


def describe(code: int, logits: torch.Tensor, how: dict[str, Any], alphabet: list[str]) -> dict:
    """Describes one character: what it is, its nats, and the likeliest ones."""
    shares = torch.softmax(logits.cpu().double(), dim=0)
    codes, drawn = weigh(logits, temperature=how["temperature"], top_k=how["top_k"])
    drawn_with = dict(zip(codes[:BARS].tolist(), drawn[:BARS].tolist(), strict=True))
    likeliest = shares.topk(min(BARS, len(shares))).indices.tolist()
    bars = [[alphabet[c], round(float(shares[c]), 4), round(drawn_with.get(c, 0), 4)]
            for c in likeliest]  # fmt: skip
    return {"char": alphabet[code], "nats": round(-float(shares[code].log()), 4), "bars": bars}


ROUTES = {"text": write}
