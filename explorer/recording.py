"""What the static edition shows: every question its page can ask, answered beforehand.

A view's questions are those that its page asks (explorer/static/views), setting for setting, as
text; the views' own functions answer them. What is not asked here cannot be chosen there.
"""

import inspect
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from explorer.library import Library
from explorer.views import attention, cells, faces, reach, runs, write
from explorer.web import Query
from utils.text.training import TEXT_KINDS
from utils.words import count

SHIPPED = ("lstm", "tcn", "transformer")
COMPARED = ("transformer", "transformer_tinyshakespeare")  # without positions, and with rotary ones
REACH = 200  # characters of a text, each of which is followed back
MOST_TRAININGS = 20
FACES = ("vae_beta_0", "vae_beta_4", "vae_beta_20")
TURNS = range(-45, 46, 5)  # degrees
Asked = dict[str, str]
Questions = Generator[tuple[str, Asked] | tuple[str, Asked, bytes], Any, None]


@dataclass(frozen=True)
class Lecture:
    """What is shown: runs of text models, a text ("": one they have not seen), a prompt, a seed.

    `compared` are those whose attention is shown; without them, the Transformers among the runs.
    """

    runs: tuple[str, ...]
    text: str
    prompt: str
    seed: int
    compared: tuple[str, ...] = ()
    length: int = 300

    def kind(self, library: Library, run: str) -> str:
        return library.find(run, TEXT_KINDS)[0].kind

    def attentive(self, library: Library) -> list[str]:
        """Names the runs whose attention is shown."""
        own = [run for run in self.runs if self.kind(library, run) == "transformer"]
        return list(self.compared) or own

    def start(self, most: int) -> str:
        return self.text[:most]


def ask_write(lecture: Lecture, library: Library) -> Questions:
    how = {"temperature": "0.7", "k": "0", "seed": str(lecture.seed), "force": ""}
    for run in lecture.runs:
        yield "text", {"run": run, "prompt": lecture.prompt, "length": str(lecture.length)} | how


def ask_cells(lecture: Lecture, library: Library) -> Questions:
    """Asks for the units that know most of something; their page opens with the first of all."""
    text = lecture.start(cells.MOST)
    for run in lecture.runs:
        *_, last = yield "known", {"run": run}
        units = {(one["group"], one["unit"]) for one in last["known"]}
        for group, unit in [("", 0), *sorted(units)]:
            yield "text", {"run": run, "group": group, "unit": str(unit), "text": text}


def ask_attention(lecture: Lecture, library: Library) -> Questions:
    text = lecture.start(attention.MOST)
    for run in lecture.attentive(library):
        first = yield "heads", {"run": run, "text": text, "layer": "1"}
        for layer in range(2, first["layers"] + 1):
            yield "heads", {"run": run, "text": text, "layer": str(layer)}


def ask_reach(lecture: Lecture, library: Library) -> Questions:
    text = lecture.start(REACH)
    for run in lecture.runs:
        first = yield "gradient", {"run": run, "text": text, "at": "0"}
        for at in range(1, len(first["text"])):
            yield "gradient", {"run": run, "text": text, "at": str(at)}


def ask_faces(lecture: Lecture, library: Library) -> Questions:
    """Asks for one face in every model, for it with one latent elsewhere, and for it turned."""
    if not (shown := list_faces(library)):
        return
    yield "factors", {}
    original = yield "rendered", {}
    for run in shown:
        while faces.find_measured(run, library) is None:
            time.sleep(0.1)
        known = yield "latents", {"run": run}
        turns = [{"turn": str(degrees)} for degrees in TURNS if known["turns"]]
        codes = [
            f"{one['latent']}*{value}"
            for one in known["latents"]
            for value in range(-one["reach"], one["reach"] + 1)
        ]
        for z in ["", *codes]:
            yield "face", {"run": run, "z": z}, original["pixels"].encode()
        for turn in turns:
            yield "face", {"run": run, "z": "", **turn}, original["pixels"].encode()


def list_faces(library: Library) -> list[str]:
    """Lists the shipped models of faces, and has what their latents do measured beside."""
    shown = [run for run in FACES if run in library.entries()]
    for run in shown:
        faces.find_measured(run, library)
    return shown


def ask_runs(lecture: Lecture, library: Library) -> Questions:
    """Asks for one's own trainings, if there are any."""
    if not runs.trained(library):
        return
    found = yield "there", {}
    del found["there"][MOST_TRAININGS:]  # of the answer that is recorded
    for run, _ in found["there"]:
        yield "history", {"run": run}
        yield "protocol", {"run": run}


VIEWS: dict[Any, Callable[[Lecture, Library], Questions]] = {
    write: ask_write,
    cells: ask_cells,
    attention: ask_attention,
    reach: ask_reach,
    faces: ask_faces,
    runs: ask_runs,
}


def answer(view: Any, library: Library, name: str, asked: Asked, body: bytes = b"") -> Any:
    """Answers a question as the server does: a stream as a list of its lines."""
    function = view.ROUTES[name]
    found = function(Query(asked, body), library)
    return list(found) if inspect.isgeneratorfunction(function) else found


def record(view: Any, lecture: Lecture, library: Library) -> Iterator[tuple[str, Asked, Any]]:
    """Asks all questions of a view; yields each with its answer: (address, settings, answer)."""
    questions, found = VIEWS[view](lecture, library), None
    while True:
        try:
            name, asked, *body = questions.send(found)
        except StopIteration:
            return
        found = answer(view, library, name, asked, *body)
        yield f"{view.NAME}/{name}", asked, found


def choose_defaults(lecture: Lecture, library: Library) -> dict[str, Asked]:
    """Chooses what the views show when they are opened."""
    every = ",".join(lecture.runs)
    at = min(150, len(lecture.start(REACH)) * 3 // 4) if lecture.text else 150
    seed = str(lecture.seed)
    return {
        "write": {
            "runs": every, "prompt": lecture.prompt, "seed": seed, "length": str(lecture.length),
        },
        "cells": {"run": lecture.runs[0], "text": lecture.start(cells.MOST)},
        "attention": {
            "runs": ",".join(lecture.attentive(library)), "text": lecture.start(attention.MOST),
        },
        "reach": {"runs": every, "text": lecture.start(REACH), "at": str(at)},
        "faces": {"runs": ",".join(list_faces(library))},
    }  # fmt: skip


def list_entries(lecture: Lecture, library: Library) -> list[dict[str, Any]]:
    """Lists the runs that can be chosen, each as one of one epoch."""
    names = dict.fromkeys([*lecture.runs, *lecture.attentive(library), *list_faces(library)])
    kinds = (*TEXT_KINDS, "vae")
    return [vars(replace(library.find(name, kinds)[0], name=name, epochs=())) for name in names]


def record_all(lecture: Lecture, library: Library) -> dict[str, Any]:
    """Records all views, and says how far it is. UserError where a run or a text does not fit."""
    answers: list[tuple[str, Asked, Any]] = []
    entries = list_entries(lecture, library)
    answers.append(("runs", {}, {"runs": entries}))
    for view in VIEWS:
        questions = record(view, lecture, library)
        found = list(tqdm(questions, view.NAME, unit=" answers", disable=None, leave=False))
        print(f"{view.NAME}: {count(len(found), 'answer')}")
        answers += found
    return {"defaults": choose_defaults(lecture, library), "answers": answers}
