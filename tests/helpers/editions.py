"""A student edition in which some functions are filled from the solution: what is said of each?"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from course import blanks
from course.exercises import Blank
from tests.helpers.repository import REPOSITORY

# Runs in an edition: takes texts of its files from stdin, one lot after another, and says which
# verdict every function has.
ASK = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from course.attempt import attempt
from course.exercises import read_course
from course.judging import RIGHT, judge
from course.probes.probe import find_probes
from course.references import load_references
torch.set_num_threads(1)
root = Path.cwd()
sheet = json.loads((root / "edition.json").read_text())["sheet"]
known, probes = load_references(root / "course/references.npz"), find_probes()
for lot in json.load(sys.stdin):
    before = {file: (root / file).read_text() for file in lot}
    for file, text in lot.items():
        (root / file).write_text(text)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("models", "vae", "utils")]:
        del sys.modules[name]
    sys.modules.pop("data_preparation", None)
    kinds = {}
    for exercise in read_course().sheet(sheet).exercises:
        for blank in exercise.blanks:
            probe, one = probes[blank.function], known[blank.function]
            found = attempt(probe, one.inputs, root)
            verdict = found if hasattr(found, "kind") else judge(probe, found, one)
            kinds[blank.function] = verdict.kind
    for file, text in before.items():
        (root / file).write_text(text)
    print(json.dumps(kinds))
"""


def fill(folder: Path, functions: Iterable[Blank]) -> dict[str, str]:
    """Takes the bodies of functions from the solution into the edition's texts, by file."""
    texts = {}
    for blank in functions:
        text = texts.get(blank.file) or (folder / blank.file).read_text(encoding="utf-8")
        source = (REPOSITORY / blank.file).read_text(encoding="utf-8")
        lines, (first, end) = text.splitlines(), blanks.find_body(text, blank.name)
        lines[first:end] = blanks.read_body(source, blank.name)
        texts[blank.file] = "\n".join(lines) + "\n"
    return texts


def ask(folder: Path, lots: list[dict[str, str]]) -> list[dict[str, str]]:
    """Judges an edition with each lot of texts in it: the verdict of every function."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", ASK],
        cwd=folder, input=json.dumps(lots), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
