"""Run every command in a project that its user cannot write to: does it all work elsewhere?

    python benchmarks/trust/read_only.py            (as root) three ways to say where, and none
    python benchmarks/trust/read_only.py --quick    one command of each kind

A copy of the project, root's and closed to writing, stands for one that a teacher installed for a
course. Its commands run as the user nobody (setpriv of util-linux), who may read everything and
write to a home of its own: every test.py, every task of main.py, a training and a dry run of
everything that can be trained, with --output-dir, with the variable, and with neither, when output
goes to the home and one line says so. Then the home is closed, too, and output goes to a folder in
the temporary one, which the line says as well; then only data/ is. Nothing may be written into the
copy. The first command that does not end so ends this one as an error.

As many commands run at a time as there are processors, all on few pictures: what a command does
with its output is asked here, not what it computes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from benchmarks.trust.mutants import leave_out
from utils import files
from utils.errors import UserError, command

NOBODY = 65534
# It may read what only root may: Python itself may lie in root's home.
CAPABILITIES = "-all,+dac_read_search"
SETPRIV = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
SETPRIV += [f"--{kind}={CAPABILITIES}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
TEXT = "--protocol.prompts 1 --protocol.prompt_length 10 --protocol.length 10"
SMALL = "--training.epochs 1 --training.device cpu --ckpt_name new --overwrite"
FEW = "--held_out 40"  # pictures of faces: 5,000 take a task ten seconds
DIGITS = f"{SMALL} --data.dataset digits"
TRAININGS = {
    "models/lstm/train.py": f"{SMALL} {TEXT} --model.hidden_size 8",
    "models/tcn/train.py": f"{SMALL} {TEXT} --model.channels 8 --model.levels 2",
    "models/transformer/train.py": f"{SMALL} {TEXT} --model.width 16 --model.layers 1",
    "models/palindrome/train.py": f"{SMALL} --data.batches 5",
    "models/gan/train.py": DIGITS,
    "models/aae/train.py": f"{DIGITS} --model.hidden_size 16",
    "main.py": f"{DIGITS} --data.images 64 --data.held_out 8 --model.z_dim 2",
}
QUICK_TESTS = ["main.py --task random_generation"]
QUICK_DRY = ["models/gan/train.py --dry-run --data.dataset digits"]
TASKS = ("latent_analysis", "rotate", "reconstruction", "encode")


def list_tests() -> list[str]:
    """Lists a command of every test.py and every task, on what ships with the project."""
    text = [f"models/{name}/test.py --num_samples 1 --length 10" for name in ("lstm", "tcn")]
    text += ["models/transformer/test.py --num_samples 1 --length 10"]
    others = [f"models/{name}/test.py --num_samples 1" for name in ("palindrome", "gan", "aae")]
    tasks = [f"main.py --task {task} {FEW}" for task in TASKS]
    samples = "main.py --task random_generation"
    return [*text, *others, samples, *tasks, "main.py --task manifold --ckpt_name mnist_2d"]


def name_run(script: str, run: str) -> str:
    """Returns the command of a short training, as a run of that name."""
    return f"{script} {TRAININGS[script]}".replace("--ckpt_name new", f"--ckpt_name {run}")


def list_trainings(*, dry: bool) -> list[str]:
    """Lists a short training, or a dry run, of everything that can be trained."""
    if not dry:
        return [name_run(script, f"run{number}") for number, script in enumerate(TRAININGS)]
    digits = {True: " --data.dataset digits", False: ""}
    return [f"{script} --dry-run{digits['digits' in o]}" for script, o in TRAININGS.items()]


class User:
    """Runs commands of a copy of the project as somebody else."""

    def __init__(self, room: Path) -> None:
        self.project, self.home, self.other = (room / name for name in ("course", "home", "other"))
        shutil.copytree(files.ROOT, self.project, ignore=leave_out)
        for folder in (self.home, self.other):
            folder.mkdir()
            os.chown(folder, NOBODY, NOBODY)
        room.chmod(0o755)
        self.variables = {
            name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ
        }
        self.variables |= {"HOME": str(self.home), "OMP_NUM_THREADS": "1"}

    def run(self, words: str, **variables: str) -> tuple[int, list[str]]:
        """Runs a command; returns its exit status and the lines on stderr.

        Where it waits for one beside it, it says so, as it should.
        """
        script, *options = words.split()
        done = subprocess.run(
            [*SETPRIV, sys.executable, str(self.project / script), *options],
            cwd="/", env=self.variables | variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = done.stderr.splitlines()
        return done.returncode, [line for line in lines if "waiting for another" not in line]

    def list_files(self) -> set[Path]:
        return set(self.project.rglob("*"))


def ensure(user: User, words: str, start: str, **variables: str) -> None:
    """Raises a UserError where a command fails, or says more than a line that so starts.

    Without a start it says nothing at all, and a dry run need not say where output would go.
    """
    found, lines = user.run(words, **variables)
    least, most = bool(start) and "--dry-run" not in words, bool(start)
    said = least <= len(lines) <= most and all(re.match(start, line) for line in lines)
    if found != 0 or not said:
        raise UserError(f"{words} ended with {found}, not 0: {' / '.join(lines) or 'mute'}")


def ensure_all(user: User, commands: list[str], start: str = "", **variables: str) -> int:
    """Does that for several commands, side by side; returns how many they are."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        for _ in workers.map(lambda words: ensure(user, words, start, **variables), commands):
            pass
    return len(commands)


