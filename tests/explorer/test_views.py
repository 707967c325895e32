"""What the views compute: units and their scores, weights of attention, gradients, histories."""

import csv
import os

import numpy as np
import pytest
import torch
from filelock import FileLock

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")

from explorer import library
from explorer.library import Library
from explorer.units import (
    choose,
    find_units,
    held_out,
    measure_text,
    rank,
    read_units,
    score_units,
    search_group,
)
from explorer.views import runs
from explorer.views.attention import weigh_heads
from explorer.views.cells import list_known
from explorer.views.reach import describe_reach, grow_tree, measure_gradient
from explorer.views.runs import read_history, read_protocol
from explorer.web import Query
from models.lstm.modules import step
from tests.helpers.small_models import ALPHABET, MODELS, small_models
from utils import files
from utils.errors import UserError
from utils.text.data import decode


@pytest.fixture
def codes():
    return torch.randint(ALPHABET, (40,), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("piece", [7, 100])
def test_units_of_an_lstm_are_its_own(codes, piece):
    model = small_models()["lstm"].eval()
    units = read_units(model, codes, piece)
    layer = model.lstm.layers[0]
    h, c = torch.zeros(1, 13), torch.zeros(1, 13)
    for t, code in enumerate(codes):
        h, c = step((ALPHABET**0.5 * layer.W[:, code] + layer.b)[None], h, c, layer.U)
        assert units["h1"][t].allclose(h[0], atol=1e-6)
        assert units["c1"][t].allclose(c[0], atol=1e-6)
    assert (units["o2"] * units["c2"].tanh()).allclose(units["h2"], atol=1e-6)
    assert units["f2"].shape == (40, 13)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_units(codes, name):
    model = small_models()[name].eval()
    units = read_units(model, codes, 10)
    assert {len(values) for values in units.values()} == {40}
    if name == "tcn":  # what the last block hands on is what the head reads
        assert model.head(units["block 3"]).allclose(model(codes[None])[0][0], atol=1e-5)


def test_properties_of_a_text():
    found = {name: list(values) for name, (_, values) in measure_text("A “be”.\nit").items()}
    assert found["vowel"] == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert found["upper case"] == [1] + [0] * 9
    assert found["within quotation marks"] == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert found["letters since the word began"] == [1, 0, 0, 1, 2, 0, 0, 0, 1, 2]
    assert found["characters since the line began"] == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2]
    assert found["the word ends here"] == [1, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_scores_are_those_of_the_definitions():
    rng = np.random.default_rng(0)
    values, there = rng.integers(6, size=80), rng.random(80) < 0.3
    pairs = values[there][:, None] - values[~there]
    area = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert score_units(rank(values)[:, None], there, False)[0] == pytest.approx(area)
    numbers = values + rng.integers(9, size=80)
    spearman = np.corrcoef(rank(values), rank(numbers))[0, 1]
    assert score_units(rank(values)[:, None], numbers, True)[0] == pytest.approx(spearman)


def test_the_unit_that_knows_is_found():
    """One unit is the vowels turned round, one counts letters; the others are noise."""
    text = "the old bridge hums at noon. " * 40
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(size=(len(text), 30)).astype(np.float32))
    known = measure_text(text)
    noise[:, 4] -= 9 * torch.from_numpy(known["vowel"][1]).float()
    noise[:, 7] += 9 * torch.from_numpy(known["letters since the word began"][1]).float()
    found = {one.property: one for one in find_units({"a": noise[:, :5], "b": noise[:, 5:]}, text)}
    assert found["vowel"][2:4] == ("a", 4)
    assert found["vowel"].sign == -1
    assert found["vowel"].score > 0.99
    assert found["letters since the word began"][2:4] == ("b", 2)
    assert found["letters since the word began"].score > 0.9
    assert "upper case" not in found  # there is none
    assert found["the next is a vowel"].score < 0.8
    units = {"c": torch.roll(noise, 3, 1)[:, :9], "d": noise[:, 9:]}  # more than a slice of them
    for piece in (1, 4, 9):
        slices = [
            one
            for name, values in units.items()
            for at in range(0, values.shape[1], piece)
            for one in search_group(
                name, values[:, at : at + piece].numpy(), measure_text(text), first=at
            )
        ]
        assert choose(slices) == find_units(units, text)


def test_a_search_goes_on_where_another_page_left_it(codes):
    """Its steps are small, they grow to 1, and what it finds is what a whole reading finds."""
    library = Library()
    loaded = library.text_model("tcn")
    library.loaded.clear()
    first, second = (list_known(Query({"run": "tcn"}), library) for _ in range(2))
    shares = [next(first)["share"] for _ in range(5)] + [next(second)["share"]]
    first.close()
    *later, end = second
    shares += [item["share"] for item in later]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    codes, where = held_out(loaded)
    text = decode(codes, loaded.content["alphabet"])
    found = find_units(read_units(loaded.model, codes), text)
    assert [(one["property"], one["group"], one["unit"]) for one in end["known"]] == [
        (one.property, one.group, one.unit) for one in found
    ]
    assert (end["text"], end["characters"]) == (where, len(text))
    assert next(list_known(Query({"run": "tcn"}), library)) == end


