"""Take the two-core record anew: how soon tinyshakespeare is predicted to 1.4697 nats.

    python benchmarks/records/run.py transformer                       the record, three seeds
    python benchmarks/records/run.py lstm --config mine.json           mine beside today's, in turns
    python benchmarks/records/run.py tcn --quick                       does it work?

benchmarks/records/README.md has the rules. Today's is models/<track>/tinyshakespeare.json. With
--config each seed is run by both, one after the other, so that an hour in which the machine is busy
counts for both. Each training adds a line to benchmarks/records/two_cores.csv and leaves its log in
benchmarks/records/logs/; `python -m docs.records` makes the table of docs/text.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import importlib

import torch

from benchmarks.options import add_number, make_parser
from benchmarks.raw_data import find_raw_data
from benchmarks.record import RECORDS, add_record, name_circumstances
from benchmarks.tasks import QUICK, take_start
from utils import files
from utils.config import override, read_config
from utils.errors import UserError, command
from utils.files import show
from utils.text.data import Text, load_text
from utils.text.streaming import score_blocks
from utils.text.training import NextCharacter, TextConfig
from utils.training.loop import fit
from utils.training.run import Run
from utils.training.task import Batch, Row

TRACKS = ("lstm", "tcn", "transformer")
TARGET = 1.4697  # nats on cold blocks of 256: nanoGPT's README, three minutes on an A100
QUICK_TARGET = 4.0
LOOKS, FIRST_LOOK = 40, 0.6  # one after each fortieth of the steps, from this share of them on
CORES = 2


class ReachedError(Exception):
    """Ends a training that has come to its target."""


class Race(NextCharacter):
    """A training that looks at the validation text now and then, and ends when it is good enough.

    `log` is called with each look: step, nats. Between the looks it is the training of train.py;
    what that validates and writes after an epoch is left out.
    """

    def __init__(
        self, text: Text, config: TextConfig, target: float, log: Callable[[int, float], None]
    ) -> None:
        model = importlib.import_module(f"models.{config.kind}.modules").Model
        super().__init__(model(len(text.alphabet), config.model), text, config)
        self.milestones, self.target, self.log = (), target, log
        steps = config.training.epochs * self.loader.steps
        shares = (look / LOOKS for look in range(1, LOOKS + 1))
        self.looks = {round(steps * share) for share in shares if share >= FIRST_LOOK}

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        losses = super().step(batch, number)
        if number in self.looks:
            nats = score_blocks(self.model, self.text.validation)
            self.log(number, nats)
            if nats <= self.target:
                raise ReachedError
        return losses

    def validate(self) -> Row:
        return {"val_nats": None, "learning_rate": self.learning_rate}


def race(config: TextConfig, began: float, log_file: Path, *, quick: bool) -> None:
    """Trains once, in this process, and writes the log: seconds since `began`, step, nats."""
    torch.set_num_threads(min(CORES, os.cpu_count() or 1, torch.get_num_threads()))
    text = load_text(config.data)
    text = take_start(text) if quick else text
    lines = ["seconds,processor_seconds,step,nats"]

    def log(step: int, nats: float) -> None:
        lines.append(f"{time.time() - began:.1f},{time.process_time():.1f},{step},{nats:.4f}")
        print(lines[-1], flush=True)
        files.write_whole(log_file, ("\n".join(lines) + "\n").encode())

    torch.manual_seed(config.training.seed)
    task = Race(text, config, QUICK_TARGET if quick else TARGET, log)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, Path(folder, "checkpoints"), Path(folder, "results"))
        try:
            fit(task, run, quiet=True)
        except ReachedError:
            print("reached")


def start_race(track: str, config: Path, seed: int, log: Path) -> None:
    """Lets a new process race, so that its clock begins with it. UserError where it fails."""
    words = [str(Path(__file__).resolve()), track, "--config", str(config), "--racing", str(log)]
    words += ["--seed", str(seed), "--began", str(time.time())]
    if ended := subprocess.run([sys.executable, *words], cwd=files.ROOT).returncode:
        raise UserError(f"the training of seed {seed} ended with status {ended}: see above")


def read_log(log: Path, target: float = TARGET) -> dict[str, object]:
    """Reads the end of a log: whether the target was reached, when, and the best nats."""
    names, *rows = (line.split(",") for line in log.read_text(encoding="utf-8").splitlines())
    looks = [dict(zip(names, map(float, row), strict=True)) for row in rows]
    last, best = looks[-1], min(look["nats"] for look in looks)
    return {
        "reached": "yes" if last["nats"] <= target else "no",
        "seconds": last["seconds"],
        "processor_seconds": last["processor_seconds"],
        "step": int(last["step"]),
        "nats": f"{best:.4f}",
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("track", choices=TRACKS)
    meaning = "settings that race beside today's (default: today's alone)"
    parser.add_argument("--config", type=Path, metavar="FILE", help=meaning)
    add_number(parser, "--seeds", 3, "seeds, from 0 on")
    for hidden, kind in (("racing", Path), ("seed", int), ("began", float)):
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    today = files.ROOT / "models" / args.track / "tinyshakespeare.json"
    kind = importlib.import_module(f"models.{args.track}.train").Config
    configs = list(dict.fromkeys([today, *([args.config.resolve()] if args.config else [])]))
    for config in configs:
        read_config(config, kind)  # a mistake in it is told now
    changes = {("training", "seed"): args.seed or 0, ("training", "device"): "cpu"}
    if args.racing:
        config = override(read_config(args.config, kind), changes)
        return race(config, args.began, args.racing, quick=False)
    find_raw_data("tinyshakespeare.txt")
    folder = files.output("results") / "two_cores_quick" if args.quick else RECORDS
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    session = time.strftime("%Y-%m-%d %H:%M")
    for seed in range(1 if args.quick else args.seeds):
        for config in configs:
            log = folder / "logs" / f"{args.track}_{config.stem}_{seed}.csv"
            if args.quick:
                few = changes | QUICK | {("data", "name"): "text"}
                race(override(read_config(config, kind), few), time.time(), log, quick=True)
            else:
                start_race(args.track, config, seed, log)
            row = {"track": args.track, "config": config.stem, "seed": seed, "session": session}
            row |= read_log(log, QUICK_TARGET if args.quick else TARGET) | name_circumstances()
            add_record(folder / "two_cores.csv", row, "track")
    print(f"wrote {show(folder / 'two_cores.csv')}, {show(folder / 'logs')}/")


if __name__ == "__main__":
    raise SystemExit(main())
