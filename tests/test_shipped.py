"""The checkpoints that ship: small, made by the committed settings, and as good as they say."""

import json
import shutil

import pytest
import torch

import models.lstm.train
import models.tcn.train
import models.transformer.train
from tests.conftest import REPOSITORY
from tests.test_commands import TEST, TRAIN, small
from utils import checkpoint, ship
from utils.streaming import block_score
from utils.text_data import load_text
from utils.text_testing import load_model

KINDS = {kind: getattr(models, kind) for kind in TRAIN}


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_checkpoint_is_what_it_says(kind, shipped):
    path = shipped / "pretrained" / f"{kind}.pt"
    assert path.stat().st_size <= 3_000_000
    content = checkpoint.load(path, kind)
    config_file = REPOSITORY / "models" / kind / "config.json"
    assert content["config"] == json.loads(config_file.read_text(encoding="utf-8"))
    assert content["trained_by"] == f"python models/{kind}/train.py"
    assert "training" not in content
    train = KINDS[kind].train
    model, config, _ = load_model(kind, kind, None, train.build, train.ModelConfig)
    text = load_text(config.data.name)
    assert text.alphabet == content["alphabet"]
    # float16 keeps the number to the third digit
    nats = block_score(model, text.validation)
    assert nats == pytest.approx(content["row"]["val_nats"], abs=2e-3)


def test_shipping_a_run(repository, capsys):
    assert TRAIN["lstm"](small("lstm")) == 0
    assert ship.main(["lstm", "a command"]) == 0
    best = checkpoint.load(repository / "checkpoints" / "lstm" / "best.pt", "lstm")
    small_file = checkpoint.load(repository / "pretrained" / "lstm.pt", "lstm")
    assert small_file["trained_by"] == "a command"
    for name, weight in best["model"].items():
        assert small_file["model"][name].dtype == torch.float16
        assert torch.allclose(small_file["model"][name].float(), weight, atol=2e-3)
    shutil.rmtree(repository / "checkpoints")
    capsys.readouterr()
    assert TEST["lstm"](["--num_samples", "1"]) == 0
    assert TEST["lstm"](["--epoch", "3"]) == 2
    assert "leave --epoch out" in capsys.readouterr().err
    assert ship.main(["none", "a command"]) == 2
