"""The rendered faces: each factor does what it says, where it says, and nothing elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vae.data import VALIDATION_SEED
from vae.faces import head
from vae.faces.factors import FACTORS, NAMES, column, sample_factors
from vae.faces.geometry import EVERYWHERE
from vae.faces.head import render, render_faces

# A face with hair and without hat and glasses, looking at the viewer in frontal light.
USUAL = {"hair_style": 1, "face_width": 1, "skin_tone": 0.3, "hair_colour": 0.5, "background": 0.6}

# The least share of pixels that must change by more than 8 levels between the ends of a factor.
SHARES = {
    "yaw": 0.2, "pitch": 0.12, "skin_tone": 0.25, "hair_style": 0.2, "hair_colour": 0.1,
    "hat": 0.15, "glasses": 0.05, "smile": 0.012, "face_width": 0.2, "light": 0.3,
    "background": 0.4,
}  # fmt: skip

BROW_TO_CHEEK = slice(20, 37)  # rows, from the top
MOUTH = slice(37, 52)


def face(**values):
    """Factors (1, F): the usual face, but for `values`."""
    values = USUAL | values
    return torch.tensor([[float(values.get(name, 0)) for name in NAMES]])


def picture(**values):
    return render(face(**values))[0].int()


def changed(name, low, high, **values):
    """Which pixels (64, 64) differ between two values of a factor."""
    return (picture(**values | {name: low}) != picture(**values | {name: high})).any(dim=0)


def extremes(count, seed):
    """Random factors, and the same with the head turned and tilted as far as it goes."""
    factors = sample_factors(count, seed)
    turned = factors.clone()
    turned[:, :2] = factors[:, :2].sign() * torch.tensor([45.0, 8.0])
    return torch.cat([factors, turned])


def test_factors_are_in_range_and_fill_it():
    factors = sample_factors(3000, seed=0)
    assert factors.shape == (3000, len(FACTORS))
    assert factors.dtype == torch.float32
    for factor in FACTORS:
        values = column(factors, factor.name)
        if factor.values:
            counts = torch.bincount(values.long(), minlength=len(factor.values))
            assert len(counts) == len(factor.values), factor.name
            assert counts.min() > 0.9 * 3000 / len(counts), factor.name
        else:
            span = factor.high - factor.low
            assert factor.low <= values.min() < factor.low + 0.01 * span, factor.name
            assert factor.high >= values.max() > factor.high - 0.01 * span, factor.name
    dependence = torch.corrcoef(factors.T) - torch.eye(len(FACTORS))
    assert dependence.abs().max() < 0.08


def test_the_seed_decides_everything():
    images = render_faces(5, seed=3)
    again = render_faces(5, seed=3, part=2)
    assert images.pixels.dtype == np.uint8
    assert images.pixels.shape == (5, 3, 64, 64)
    assert np.array_equal(images.pixels, again.pixels)
    assert np.array_equal(images.labels, again.labels)
    assert not np.array_equal(images.pixels, render_faces(5, seed=4).pixels)
    assert render(torch.from_numpy(images.labels)[:0]).shape == (0, 3, 64, 64)


def test_a_face_does_not_depend_on_those_rendered_with_it():
    factors = sample_factors(head.CHUNK + 9, seed=1)
    together = render(factors)
    for i in (0, 1, 17, head.CHUNK, head.CHUNK + 8):
        assert render(factors[i : i + 1])[0].equal(together[i])
    assert render(factors.flip(0)).equal(together.flip(0))


def test_the_faces_are_those_that_the_shipped_models_were_trained_on():
    """faces.npz: factors of every kind of face, and the sums of 4 x 4 pixels of what they render.

    Where a change is meant, all shipped autoencoders of faces have to be trained anew.
    """
    with np.load(Path(__file__).with_name("faces.npz")) as known:
        factors, sums, drawn = (torch.from_numpy(known[name]) for name in known.files)
    images = render(factors).int().unflatten(3, (16, 4)).unflatten(2, (16, 4)).sum(dim=(3, 5))
    assert images.shape == sums.shape == (24, 3, 16, 16)
    assert (images - sums.int()).abs().max() <= 8, "half a level a pixel: rounding is much less"
    assert torch.allclose(sample_factors(3, VALIDATION_SEED), drawn)


def test_rendering_leaves_the_factors_alone():
    factors = sample_factors(4, seed=0)
    before = factors.clone()
    render(factors)
    assert factors.equal(before)


def test_the_rows_a_part_is_looked_for_in_cut_nothing_off(monkeypatch):
    factors = extremes(100, seed=2)
    images = render(factors).int()
    monkeypatch.setattr(head, "rows_between", lambda high, low: EVERYWHERE)
    assert (render(factors).int() - images).abs().max() <= 2


def test_a_mirrored_face_is_the_face_turned_and_lit_from_the_other_side():
    factors = extremes(60, seed=5)
    mirrored = factors.clone()
    for name in ("yaw", "light"):
        column(mirrored, name).neg_()
    assert (render(mirrored).int() - render(factors).flip(3).int()).abs().max() <= 1


def test_in_frontal_light_turning_to_the_other_side_mirrors_the_face():
    left, right = picture(yaw=-30), picture(yaw=30)
    assert (left - right.flip(2)).abs().max() <= 1
    assert (picture() - picture().flip(2)).abs().max() <= 1


@pytest.mark.parametrize("factor", FACTORS, ids=NAMES)
def test_every_factor_is_seen(factor):
    a, b = picture(**{factor.name: factor.low}), picture(**{factor.name: factor.high})
    assert ((a - b).abs() > 8).any(dim=0).float().mean() > SHARES[factor.name]


@pytest.mark.parametrize(
    "factor", [factor for factor in FACTORS if not factor.values], ids=lambda factor: factor.name
)
def test_small_steps_of_a_factor_are_small_steps_of_the_picture(factor):
    values = torch.linspace(factor.low, factor.high, 41).tolist()
    images = render(torch.cat([face(**{factor.name: value}) for value in values])).float()
    steps = (images[1:] - images[:-1]).abs().mean(dim=(1, 2, 3))
    assert (steps > 0).all()
    assert steps.max() < 5 * steps.mean()


def test_hat_changes_the_top_and_not_the_mouth():
    change = changed("hat", 0, 1)
    assert change[4:20, 24:40].float().mean() > 0.9
    assert not change[MOUTH].any()


def test_hair_below_the_hat_still_shows():
    assert changed("hair_colour", 0, 1, hat=1).any()
    assert changed("hair_colour", 0, 1, hat=1, hair_style=2).float().mean() > 0.1


def test_glasses_change_the_eyes_and_not_the_rest():
    change = changed("glasses", 0, 1)
    assert change[BROW_TO_CHEEK].float().mean() > 0.15
    assert not change[: BROW_TO_CHEEK.start].any()
    assert not change[BROW_TO_CHEEK.stop :].any()


@pytest.mark.parametrize("yaw", [-45, 0, 45])
def test_smile_changes_the_mouth_only(yaw):
    change = changed("smile", -1, 1, yaw=yaw)
    assert change.sum() > 20
    change[MOUTH] = False
    assert not change.any()


def test_the_corners_of_a_smile_go_up():
    def lips(smile):
        """The mean row of what is redder than light skin, near a corner of the mouth."""
        red, green, _ = picture(smile=smile, skin_tone=0)[:, MOUTH, 26:28].float()
        excess = (red - 1.3 * green).clamp(min=0).sum(dim=1)
        return excess @ torch.arange(float(len(excess))) / excess.sum()

    assert lips(1) + 1 < lips(0) < lips(-1) - 1  # rows count downwards


def test_background_changes_the_background_only():
    change = changed("background", 0, 1)
    assert change[:8].all()
    assert change[:40, :8].all()
    assert not change[16:52, 24:40].any()


def test_hair_colour_changes_hair_only():
    assert not changed("hair_colour", 0, 1, hair_style=0).any()
    assert changed("hair_colour", 0, 1, hair_style=1)[8:16, 28:36].all()
    assert not changed("hair_colour", 0, 1, hair_style=2)[24:50, 26:38].any()


def test_long_hair_hangs_beside_the_neck_and_short_hair_does_not():
    beside_neck = (slice(52, 58), slice(14, 20))
    assert changed("hair_style", 1, 2)[beside_neck].all()
    assert not changed("hair_style", 0, 1)[beside_neck].any()


def test_wide_faces_are_wide():
    def width(value):
        """Pixels across the head at the height of the cheeks."""
        return changed("background", 0, 1, face_width=value)[30].logical_not().sum()

    assert width(0.85) + 8 <= width(1.15)


def test_the_nose_points_where_the_head_turns():
    def nostrils(yaw):
        """Mean column of what is dark below the eyes of a light face on a light wall."""
        image = picture(hair_style=0, skin_tone=0, background=1, yaw=yaw).sum(dim=0).float()
        dark = (250 - image[33:45]).clamp(min=0).sum(dim=0)
        return dark @ torch.arange(64.0) / dark.sum()

    assert nostrils(0).item() == pytest.approx(31.5, abs=0.1)
    assert nostrils(-30) + 6 < nostrils(0) < nostrils(30) - 6


def test_the_mouth_rises_with_the_chin():
    def mouth(pitch):
        rows = changed("smile", -1, 1, pitch=pitch).float().sum(dim=1)
        return rows @ torch.arange(64.0) / rows.sum()

    assert mouth(8) + 1.5 < mouth(0) < mouth(-8) - 1.5  # rows count downwards


def test_the_far_eye_hides():
    def white(yaw):
        """The white of the eyes of a dark face before a dark wall, column by column."""
        image = picture(yaw=yaw, skin_tone=1, background=0)[:, 20:36].float()
        return (image.amin(dim=0) - 110).clamp(min=0).sum(dim=0)

    assert white(0)[:32].sum() == white(0)[32:].sum() > 0
    near, far = white(45)[:48].sum(), white(45)[48:].sum()  # about the bridge of the nose
    assert far < 0.5 * near
    assert white(45)[:32].sum() == 0


@pytest.mark.parametrize("yaw", [-20, 0, 20])
def test_the_bright_side_is_the_side_of_the_light(yaw):
    for light in (-1, -0.5, 0.5, 1):
        image = picture(yaw=yaw, light=light, hair_style=0).float().sum(dim=0)
        left, right = image[14:50, 18:28].mean(), image[14:50, 36:46].mean()
        assert (left > right) == (light < 0)


def test_the_wall_is_brighter_towards_the_light():
    for light in (-1, 0, 1):
        wall = picture(light=light)[:, :40].sum(dim=0)  # beside the head
        left, right = wall[:, 0], wall[:, -1]
        assert (left - right).sign().unique().tolist() == [-light]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_out_of_range_is_refused_by_name(name):
    factor = FACTORS[NAMES.index(name)]
    step = 0.1 * (factor.high - factor.low)
    wrong = [factor.low - step, factor.high + step, float("nan")] + [0.5] * bool(factor.values)
    for value in wrong:
        with pytest.raises(ValueError, match=name):
            render(face(**{name: value}))


@pytest.mark.parametrize("shape", [(len(FACTORS),), (2, len(FACTORS) - 1), (1, 1, len(FACTORS))])
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match="yaw"):
        render(torch.zeros(shape))
