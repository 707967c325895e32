"""The least that a new kind of training is: a step, a validation, a few words."""

import dataclasses
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from tests.helpers.comparing import assert_same, rows
from tests.helpers.stopping import at_batch
from utils.command_line import Call
from utils.config import Config, ModelSection, TrainingSection, key
from utils.errors import Interrupted
from utils.training import checkpoint
from utils.training.curves import Measure
from utils.training.loop import fit
from utils.training.run import open_run
from utils.training.task import Task, read_old_form


@dataclass(frozen=True)
class LineConfig(ModelSection):
    name: str = key("name of the run")


@dataclass(frozen=True)
class LineTraining(TrainingSection):
    epochs: int = key("epochs", low=1)
    batch_size: int = key("B", low=1)
    seed: int = key("seed", low=0)
    device: str = key("where to run")


@dataclass(frozen=True)
class ScheduledTraining(LineTraining):
    warmup_steps: int = 4
    final_rate: float = 0.5


@dataclass(frozen=True)
class WholeConfig(Config):
    kind = "line"
    model: LineConfig
    training: LineTraining


@dataclass
class Points:
    """Points of the line y = 3 x - 1 with noise: (B, 1) each, new ones in every batch."""

    batch_size: int
    steps: int = 6

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for index in range(first, self.steps):
            random = torch.Generator().manual_seed(1000 * number + index)
            x = torch.randn(self.batch_size, 1, generator=random)
            yield x, 3 * x - 1 + 0.01 * torch.randn(x.shape, generator=random)


class Line(Task):
    """Linear regression, by a step, a validation and a few words."""

    unit = "point"
    columns = ("train_squared", "val_squared")
    measure = Measure("squared error", curves=(("train_squared", "training"),))
    monitor = "val_squared"
    summary = "points of y = 3 x - 1"

    def __init__(self, config: WholeConfig) -> None:
        points = Points(config.training.batch_size)
        super().__init__(config, {"model": nn.Linear(1, 1)}, points, title="a line")
        self.optimizers = {"sgd": torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.5)}

    def step(self, batch, number):
        x, y = batch
        x = x + 0.01 * torch.randn_like(x)  # what a resume could lose
        squared = (self.model(x) - y).square().mean()
        self.model.zero_grad()
        squared.backward()
        self.optimizers["sgd"].step()
        return {"train_squared": squared.item()}

    def validate(self):
        x = torch.linspace(-1, 1, 9)[:, None]
        with torch.no_grad():
            return {"val_squared": (self.model(x) - 3 * x + 1).square().mean().item()}


def settings(name, epochs=8):
    training = LineTraining(epochs=epochs, batch_size=16, seed=0, device="cpu")
    return WholeConfig(LineConfig(name=name), training)


def train(name, *, epochs=8, **options):
    with open_run(Call(settings(name, epochs), {}, **options)) as run:
        return fit(Line(run.config), run)


def test_a_line_is_learned_and_reported(repository, capsys):
    history = train("line")
    out = capsys.readouterr().out
    assert "a line: 2 parameters on cpu; points of y = 3 x - 1; 8 epochs of 6 steps;" in out
    assert "writes checkpoints/line/ and results/line/" in out
    assert re.search(
        r"epoch    8  train_squared 0\.\d{4}  val_squared 0\.\d{4}  [\d,]+ point/s", out
    )
    folder = repository / "checkpoints" / "line"
    assert [row["epoch"] for row in rows(folder)] == [str(epoch) for epoch in range(1, 9)]
    assert history[-1]["val_squared"] < 0.01 < history[0]["val_squared"]
    content = checkpoint.load(folder / "last.pt", "line")
    assert content["config"] == dataclasses.asdict(settings("line"))
    assert content["training"]["task"].keys() == {"modules", "optimizers", "ranks"}
    assert content["training"]["task"]["optimizers"].keys() == {"sgd"}
    weight, bias = (content["model"][name].item() for name in ("weight", "bias"))
    assert (weight, bias) == pytest.approx((3, -1), abs=0.1)
    assert (repository / "results" / "line" / "loss.png").is_file()


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 2.0, 2.0, 1.0], [1, 2, 4]),
        ([1.0, 2.0, 1.0, 0.5], [1, 4]),
        ([4.0, 3.0, 5.0, 3.0], [1, 2]),
    ],
)
def test_the_files_of_an_epoch_are_saved_in_order(losses, best, repository, monkeypatch):
    """last.pt comes last: killed before it, the epoch is done again and finds no better best.pt."""
    saved, save = [], checkpoint.save

    def recording(path, content):
        saved.append((content["epoch"], path.name, (path.parent / "history.csv").is_file()))
        save(path, content)

    left = iter(losses)
    monkeypatch.setattr(checkpoint, "save", recording)
    monkeypatch.setattr(Line, "validate", lambda self: {"val_squared": next(left)})
    monkeypatch.setattr(Line, "milestones", (2,))
    train("line", epochs=4)
    expected = []
    for epoch in range(1, 5):
        names = [f"epoch_{epoch:04}.pt"] * (epoch in (2, 4)) + ["best.pt"] * (epoch in best)
        expected += [(epoch, name) for name in [*names, "last.pt"]]
    assert [one[:2] for one in saved] == expected
    assert [one[2] for one in saved if one[1] == "last.pt"] == [False, True, True, True]
    folder = repository / "checkpoints" / "line"
    assert checkpoint.load(folder / "best.pt", "line")["epoch"] == best[-1]
    assert [float(row["val_squared"]) for row in rows(folder)] == losses
    for name in ("epoch_0002.pt", "best.pt"):
        assert "training" not in checkpoint.load(folder / name, "line")