def try_all(user: User, *, quick: bool) -> Iterator[tuple[str, int]]:
    """Runs the commands in every way; yields a line for each way, and how many commands it were."""
    working, dry = QUICK_TESTS, QUICK_DRY
    if not quick:
        working, dry = [*list_tests(), *list_trainings(dry=False)], list_trainings(dry=True)
        asked = [f"{words} --output-dir {user.other}" for words in (*working, *dry)]
        yield "with `--output-dir`", ensure_all(user, asked)
        asked = {files.VARIABLE: str(user.other / "by variable")}
        yield f"with `${files.VARIABLE}`", ensure_all(user, working, **asked)
    note = f"note: {user.project} cannot be written to: output goes to"
    home = f"{note} {user.home}/course [(]"
    yield "with neither: to the home, and a line says so", ensure_all(user, working, home)
    temporary = f"{note} {user.other}/course-{NOBODY}, which may vanish, [(]"
    closed = {"HOME": "/proc/none", "TMPDIR": str(user.other)}
    done = ensure_all(user, [*working[::2], *dry], temporary, **closed)
    yield "the home closed, too: to a temporary folder, and a line says so", done
    for folder in (user.home / "course", user.other / f"course-{NOBODY}"):
        if not any((folder / "results").iterdir()):
            raise UserError(f"nothing was written to {folder}")
    for part in ("checkpoints", "results"):
        (user.project / part).mkdir()
        os.chown(user.project / part, NOBODY, NOBODY)
    data = f"note: data/ of {user.project} cannot be written to"
    yield "`data/` closed alone", ensure_all(user, working[::3], data)


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__).parse_args(argv)
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None:
        raise UserError("this needs root and setpriv (Linux), to run commands as another user")
    with tempfile.TemporaryDirectory(prefix="read-only-") as room:
        user = User(Path(room).resolve())
        before = user.list_files()
        print("| where output goes | commands | as promised |\n|---|---|---|")
        for way, commands in try_all(user, quick=args.quick):
            print(f"| {way} | {commands} | {commands} |", flush=True)
            if (new := user.list_files() - before) and not way.startswith("`data/"):
                raise UserError(f"written into the project: {', '.join(map(str, new))}")


if __name__ == "__main__":
    raise SystemExit(main())
