"""Checkpoints that a student may hand in: broken, foreign, lying, and made to do harm.

Each function makes the bytes of checkpoints/x/best.pt; beside it stands a part of what the student
is to be told. odd_runs.py hands them in for attacks.py; tests/course/test_measures.py measures
each.
"""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

REPOSITORY = Path(__file__).resolve().parents[2]


class OddCheckpoint(NamedTuple):
    """What is handed in as checkpoints/x/best.pt, and what is said of it."""

    name: str
    said: str
    make: Callable[[], bytes]


ODD_CHECKPOINTS: list[OddCheckpoint] = []


def odd(name: str, said: str) -> Callable:
    """Lists a function that makes a checkpoint."""

    def list_it(make: Callable[[], bytes]) -> Callable[[], bytes]:
        ODD_CHECKPOINTS.append(OddCheckpoint(name, said, make))
        return make

    return list_it


@cache
def shipped(name: str) -> bytes:
    return (REPOSITORY / "pretrained" / f"{name}.pt").read_bytes()


def load(name: str) -> dict[str, Any]:
    return torch.load(io.BytesIO(shipped(name)), weights_only=True)


def save(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def pack_as_torch(pickled: bytes, **parts: bytes) -> bytes:
    """Packs a pickle as torch packs its own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        for name, content in parts.items():
            archive.writestr(f"x/{name}", content)
    return buffer.getvalue()


class Run:
    """What runs when it is unpickled."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


@odd("nothing", "damaged")
def nothing() -> bytes:
    return b""


@odd("a text", "damaged")
def a_text() -> bytes:
    return b"see my drive: https://example.org/lstm\n" * 30


@odd("cut short", "damaged")
def cut_short() -> bytes:
    return shipped("lstm")[:-5000]


@odd("a bit", "damaged")
def a_flipped_bit() -> bytes:
    content = bytearray(shipped("lstm"))
    content[len(content) // 2] ^= 4
    return bytes(content)


@odd("code", "damaged")
def code() -> bytes:
    """A pickle that runs a command."""
    return pack_as_torch(pickle.dumps(Run(os.system, "touch EVIDENCE/checkpoint")))


@odd("a bare pickle", "damaged")
def a_bare_pickle() -> bytes:
    """As torch saved before it packed archives."""
    return pickle.dumps(Run(os.system, "touch EVIDENCE/pickle"))


@odd("a whole module", "damaged")
def a_whole_module() -> bytes:
    """torch.save(model): a pickle of classes that only its author has."""
    return save(nn.Linear(3, 3))


@odd("a bomb of zeros", "damaged")
def a_bomb() -> bytes:
    """A quarter of a gigabyte in a quarter of a megabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}))
        with archive.open("x/data/0", "w", force_zip64=True) as stream:
            for _ in range(256):
                stream.write(bytes(2**20))
    return buffer.getvalue()


@odd("a bomb of pickles", "damaged")
def a_bomb_of_pickles() -> bytes:
    """Lists of lists of lists: 10^9 of them in a few bytes, by the pickle's memory."""
    lines = b"]" + b"".join(b"q%c](" % n + b"h%c" % n * 100 + b"e" for n in range(200))
    return pack_as_torch(b"\x80\x02" + lines + b".")


@odd("deep", "damaged")
def deep() -> bytes:
    return pack_as_torch(b"\x80\x02" + b"(" * 10**6 + b"t" * 10**6 + b".")


@odd("a state dict alone", "no checkpoint of this project")
def a_state_dict_alone() -> bytes:
    return save(load("lstm")["model"])


@odd("other names", "names than the edition's: it has ")
def other_names() -> bytes:
    """The student has renamed an attribute of the model."""
    content = load("lstm")
    content["model"] = {f"my_{name}": weight for name, weight in content["model"].items()}
    return save(content)


@odd("other shapes", "its weights do not fit its own config")
def other_shapes() -> bytes:
    content = load("lstm")
    content["model"] = {name: weight[:1].clone() for name, weight in content["model"].items()}
    return save(content)


@odd("a lying shape", "a part only")
def a_lying_shape() -> bytes:
    """A few bytes that are shown as 10^12 numbers."""
    content = load("lstm")
    name = min(content["model"])
    content["model"][name] = torch.zeros(1).expand(10**6, 10**6)
    return save(content)


@odd("a giant", "do not fit")
def a_giant() -> bytes:
    """Settings that ask for more than any memory holds."""
    content = load("lstm")
    content["config"]["model"]["hidden_size"] = 10**7
    return save(content)


@odd("a tower", "do not fit")
def a_tower() -> bytes:
    """A million layers of nearly nothing."""
    content = load("lstm")
    content["config"]["model"]["layers"] = 10**6
    return save(content)


@odd("no numbers", "no numbers")
def no_numbers() -> bytes:
    content = load("lstm")
    next(iter(content["model"].values())).fill_(float("nan"))
    return save(content)


@odd("infinite", "infinite")
def of_the_largest_weights() -> bytes:
    """Each weight is finite; what comes of them is not."""
    content = load("tcn")
    for weight in content["model"].values():
        weight.copy_(weight.sign() * 6e4)
    return save(content)


@odd("another text", "another text")
def another_text() -> bytes:
    return shipped("lstm_tinyshakespeare")


@odd("learned the test", "--validation_share 0.01")
def learned_the_test() -> bytes:
    content = load("lstm")
    content["config"]["data"]["validation_share"] = 0.01
    return save(content)


@odd("another sheet's", "this sheet asks for lstm")
def of_another_sheet() -> bytes:
    return shipped("palindrome")


@odd("a kind of its own", "kind <script>")
def a_kind_of_its_own() -> bytes:
    return save(load("lstm") | {"kind": "<script>alert(1)</script>\x1b[2J"})


@odd("pictures of its own", "of its own")
def of_a_path() -> bytes:
    """Settings that name a file of the teacher's."""
    content = load("vae_beta_4")
    content["config"]["data"]["data"] = "/etc/passwd"
    return save(content)


@odd("no shape", "not 64 x 64")
def of_no_shape() -> bytes:
    return save(load("vae_beta_4") | {"shape": [3, 10**4, 10**4]})


@odd("texts for numbers", "not a whole number")
def texts_for_numbers() -> bytes:
    content = load("lstm")
    content["config"]["model"]["hidden_size"] = "__import__('os').abort()"
    return save(content)
