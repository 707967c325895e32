"""`--init RUN`: another run's weights, on another text too; and a training without validation."""

import csv
import importlib
import json
import shutil

import pytest
import torch

import data_preparation
from tests.helpers.every_command import COMMANDS, RUNS
from tests.helpers.text_commands import TEST, TRAIN, small
from utils import files
from utils.helper_functions import characters
from utils.text.data import DataConfig, load_text
from utils.text.training import NextCharacter
from utils.training import checkpoint

every_kind = pytest.mark.parametrize("kind", TRAIN)


def load(name, file="best.pt"):
    return checkpoint.load(files.ROOT / "checkpoints" / name / file)


def prepare(repository, name, text):
    (repository / f"{name}.txt").write_text(text, encoding="utf-8")
    argv = ["--text", str(repository / f"{name}.txt"), "--raw", "--format", "codes"]
    assert data_preparation.main(argv) == 0


def model_of(kind, content):
    train = importlib.import_module(f"models.{kind}.train")
    config = checkpoint.build(content["config"], train.Config, files.ROOT)
    model = train.Model(len(content["alphabet"]), config.model).double().eval()
    model.load_state_dict(content["model"])
    return model


def stop_before_training(monkeypatch):
    """Lets a training save what it starts with, and do no step."""
    monkeypatch.setattr(NextCharacter, "step", lambda self, batch, number: {"train_nats": 1.0})


@every_kind
@pytest.mark.parametrize("new", ["Bdea ", "zyxabde ", "abde 0"])
def test_weights_follow_their_characters_to_another_text(
    kind, new, repository, capsys, monkeypatch
):
    """What the model says of the characters that both have is the same; others start anew."""
    old = "abde z"
    prepare(repository, "old", old * 400)
    prepare(repository, "new", new * 400)
    assert TRAIN[kind](small(kind, "--data.name=old", "--training.epochs=1", "--ckpt_name=a")) == 0
    capsys.readouterr()
    stop_before_training(monkeypatch)
    argv = small(kind, "--data.name=new", "--training.epochs=1", "--ckpt_name=b", "--init=a")
    assert TRAIN[kind](argv) == 0
    before, after = load("a"), load("b")
    there, here = before["alphabet"], after["alphabet"]
    lacking = sorted(set(here) - set(there))
    said = f"starts from the weights of a, epoch 1; {len(here) - len(lacking)} of {len(here)} "
    said += "characters keep theirs"
    said += f"; {len(lacking)} new: {', '.join(map(repr, lacking))}\n" if lacking else "\n"
    assert said in capsys.readouterr().out

    both = sorted(set(here) & set(there))
    places = [[alphabet.index(char) for char in both] for alphabet in (there, here)]
    logits = []
    for content, codes in zip((before, after), places, strict=True):
        model = model_of(kind, content)
        with torch.no_grad():
            logits.append(model(torch.tensor([codes * 3]))[0][..., codes])
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
    if lacking:
        fresh = after["model"]["head.weight"][[here.index(char) for char in lacking]]
        old_rows = before["model"]["head.weight"]
        assert not any(torch.equal(row, other) for row in fresh for other in old_rows)


def test_the_input_is_scaled_by_the_alphabet():
    """Or the columns that read it would not have to be."""
    assert characters(torch.tensor([[1]]), 4, torch.float32).tolist() == [[[0, 2, 0, 0]]]


def test_where_it_came_from_is_kept_and_not_applied_again(repository, capsys):
    for argv in (["--ckpt_name=a"], ["--ckpt_name=b", "--init=a"]):
        assert TRAIN["lstm"](small("lstm", "--training.epochs=2", *argv)) == 0
    config = json.loads((files.ROOT / "checkpoints/b/config.json").read_text(encoding="utf-8"))
    assert config["training"]["init"] == "a"
    assert load("b")["config"]["training"]["init"] == "a"
    assert TRAIN["lstm"](small("lstm", "--training.epochs=4", "--ckpt_name=c", "--init=a")) == 0
    shutil.rmtree(files.ROOT / "checkpoints" / "a")  # a resume does not look there
    capsys.readouterr()
    last = load("b", "last.pt")["model"]
    assert TRAIN["lstm"](["--ckpt_name=b", "--resume"]) == 0
    assert "starts from" not in capsys.readouterr().out
    assert all(torch.equal(load("b", "last.pt")["model"][name], last[name]) for name in last)
    assert TRAIN["lstm"](["--ckpt_name=b", "--resume", "--init=c"]) == 2
    assert "cannot change with --resume" in capsys.readouterr().err
    assert TRAIN["lstm"](small("lstm", "--ckpt_name=c", "--init=c", "--overwrite")) == 0


