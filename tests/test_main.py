"""main.py: every task end to end on a small run, its files looked into."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import main
from solver import Solver
from tests.helpers.comparing import rows
from tests.helpers.pictures import picture
from tests.helpers.repository import REPOSITORY
from utils import files
from utils.training import checkpoint
from vae.faces.factors import NAMES
from vae.latents import decode

SMALL = "--images 48 --held_out 40 --batch_size 16 --epochs 2 --z_dim 3 --pictures 1 --device cpu"


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """A repository with two small runs, of which one knows faces, and a folder of photographs."""
    repository = tmp_path_factory.mktemp("faces") / "repository"
    shutil.copytree(files.ROOT / "vae", repository / "vae")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", repository)
        for name in ("small", "other"):
            assert main.main([*SMALL.split(), "--ckpt_name", name, "--seed", str(len(name))]) == 0
    photos = repository / "photos" / "deeper"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(40):
        Image.fromarray(rng.integers(256, size=(70, 90, 3), dtype=np.uint8)).save(
            photos / f"{n:02}.png"
        )
    (photos / "notes.png").write_text("no picture", encoding="utf-8")
    np.savez(repository / "grey.npz", faces=rng.integers(256, size=(20, 64, 64), dtype=np.uint8))
    return repository


@pytest.fixture
def trained(trained_once, tmp_path, monkeypatch, capsys):
    root = tmp_path / "repository"
    shutil.copytree(trained_once, root)
    monkeypatch.setattr(files, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    return root


def run(*argv):
    return main.main(["--device", "cpu", *argv])


def test_training_writes_what_it_says(trained, capsys):
    folder, results = trained / "checkpoints" / "small", trained / "results" / "small"
    kept = {"config.json", "history.csv", "last.pt", "best.pt"}
    assert {file.name for file in folder.iterdir()} == kept | {"epoch_0001.pt", "epoch_0002.pt"}
    history = rows(folder)
    for split in ("train", "val"):
        for row in history:
            kl = [float(row[f"{split}_kl_{j:02}_nats"]) for j in range(3)]
            assert float(row[f"{split}_kl_nats"]) == pytest.approx(sum(kl))
            picture_nats = float(row[f"{split}_reconstruction_nats"])
            assert float(row[f"{split}_nats"]) == pytest.approx(
                picture_nats + 4 * sum(kl), rel=1e-4
            )
            assert float(row[f"{split}_active"]) <= 3
    # Validation draws the same noise after every epoch: lower by 31 nats, with a standard deviation
    # of 7 over five seeds, where the training loss has 168 and 51.
    assert float(history[1]["val_nats"]) < float(history[0]["val_nats"])
    for name in ("loss.png", "samples_0001.png", "samples_0002.png", "reconstructions_0002.png"):
        picture(results / name)
    assert any((results / "tensorboard").iterdir())
    content = checkpoint.load(folder / "best.pt", "vae")
    assert content["shape"] == [3, 64, 64]
    assert content["config"]["loss"]["beta"] == 4


def test_samples_of_one_run_and_of_several(trained, capsys):
    file = trained / "results" / "small" / "random_generation.png"
    assert run("--task", "random_generation", "--ckpt_name", "small", "--num_samples", "6") == 0
    first = picture(file)
    assert "results/small/random_generation.png" in capsys.readouterr().out
    argv = ["--task", "random_generation", "--ckpt_name", "small", "--num_samples", "6"]
    assert run(*argv, "--seed", "0") == 0
    assert np.array_equal(picture(file), first)
    assert run(*argv, "--seed", "1") == 0
    assert not np.array_equal(picture(file), first)
    argv[3:4] = ["small", "other"]
    assert run(*argv) == 0
    assert picture(file).shape[0] == 2 * first.shape[0], "a row for each run"


def test_latent_analysis_of_faces(trained):
    results = trained / "results" / "small"
    assert run("--task", "latent_analysis", "--ckpt_name", "small", "--held_out", "60") == 0
    picture(results / "latent_analysis.png")
    with Image.open(results / "latent_analysis.gif") as animation:
        assert animation.n_frames == 16  # nine steps, forth and back
    with open(results / "latent_analysis.csv", encoding="utf-8", newline="") as file:
        *latents, shuffled = csv.DictReader(file)
    whole = json.loads((results / "latent_analysis.json").read_text(encoding="utf-8"))
    assert sorted(int(row["latent"]) for row in latents) == [0, 1, 2]
    kl = [float(row["kl_nats"]) for row in latents]
    assert kl == sorted(kl, reverse=True)
    assert whole["scores"]["kl_nats"] == pytest.approx(sum(kl), abs=1e-3)
    for row in latents:
        assert row["name"] in ("", *NAMES)
        assert row["active"] == str(float(row["kl_nats"]) > 0.01)
        for name in NAMES:
            assert 0 <= float(row[f"{name}_share"]) <= 1
    assert shuffled["latent"] == "shuffled labels"
    assert all(0 < float(shuffled[f"{name}_share"]) <= 1 for name in NAMES)
    picture(results / "latent_factors.png")
    scores = {"mig", "dci_disentanglement", "dci_completeness", "dci_informativeness"}
    assert scores | {"active_units", "kl_nats"} == whole["scores"].keys()


def test_latent_analysis_of_photographs_has_no_names(trained):
    results = trained / "results" / "small"
    argv = ["--task", "latent_analysis", "--ckpt_name", "small", "--data"]
    assert run(*argv, str(trained / "photos")) == 0
    picture(results / "latent_analysis.png")
    whole = json.loads((results / "latent_analysis.json").read_text(encoding="utf-8"))
    assert whole["scores"].keys() == {"active_units", "kl_nats"}
    assert all(row["name"] == "" for row in whole["latents"])


def test_rotate(trained, capsys):
    results = trained / "results" / "small"
    assert run("--task", "rotate", "--ckpt_name", "small", "--angles", "-40", "0", "40") == 0
    assert "arbitrary" not in capsys.readouterr().out
    strip = picture(results / "rotate.png")
    with Image.open(results / "rotate.gif") as animation:
        assert animation.n_frames > 20
    photo = str(trained / "photos" / "deeper" / "03.png")
    argv = ["--task", "rotate", "--ckpt_name", "small", "--data", str(trained / "photos")]
    assert run(*argv, "--image", photo) == 0
    assert "arbitrary" in capsys.readouterr().out
    assert picture(results / "rotate.png").shape[1] > 2 * strip.shape[1], "nine angles by default"


@pytest.mark.parametrize("data", [None, "photos", "grey.npz"])
def test_reconstruction(trained, capsys, data):
    argv = ["--task", "reconstruction", "--ckpt_name", "small", "--num_samples", "2"]
    assert run(*argv, *(["--data", str(trained / data)] if data else [])) == 0
    assert re.search(r"reconstruction \d+\.\d nats each, .* 0\.\d{4} ", capsys.readouterr().out)
    picture(trained / "results" / "small" / "reconstruction.png")


def test_photographs_train(trained, capsys):
    argv = ["--data", str(trained / "photos"), "--ckpt_name", "mine", "--batch_size", "8"]
    assert run(*argv, "--epochs", "1") == 0
    out = capsys.readouterr().out
    assert "skipped 1 of 41 files" in out
    assert "36 images" in out, "a tenth of the forty is kept apart"


@pytest.mark.parametrize(
    "more", [["--objective", "beta_tcvae"], ["--capacity", "5", "--capacity_steps", "3"]]
)
def test_other_objectives_train(trained, more):
    assert run(*SMALL.split(), "--ckpt_name", "more", "--beta_warmup", "2", *more) == 0
    assert len(rows(trained / "checkpoints" / "more")) == 2


def test_overwrite_leaves_no_picture_of_the_earlier_run(trained):
    notes = trained / "results" / "small" / "notes.png"
    notes.write_bytes(b"mine")
    assert run(*SMALL.split(), "--ckpt_name", "small", "--epochs", "1", "--overwrite") == 0
    pictures = {file.name for file in (trained / "results" / "small").glob("*.png")}
    kept = {f"{kind}_{epoch:04}.png" for kind in ("samples", "reconstructions") for epoch in (0, 1)}
    assert pictures == kept | {"loss.png", "notes.png"}


def test_dry_run_keeps_nothing(trained, capsys):
    before = sorted(trained.rglob("*"))
    assert run("--dry-run", "--ckpt_name", "new") == 0
    assert "nothing was kept" in capsys.readouterr().out
    assert sorted(trained.rglob("*")) == before


def test_help_is_grouped_and_has_every_default(capsys):
    with pytest.raises(SystemExit) as stop:
        main.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for group in ("the run", "the tasks", "model (defaults", "loss (defaults", "data (defaults"):
        assert f"\n{group}" in out
    assert "weight of the KL; a number >= 0 (default: 4.0)" in " ".join(out.split())


def test_pictures_one_by_one_can_be_read_back(trained, capsys):
    results = trained / "results" / "small"
    argv = ["--task", "random_generation", "--ckpt_name", "small", "other", "--num_samples"]
    assert run(*argv, "5", "--individual") == 0
    assert run(*argv, "3", "--individual") == 0
    for name in ("small", "other"):
        folder = trained / "results" / name / "random_generation"
        assert sorted(file.name for file in folder.iterdir()) == [f"000{n}.png" for n in range(3)]
        with np.load(folder.with_suffix(".npz")) as arrays:
            whole, z = arrays["pictures"], arrays["z"]
        assert (whole.shape, whole.dtype, z.shape) == ((3, 3, 64, 64), np.uint8, (3, 3))
        for n in range(3):
            with Image.open(folder / f"000{n}.png") as image:
                assert np.array_equal(np.asarray(image).transpose(2, 0, 1), whole[n])
        model = Solver.load(name, device="cpu").model
        again = (255 * decode(model, torch.from_numpy(z))).round()
        assert np.abs(again.numpy() - whole).max() <= 1
    capsys.readouterr()
    archive = str(results / "random_generation.npz")
    assert run("--task", "reconstruction", "--ckpt_name", "small", "--data", archive) == 0
    assert capsys.readouterr().out.startswith("3 pictures: ")


@pytest.mark.parametrize("task", ["reconstruction", "latent_analysis", "rotate"])
def test_a_task_takes_all_pictures_of_data_a_single_one_included(trained, capsys, task):
    photos = sorted((trained / "photos" / "deeper").glob("[0-9]*.png"))
    one = trained / "one"
    one.mkdir()
    shutil.copy(photos[0], one)
    for data in (one, photos[0]):
        assert run("--task", task, "--ckpt_name", "small", "--data", str(data)) == 0
        out = capsys.readouterr().out
        if task == "reconstruction":
            assert out.startswith("1 picture: ")
        assert ("too few to learn a turn from" in out) == (task == "rotate")
    assert (
        run("--task", "reconstruction", "--ckpt_name", "small", "--data", str(photos[0].parent))
        == 0
    )
    assert "\n40 pictures: " in capsys.readouterr().out, "not a tenth of them"


def test_reconstruction_takes_pictures_by_name(trained, capsys):
    names = [str(trained / "photos" / "deeper" / f"{n:02}.png") for n in range(3)]
    assert run("--task", "reconstruction", "--ckpt_name", "small", "--image", *names) == 0
    assert capsys.readouterr().out.startswith("3 pictures: ")
    assert picture(trained / "results" / "small" / "reconstruction.png").shape[0] == 2 * 136


def test_few_faces_have_no_names_and_it_says_why(trained, capsys):
    for number in ("1", "3", "64"):
        argv = ["--task", "latent_analysis", "--ckpt_name", "small", "--held_out", number]
        assert run(*argv) == 0
        out = capsys.readouterr().out
        assert "no latent is named: it takes a share of 0.25 more than chance" in out
        assert ("no DCI of" in out) == (number != "64")
        assert re.search(r"mig [\d.e-]+ \(shuffled factors: up to [\d.]+\)", out)
    file = trained / "results" / "small" / "latent_analysis.json"
    floors = json.loads(file.read_text(encoding="utf-8"))["floors"]
    assert floors.keys() == {"mig", "shares"}
    assert floors["shares"].keys() == set(NAMES)
    assert max(floors["shares"].values()) > 0.25, "of 64 faces"


def test_rotate_says_what_is_a_guess(trained, capsys):
    argv = ["--task", "rotate", "--ckpt_name", "small", "--held_out", "12", "--angles", "0"]
    assert run(*argv, "45") == 0
    assert "guess" not in capsys.readouterr().out
    assert run(*argv, "60") == 0
    assert "turned by -45 to 45 degrees, so 60 is a guess" in capsys.readouterr().out
    assert run(*argv, "60", "-90") == 0
    assert "turned by -45 to 45 degrees, so 60, -90 are guesses" in capsys.readouterr().out


@pytest.fixture
def known(trained):
    """A table of the photographs beside their folder."""
    rows = [f"deeper/{n:02}.png,{n % 7 * 10},{'yes' if n % 3 else 'no'}" for n in range(40)]
    rows = "\n".join(["file,age,hat", *rows])
    (trained / "photos.csv").write_text(rows, encoding="utf-8")
    return ["--ckpt_name", "small", "--data", str(trained / "photos")]


def test_latent_analysis_of_photographs_by_their_table(trained, known, capsys):
    argv = ["--task", "latent_analysis", *known]
    assert run(*argv) == 0
    out = capsys.readouterr().out
    assert "  age: a number, 0 to 60\n  hat: no (35 %), yes (65 %)\n" in out
    results = trained / "results" / "small"
    picture(results / "latent_factors.png")
    whole = json.loads((results / "latent_analysis.json").read_text(encoding="utf-8"))
    assert whole["floors"]["shares"].keys() == {"age", "hat"}
    assert all(0 <= row["age_share"] <= 1 for row in whole["latents"])
    assert run(*argv, "--factors", "hat") == 0
    mig = whole["scores"]["mig"]
    whole = json.loads((results / "latent_analysis.json").read_text(encoding="utf-8"))
    assert whole["scores"]["mig"] != mig


def test_traverse_moves_faces_along_an_attribute(trained, known, capsys):
    assert run("--task", "traverse", *known, "--along", "age", "--index", "2") == 0
    assert re.search(r"age from 0 to 60, read from decoded .*: ", capsys.readouterr().out)
    one = picture(trained / "results" / "small" / "traverse.png")
    photos = [str(trained / "photos" / "deeper" / f"{n:02}.png") for n in (1, 2)]
    assert run("--task", "traverse", *known, "--along", "hat", "--image", *photos) == 0
    assert picture(trained / "results" / "small" / "traverse.png").shape[0] >= one.shape[0] + 136
    with Image.open(trained / "results" / "small" / "traverse.gif") as animation:
        assert animation.n_frames == 48
    (trained / "photos.csv").unlink()
    argv = ["--task", "traverse", "--ckpt_name", "small", "--held_out", "40", "--along", "hat"]
    assert run(*argv) == 0
    capsys.readouterr()
    assert run("--task", "traverse", *known, "--along", "hat") == 0
    learned = "nothing is known of them to learn a direction from, which is learned from rendered"
    assert learned in capsys.readouterr().out
    assert run("--task", "rotate", *known, "--image", *photos) == 0


def test_interpolation_and_codes(trained, capsys):
    photos = [str(trained / "photos" / "deeper" / f"{n:02}.png") for n in (1, 2, 3)]
    argv = ["--ckpt_name", "small", "--image"]
    results = trained / "results" / "small"
    assert run("--task", "interpolation", *argv, *photos[:2]) == 0
    assert picture(results / "interpolation.png").shape[0] > 2 * 136
    assert run("--task", "encode", *argv, *photos) == 0
    codes = np.load(results / "codes.npy")
    assert codes.shape == (3, 3)
    assert run("--task", "encode", "--ckpt_name", "small", "--data", str(trained / "photos")) == 0
    with open(results / "codes.csv", encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert names == [f"deeper/{n:02}.png" for n in range(40)], "the one that is none left out"
    assert np.allclose(np.load(results / "codes.npy")[1:4], codes, atol=1e-5)


ATTRIBUTE_MISTAKES = {
    "--along nose": "--along 'nose': no such attribute, known are age, hat",
    "": "traverse takes --along one of age, hat",
    "--along hat --attributes {}/other.csv": "other.csv: no row of it fits a picture of",
    "--along hat --attributes {}/twice.csv": "twice.csv: two columns are called 'hat'",
    "--along hat --attributes {}/alike.csv": "alike.csv: no attribute is left (left out hat: it",
    "--along hat --attributes {}/nowhere.csv": "nowhere.csv: it cannot be read (No such file",
    "--along hat --attributes {}": ": it cannot be read (Is a directory): give a table",
    "--along hat --attributes {}/photos/deeper/00.png": "00.png: it is no text",
    "--along hat --attributes {{age}}-x": "{age}-x: no file is called so",
    "--along hat --attributes {}/grey.npz": "grey.npz: it has no array of 40 numbers or words",
}


@pytest.mark.parametrize("argv", ATTRIBUTE_MISTAKES)
def test_mistakes_with_attributes_are_one_line(argv, trained, known, capsys):
    (trained / "other.csv").write_text("file,hat\nx.png,1\ny.png,0\n", encoding="utf-8")
    (trained / "twice.csv").write_text("file,hat,hat\n00.png,1,0\n", encoding="utf-8")
    (trained / "alike.csv").write_text("file,hat\n00.png,1\n01.png,1\n", encoding="utf-8")
    words = [word.format(trained) for word in argv.split()]
    assert run("--task", "traverse", *known, *words) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert ATTRIBUTE_MISTAKES[argv] in err
    assert not (trained / "results" / "small" / "traverse.png").exists()


def test_the_library_does_what_the_page_says(shipped, tmp_path, monkeypatch):
    page = (REPOSITORY / "docs" / "faces.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(256, size=(70, 90, 3), dtype=np.uint8)).save(tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert not names["solver"].model.training
    assert not any(module.training for module in names["solver"].model.modules())
    assert names["z"].shape == (1, 20)
    with Image.open(tmp_path / "changed.png") as changed:
        assert changed.size == (64, 64)
