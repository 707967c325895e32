"""Attack the grader of the course: can points be forged, the class be stopped, anything be left?

    python benchmarks/trust/attacks.py              all of attacks.toml and odd_*.py
    python benchmarks/trust/attacks.py --quick      without those that last until a limit
    python benchmarks/trust/attacks.py --only zip   those whose names have this in them

Each attack is a submission. A class of them, with honest students before, among and after them, is
graded by course/grade.py as a teacher would. It has failed where a student earns other points than
are due (none, for an attack), where the command ends otherwise than well, and where it leaves
processes, files, mounts, or traces in places that students' code must not reach.
"""

import contextlib
import csv
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from benchmarks.trust.odd_runs import SUBMISSIONS
from benchmarks.trust.odd_submissions import FILE, ODD, POINTS, Odd
from course import blanks, isolation
from utils.errors import UserError, command

REPOSITORY = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_suffix(".toml")
EXERCISE = "1b-lstm"  # the only one that is handed in
BOUND = 12 * 2**30  # bytes of memory for all of it, should the grader set no limit
TORCH_S_OWN = ("torchinductor_root",)  # torch's own, wherever it is imported
SLOW_ODD = ("many files", "many entries", "bomb", "many bombs")


class Attack(NamedTuple):
    """A student's code: the body of a function, what stands above it, files beside it."""

    name: str
    say: str
    inside: str = "return h, c\n"
    above: str = ""
    also: tuple[str, ...] = ()
    also_text: str = ""
    slow: bool = False
    needs_namespaces: bool = False


class Row(NamedTuple):
    """What became of a submission."""

    name: str
    due: int
    points: int
    verdict: str
    notes: str


class Outcome(NamedTuple):
    """What became of the class, and what was found afterwards."""

    rows: list[Row]
    failures: list[str]
    seconds: float


def read_attacks() -> list[Attack]:
    content = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return [Attack(**table) for table in content["attack"]]


def hand_in(folder: Path, attack: Attack, text: str, places: dict[str, str]) -> None:
    """Writes an attack as a student's folder."""

    def fill_in(code: str) -> str:
        for word, place in places.items():
            code = code.replace(word, place)
        return code

    lines = text.splitlines(keepends=True)
    first, end = blanks.find_body(text, "step")
    body = fill_in(attack.inside).strip("\n").splitlines()
    lines[first:end] = [f"    {line}\n" for line in body]
    head = next(n for n, line in enumerate(lines) if line.startswith("State = "))  # below imports
    lines[head:head] = [fill_in(attack.above)]
    target = folder / attack.name / FILE
    target.parent.mkdir(parents=True)
    target.write_text("".join(lines), encoding="utf-8")
    for name in attack.also:
        other = folder / attack.name / name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text(fill_in(attack.also_text), encoding="utf-8")


