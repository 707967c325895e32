"""Checkpoints: written whole, read back, nothing in them is run, and what is none is refused."""

import io
import os
import pickle
import shutil
import time
import zipfile
from pathlib import Path

import pytest
import torch

from tests.helpers.every_command import COMMANDS, RUNS, call
from utils import files
from utils.errors import UserError
from utils.training import checkpoint


def test_checkpoint_round_trip_leaves_no_other_file(tmp_path):
    path = tmp_path / "run" / "last.pt"
    for number in (1, 2):
        checkpoint.save(path, {"kind": "lstm", "epoch": number, "model": {"W": torch.ones(3)}})
        assert checkpoint.load(path, "lstm")["epoch"] == number
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]
    assert checkpoint.load(path, "lstm")["torch"] == torch.__version__


class Trap:
    """Would write a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    trap = tmp_path / "trap"
    torch.save({"format": 1, "kind": "lstm", "trap": Trap(trap)}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.load(tmp_path / "last.pt", "lstm")
    assert not trap.exists()


# Files that are no archive of torch's


def rewrite(whole, change):
    """Writes an archive anew, each part (name, content, compression) as `change` gives it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        for part in old.infolist():
            for name, content, compression in change(part.filename, old.read(part)):
                new.writestr(name, content, compression)
    return buffer.getvalue()


def packed(name, content):
    yield name, content, zipfile.ZIP_DEFLATED


def bomb(name, content):
    yield name, content, zipfile.ZIP_STORED
    if name.endswith("data/0"):
        yield "archive/data/99", bytes(10**8), zipfile.ZIP_DEFLATED


def twice(name, content):
    yield name, content, zipfile.ZIP_STORED
    if name.endswith("data.pkl"):
        yield "other/data.pkl", content, zipfile.ZIP_STORED


def endless(name, content):
    pickled = b"\x80\x02]" + b"h" * 5 * 10**6 + b"."
    yield name, pickled if name.endswith("data.pkl") else content, zipfile.ZIP_STORED


