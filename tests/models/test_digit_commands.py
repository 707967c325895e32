"""What the commands of models/gan and models/aae write, what they draw, what they refuse."""

import re
import shutil
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch

import models.aae.test
import models.aae.train
import models.gan.test
import models.gan.train
from models.gan.modules import Generator, ModelConfig
from tests.helpers.comparing import rows
from tests.helpers.pictures import picture, picture_in_pdf
from tests.helpers.repository import REPOSITORY
from utils import files
from utils.digits import testing
from utils.digits.training import generate_pictures
from utils.training import checkpoint

TRAIN = {"gan": models.gan.train.main, "aae": models.aae.train.main}
TEST = {"gan": models.gan.test.main, "aae": models.aae.test.main}
SMALL = "--dataset digits --batch_size 128 --epochs 3 --z_dim 2 --device cpu"
every_kind = pytest.mark.parametrize("kind", TRAIN)


def small(kind, *more):
    size = ["--hidden_size", "32"] if kind == "aae" else []
    return [*SMALL.split(), *size, *more]


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
    kept = {"config.json", "history.csv", "last.pt", "best.pt"}
    assert {file.name for file in folder.iterdir()} == kept | {"epoch_0002.pt", "epoch_0003.pt"}
    assert {file.name for file in results.glob("*.png")} == {
        *("samples_0000.png", "samples_0002.png", "samples_0003.png", "loss.png")
    }, "at the start, the middle and the end"
    history = rows(folder)
    losses = {
        "gan": ["train_generator_nats", "train_discriminator_nats"],
        "aae": [
            "train_reconstruction",
            "train_adversarial_nats",
            "train_discriminator_nats",
            "val_reconstruction",
        ],
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
    generator = Generator(ModelConfig(name="small_gan", z_dim=2))
    generator.load_state_dict(content["model"])
    ends = torch.randn(2, 2, generator=torch.Generator().manual_seed(0))
    ends = (255 * generate_pictures(generator, ends)[:, 0]).round().numpy()
    strip = picture_in_pdf(results / "interpolation.pdf")[::2, ::2]  # drawn at twice the size
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
        r"latents of 359 test pictures against N\(0, I\): .* discrepancy \d\.\d{5}",
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


def test_damaged_data_and_a_missing_classifier_are_named(trained, capsys):
    (trained / "pretrained" / "classifiers" / "digits.pt").unlink()
    assert TRAIN["gan"](small("gan")) == 2
    assert "python -m utils.digits.classifier digits trains it" in capsys.readouterr().err
    raw = trained / "data" / "raw" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(b"not MNIST")
    assert TRAIN["gan"]([]) == 2
    assert "data/raw/MNIST/raw/train-labels-idx1-ubyte.gz is damaged" in capsys.readouterr().err


@every_kind
@pytest.mark.parametrize(("count", "size"), [(37, (3, 16)), (5, (1, 5)), (16, (1, 16))])
def test_without_mnist_it_draws_and_says_what_was_not_measured(kind, count, size, trained, capsys):
    """Rows of sixteen, the last one short."""
    best = trained / "checkpoints" / f"small_{kind}" / "best.pt"
    content = checkpoint.load(best)
    content["config"]["data"]["dataset"] = "mnist"
    checkpoint.save(best, content)
    argv = ["--ckpt_name", f"small_{kind}", "--num_samples", str(count), "--device", "cpu"]
    assert TEST[kind](argv) == 0
    out, err = capsys.readouterr()
    assert out.count("nothing was measured, for want of test pictures: MNIST cannot be ") == 1
    assert "Fréchet" not in out + err
    drawn = picture(trained / "results" / f"small_{kind}" / "samples.png")
    height, width = drawn.shape[:2]
    assert abs(height / size[0] - width / size[1]) <= 3
    side = width / size[1]
    last = drawn[int((size[0] - 1) * side) :, int(((count - 1) % 16 + 1) * side) + 2 :]
    assert last.size == 0 or last.min() > 250
