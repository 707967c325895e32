"""The shared pieces: configuration, schedule, batches, scores, sampling, checkpoints."""

import dataclasses
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.lstm.modules import ModelConfig as LSTMConfig
from models.tcn.modules import ModelConfig as TCNConfig
from models.transformer.modules import ModelConfig as TransformerConfig
from tests.conftest import MODELS, REPOSITORY
from utils import config
from utils.config import key, schema
from utils.errors import UserError
from utils.files import check_name
from utils.text.data import Streams
from utils.text.protocol import places, visible
from utils.text.streaming import block_score, choose, evaluating, stream_score, write
from utils.text.training import config_type
from utils.training import checkpoint
from utils.training.loop import warmup_cosine

KINDS = {"lstm": LSTMConfig, "tcn": TCNConfig, "transformer": TransformerConfig}


def test_schedule_is_the_table():
    shares = [warmup_cosine(step, warmup=2, total=6, final=0.0) for step in range(1, 7)]
    assert shares == pytest.approx(
        [0.5, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]
    )
    assert warmup_cosine(6, warmup=2, total=6, final=0.1) == pytest.approx(0.1)
    assert warmup_cosine(1, warmup=0, total=1, final=0.0) == 0
    assert warmup_cosine(5, warmup=5, total=5, final=0.0) == 1


def test_batches_are_contiguous_streams_with_shifted_targets():
    streams = Streams(np.arange(103), batch_size=4, length=6, seed=1)
    assert len(streams) == 103 // 4 // 6 == 4
    batches = list(streams.epoch(1))
    assert len(batches) == 4
    for x, y in batches:
        assert x.shape == y.shape == (4, 6)
        assert torch.equal((x + 1) % 103, y)
    for (x, _), (after, _) in itertools.pairwise(batches):
        assert torch.equal((x[:, -1] + 1) % 103, after[:, 0])
    read = torch.cat([x for x, _ in batches]).flatten()
    assert len(read.unique()) == len(read), "a character is read twice in an epoch"


def test_batches_depend_on_seed_and_epoch_alone():
    streams = Streams(np.arange(1000), batch_size=4, length=6, seed=1)
    whole, rest = list(streams.epoch(3)), list(streams.epoch(3, first=30))
    for (x, y), (x_, y_) in zip(whole[30:], rest, strict=True):
        assert torch.equal(x, x_)
        assert torch.equal(y, y_)
    assert not torch.equal(whole[0][0], next(streams.epoch(4))[0])
    assert not torch.equal(whole[0][0], next(dataclasses.replace(streams, seed=2).epoch(3))[0])


def test_shuffled_windows_are_read_once_each_in_random_order():
    streams = Streams(np.arange(103), batch_size=4, length=6, seed=1, shuffle=True)
    batches = list(streams.epoch(1))
    for x, y in batches:
        assert torch.equal((x + 1) % 103, y)
        assert torch.equal((x[:, :-1] + 1) % 103, x[:, 1:])
    read = torch.cat([x for x, _ in batches]).flatten()
    assert len(read.unique()) == len(read) == 4 * 4 * 6
    pairs = itertools.pairwise(batches)
    assert not all(torch.equal((x[:, -1] + 1) % 103, z[:, 0]) for (x, _), (z, _) in pairs)


class Counting(torch.nn.Module):
    """Predicts perfectly what follows in 0, 1, ..., V-1, 0, ...; its state counts what it read."""

    def __init__(self, vocabulary, sure):
        super().__init__()
        self.vocabulary, self.sure = vocabulary, torch.nn.Parameter(torch.tensor(sure))

    def forward(self, x, state=None):
        read = (0 if state is None else state) + x.shape[1]
        self.longest = read
        return self.sure * torch.nn.functional.one_hot(
            (x + 1) % self.vocabulary, self.vocabulary
        ), read


def test_scores_of_known_models():
    codes = np.arange(1000) % 8
    for piece in (1000, 64, 7):
        model = Counting(8, 0.0)  # knows nothing: ln V, whatever is read
        assert stream_score(model, codes, piece)[0] == pytest.approx(math.log(8))
        model = Counting(8, 100.0)  # knows all but the first character
        nats, right = stream_score(model, codes, piece)
        assert nats == pytest.approx(math.log(8) / 1000)
        assert right == pytest.approx(0.999)
        assert model.longest == 999
    assert block_score(Counting(8, 0.0), codes) == pytest.approx(math.log(8))
    model = Counting(8, 100.0)
    assert block_score(model, codes, block=100) == pytest.approx(0.0)
    assert model.longest <= 100
    assert block_score(Counting(8, 0.0), codes[:5]) == pytest.approx(math.log(8))