def bytes_of(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def scripted():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("constants.pkl", "code/__torch__.py", "data.pkl", "version"):
            archive.writestr(f"net/{name}", pickle.dumps({"format": 1}))
    return buffer.getvalue()


WHOLE = bytes_of({"format": 1, "kind": "lstm", "model": {"W": torch.ones(300)}})
FILES = {
    "empty": b"",
    "legacy": bytes_of({"format": 1}, _use_new_zipfile_serialization=False),
    "pickle": pickle.dumps({"format": 1, "kind": "lstm", "model": {}}),
    "scripted": scripted(),
    **{change.__name__: rewrite(WHOLE, change) for change in (packed, bomb, twice, endless)},
    **{f"cut at {share}": WHOLE[: len(WHOLE) * share // 10] for share in range(1, 10)},
    "cut by one": WHOLE[:-1],
    "sparse tensor": bytes_of({"format": 1, "kind": "a", "model": torch.eye(3).to_sparse()}),
    "on no device": bytes_of({"format": 1, "kind": "a", "model": torch.ones(3, device="meta")}),
    "a parameter": bytes_of({"format": 1, "kind": "a", "model": torch.nn.Linear(2, 2).weight}),
    "bytes": bytes_of({"format": 1, "kind": "a", "model": bytearray(9)}),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_what_torch_does_not_write_is_refused_at_once(content, tmp_path):
    (tmp_path / "last.pt").write_bytes(content)
    began = time.perf_counter()
    with pytest.raises(UserError, match="damaged, cut short or no checkpoint"):
        checkpoint.load(tmp_path / "last.pt")
    assert time.perf_counter() - began < 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "last.pt")
    with pytest.raises(UserError, match="a pipe, a socket or a device: give a file"):
        checkpoint.load(tmp_path / "last.pt")


# Files whose entries are none: what is wrong -> (how it comes about, what the error says)


def itself():
    content = [1]
    content.append(content)
    return content


def doubled():
    part = [0]
    for _ in range(99):
        part = [part, part]
    return part


def first(content):
    """Names the first tensor of weights."""
    return next(name for name, value in content["model"].items() if value.is_floating_point())


def filled(value):
    def change(content):
        name = first(content)
        content["model"][name] = content["model"][name].clone()
        content["model"][name][(0,) * content["model"][name].ndim] = value

    return change


def turned(make):
    def change(content):
        name = first(content)
        content["model"][name] = make(content["model"][name])

    return change


def spread(weight):
    return torch.ones(1).expand(weight.shape)


def setting(section, **values):
    def change(content):
        content["config"][section] |= values

    return change


ENTRIES = {"format": torch.ones(3), "kind": 7, "config": [], "epoch": -1, "row": {"a": "b"}}
ENTRIES |= {"model": torch.ones(3), "trained_by": 9, "project": "x" * 10**5, "data": {"a": []}}
ENTRIES |= {"torch": itself(), "more": 1, "training": {}}
BAD = {f"{name} is {type(value).__name__}": {name: value} for name, value in ENTRIES.items()}
BAD |= {"itself": {"row": itself()}, "doubled": {"row": doubled()}, "number": {"epoch": 10**4000}}
BAD |= {"true": {"epoch": True}, "infinite": {"row": {"a": float("inf")}}, "names": {3: 4}}
BAD |= {
    "NaN": filled(float("nan")),
    "infinite weight": filled(float("inf")),
    "huge": filled(1e30),
    "float64": turned(torch.Tensor.double),
    "complex": turned(torch.Tensor.cfloat),
    "whole numbers": turned(torch.Tensor.long),
    "sparse": turned(torch.Tensor.to_sparse),
    "spread": turned(spread),
    "other shape": turned(lambda weight: weight[:-1]),
    "one more axis": turned(lambda weight: weight[None]),
    "a list": turned(torch.Tensor.tolist),
    "one missing": lambda content: content["model"].pop(first(content)),
    "one more": lambda content: content["model"].update(more=torch.ones(1)),
    "aliased": lambda content: content.update(row={"a": content["model"][first(content)]}),
    "no setting": lambda content: content["config"].pop("model"),
    "bool": setting("training", epochs=True),
    "long name": setting("model", name="x" * 10**6),
    "wide": setting("model", hidden_size=2**40, width=2**40, channels=2**40, z_dim=2**40),
    "deep": setting("model", layers=10**9, levels=10**9),
}
IN_TEXT = [40, [1, 2], ["ab"], ["a", "a"], [""], [], ["\ud800"], "abc", None]
IN_PICTURES = [(-1, 28, 28), [3, 64], [3, 64, 64.0], [True, 28, 28], [10**9, 28, 28], "abc", None]
SHAPES = [(name, value) for name in ("alphabet",) for value in IN_TEXT]
SHAPES += [("shape", value) for value in IN_PICTURES]
LOADS = [name for name, command in COMMANDS.items() if name.startswith("models.")]
LOADS = [name for name in LOADS if name.endswith(".test")]


@pytest.fixture(scope="module")
def runs(every_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("content") / "repository"
    shutil.copytree(every_run, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        yield root / "checkpoints"


def refuse(runs, kind, change, file="best.pt", names="error: checkpoints/bad/"):
    """Loads a run's checkpoint with a change in every way; each must be refused in one line."""
    content = dict(torch.load(runs / kind / file, weights_only=True))
    content["config"]["model"]["name"] = "bad"
    if callable(change):
        change(content)
    else:
        content |= change
    shutil.rmtree(runs / "bad", ignore_errors=True)
    (runs / "bad").mkdir()
    torch.save(content, runs / "bad" / file)
    name = "main" if kind == "vae" else f"models.{kind}.{'train' if file == 'last.pt' else 'test'}"
    argv = ["--ckpt_name=bad"]
    if file == "last.pt":
        argv += ["--resume"]
    elif kind == "vae":
        argv += ["--task=random_generation"]
    began = time.perf_counter()
    outcome = call(COMMANDS[name].main, argv)
    assert time.perf_counter() - began < 10
    assert outcome.status == 2, (outcome, name, argv)
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith(names), outcome.err
    assert len(outcome.err) <= 301
    return outcome.err


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
@pytest.mark.parametrize("kind", RUNS)
def test_a_bad_checkpoint_is_refused(kind, change, runs):
    content = torch.load(runs / kind / "best.pt", weights_only=True)
    if change is BAD["deep"] and not {"layers", "levels"} & content["config"]["model"].keys():
        pytest.skip("it has as many layers as it has")
    if change is BAD["training is dict"]:
        refuse(runs, kind, change, "last.pt")
    else:
        refuse(runs, kind, change)


@pytest.mark.parametrize(("name", "value"), SHAPES, ids=str)
def test_an_alphabet_or_a_shape_that_is_none_is_refused(name, value, runs):
    kinds = ("lstm", "tcn", "transformer") if name == "alphabet" else ("vae",)
    for kind in kinds:
        refuse(runs, kind, {name: value})


# What a training goes on from


def optimizer_of(content):
    return next(iter(content["training"]["task"]["optimizers"].values()))


def longer_moments(content):
    moments = optimizer_of(content)["state"][0]
    name = next(name for name in moments if name != "step")
    moments[name] = torch.cat([moments[name]] * 2)


def negative_squares(content):
    moments = optimizer_of(content)["state"][0]
    for name in {"exp_avg_sq", "square_avg"} & moments.keys():
        moments[name] = -torch.ones_like(moments[name])


def place(**values):
    return lambda content: content["training"]["place"].update(values)


def own(content):
    return content["training"]["task"]["ranks"]


GOING_ON = {
    "nothing": lambda content: content.update(training={}),
    "no task": lambda content: content["training"].update(task={}),
    "before the first": place(index=-1),
    "beyond the last": place(index=10**9),
    "half a batch": place(index=0.5),
    "negative seconds": place(seconds=-1.0),
    "other rows": lambda content: content["training"]["place"]["history"][0].pop("seconds"),
    "more rows": lambda content: content["training"]["place"]["history"].append({}),
    "rows of text": place(history=["epoch 1"]),
    "text in a row": lambda content: content["training"]["place"]["history"][0].update(step="x"),
    "a later epoch": lambda content: content.update(epoch=7),
    "moments": longer_moments,
    "squares": negative_squares,
    "one moment less": lambda content: optimizer_of(content)["state"].pop(0),
    "no rate": lambda content: optimizer_of(content)["param_groups"][0].pop("lr"),
    "no groups": lambda content: optimizer_of(content).update(param_groups=[]),
    "no optimisers": lambda content: content["training"]["task"].update(optimizers={}),
    "short generator": lambda content: own(content)["random"].update(cpu=torch.zeros(9).byte()),
    "wrong generator": lambda content: own(content)["random"].update(
        cpu=torch.full_like(own(content)["random"]["cpu"], 255)
    ),
    "no ranks": lambda content: content["training"]["task"].pop("ranks"),
    "another run": lambda content: content["config"]["model"].update(name="other"),
}


@pytest.mark.parametrize("change", GOING_ON.values(), ids=GOING_ON)
@pytest.mark.parametrize("kind", RUNS)
def test_a_training_does_not_go_on_from_what_is_none(kind, change, runs):
    if change is negative_squares and kind == "transformer":
        pytest.skip("its first optimiser keeps no squares of the first weights")
    refuse(runs, kind, change, "last.pt", names="error: ")


@pytest.mark.parametrize("task", ["reconstruction", "rotate", "latent_analysis"])
def test_a_path_in_a_checkpoint_is_not_opened(task, runs):
    """Neither by a task nor by --resume; a share would take note of it, a pipe would wait."""
    trap = runs.parent / "trap"
    if hasattr(os, "mkfifo") and not trap.exists():
        os.mkfifo(trap)
    for file in ("best.pt", "last.pt"):
        content = torch.load(runs / "vae" / file, weights_only=True)
        content["config"]["model"]["name"] = "stranger"
        content["config"]["data"]["data"] = str(trap)
        (runs / "stranger").mkdir(exist_ok=True)
        torch.save(content, runs / "stranger" / file)
    main = COMMANDS["main"].main
    for argv in ([f"--task={task}"], ["--resume", "--epochs=2"]):
        outcome = call(main, [*argv, "--ckpt_name=stranger"])
        assert outcome.status == 2
        assert "only where you name it, too: --data " in outcome.err
    named = call(main, [f"--task={task}", "--ckpt_name=stranger", "--dataset=faces"])
    assert "trap" not in named.err
