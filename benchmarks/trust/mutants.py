"""Break the code in small ways: do the tests notice?

    python benchmarks/trust/mutants.py                       all of mutants.toml
    python benchmarks/trust/mutants.py --only models/lstm    those of files whose path starts so
    python benchmarks/trust/mutants.py --quick               a few that take seconds

A mutant is what a careless edit would leave: another sign, constant, axis or order, a line that is
gone. mutants.toml lists them beside the tests that must fail. They are made in copies of the
repository in a temporary folder, one after another; pytest runs nothing but the tests that are
named. A mutant that passes them has survived, and so has one whose tests could not be run.

First the named tests run as they are: a test that fails anyway would kill every mutant.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Self, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from tqdm import tqdm

from benchmarks.options import add_number, make_parser
from utils.errors import UserError, command

REPOSITORY = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_suffix(".toml")
LEFT_OUT = ("checkpoints", "results", "data/raw", "data/images")  # of a copy
QUICK = ("vae/losses.py", "utils/helper_functions.py")  # whose tests take seconds
QUICK_COUNT = 3
R = TypeVar("R")
PASSED, FAILED = 0, 1  # exit statuses of pytest; others say that it could not run


class Mutant(NamedTuple):
    """A file, the text in it that is replaced, and the tests (pytest's names) that must fail."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}: {old or 'nothing'} -> {new or 'nothing'}"


def read_mutants(only: str = "") -> list[Mutant]:
    """Reads mutants.toml: those of files whose path starts with `only`.

    A test without a file is one of the file that stands beside the mutants.
    """
    found = []
    for part in tomllib.loads(LIST.read_text(encoding="utf-8"))["file"]:
        for old, new, tests in part["mutants"]:
            names = [name if "::" in name else f"{part['tests']}::{name}" for name in tests.split()]
            found.append(Mutant(part["path"], old, new, tuple(f"tests/{name}" for name in names)))
    return [mutant for mutant in found if mutant.file.startswith(only)]


def mutate(mutant: Mutant, root: Path) -> str:
    """Returns the file's text with the mutant in it. UserError where it does not apply any more."""
    text = (root / mutant.file).read_text(encoding="utf-8")
    if (count := text.count(mutant.old)) != 1:
        raise UserError(
            f"{LIST.name} does not fit the code: {mutant.old!r} stands {count} times in "
            f"{mutant.file}, not once: write the mutant anew"
        )
    return text.replace(mutant.old, mutant.new)


class Workshop:
    """Copies of the repository in a temporary folder, one for each worker, in which tests run."""

    def __init__(self, workers: int, seconds: float) -> None:
        self.workers, self.seconds = workers, seconds
        self.rooms: SimpleQueue[Path] = SimpleQueue()  # the copies that are free
        self.running: set[subprocess.Popen] = set()

    def __enter__(self) -> Self:
        self.folder = tempfile.TemporaryDirectory(prefix="mutants-")
        for index in range(self.workers):
            room = Path(self.folder.name, str(index), "repository")
            shutil.copytree(REPOSITORY, room, ignore=leave_out)
            self.rooms.put(room)
        return self

    def __exit__(self, *exception: object) -> None:
        self.folder.cleanup()

    def do_all(self, work: Sequence[Callable[[], R]], what: str) -> Iterator[R]:
        """Does the work by threads, each of which waits for a pytest; yields what is done, when.

        Interrupted, it ends the tests that run, and drops those that have not begun.
        """
        with ThreadPoolExecutor(self.workers) as threads:
            tasks = [threads.submit(each) for each in work]
            try:
                for done in tqdm(as_completed(tasks), desc=what, total=len(tasks), disable=None):
                    yield done.result()
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
                for process in list(self.running):
                    end(process)

    def run_tests(self, tests: Sequence[str], mutant: Mutant | None = None) -> int | None:
        """Runs tests in a free copy, with a mutant in it; returns pytest's status, None: too long.

        Compiled files are not kept: two versions of a file may be of one second and one size.
        """
        room = self.rooms.get()
        file = room / (mutant.file if mutant else tests[0].partition("::")[0])
        sound = file.read_bytes()
        try:
            if mutant:
                file.write_text(mutate(mutant, room), encoding="utf-8", newline="\n")
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests],
                cwd=room,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # so that what a test has started ends with it
            )
            self.running.add(process)
            try:
                return process.wait(self.seconds if mutant else None)
            except subprocess.TimeoutExpired:
                return None
            finally:
                end(process)
                self.running.discard(process)
        finally:
            file.write_bytes(sound)
            self.rooms.put(room)

    def check_tests(self, mutants: Sequence[Mutant]) -> None:
        """Runs every test that is named, as it is. UserError where one does not pass."""
        names = sorted({name for mutant in mutants for name in mutant.tests})
        files = itertools.groupby(names, lambda name: name.partition("::")[0])
        groups = [list(group) for _, group in files]
        work = [lambda tests=tests: (tests, self.run_tests(tests)) for tests in groups]
        found = self.do_all(work, "tests as they are")
        failed = [f"{' '.join(tests)} (pytest: {status})" for tests, status in found if status]
        if failed:
            raise UserError(f"tests that do not pass as they are: {'; '.join(failed)}")

    def try_mutants(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
        """Yields each mutant when its tests have run: "killed", or what else has happened."""
        words = {PASSED: "survived", FAILED: "killed", None: f"longer than {self.seconds} s"}
        work = [
            lambda mutant=mutant: (mutant, self.run_tests(mutant.tests, mutant))
            for mutant in mutants
        ]
        for mutant, status in self.do_all(work, "mutants"):
            yield mutant, words.get(status, f"pytest ended with {status}")


def leave_out(folder: str, names: list[str]) -> set[str]:
    """Names what is not copied of a folder: what runs have left, compiled and hidden files."""
    places = {name: Path(folder, name).relative_to(REPOSITORY).as_posix() for name in names}
    return {
        name
        for name, place in places.items()
        if place in LEFT_OUT or name.startswith(".") or name == "__pycache__"
    }


def end(process: subprocess.Popen) -> None:
    """Ends a process with all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def describe(results: Sequence[tuple[Mutant, str]]) -> str:
    """Counts in a table how many mutants of each file were killed, and of all together."""
    tried = Counter(mutant.file for mutant, _ in results)
    killed = Counter(mutant.file for mutant, what in results if what == "killed")
    lines = ["| file | mutants | killed |", "|---|---|---|"]
    lines += [f"| {file} | {count} | {killed[file]} |" for file, count in sorted(tried.items())]
    share = 100 * killed.total() / tried.total()
    lines.append(f"| all | {tried.total()} | {killed.total()} ({share:.1f} %) |")
    return "\n".join(lines)


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--only", default="", metavar="PATH", help="of files whose path starts so")
    add_number(parser, "--workers", 2, "mutants tried at a time")
    add_number(parser, "--seconds", 600, "that the tests of a mutant may take")
    args = parser.parse_args(argv)
    mutants = read_mutants(args.only)
    if args.quick:
        mutants = [mutant for mutant in mutants if mutant.file in QUICK][:QUICK_COUNT]
    if not mutants:
        raise UserError(f"{LIST.name} has no mutant of --only {args.only}")
    for mutant in mutants:
        mutate(mutant, REPOSITORY)  # all of them apply, or nothing begins
    results = []
    with Workshop(args.workers, args.seconds) as workshop:
        workshop.check_tests(mutants)
        for mutant, what in workshop.try_mutants(mutants):
            results.append((mutant, what))
            if what != "killed":
                tqdm.write(f"{what}: {mutant}")
    print(describe(results))
    if left := [mutant for mutant, what in results if what != "killed"]:
        raise UserError(f"{len(left)} not killed: {'; '.join(map(str, left))}")


if __name__ == "__main__":
    raise SystemExit(main())
