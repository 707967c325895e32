"""Give every command damaged input of every kind: does each case work, or end in one line?

    python benchmarks/trust/fuzz.py            2,500 of each kind, 500 bad checkpoints of each model
    python benchmarks/trust/fuzz.py --quick    40 of each kind, 8 of each model

The cases are those of tests/test_fuzz*.py, which say what they are. A fault is an end other than
exit status 0 with nothing on stderr or 2 with one line: a traceback, a second line, a warning, a
line of more than 300 characters, a character that a terminal obeys, more than 10 seconds of
computing or a minute of waiting. The first one of a kind ends this command as an error.

`--only checkpoints` takes the kinds whose name has this in it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from benchmarks.options import make_parser
from utils import files
from utils.errors import UserError, command

KINDS = {
    "configurations and options": "test_fuzz.py::test_config_files",
    "texts": "test_fuzz.py::test_texts",
    "pictures and arrays": "test_fuzz.py::test_image_folders",
    "texts that others prepared": "test_fuzz_data.py::test_prepared_texts",
    "tables of attributes": "test_fuzz_data.py::test_attribute_tables",
    "what is no file": "test_fuzz_data.py::test_no_files",
    "checkpoints, cut or damaged": "test_fuzz_checkpoints.py::test_checkpoints",
    "runs of other runs' files": "test_fuzz_checkpoints.py::test_swapped_runs",
}
BAD = "test_fuzz_checkpoints.py::test_bad_checkpoints"
MODELS = ("lstm", "tcn", "transformer", "palindrome", "gan", "aae", "vae", "ladder", "classifier")
KINDS |= {f"bad checkpoints: {name}": f"{BAD}[{name}]" for name in MODELS}


def fuzz(kind: str, *, quick: bool) -> tuple[str, str]:
    """Tries all cases of a kind in one process; returns a line of the table, and what went wrong.

    torch is imported once, and the process ends with the last case.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        counts = Path(folder, "counts.json")
        profile = "short" if quick else "whole"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"tests/{KINDS[kind]}", "-q", "--no-header",
             f"--hypothesis-profile={profile}", f"--basetemp={folder}/pytest"],
            cwd=files.ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"FUZZ_COUNTS": str(counts), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        ends = json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else {}
    minutes = (time.perf_counter() - began) / 60
    numbers = [ends.get(f"exit status {status}", 0) for status in (0, 2)]
    faults = "0" if done.returncode == 0 else "at least 1"
    line = f"| {kind} | {sum(numbers):,} | {numbers[0]:,} | {numbers[1]:,} | {faults} |"
    return f"{line} {minutes:.1f} |", "" if done.returncode == 0 else done.stdout[-3000:]


@command
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="kinds with this in their name")
    args = parser.parse_args(argv)
    chosen = [kind for kind in KINDS if args.only in kind]
    if not chosen:
        raise UserError(f"--only {args.only}: no such kind, there are {', '.join(KINDS)}")
    with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        ends = list(workers.map(lambda kind: fuzz(kind, quick=args.quick), chosen))
    print("| kind | cases | worked | refused in one line | faults | minutes |")
    print("|---" * 6 + "|")
    for line, _ in ends:
        print(line)
    if wrong := [kind for kind, (_, problem) in zip(chosen, ends, strict=True) if problem]:
        print("\n".join(problem for _, problem in ends if problem))
        raise UserError(f"not every case ended well: {', '.join(wrong)}")


if __name__ == "__main__":
    raise SystemExit(main())