def test_blocks_count_every_character_once():
    """A model that is right on all but one character is wrong exactly once."""
    codes = np.zeros(700, dtype=np.int64)
    codes[650] = 1  # in the last, shorter block
    model = Counting(1, 0.0)
    model.vocabulary = 2
    model.forward = lambda x, state=None: (
        torch.tensor([math.log(3.0), 0.0]).expand(*x.shape, 2),
        None,
    )
    expected = (698 * math.log(4 / 3) + math.log(4)) / 699
    assert block_score(model, codes) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_stream_score_does_not_depend_on_its_pieces(model):
    codes = np.random.default_rng(0).integers(11, size=60)
    scores = [stream_score(model, codes, piece) for piece in (60, 13, 1)]
    assert scores[1] == pytest.approx(scores[0], rel=1e-9)
    assert scores[2] == pytest.approx(scores[0], rel=1e-9)


def test_evaluating_restores_the_mode():
    model = torch.nn.Linear(1, 1)
    for mode in (True, False):
        model.train(mode)
        with evaluating(model):
            assert not model.training
            assert not torch.is_grad_enabled()
        assert model.training is mode
        assert torch.is_grad_enabled()


def test_choosing_the_next_character():
    logits = torch.tensor([0.0, 2.0, 1.0, 2.0])
    random = torch.Generator().manual_seed(0)

    def shares(**options):
        drawn = [choose(logits, generator=random, **options) for _ in range(4000)]
        return np.bincount(drawn, minlength=4) / 4000

    expected = torch.softmax(logits, 0).numpy()
    assert shares() == pytest.approx(expected, abs=0.03)
    assert shares(top_k=99) == pytest.approx(expected, abs=0.03)
    assert shares(temperature=0.5) == pytest.approx(torch.softmax(2 * logits, 0).numpy(), abs=0.03)
    assert choose(logits, temperature=0) == 1
    assert choose(logits, temperature=1e-9, top_k=1) in (1, 3)
    assert (shares(top_k=2) > 0).sum() == 2, "ties must keep exactly k"
    assert (shares(top_k=3) > 0).sum() == 3
    for wrong in ({"temperature": -1}, {"top_k": 0}):
        with pytest.raises(ValueError, match="below"):
            choose(logits, **wrong)


@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_writing_is_the_greedy_rerun_of_the_prefix(model):
    prompt = torch.tensor([3, 1, 4])
    length = 5 if getattr(model, "position_limit", None) else 20
    written, restarts = write(model, prompt, length, temperature=0)
    assert restarts == 0
    text = prompt.tolist()
    for _ in range(length):
        text.append(int(model(torch.tensor([text]))[0][0, -1].argmax()))
    assert written.tolist() == text[3:]
    one, _ = write(model, prompt, 20, temperature=1.0, seed=5)
    two, _ = write(model, prompt, 20, temperature=1.0, seed=5)
    other, _ = write(model, prompt, 20, temperature=1.0, seed=6)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("model", ["learned"], indirect=True)
def test_writing_beyond_learned_positions_starts_anew(model):
    written, restarts = write(model, torch.tensor([3, 1, 4]), 20, temperature=0)
    assert len(written) == 20
    assert restarts == 4  # 3 + 19 characters are read: at 8, 12, 16 and 20


@dataclasses.dataclass(frozen=True)
class Section:
    count: int = key("a count", low=1)
    rate: float = key("a rate", above=0, below=1)
    name: str = key("a name", choices=("x", "y"))
    on: bool = key("a switch")
    epochs: list[int] = key("a list", low=1)
    maybe: int | None = key("an optional number", low=1)


GOOD = {"count": 3, "rate": 0.5, "name": "x", "on": True, "epochs": [1, 2], "maybe": None}