def test_a_row_is_the_mean_of_the_epochs_steps(repository, monkeypatch):
    """Losses 1, 2, 3, ... of 6 steps an epoch; the rate climbs, then falls along half a cosine."""
    rates, step = [], Line.step

    def counting(self, batch, number):
        step(self, batch, number)
        rates.append(self.optimizers["sgd"].param_groups[0]["lr"])
        assert len(rates) == number
        return {"train_squared": float(number)}

    monkeypatch.setattr(Line, "step", counting)
    training = ScheduledTraining(epochs=2, batch_size=16, seed=0, device="cpu")
    config = WholeConfig(LineConfig(name="line"), training)
    with open_run(Call(config, {})) as run:
        history = fit(Line(run.config), run, quiet=True)
    assert [row["train_squared"] for row in history] == [3.5, 9.5]
    assert [row["step"] for row in history] == [6, 12]
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert rates[7] == pytest.approx(0.075), "half-way between the peak and its half"
    assert rates[-1] == pytest.approx(0.05)


def test_a_run_is_found_by_its_best_epoch_before_what_ships(repository, monkeypatch):
    left = iter([2.0, 1.0, 3.0])
    monkeypatch.setattr(Line, "validate", lambda self: {"val_squared": next(left)})
    train("line", epochs=3)
    folder = repository / "checkpoints" / "line"
    (repository / "pretrained").mkdir()
    for name in ("line", "other"):
        (repository / "pretrained" / f"{name}.pt").write_bytes(b"")
    epochs = {
        name: checkpoint.load(checkpoint.find("line", name))["epoch"]
        for name in ("best", "last", "3")
    }
    assert epochs == {"best": 2, "last": 3, "3": 3}
    assert checkpoint.find("line") == folder / "best.pt"
    assert checkpoint.find("other") == repository / "pretrained" / "other.pt"


@pytest.mark.parametrize("seed", [0, 5])
def test_the_seed_decides_the_first_weights_and_what_is_drawn(seed, repository):
    """Beside the order of the data, which a loader takes from it by itself."""
    config = settings("line", epochs=1)
    training = dataclasses.replace(config.training, seed=seed)
    with open_run(Call(dataclasses.replace(config, training=training), {})):
        started, drawn = nn.Linear(1, 1), torch.randn(3)
    torch.manual_seed(seed)
    assert torch.equal(nn.Linear(1, 1).weight, started.weight)
    assert torch.equal(torch.randn(3), drawn)


def test_a_line_goes_on_exactly(repository):
    train("whole")
    with at_batch(15, lambda: signal.raise_signal(signal.SIGTERM)), pytest.raises(Interrupted):
        train("line")
    torch.manual_seed(99)
    train("line", resume=True)
    folders = [repository / "checkpoints" / name for name in ("whole", "line")]
    assert rows(folders[0]) == rows(folders[1])
    whole, resumed = (checkpoint.load(folder / "last.pt", "line") for folder in folders)
    for part in ("model", "training"):
        assert_same(whole[part], resumed[part], part)


def test_a_dry_run_of_a_line_leaves_nothing(repository, capsys):
    train("line", epochs=1, dry_run=True)
    assert "nothing was kept" in capsys.readouterr().out
    assert list(repository.iterdir()) == [repository / "data"]


class Networks:
    """What `read_old_form` looks at of a task."""

    def __init__(self, modules, optimizers):
        self.modules, self.optimizers = dict.fromkeys(modules), dict.fromkeys(optimizers)


def test_the_old_form_of_a_text_model_is_read():
    """By two processes, with Muon: lists of what each of them has of its own, side by side."""
    random, carried = [{"cpu": "r0"}, {"cpu": "r1"}], [("h0", "c0"), ("h1", "c1")]
    old = {"optimizer": {"a": 1}, "muon": {"m": 2}, "random": random, "state": carried}
    old["protocol"] = [{"epoch": 1}]
    assert read_old_form(old, Networks(["model"], ["adamw", "muon"])) == {
        "modules": {},
        "optimizers": {"adamw": {"a": 1}, "muon": {"m": 2}},
        "ranks": [
            {"random": {"cpu": "r0"}, "carried": ("h0", "c0")},
            {"random": {"cpu": "r1"}, "carried": ("h1", "c1")},
        ],
        "protocol": [{"epoch": 1}],
    }


@pytest.mark.parametrize("network", ["generator", "autoencoder"])
def test_the_old_form_of_two_networks_is_read(network):
    old = {"player": {"p": 1}, "discriminator": {"d": 2}, "random": {"cpu": "r"}}
    old |= {"player_optimizer": {"p": 3}, "discriminator_optimizer": {"d": 4}}
    names = [network, "discriminator"]
    read = read_old_form(old, Networks(["model", *names], names))
    assert read["modules"] == {network: {"p": 1}, "discriminator": {"d": 2}}
    assert read["optimizers"] == {network: {"p": 3}, "discriminator": {"d": 4}}
    assert read["ranks"]["random"] == {"cpu": "r"}


def test_todays_form_is_left_as_it_is():
    kept = {"modules": {}, "optimizers": {"sgd": {}}, "ranks": {"random": {}}}
    assert read_old_form(kept, Networks(["model"], ["sgd"])) is kept
