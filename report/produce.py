"""What a run's report shows of results/<run>/, and the task that makes it where it is not there.

A picture that is older than its checkpoint is one of an earlier training, and is made anew. What a
test.py prints is kept in results/<run>/test.txt, so that its numbers have a file.
"""

import functools
import io
import os
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import main as autoencoders
from report.runs import Run
from solver import Solver
from utils import files
from utils.digits.training import sample_pictures
from utils.errors import UserError
from utils.files import show, write_whole
from utils.images.data import Images, Shape
from utils.images.figures import draw_pictures
from utils.images.mnist import RELATIVES
from utils.training.checkpoint import Content, rebuild
from utils.training.run import ensure_named
from utils.words import escape
from vae.data import DataConfig, load_validation
from vae.training import VAEConfig

TEST = "test.txt"


class Part(NamedTuple):
    """A file of results/<run>/, or why it is not there: the command that makes it, and a reason."""

    file: Path
    command: str
    missing: str = ""


def get_part(run: Run, name: str, *, as_is: bool) -> Part:
    """Finds a file of a run's results, or makes it; `as_is` leaves that to the user.

    UserError is what ends all; what a task cannot do is a line in the report.
    """
    command, file = name_command(run, name), run.results / name
    if is_fresh(file, run):
        return Part(file, command)
    if as_is:
        return Part(file, command, "-")
    try:
        with redirect_stdout(io.StringIO()) as printed:
            make(run, name)
    except UserError as problem:
        return Part(file, command, shorten_paths(str(problem)))
    file = files.result_folder(run.name) / name
    if name == TEST:
        write_whole(file, strip_paths(escape(printed.getvalue())).encode("utf-8"))
    if not file.is_file():  # it says why not in what it prints
        last = strip_paths(printed.getvalue()).strip().splitlines()[-1:]
        return Part(file, command, shorten_paths(*last) if last else "-")
    print(f"made {show(file)}")
    return Part(file, command)


def is_fresh(file: Path, run: Run) -> bool:
    """Tells whether a file is there and of this training, not of an earlier one or model."""
    return file.is_file() and file.stat().st_mtime >= run.best.stat().st_mtime


def strip_paths(printed: str) -> str:
    """Leaves out the lines that say what was written where."""
    lines = printed.splitlines()
    return "\n".join(line for line in lines if not line.startswith("wrote ")).strip() + "\n"


def shorten_paths(text: str) -> str:
    """Leaves out where the project is on this computer."""
    for root in (files.output("data").parent, files.ROOT):
        text = text.replace(f"{root}{os.sep}", "")
    return text


def name_command(run: Run, name: str) -> str:
    """Names the command that makes a file of results/<run>/."""
    if run.kind == "vae":
        command = f"python main.py --task {Path(name).stem} --ckpt_name {run.name}"
        if run.config.data.data is not None and name != "random_generation.png":
            command += f" --data {shlex.quote(run.config.data.data)}"
        return command
    return f"python {run.of.script.replace('train.py', 'test.py')} --ckpt_name {run.name}"


def make(run: Run, name: str) -> None:
    """Does what the command does: writes a file of results/<run>/. UserError where it cannot."""
    place = ["--output-dir", str(files.ASKED)] if files.ASKED else []  # parsing sets it anew
    if run.kind != "vae":
        if name == "samples.png":
            draw_samples(run)
        else:
            ensure_there(run)
            run.of.test.__wrapped__(["--ckpt_name", run.name, *place])
        return
    options, _, defaults = autoencoders.make_parser(place)
    solver = Solver.load(run.name)
    task = Path(name).stem
    if task == "random_generation":
        solver.generate_from_latent(options.get_default("num_samples"), defaults.training.seed)
    elif task == "manifold":
        solver.manifold()
    else:
        images = load_once(solver.config, run.name, solver.model.shape)
        face = images.pixels[options.get_default("index")]
        if task == "rotate":
            solver.rotate(images, face, options.get_default("angles"))
        else:
            solver.latent_analysis(images, face)


def draw_samples(run: Run) -> None:
    """Draws what a GAN's or an AAE's test.py draws; that also needs pictures to compare with."""
    content = Content(run.content, run.best)
    model = run.of.build(run.config, content)
    rebuild(model, content, run.best)
    pictures = sample_pictures(model.eval(), 64, seed=0)
    draw_pictures(pictures[None], files.result_folder(run.name) / "samples.png")


def ensure_there(run: Run) -> None:
    """Raises a UserError where a test would fetch its pictures: a report fetches nothing."""
    name = RELATIVES.get(getattr(run.config.data, "dataset", None))
    if name and not any(files.find("data", "raw", name, "raw").glob("*-ubyte*")):
        raise UserError(f"{name} is not in data/raw/")


def load_once(config: VAEConfig, name: str, shape: Shape) -> Images:
    """Loads the pictures that a run validates on. UserError where they are a path of the run's."""
    ensure_named(config, (), name)
    return load_pictures(config.data, tuple(shape))


@functools.lru_cache(maxsize=1)  # three betas look at the same 5,000 faces
def load_pictures(data: DataConfig, shape: Shape) -> Images:
    return load_validation(data, shape)
