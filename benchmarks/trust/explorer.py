"""Attack the explorer's server in every way a page or a program on this machine can.

    python benchmarks/trust/explorer.py            more than a thousand attacks: some minutes
    python benchmarks/trust/explorer.py --quick    some of each kind

What the attacks are, and what must come of them, is in benchmarks/trust/intruders.py; the first
that gets through ends this command as an error. They are made twice, for what a model or a cache
takes for good is taken in the first round: the server's memory is that before and after the second.
It needs the extra explore.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from benchmarks.trust.intruders import CLOSED, Hole, attack
from utils import files
from utils.errors import UserError, command
from utils.words import count

FLAT = 50  # MB that the server may have grown by
KEPT = 4096  # lines of the server's own that are shown where something got through


@contextmanager
def serve(folder: Path) -> Iterator[tuple[int, int]]:
    """Serves the explorer with runs in a folder of its own; gives its port and its process."""
    script = files.ROOT / "explorer" / "serve.py"
    with open(folder / "said.txt", "w", encoding="utf-8") as said:
        server = subprocess.Popen(
            [sys.executable, str(script), "--no-browser"],
            stdout=subprocess.PIPE, stderr=said, text=True,
            env=os.environ | {files.VARIABLE: str(folder), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line.startswith("http://"):
                raise UserError("the explorer did not start: install the extra explore")
            yield int(line.split("/")[2].partition(":")[2]), server.pid
        finally:
            server.terminate()
            server.communicate()


def measure_memory(process: int) -> float:
    """Measures the resident memory of a process, in MB; NaN where the system does not tell."""
    status = Path(f"/proc/{process}/status")
    if not status.is_file():
        return float("nan")
    lines = status.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def describe(statuses: Counter) -> str:
    names = {CLOSED: "closed"}
    parts = sorted(statuses.items(), key=lambda item: -item[1])
    return ", ".join(f"{names.get(status, status)}: {number:,}" for status, number in parts)


def list_addresses() -> list[str]:
    """Lists what can be asked: every answer of every view."""
    from explorer.app import VIEWS

    return ["/api/runs"] + [f"/api/{view.NAME}/{name}" for view in VIEWS for name in view.ROUTES]


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__).parse_args(argv)
    paths = list_addresses()
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as (port, process):
        folder, number, before = Path(name), 0, 0.0
        for turn in range(1 if args.quick else 2):
            before, number = measure_memory(process), 0
            if turn == 0:
                print("| attack | answers |\n|---|---|", flush=True)
            try:
                for kind, statuses in attack(port, folder, paths, few=args.quick):
                    number += sum(statuses.values())
                    if turn == 0:
                        print(f"| {kind} | {describe(statuses)} |", flush=True)
            except Hole as hole:
                said = (folder / "said.txt").read_text(encoding="utf-8")[-KEPT:]
                raise UserError(f"{hole}{said and f'; the server said {said!r}'}") from None
        after = measure_memory(process)
        said = (folder / "said.txt").read_text(encoding="utf-8")
    print(f"\n{count(number, 'attack')}: {before:.0f} MB before, {after:.0f} MB after")
    if said:
        raise UserError(f"the server said: {said[:KEPT]!r}")
    if after - before > FLAT and not args.quick:
        raise UserError(f"its memory grew by {after - before:.0f} MB: {FLAT} are allowed")


if __name__ == "__main__":
    raise SystemExit(main())
