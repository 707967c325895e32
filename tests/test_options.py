"""Every option of main.py crossed with every task: it has an effect there, or it is refused.

An effect is looked for behind the command: in what it asks the `Solver` for, or in an error.
"""

import argparse
import hashlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import main
from docs import options
from solver import Solver
from tests.helpers.every_command import call
from tests.helpers.repository import REPOSITORY
from utils import command_line, files
from utils.config import list_keys, override

PARSER, _, DEFAULTS = main.make_parser([])
OPTIONS = {a.dest: a for a in PARSER._actions if a.help != argparse.SUPPRESS and a.dest != "help"}
KEYS = {f"{key.section}.{key.field.name}": key.field for key in list_keys(DEFAULTS)}
# A value that is not the default. --task itself is crossed with all of them.
VALUES = {
    "output_dir": ["photos"],
    **{"resume": [], "overwrite": [], "dry_run": [], "individual": [], "ckpt_name": ["other"]},
    **{"epoch": ["last"], "num_samples": ["3"], "image": ["face.png"], "index": ["1"]},
    **{"angles": ["3"], "data.dataset": ["digits"], "data.data": ["photos"]},
    **{"config": ["other.json"], "along": ["hat"], "factors": ["hat"]},
    **{"attributes": ["table.csv"], "data.held_out": ["3"], "training.device": ["cpu"]},
    **{"loss.capacity": ["5"]},
}
# What an option needs beside it, since alone it would change nothing.
BESIDE = {
    "loss.capacity_steps": ["--capacity", "5"],
    "attributes": ["--data", "photos"],
    "loss.fit_sigma": ["--likelihood", "gaussian"],
}
# What a task needs, whatever else is asked of it.
NEEDED = {"interpolation": ["--image", "face.png", "photos/a.png"]}


def value_of(option):
    """Finds arguments for an option that are not its default."""
    if option in VALUES:
        return VALUES[option]
    field = KEYS[option]
    if field.metadata["choices"]:
        now = getattr(getattr(DEFAULTS, option.split(".")[0]), field.name)
        return [next(choice for choice in field.metadata["choices"] if choice != now)]
    return {float: ["0.5"], bool: ["true"]}.get(field.type, ["3"])


class Recorder:
    """Stands where the Solver is, and remembers what it was asked for."""

    model = argparse.Namespace(shape=(3, 64, 64))

    def __init__(self, asked, config):
        self.asked, self.config = asked, config

    def __getattr__(self, verb):
        def remember(*arguments, **more):
            found = [*arguments, *more.items()]
            self.asked.append((verb, *map(describe, found)))

        return remember


