"""Start several commands at the same moment in one project: does each do its work?

    python benchmarks/trust/together.py            every case, three times
    python benchmarks/trust/together.py --quick    one case, once

Each case begins with a fresh copy of the project, in which nothing has been prepared, and ends with
a look at what is there. The first thing that is not as it should be ends this command as an error.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import numpy as np
from PIL import Image

from benchmarks.options import make_parser
from benchmarks.trust.mutants import leave_out
from benchmarks.trust.read_only import TRAININGS, name_run
from utils import files
from utils.errors import UserError, command
from utils.text.data import read

ROUNDS, PICTURES, LINES = 3, 300, 300
TEXTS = ("lstm", "tcn", "transformer")
# main.py, for which even a few pictures are too many for the memory.
DECODING = """import sys; import utils.images.files as files; import main
files.load_images.__defaults__ = (64, 3, 0); raise SystemExit(main.main(sys.argv[1:]))"""
LSTM = f"models/lstm/train.py {TRAININGS['models/lstm/train.py']}"
LONG = LSTM.replace("epochs 1", "epochs 500")


class Project:
    """A copy of the project, and the processes that run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(files.ROOT, root, ignore=leave_out)
        for folder in (root / "data").glob("*/"):
            shutil.rmtree(folder)

    def start(self, words: str, code: str | None = None) -> subprocess.Popen:
        """Starts a command, or code with these options, and does not wait for it."""
        script, *options = words.split()
        first = [self.root / script] if code is None else ["-c", code, script]
        return subprocess.Popen(
            [sys.executable, *first, *options],
            cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        )  # fmt: skip

    def end(self, processes: list[subprocess.Popen], *, alone: bool = True) -> None:
        """Waits for processes. UserError where one has not worked, or they left something.

        Those that are not alone say nothing of what lies there.
        """
        for process in processes:
            said = process.communicate()[1].strip()
            lines = [line for line in said.splitlines() if "waiting for another" not in line]
            if process.returncode != 0 or lines:
                words = " ".join(map(str, process.args[1:]))[-80:]
                raise UserError(f"... {words} ended with {process.returncode}: {' / '.join(lines)}")
        if alone:
            self.check_left()

    def check_left(self) -> None:
        parts = [self.root / part for part in files.PARTS]
        left = [path for part in parts for path in (*part.rglob(".*"), *part.rglob("*.partial"))]
        if left:
            raise UserError(f"left over: {', '.join(map(str, left))}")

    def write_texts(self) -> list[str]:
        """Writes three texts with alphabets of their own; returns them."""
        texts = ["\n".join(20 * letter for _ in range(LINES)) for letter in "abc"]
        for letter, text in zip("abc", texts, strict=True):
            (self.root / f"{letter}.txt").write_text(text, encoding="utf-8")
        return texts

    def wait_for(self, name: str, process: subprocess.Popen) -> Path:
        """Waits until a training has made a file. UserError where it ends without."""
        while not (self.root / name).is_file():
            if process.poll() is not None:
                raise UserError(f"a training ended before it had {name}: {process.stderr.read()}")
            time.sleep(0.02)
        return self.root / name


def train_on_one_text(project: Project) -> int:
    """Three models on the text that each would prepare."""
    scripts = {f"models/{name}/train.py": name for name in TEXTS}
    words = [name_run(script, run) for script, run in scripts.items()]
    project.end([project.start(each) for each in words])
    alphabet, codes = read(project.root / "data" / "text")
    text = (project.root / "data" / "text.txt").read_text(encoding="utf-8")
    kept = "".join(line for line in text.lower().splitlines(keepends=True) if line.strip())
    if "".join(np.array(alphabet)[codes]) != kept:
        raise UserError("the text that was prepared is not the text")
    return len(words)


