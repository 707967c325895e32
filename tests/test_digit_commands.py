"""What the commands of models/gan and models/aae write, what they draw, what they refuse."""

import re
import shutil
import urllib.request
import zlib
from urllib.error import URLError

import numpy as np
import pytest
import torch

import models.aae.test
import models.aae.train
import models.gan.test
import models.gan.train
from models.gan.modules import Generator, ModelConfig
from tests.conftest import REPOSITORY
from tests.test_commands import rows
from tests.test_main import picture
from utils import config, files
from utils.digits import testing
from utils.digits.training import drawn
from utils.training import checkpoint

TRAIN = {"gan": models.gan.train.main, "aae": models.aae.train.main}
TEST = {"gan": models.gan.test.main, "aae": models.aae.test.main}
SMALL = ["--data.dataset", "digits", "--training.batch_size", "128", "--training.epochs", "3"]
SMALL += ["--model.z_dim", "2", "--training.device", "cpu"]
every_kind = pytest.mark.parametrize("kind", TRAIN)


def small(kind, *more):
    return [*SMALL, *(["--model.hidden_size", "32"] if kind == "aae" else []), *more]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """A repository with the classifiers that ship and a small run of each kind."""
    repository = tmp_path_factory.mktemp("digits") / "repository"
    shutil.copytree(
        REPOSITORY / "pretrained" / "classifiers", repository / "pretrained" / "classifiers"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", repository)
        for kind, train in TRAIN.items():
            assert train(small(kind, "--ckpt_name", f"small_{kind}")) == 0
    return repository


@pytest.fixture
def trained(trained_once, tmp_path, monkeypatch, capsys):
    """A copy of it for one test, without a connection and with a short evaluation."""
    root = tmp_path / "repository"
    shutil.copytree(trained_once, root)
    monkeypatch.setattr(files, "ROOT", root)
    monkeypatch.setattr(testing, "EVALUATED", 300)
    monkeypatch.chdir(tmp_path)

    def refuse(*args, **options):
        raise URLError("no connection")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    capsys.readouterr()
    return root


@every_kind
def test_training_writes_what_it_says(kind, trained):
    folder = trained / "checkpoints" / f"small_{kind}"
    results = trained / "results" / f"small_{kind}"
    assert {file.name for file in folder.iterdir()} == {
        *("config.json", "history.csv", "last.pt", "best.pt", "epoch_0002.pt", "epoch_0003.pt")
    }
    assert {file.name for file in results.glob("*.png")} == {
        *("samples_0000.png", "samples_0002.png", "samples_0003.png", "loss.png")
    }, "at the start, the middle and the end"
    history = rows(folder)
    losses = {
        "gan": ("train_generator_nats", "train_discriminator_nats"),
        "aae": (
            *("train_reconstruction", "train_adversarial_nats", "train_discriminator_nats"),
            "val_reconstruction",
        ),
    }[kind]
    assert list(history[0]) == ["epoch", "step", *losses, "val_frechet", "learning_rate"]
    distances = [float(row["val_frechet"]) for row in history]
    assert all(distance > 0 for distance in distances)
    training = checkpoint.load(folder / "last.pt", kind)["config"]["training"]
    last_rate = training["final_rate"] * training["learning_rate"]
    assert float(history[-1]["learning_rate"]) == pytest.approx(last_rate, abs=1e-9)
    content = checkpoint.load(folder / "best.pt", kind)
    assert content["epoch"] == 1 + distances.index(min(distances))
    assert "training" not in content


def image_in(pdf):
    """The one picture in a PDF file: uint8 (H, W), unpacked from its palette."""
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.rstrip().endswith(b"%%EOF")
    start = content.index(b"/Subtype /Image")
    head, _, rest = content[start - 200 :].partition(b"stream\n")
    height = int(re.search(rb"/Height (\d+)", head)[1])
    data = zlib.decompressobj().decompress(rest)
    lines = np.frombuffer(data, dtype=np.uint8).reshape(height, -1)
    assert not lines[:, 0].any(), "no line is stored as a difference"
    palette = re.search(rb"/Indexed /DeviceRGB \d+\s+\((.*)\)\s*\]", head, re.DOTALL)[1]
    special = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    palette = re.sub(rb"\\(.)", lambda m: special.get(m[1], m[1]), palette, flags=re.DOTALL)
    return np.frombuffer(palette, dtype=np.uint8).reshape(-1, 3)[lines[:, 1:], 0].astype(int)


def test_gan_draws_and_interpolates(trained, capsys):
    results = trained / "results" / "small_gan"
    argv = ["--ckpt_name", "small_gan", "--num_samples", "6"]
    assert TEST["gan"]([*argv, "--steps", "5"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"\nFréchet distance of 300 draws to scikit-learn's digits: \d+\.\d+\n", out)
    assert re.search(r"\ndigits drawn: 0: \d+\.\d %, .*%", out)
    before = picture(results / "samples.png")

    content = checkpoint.load(trained / "checkpoints" / "small_gan" / "best.pt", "gan")
    generator = Generator(ModelConfig("small_gan", 2))
    generator.load_state_dict(content["model"])
    ends = torch.randn(2, 2, generator=torch.Generator().manual_seed(0))
    ends = (255 * drawn(generator, ends)[:, 0]).round().numpy()
    strip = image_in(results / "interpolation.pdf")[::2, ::2]  # drawn at twice the size
    assert strip.shape == (2 * 32, 5 * 32)
    for top in (2, 34):  # the straight line, the arc: both have the same ends
        for left, end in ((2, ends[0]), (4 * 32 + 2, ends[1])):
            assert abs(strip[top : top + 28, left : left + 28] - end).max() <= 1

    assert TEST["gan"](argv) == 0
    assert np.array_equal(picture(results / "samples.png"), before), "same seed, same pictures"
    assert TEST["gan"]([*argv, "--seed", "1"]) == 0
    assert not np.array_equal(picture(results / "samples.png"), before)


def test_aae_reconstructs_draws_and_shows_its_codes(trained, capsys):
    results = trained / "results" / "small_aae"
    assert TEST["aae"](["--ckpt_name", "small_aae"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for line in (
        r"AAE small_aae, epoch \d, lambda 0\.\d+, trained on digits",
        r"reconstruction: mean squared error of a pixel 0\.\d{5}",
        r"codes of 359 test pictures against N\(0, I\): .* discrepancy \d\.\d{5}",
    ):
        assert re.search(line, out)
    for name in ("reconstruction.png", "samples.png", "codes.png"):
        picture(results / name)


@every_kind
def test_dry_run_keeps_nothing(kind, trained, capsys):
    before = sorted(trained.rglob("*"))
    assert TRAIN[kind](["--dry-run", "--data.dataset", "digits"]) == 0
    assert "nothing was kept" in capsys.readouterr().out
    assert sorted(trained.rglob("*")) == before


@every_kind
def test_shipped_config_is_sound_and_all_of_it_is_read(kind, capsys):
    folder = REPOSITORY / "models" / kind
    values = config.read_json(folder / "config.json")
    config.build(values, getattr(models, kind).train.CONFIG, "config.json")
    files = [*(REPOSITORY / "utils").glob("digit_*.py"), *folder.glob("*.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    source += "config.model.name"  # by utils.run
    with pytest.raises(SystemExit):
        TRAIN[kind](["--help"])
    help_text = capsys.readouterr().out
    for section, keys in values.items():
        for name in keys:
            assert re.search(rf"\b(config|{section})\.{name}\b", source), f"{section}.{name}"
            assert f"--{section}.{name} " in help_text


def test_damaged_data_and_a_missing_classifier_are_named(trained, capsys):
    (trained / "pretrained" / "classifiers" / "digits.pt").unlink()
    assert TRAIN["gan"](small("gan")) == 2
    assert "python -m utils.digit_classifier digits trains it" in capsys.readouterr().err
    raw = trained / "data" / "raw" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(b"not MNIST")
    assert TRAIN["gan"]([]) == 2
    assert "data/raw/MNIST/raw/train-labels-idx1-ubyte.gz is damaged" in capsys.readouterr().err