def describe(value):
    """Turns what a verb was given into something that can be compared."""
    if hasattr(value, "pixels"):
        return describe(value.pixels[:]), value.attributes is None
    if isinstance(value, np.ndarray):
        return value.shape, hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
    return "another" if isinstance(value, Recorder) else repr(value)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two photographs and a picture beside it."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "photos").mkdir()
    for n, name in enumerate(("photos/a.png", "photos/b.png", "face.png")):
        pixels = np.random.default_rng(n).integers(256, size=(64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "table.csv").write_text("file,hat\na.png,1\nb.png,0\n", encoding="utf-8")
    shutil.copy(REPOSITORY / "vae" / "mnist.json", folder / "other.json")
    return folder


@pytest.fixture
def trace(place, monkeypatch):
    """Gives a function from arguments to what they made the command ask for, and its outcome."""
    few = {("data", "held_out"): 2, ("data", "images"): 2}
    asked = []

    def load(name, epoch=None, *, device="auto"):
        asked.append(("load", name, epoch, device))
        return Recorder(asked, override(DEFAULTS, few))

    monkeypatch.setattr(Solver, "load", load)
    monkeypatch.setattr(Solver, "train", lambda call: asked.append(("train", repr(call))))
    monkeypatch.chdir(place)

    def run(task, *argv):
        asked.clear()
        outcome = call(main.main, ["--task", task, *argv])
        return outcome, [*asked, outcome.err, str(files.ASKED)]

    return run


CROSSED = [(option, task) for option in OPTIONS if option != "task" for task in main.TASKS]


@pytest.mark.parametrize(("option", "task"), CROSSED, ids=[" ".join(pair) for pair in CROSSED])
def test_an_option_has_an_effect_on_a_task_or_is_refused(option, task, trace, monkeypatch):
    spelled = OPTIONS[option].option_strings[-1]
    argv, beside = [spelled, *value_of(option)], BESIDE.get(option, [])
    if option == "image" and task in NEEDED:
        argv = NEEDED[task]
    else:
        beside = [*beside, *NEEDED.get(task, [])]
    tasks = main.USES.of(option)
    if task not in tasks:
        outcome, asked = trace(task, *argv)
        assert outcome.status == 2
        assert len(asked) == 2, "nothing was loaded"
        assert outcome.err.startswith(f"error: {spelled} has no effect on {task}: it serves ")
        assert set(re.findall(r"\w+", outcome.err.split("serves ")[1])) == set(tasks)
    monkeypatch.setattr(command_line.Uses, "check", lambda *anything: None)
    without = trace(task, *([] if task not in tasks else beside))[1]
    changed = trace(task, *argv, *([] if task not in tasks else beside))[1] != without
    assert changed == (task in tasks), "the table says otherwise than the command does"


@pytest.mark.parametrize(("pair", "tasks"), main.USES.hidden.items())
def test_an_option_that_another_hides_is_refused(pair, tasks, trace, monkeypatch):
    words = [[OPTIONS[option].option_strings[-1], *value_of(option)] for option in pair]
    for task in main.TASKS:
        outcome, _ = trace(task, *words[0], *words[1])
        beside = f"error: {words[0][0]} has no effect on {task} beside {words[1][0]}: "
        assert outcome.err.startswith(beside) == (task in tasks), outcome.err
    monkeypatch.setattr(command_line.Uses, "check", lambda *anything: None)
    if pair != ("data.dataset", "data.data"):  # there the command would look at both
        for task in tasks:
            assert trace(task, *words[1])[1] == trace(task, *words[0], *words[1])[1]


IDLE = {
    "--images 3 --data photos": "--images has no effect with --data",
    "--held_out 3 --data photos": "--held_out has no effect with --data",
    "--capacity_steps 3": "--capacity_steps has no effect without --capacity",
    "--capacity 3 --objective beta_tcvae": "--capacity has no effect but with --objective",
    "--capacity 3 --beta 0": "--capacity has no effect but with",
    "--beta_warmup 3 --beta 0": "--beta_warmup has no effect with --beta 0",
    "--task reconstruction --data photos --held_out 3": "--held_out has no effect with",
    "--task latent_analysis --image a.png a.png": "latent_analysis takes one --image, not 2",
    "--task interpolation --image a.png": "interpolation takes two pictures, --image A B, not 1",
    "--task rotate --attributes table.csv": "--attributes has no effect without --data",
    "--ckpt_name a --ckpt_name b": "--ckpt_name is there twice",
    "--task rotate --angles 3 --angles=4": "--angles is there twice",
}


@pytest.mark.parametrize("argv", IDLE)
def test_a_setting_without_effect_is_refused_and_nothing_is_written(
    argv, place, repository, monkeypatch
):
    monkeypatch.setattr(Solver, "load", lambda *run, **device: Recorder([], DEFAULTS))
    monkeypatch.chdir(place)
    before = sorted(repository.rglob("*"))
    outcome = call(main.main, argv.split())
    assert outcome.status == 2
    assert outcome.err.startswith(f"error: {IDLE[argv]}")
    assert len(outcome.err.splitlines()) == 1
    assert sorted(repository.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        "--task rotate --task manifold",
        "--epochs 3 --training.epochs=4",
        "--index 1 --index 1 --index 2",
    ],
)
def test_of_several_values_the_last_counts_and_that_is_said(words, capsys):
    parser, _, _ = main.make_parser([])
    parser.parse_args(words.split())
    last = words.split(" --")[-1].replace("=", " ").split()[0]
    assert capsys.readouterr().out == (
        f"note: --{last.removeprefix('--')} is given more than once: the last value counts\n"
    )
    parser.parse_args(["--task", "rotate", "--resume", "--resume", "--index", "2"])
    assert capsys.readouterr().out == ""


def test_help_and_the_page_say_what_the_table_says(capsys):
    with pytest.raises(SystemExit):
        main.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for option, action in OPTIONS.items():
        marked = f"; for {main.USES.name(option)}"
        assert action.help.endswith(marked) == (main.USES.of(option) != ("train",))
        assert " ".join(action.help.replace("%%", "%").split()) in shown
    page = options.PAGE.read_text(encoding="utf-8")
    assert options.BEGIN in page
    assert options.put_in(page) == page, "python -m docs.options makes it anew"


def test_a_new_task_needs_an_entry_of_its_own():
    """What serves no task that there is, or is no option, would never be refused."""
    assert main.USES.serves.keys() <= OPTIONS.keys()
    assert {task for tasks in main.USES.serves.values() for task in tasks} == set(main.TASKS)
    for pair, tasks in main.USES.hidden.items():
        for task in tasks:
            assert all(task in main.USES.of(option) for option in pair), (pair, task)
