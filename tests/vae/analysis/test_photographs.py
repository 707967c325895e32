"""Pictures whose attributes stand in a table are measured as rendered faces are by factors."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from solver import Solver
from utils.images.data import Images
from utils.images.files import load_images
from utils.images.sources import add_attributes
from vae.analysis import disentanglement, latents
from vae.analysis.disentanglement import measure_mig
from vae.analysis.latents import MIG_FACTORS, Analysis, analyse
from vae.data import VALIDATION_SEED
from vae.faces.factors import FACTORS, NAMES, mark_valid
from vae.faces.head import render_faces
from vae.networks import VAE, ModelConfig

FACES = 1000  # of 3,000 all is equal, too


@pytest.fixture(scope="module", autouse=True)
def fewer_shuffles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disentanglement, "SHUFFLES", 40)
        yield


@pytest.fixture(scope="module")
def model():
    return Solver.load("vae_beta_20", device="cpu").model


@pytest.fixture(scope="module")
def rendered():
    return render_faces(FACES, VALIDATION_SEED)


@pytest.fixture(scope="module")
def by_renderer(model, rendered):
    return analyse(model, rendered)


@pytest.fixture(scope="module")
def photos(rendered, tmp_path_factory):
    """Rendered faces as PNG files."""
    folder = tmp_path_factory.mktemp("photos") / "photos"
    folder.mkdir()
    for n, pixels in enumerate(rendered.pixels):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{n:04}.png", compress_level=0)
    return load_images(folder)


def write_table(file, factors, valid, order):
    """Writes factors (N, 11) as a table, words where there are some; invalid cells are empty."""
    with open(file, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", *NAMES])
        for n in order:
            cells = [
                (factor.values[int(value)] if factor.values else float(value)) if known else ""
                for factor, value, known in zip(FACTORS, factors[n], valid[n], strict=True)
            ]
            writer.writerow([f"{n:04}.png", *cells])
    return str(file)


def test_names_and_scores_are_those_by_the_renderer(model, rendered, photos, by_renderer, tmp_path):
    assert np.array_equal(photos.pixels, rendered.pixels)
    order = np.random.default_rng(0).permutation(FACES)
    table = write_table(tmp_path / "t.csv", rendered.labels, mark_valid(rendered.labels), order)
    known = add_attributes(photos, tmp_path, table)
    found = analyse(model, known, MIG_FACTORS)
    assert found.names == by_renderer.names
    assert sum(name is not None for name in found.names) >= 6
    assert found.factors == by_renderer.factors == NAMES
    for score, value in by_renderer.scores.items():
        assert found.scores[score] == pytest.approx(value, abs=1e-6), score
    assert found.floors == pytest.approx(by_renderer.floors, abs=1e-6)
    assert measure_mig(found.ratios)[0] < found.scores["mig"], "smile and pitch are in no latent"


@pytest.fixture(scope="module")
def measured(model, rendered):
    return {"encode": latents.encode(model, rendered)}


@pytest.fixture
def names_alone(measured, monkeypatch):
    """Leaves out what takes long: trees, and encoding the same pictures again."""
    monkeypatch.setattr("vae.analysis.latents.measure_dci", no_trees)
    for name, found in measured.items():
        monkeypatch.setattr(latents, name, lambda *_, found=found: found)


def test_missing_cells_and_another_order_leave_the_names(
    model, rendered, photos, by_renderer, names_alone, tmp_path
):
    rng = np.random.default_rng(1)
    valid = mark_valid(rendered.labels) & (rng.random(rendered.labels.shape) >= 0.2)
    table = write_table(tmp_path / "t.csv", rendered.labels, valid, rng.permutation(FACES))
    known = add_attributes(photos, tmp_path, table)
    assert np.array_equal(known.attributes.valid, valid)
    # Of 3,000 faces the names are the same, five times of five; of these, two are near a bound.
    found, expected = analyse(model, known).names, by_renderer.names
    assert {z: name for z, name in enumerate(found) if name}.items() <= dict(
        enumerate(expected)
    ).items()
    assert sum(map(bool, found)) >= sum(map(bool, expected)) - 2


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_give_no_name(seed, model, rendered, photos, names_alone, tmp_path):
    shuffled = rendered.labels[np.random.default_rng(seed).permutation(FACES)]
    everything = np.ones(shuffled.shape, dtype=bool)
    table = write_table(tmp_path / "t.csv", shuffled, everything, range(FACES))
    found = analyse(model, add_attributes(photos, tmp_path, table))
    assert not any(found.names)
    assert found.ratios.max() < 0.1


def no_trees(*anything):
    raise ValueError("no factor varies")


def test_an_untrained_model_and_few_pictures_give_no_name(rendered, photos, tmp_path):
    torch.manual_seed(0)
    untrained = VAE((3, 64, 64), ModelConfig(name="m", network="higgins", z_dim=20))
    labels = rendered.labels
    table = write_table(tmp_path / "t.csv", labels, mark_valid(labels), range(FACES))
    few = add_attributes(photos, tmp_path, table).take(slice(64))
    assert not any(analyse(untrained, few).names)


def test_a_rare_attribute_that_chance_could_know_whole_gives_no_name():
    """One hat among 64: a bin of its own knows all of it, and so it does in many an order."""
    ratios = np.array([[1.0], [0.2]])
    floors = disentanglement.Floors(np.array([1.0]), np.array([0.5]), np.zeros((1, 1)))
    assert disentanglement.name_latents(ratios, ["hat"], floors=floors) == [None, None]


def test_forty_attributes_of_many_pictures_are_drawn(tmp_path):
    from tests.helpers.pictures import picture
    from vae.analysis.latents import draw_factors

    rng = np.random.default_rng(0)
    factors = tuple(f"Wearing_Something_{n}" for n in range(40))
    shares = rng.random((20, 40)) ** 4
    floors, names = dict.fromkeys(factors, 0.02), [*factors[:20]]
    analysis = Analysis(np.linspace(3, 1, 20), shares, shares, names, {}, factors, 0.01, floors)
    drawn = picture(draw_factors(analysis, analysis.rows(), tmp_path / "factors.png"))
    assert drawn.shape[1] > 40 * 40, "room for a number in each column"
    assert drawn.shape[1] < 2600


def test_more_pictures_than_trees_need_are_measured_in_part(model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("vae.analysis.latents.MEASURED", 100)
    seen = []
    monkeypatch.setattr(
        "vae.analysis.latents.measure_dci", lambda mu, *known: seen.append(len(mu)) or no_trees()
    )
    some = photos.take(slice(300))
    pairs = [f"hat={'no' if n % 3 else 'yes'}_{n}.png" for n in range(300)]
    found = analyse(model, add_attributes(Images(some.pixels, "x/", names=pairs), tmp_path))
    assert seen == [100]
    assert found.factors == ("hat",)
    assert "dci_completeness" not in found.scores