@pytest.mark.parametrize("name", ["none", "learned", "sinusoidal", "rotary"])
def test_weights_are_those_that_the_model_used(name):
    """With the readable kernel the layer's own attention is attend(q, k, v): weights times v."""
    model, seen = small_models()[name].eval(), []
    codes = torch.randint(ALPHABET, (8,), generator=torch.Generator().manual_seed(1))
    attention = model.blocks[1].attention
    hooks = [
        attention.qkv.register_forward_hook(lambda m, given, out: seen.append(out)),
        attention.out.register_forward_hook(lambda m, given, out: seen.append(given[0])),
    ]
    with torch.no_grad():
        model(codes[None])
    for hook in hooks:
        hook.remove()
    v = seen[0].view(8, 3, attention.heads, -1)[:, 2].transpose(0, 1)  # (N, T, D)
    weights = weigh_heads(model, codes, 1)
    assert weights.sum(2).allclose(torch.ones(attention.heads, 8), atol=1e-5)
    assert (weights @ v).transpose(0, 1).reshape(8, -1).allclose(seen[1][0], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_is_a_difference(codes, name):
    """A small step of one input along the gradient changes the log-probability by its length."""
    model = small_models()[name].double().eval()
    codes = codes[:8]
    norm = measure_gradient(model, codes, 6)
    assert norm.shape == (7,)
    entrance = model.lstm if name == "lstm" else model.embed
    with torch.no_grad():
        target = model(codes[None, :7])[0][0, -1].argmax()

    def value(place, unit, change):
        def nudge(module, given):
            x = given[0].clone()
            x[0, place, unit] += change
            return (x, *given[1:])

        hook = entrance.register_forward_pre_hook(nudge)
        with torch.no_grad():
            found = model(codes[None, :7])[0][0, -1].log_softmax(0)[target]
        hook.remove()
        return found

    for place in (0, 5, 6):
        by_hand = [(value(place, u, 1e-5) - value(place, u, -1e-5)) / 2e-5 for u in range(ALPHABET)]
        assert float(norm[place]) == pytest.approx(float(torch.stack(by_hand).norm()), rel=1e-4)


def test_the_tree_ends_where_the_formula_says(codes):
    model = small_models()["tcn"].double().eval()
    field = describe_reach(model, "tcn")["field"]
    assert field == 1 + 2 * (3 - 1) * (2**3 - 1) == model.receptive_field
    leaves = grow_tree(model, 39)[-1]["from"]
    gradient = measure_gradient(model, codes, 39)
    assert leaves == list(range(39 - field + 1, 40))
    assert not gradient[: 39 - field + 1].any()
    assert gradient[39 - field + 1 :].all()


def test_a_history_is_read_as_it_was_written(tmp_path):
    rows = [["epoch", "val_nats"], ["1", "2.5"], ["2", ""], ["3", "nan"], ["4", "x"]]
    with open(tmp_path / "history.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    expected = {"epoch": [1, 2, 3, 4], "val_nats": [2.5, None, None, None]}
    assert read_history(tmp_path) == expected
    assert read_history(tmp_path / "none") == {}


def test_a_protocol_is_read():
    text = "# x\n## Passage 1, from the training text\n\n```\n    prompt  the\n  original   old\n"
    text += "   epoch 1   a\n```\n## Passage 2\n  epoch 10  \n"
    assert read_protocol(text) == [
        [("prompt", "the"), ("original", " old"), ("epoch 1", " a")],
        [("epoch 10", "")],
    ]


def write_history(folder, rows):
    folder.mkdir(parents=True)
    lines = ["epoch,val_nats", *(f"{epoch},{value}" for epoch, value in rows)]
    (folder / "history.csv").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Gives an empty folder of runs, in which nothing of the project is."""
    monkeypatch.setattr(files, "ASKED", tmp_path)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return tmp_path / "checkpoints"


def ask(route, **asked):
    return runs.ROUTES[route](Query(asked), Library())


def test_of_a_long_training_the_last_epoch_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MOST_ROWS", 4)
    write_history(tmp_path / "long", [(epoch, 1 / epoch) for epoch in range(1, 11)])
    assert read_history(tmp_path / "long")["epoch"] == [1, 4, 7, 10]


def test_a_history_that_is_no_table_is_one_line(tmp_path):
    (tmp_path / "history.csv").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(UserError, match=r"history.csv is no table any more: train again"):
        read_history(tmp_path)


def test_runs_are_listed_the_newest_first(checkpoints):
    for age, name in enumerate(["new", "old", "a,comma", ".new.preparing"]):
        write_history(checkpoints / name, [(1, 2.0)])
        os.utime(checkpoints / name / "history.csv", ns=(0, 10**9 * (9 - age)))
    (checkpoints / "none").mkdir()
    there = ask("there")["there"]
    assert there == [["new", str(9 * 10**9)], ["old", str(8 * 10**9)]]
    assert ask("history", run="old") == {"columns": {"epoch": [1], "val_nats": [2]}}
    for name in ("none", "a,comma", "..", "../checkpoints/new"):
        with pytest.raises(UserError, match="there is no history of"):
            ask("history", run=name)


def test_who_trains_is_told_from_who_was_killed(checkpoints):
    """A training has the lock, though nothing else of it may be there yet; a killed one has not."""
    checkpoints.mkdir()
    for name in ("first", "killed"):
        (checkpoints / f".{name}.owner").write_text("process 1", encoding="utf-8")
    with FileLock(checkpoints / ".first.lock"):
        assert ask("there") == {"there": [], "live": ["first"]}
    assert ask("there")["live"] == []


def test_one_run_of_many_is_found_without_looking_at_the_others(checkpoints, monkeypatch):
    looked = []
    monkeypatch.setattr(library, "look", lambda path: looked.append(path.parent.name))
    for name in ("a", "b", "c"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "best.pt").touch()
    assert Library().entry("b") is None
    assert looked == ["b"]