def assemble(
    folder: Path, attacks: list[Attack], odd: list[Odd], places: dict[str, str]
) -> dict[str, int]:
    """Makes the class's folder; returns the points that are due to each student."""
    text = (REPOSITORY / FILE).read_text(encoding="utf-8")
    due = {}
    for name in ("0 honest", "honest", "zz honest"):
        due[name] = POINTS
        (folder / name / FILE).parent.mkdir(parents=True)
        (folder / name / FILE).write_text(text, encoding="utf-8")
    for attack in attacks:
        due[attack.name] = 0
        hand_in(folder, attack, text.replace("h = dropout(h)", "h = dropout(h) * 2"), places)
    for one in odd:
        due[one.name] = one.points
        one.make(folder, text)
    return due


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, list]]:
    """Listens on this machine; yields the port, and a list that tells who came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        callers: list = []
        yield server.getsockname()[1], callers
        with contextlib.suppress(TimeoutError):
            callers.append(server.accept()[1])


def grade(work: Path, attacks: list[Attack], odd: list[Odd], workers: int) -> Outcome:
    """Grades a class of attacks in a folder, and looks at what they left."""
    folders = {n: work / n.lower() for n in ("SUBMISSIONS", "GRADES", "EVIDENCE", "TEMPORARY")}
    for folder in folders.values():
        folder.mkdir()
    folders["EVIDENCE"].chmod(0o777)
    with listening() as (port, callers):
        places = {name: str(folder) for name, folder in folders.items()}
        places |= {"ROOT": str(REPOSITORY), "PORT": str(port)}
        due = assemble(folders["SUBMISSIONS"], attacks, odd, places)
        mounts = Path("/proc/self/mountinfo").read_text() if sys.platform == "linux" else ""
        files = take_stock(REPOSITORY / "models", REPOSITORY / "course")
        start = time.monotonic()
        done = run_grader(folders, workers)
        seconds = time.monotonic() - start
    failures = []
    if done.returncode != 0:
        failures.append(f"the command ended with {done.returncode}: {done.stderr[-500:]}")
    rows = read_rows(folders["GRADES"] / "grades.csv", due)
    for row in rows:
        if row.points != row.due:
            failures.append(
                f"{row.name!r} has {row.points} points, {row.due} are due: {row.verdict}"
            )
    failures += [f"{name!r} is not in the table" for name in due.keys() - {r.name for r in rows}]
    left = find_processes(folders["TEMPORARY"])
    failures += [f"process {pid} is left: {what}" for pid, what in left]
    for name in ("TEMPORARY", "EVIDENCE"):
        left = [file.name for file in folders[name].iterdir()]
        failures += [f"left in {name}: {file}" for file in left if file not in TORCH_S_OWN]
    if sys.platform == "linux" and Path("/proc/self/mountinfo").read_text() != mounts:
        failures.append("mounts are left")
    if take_stock(REPOSITORY / "models", REPOSITORY / "course") != files:
        failures.append("files of the project were changed")
    if callers:
        failures.append("the network was reached")
    return Outcome(rows, failures, seconds)


def run_grader(folders: dict[str, Path], workers: int) -> subprocess.CompletedProcess:
    """Runs course/grade.py as a teacher would, within a bound of memory."""
    argv = [sys.executable, "course/grade.py", str(folders["SUBMISSIONS"]), "--to"]
    return subprocess.run(
        [*argv, str(folders["GRADES"]), "--workers", str(workers)],
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(folders["TEMPORARY"]), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (BOUND, BOUND)),
        capture_output=True,
        text=True,
        check=False,
    )


def read_rows(table: Path, due: dict[str, int]) -> list[Row]:
    """Reads grades.csv; names as they were, without what protects spreadsheets from them."""
    if not table.exists():
        return []
    rows = []
    with table.open(newline="", encoding="utf-8-sig") as stream:
        for row in csv.DictReader(stream):
            name, verdict = row["student"], row[f"{EXERCISE} verdict"]
            name = name if name in due else name.removeprefix("'")
            rows.append(Row(name, due.get(name, 0), int(row["points"]), verdict, row["notes"]))
    return rows


def take_stock(*folders: Path) -> dict[str, tuple[int, int]]:
    """Lists files with their sizes and times, but for what Python leaves."""
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix != ".pyc"]
    stats = {str(file): file.stat() for file in files if file.is_file()}
    return {name: (stats[name].st_size, stats[name].st_mtime_ns) for name in stats}


def find_processes(temporary: Path) -> list[tuple[int, str]]:
    """Finds processes that the grader started and did not end, by their environment (Linux)."""
    found, mark = [], f"TMPDIR={temporary}\0".encode()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (place / "environ").read_bytes():
                found.append((int(place.name), (place / "cmdline").read_text().replace("\0", " ")))
    return found


def choose(only: str, *, quick: bool) -> tuple[list[Attack], list[Odd]]:
    """Takes the attacks whose names have a text in them. UserError where there are none."""
    attacks = [a for a in read_attacks() if only in a.name and not (quick and a.slow)]
    if not isolation.can_separate():
        attacks = [attack for attack in attacks if not attack.needs_namespaces]
    odd = [o for o in [*ODD, *SUBMISSIONS] if only in o.name and not (quick and o.name in SLOW_ODD)]
    if not attacks and not odd:
        raise UserError(f"no attack has {only!r} in its name")
    return attacks, odd


def remove(folder: Path) -> None:
    """Removes a folder, and what in it may not be entered."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(place, name)
            if not inner.is_symlink():
                inner.chmod(inner.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--only", default="", help="attacks with this text in their names")
    parser.add_argument("--workers", type=int, default=2, help="submissions graded at once")
    args = parser.parse_args(argv)
    attacks, odd = choose(args.only, quick=args.quick)
    work = Path(tempfile.mkdtemp(prefix="attacks-"))
    work.chmod(0o755)
    try:
        outcome = grade(work, attacks, odd, args.workers)
    finally:
        remove(work)
    for row in sorted(outcome.rows):
        print(f"{row.name[:40]!r:44} {row.points:3} of {row.due:3} due  {row.verdict[:90]}")
    print(*outcome.failures, sep="\n")
    print(
        f"{len(attacks)} attacks and {len(odd)} odd submissions in {outcome.seconds:.0f} s: "
        f"{len(outcome.failures)} failures"
    )
    if outcome.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())