def test_config_is_frozen_and_plain():
    built = config.build({"part": GOOD}, schema(part=Section), "file.json")
    assert config.plain(built) == {"part": GOOD}
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.part.count = 4
    assert config.override(built, {("part", "count"): 5}).part.count == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "part.count is 0, not a whole number >= 1"),
        ({"count": 1.5}, "part.count is 1.5"),
        ({"count": True}, "part.count is true"),
        ({"count": "3"}, 'part.count is "3"'),
        ({"count": None}, "part.count is null"),
        ({"rate": 0}, "part.rate is 0"),
        ({"rate": 1.0}, "part.rate is 1.0, not a number > 0 < 1"),
        ({"rate": float("nan")}, "part.rate is NaN"),
        ({"name": "z"}, 'part.name is "z", not one of x, y'),
        ({"on": 1}, "part.on is 1, not true or false"),
        ({"epochs": [0]}, "part.epochs is [0], not a list of whole numbers >= 1"),
        ({"epochs": 3}, "part.epochs is 3"),
        ({"maybe": 0}, "part.maybe is 0, not a whole number or null >= 1"),
        ({"cuont": 3}, "unknown part key 'cuont' (known: count, rate"),
    ],
)
def test_config_names_the_key_and_the_file(change, words):
    with pytest.raises(UserError, match=re.escape(f"file.json: {words}")):
        config.build({"part": GOOD | change}, schema(part=Section), "file.json")


def test_config_names_what_is_missing():
    without = {name: value for name, value in GOOD.items() if name != "rate"}
    for values, words in (
        ({"part": without}, "missing part key 'rate'"),
        ({}, "missing section 'part'"),
        ({"part": GOOD, "more": {}}, "unknown section 'more'"),
        ([], "expected {...}"),
        ({"part": 3}, "expected {...}"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            config.build(values, schema(part=Section), "file.json")


def shipped_configs():
    files = sorted((REPOSITORY / "models").glob("*/*.json"))
    return [file for file in files if file.parent.name in KINDS]


@pytest.mark.parametrize(
    "file", shipped_configs(), ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_shipped_configs_are_sound(file):
    config.build(config.read_json(file), config_type(KINDS[file.parent.name]), file.name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_read_somewhere(kind):
    files = [*(REPOSITORY / "utils").glob("*.py"), REPOSITORY / "models" / kind / "modules.py"]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    values = json.loads((REPOSITORY / "models" / kind / "config.json").read_text(encoding="utf-8"))
    for section, keys in values.items():
        owner = "(?:config|wanted|training|self)" if section != "data" else "data"
        for name in keys:
            assert re.search(rf"\b{owner}\.{name}\b", source) or re.search(
                rf"\b{section}\.{name}\b", source
            ), f"{section}.{name} is never read"


def test_help_lists_every_key_with_its_default(capsys):
    for kind in KINDS:
        module = __import__(f"models.{kind}.train", fromlist=["main"])
        with pytest.raises(SystemExit) as stop:
            module.main(["--help"])
        assert stop.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        values = json.loads((REPOSITORY / "models" / kind / "config.json").read_text("utf-8"))
        for section, keys in values.items():
            for name, default in keys.items():
                assert f"--{section}.{name} " in text
                assert f"(default: {json.dumps(default)})" in text.split(f"--{section}.{name} ")[-1]


def test_names_stay_inside_their_folder():
    for name in ("lstm", "a", "_x", "run-1.5", "9"):
        assert check_name(name, "the name") == name
    for name in (
        "",
        ".",
        "..",
        "../x",
        "/x",
        "a/b",
        "a\\b",
        "-x",
        "a b",
        "a:b",
        "con",
        "NUL.txt",
        "x.",
    ):
        with pytest.raises(UserError, match="cannot be a folder's name"):
            check_name(name, "the name")


def test_places_are_evenly_spaced_and_fit():
    assert places(100, 1, 20) == [40]
    assert places(100, 3, 20) == [20, 40, 60]
    with pytest.raises(UserError, match="fewer"):
        places(10, 1, 11)
    assert visible("a\nb\r\nc\td\x07") == "a↵b↵c\\td\\x07"


def test_checkpoint_round_trip_leaves_no_other_file(tmp_path):
    path = tmp_path / "run" / "last.pt"
    for number in (1, 2):
        checkpoint.save(path, {"kind": "lstm", "number": number, "model": torch.ones(3)})
        assert checkpoint.load(path, "lstm")["number"] == number
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


def test_a_reader_that_has_gone_is_no_error():
    code = (
        "from utils.errors import command\n"
        "main = command(lambda argv: [print('line', flush=True) for _ in range(100_000)])\n"
        "raise SystemExit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_importing_does_nothing():
    modules = [
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for folder in ("models", "vae", "utils", "benchmarks")
        for file in (REPOSITORY / folder).rglob("*.py")
    ] + ["data_preparation", "main", "solver"]
    code = "import " + ", ".join(modules)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