def small_of(command):
    return [word for word in command.small if "init" not in word]


@pytest.fixture
def world(every_run, tmp_path, monkeypatch):
    root = tmp_path / "repository"
    shutil.copytree(every_run, root)
    monkeypatch.setattr(files, "ROOT", root)
    return root


@pytest.mark.parametrize("run", RUNS)
def test_every_kind_starts_from_a_run_and_refuses_what_does_not_fit(run, world, capsys):
    """Of a kind of its own, of another width (named by its key), and one that is not there."""
    command = next(c for c in COMMANDS.values() if c.trains and c.run == run)
    argv = [*small_of(command), "--ckpt_name=new"]
    assert command.main([*argv, f"--init={run}"]) == 0
    out = capsys.readouterr().out
    assert f"starts from the weights of {run}, epoch 1" in out
    assert ("the discriminator is new" in out) == command.has_digits
    key = next(k for k in ("hidden_size", "channels", "width", "z_dim") if command.option(k))
    other = RUNS[0] if run != RUNS[0] else RUNS[1]
    for wrong, words in (
        ([f"--init={run}", f"{command.option(key)}=10"], f"its --{key} is "),
        (["--init=nothing"], "error: --init nothing: no run 'nothing'"),
        ([f"--init={other}"], f"is a checkpoint of {other}, not of {run}: take another --init"),
    ):
        status = command.main([*small_of(command), "--ckpt_name=wrong", *wrong])
        out, err = capsys.readouterr()
        assert status == 2, out
        assert words in err
        assert "--ckpt_name" not in err
        assert "--epoch " not in err
        assert len(err.splitlines()) == 1
        assert not (world / "checkpoints" / "wrong").exists()


@every_kind
def test_a_training_without_validation(kind, repository, capsys):
    """The last epoch is the best, the history says so, and every reader of it copes."""
    argv = small(kind, "--validation_share=0")
    assert TRAIN[kind](argv) == 0
    out, err = capsys.readouterr()
    assert "0 to validate: the last epoch counts as the best" in out
    assert "best (epoch 4 of 4): validation: 0 characters, nothing to measure" in out
    folder = files.ROOT / "checkpoints" / kind
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["val_nats"] for row in rows] == [""] * 4
    whole = load(kind)
    assert whole["epoch"] == 4
    assert TRAIN[kind](["--resume", "--training.epochs=5"]) == 0
    assert load(kind)["epoch"] == 5
    protocol = (files.ROOT / "results" / kind / "protocol.md").read_text(encoding="utf-8")
    assert protocol.count("| none |\n") == 4
    assert "validation text" not in protocol
    assert (files.ROOT / "results" / kind / "loss.png").stat().st_size > 5000
    capsys.readouterr()
    assert TEST[kind](["--split", "training", "--num_samples", "1", "--length", "5"]) == 0
    assert "validation: 0 characters, nothing to measure" in capsys.readouterr().out
    assert TEST[kind]([]) == 2
    out, err = capsys.readouterr()
    assert err == (
        "error: data/text has no validation text for this model: --split training, or a --prompt\n"
    )


@pytest.mark.parametrize(("share", "kept"), [(0.1, 0.1), (0.5, 0.5), (0.0, 0.0)])
def test_the_share_is_what_is_kept(share, kept, repository):
    text = load_text(DataConfig(name="text", validation_share=share))
    whole = len(text.training) + len(text.validation)
    assert len(text.validation) == pytest.approx(kept * whole, abs=1)
    assert text.alphabet == load_text(DataConfig(name="text")).alphabet
