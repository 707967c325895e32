"""Measures what latents do, in a process beside the server, which goes on answering meanwhile.

    {"run": "vae_beta_4", "epoch": null, "pictures": 5000}       a line in; a line of findings out

The process starts with the first question, measures in turn, and ends when none waits.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from utils import files
from utils.errors import UserError, flush_denormals


class Beside:
    """Asks the process; each question's answer is a Future, a UserError where there is none."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.waiting: deque[Future] = deque()
        self.lock = threading.Lock()

    def ask(self, question: dict[str, Any]) -> Future:
        """Has `measure` called with these arguments, there."""
        future: Future = Future()
        with self.lock:
            if self.process is None:
                self.process = start()
                atexit.register(self.process.kill)
                reader = threading.Thread(target=self.read, args=(self.process,), daemon=True)
                reader.start()
            self.waiting.append(future)
            with suppress(OSError):  # it has just died: `read` says so
                self.process.stdin.write(json.dumps(question) + "\n")
                self.process.stdin.flush()
        return future

    def read(self, process: subprocess.Popen) -> None:
        """Reads its answers, in the order of the questions, until it ends."""
        for line in process.stdout:
            with self.lock:
                future = self.waiting.popleft()
                if not self.waiting:
                    process.stdin.close()  # so it ends
                    self.process = None
            settle(future, json.loads(line))
        with self.lock:
            ended = list(self.waiting) if self.process is process else []
            if ended:
                self.waiting.clear()
                self.process = None
        for future in ended:
            settle(future, {"error": "the measuring process ended early: start the explorer anew"})
        with suppress(OSError), process:  # closes the pipes, and waits for its end
            atexit.unregister(process.kill)


def start() -> subprocess.Popen:
    """Starts the process, in a session of its own: Ctrl-C is for the server alone."""
    path = os.pathsep.join([str(files.ROOT), os.environ.get("PYTHONPATH", "")])
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "explorer.beside"], stdin=pipe, stdout=pipe,
        stderr=subprocess.DEVNULL, text=True, encoding="utf-8", start_new_session=True,
        env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
    )  # fmt: skip


def settle(future: Future, found: dict[str, Any]) -> None:
    if "error" in found:
        future.set_exception(UserError(found["error"]))
    else:
        future.set_result(found)


@cache
def render(pictures: int) -> Any:
    """Renders the faces that `main.py --task latent_analysis` looks at."""
    from vae.data import VALIDATION_SEED
    from vae.faces.head import render_faces

    return render_faces(pictures, VALIDATION_SEED)


def measure(run: str, epoch: str | None, pictures: int) -> dict[str, Any]:
    """Measures the active latents of a run, by falling KL, and the direction in which faces turn.

    On rendered faces, whatever it has learned from: of these all factors are known. `reach` is
    three standard deviations of a latent, "turn" None where latents tell nothing of the yaw.
    """
    from solver import Solver
    from vae.analysis.latents import analyse, describe_rest
    from vae.analysis.rotation import learn_rotation

    solver = Solver.load(run, epoch)
    images = replace(render(pictures), bits=solver.config.data.bits)
    if solver.model.shape != images.shape:
        raise UserError(f"{run} takes pictures of {solver.model.shape}, a face has {images.shape}")
    rows = analyse(solver.model, images).rows()
    active = [row for row in rows if row["active"]]
    turn, spread, middle = None, [1.0] * len(rows), [0.0] * len(rows)
    with suppress(UserError):
        found = learn_rotation(solver.model, images)
        mean, root = found.whitening.mean, found.whitening.root
        spread, middle = root.norm(dim=1).tolist(), mean.abs().tolist()
        parts = {"mean": mean, "root": root, "direction": found.direction, "places": found.places}
        turn = {name: part.tolist() for name, part in parts.items()}
    latents = [
        {
            "latent": row["latent"],
            "nats": row["kl_nats"],
            "name": row["name"],
            "share": row.get(f"{row['name']}_share", 0),
            "reach": max(3, round(middle[row["latent"]] + 3 * spread[row["latent"]])),
        }
        for row in active
    ]
    return {"latents": latents, "rest": describe_rest(rows, len(active)), "turn": turn}


def main() -> None:
    """Answers line by line until the server closes the pipe, or has gone."""
    import torch  # noqa: F401

    flush_denormals()
    if hasattr(os, "nice"):
        os.nice(5)  # whoever drags a slider comes first
    out, sys.stdout = sys.stdout, sys.stderr  # what is printed on the way is for nobody
    for line in sys.stdin:
        try:
            found = measure(**json.loads(line))
        except UserError as mistake:
            found = {"error": str(mistake)}
        except Exception as problem:
            found = {"error": f"this went wrong here: {type(problem).__name__}: {problem}"}
        print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main()