def decode_one_folder(project: Project) -> int:
    """Three autoencoders on one folder of pictures that goes onto the disk."""
    (project.root / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(PICTURES):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(project.root / "photos" / f"{index:03}.png")
    options = "--data photos --epochs 1 --z_dim 2 --device cpu"
    words = [f"{options} --ckpt_name run{number}" for number in range(3)]
    project.end([project.start(each, DECODING) for each in words])
    (pixels,) = (np.load(file) for file in (project.root / "data" / "images").iterdir())
    if pixels.shape != (PICTURES, 3, 64, 64):
        raise UserError(f"what was decoded is {pixels.shape}")
    return len(words)


def train_on_digits(project: Project) -> int:
    """GAN, AAE and VAE on the small digits."""
    scripts = {"models/gan/train.py": "gan", "models/aae/train.py": "aae", "main.py": "vae"}
    words = [name_run(script, run) for script, run in scripts.items()]
    project.end([project.start(each) for each in words])
    return len(words)


def prepare_one_name(project: Project) -> int:
    """Three texts under one name: one of them is there, whole."""
    texts = project.write_texts()
    forms = {"a": "one_hot", "b": "codes", "c": "one_hot"}
    prepare = "data_preparation.py --text {}.txt --name tale --format {}"
    words = [prepare.format(*each) for each in forms.items()]
    project.end([project.start(each) for each in words])
    alphabet, codes = read(project.root / "data" / "tale")
    if "".join(np.array(alphabet)[codes]) not in texts:
        raise UserError("the text that was prepared is none of the three")
    return len(words)


def train_one_run(project: Project) -> int:
    """One run twice: the second is refused by name; the lock of a killed one is taken over."""
    first = project.start(LONG)
    owner = project.wait_for("checkpoints/.new.owner", first)
    project.wait_for("checkpoints/new/last.pt", first)
    second = project.start(LONG)
    said = second.communicate()[1]
    if second.returncode != 2 or owner.read_text(encoding="utf-8") not in said:
        raise UserError(f"a second training of a run ended with {second.returncode}: {said}")
    if f"process {first.pid} on " not in said or " since " not in said:
        raise UserError(f"a second training does not say who trains the run: {said}")
    first.kill()
    first.communicate()
    third = project.start("models/lstm/train.py --ckpt_name new --resume")
    while not owner.is_file() or f"process {third.pid} " not in owner.read_text(encoding="utf-8"):
        if third.poll() is not None:
            raise UserError(f"a dead one's lock was not taken over: {third.stderr.read()}")
        time.sleep(0.02)
    time.sleep(1)
    third.send_signal(signal.SIGTERM)
    said = third.communicate()[1]
    if third.returncode not in (143, -signal.SIGTERM):
        raise UserError(f"SIGTERM ended the third with {third.returncode}: {said}")
    project.check_left()
    return 3


def train_while_the_text_is_prepared(project: Project) -> int:
    """Trainings on a text that is prepared anew at the same time: each has one whole text."""
    texts = project.write_texts()
    prepare = "data_preparation.py --text {}.txt --name tale"
    project.end([project.start(prepare.format("a"))])
    script = "models/lstm/train.py"
    words = [f"{name_run(script, f'run{number}')} --data.name tale" for number in range(2)]
    running = [project.start(each) for each in words]
    for number in range(6):
        project.end([project.start(prepare.format("abc"[number % 3]))], alone=False)
    project.end(running)
    alphabet, codes = read(project.root / "data" / "tale")
    if "".join(np.array(alphabet)[codes]) != texts[2]:
        raise UserError("the text that was prepared last is not there")
    return 8


def draw_one_picture(project: Project) -> int:
    """Three tasks that write the same file, and make the same folder elsewhere."""
    words = "main.py --task random_generation --output-dir elsewhere"
    project.end([project.start(words) for _ in range(3)])
    file = project.root / "elsewhere" / "results" / "vae_beta_4" / "random_generation.png"
    with Image.open(file) as picture:
        picture.load()
    return 3


CASES: dict[str, Callable[[Project], int]] = {
    "three trainings on the default text, not prepared yet": train_on_one_text,
    "three trainings on one folder of pictures, decoded onto the disk": decode_one_folder,
    "GAN, AAE and VAE on `--dataset digits`": train_on_digits,
    "three texts prepared under one name": prepare_one_name,
    "a run trained twice (refused by name), and after a kill": train_one_run,
    "two trainings while their text is prepared anew six times": train_while_the_text_is_prepared,
    "three tasks that draw the same picture": draw_one_picture,
}
QUICK = ("three texts prepared under one name",)


@command
def main(argv: list[str] | None = None) -> None:
    args = make_parser(__doc__).parse_args(argv)
    rounds = 1 if args.quick else ROUNDS
    print("| at the same moment | times | processes | as promised |\n|---|---|---|---|")
    for case in QUICK if args.quick else CASES:
        processes = 0
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="together-") as room:
                processes += CASES[case](Project(Path(room).resolve() / "project"))
        print(f"| {case} | {rounds} | {processes} | {processes} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
