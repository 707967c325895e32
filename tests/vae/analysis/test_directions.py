"""Moving along an attribute: on latents whose direction is known, and on rendered faces."""

import numpy as np
import pytest
import torch

from solver import Solver
from utils.errors import UserError
from utils.images.attributes import Attributes
from vae.analysis.directions import Direction, Target, describe_change, find_target, learn_direction
from vae.analysis.rotation import describe_limits, find_angle, learn_rotation
from vae.data import VALIDATION_SEED
from vae.faces.factors import NAMES, find_attributes
from vae.faces.head import render_faces
from vae.latents import decode, encode

ATTRIBUTES = Attributes(
    ("Age", "hat", "hair"),
    ((), ("no", "yes"), ("bald", "long", "short")),
    np.array([[20.0, 0, 0], [30, 1, 1], [40, 1, 2], [50, 0, 1]]),
    np.array([[True] * 3, [True, True, False], [True] * 3, [False, True, True]]),
)


def latents(count=400):
    """Latents (N, 4): the first grows with age, the second is the hat, the others are noise."""
    generator = torch.Generator().manual_seed(0)
    mu = 0.1 * torch.randn(count, 4, generator=generator)
    age = 20 + 60 * torch.rand(count, generator=generator).double()
    hat = (torch.rand(count, generator=generator) < 0.5).double()
    mu[:, 0] += (age / 40).float()
    mu[:, 1] += 3 * hat.float() - 1
    return mu, torch.full_like(mu, -4), age, hat


def target(values, words=()):
    return Target("x", values, torch.ones(len(values), dtype=torch.bool), words)


def test_a_number_is_reached_and_nothing_else_moves():
    mu, logvar, age, _ = latents()
    direction = Direction.learn(mu, logvar, target(age))
    assert 20 < direction.low < 22
    assert 78 < direction.high < 80
    values = torch.tensor([30.0, 50.0, 70.0])
    moved = direction.move(mu[:50], values)
    assert moved.shape == (50, 3, 4)
    assert (moved[..., 0] - values.float() / 40).abs().max() < 0.25  # the noise is 0.1
    # A tenth of the hat's range of 3: the two are independent, but for 400 pictures' chance.
    assert (moved[..., 1:] - mu[:50, None, 1:]).abs().max() < 0.3
    assert direction.label(direction.steps(3))[1] in ("49.9", "50", "50.1")


def test_two_values_are_reached_by_the_difference_of_means():
    mu, logvar, _, hat = latents()
    direction = Direction.learn(mu, logvar, target(hat, ("no", "yes")))
    moved = direction.move(mu[:50], direction.steps())
    assert (moved[:, 0, 1] + 1).abs().max() < 0.1
    assert (moved[:, -1, 1] - 2).abs().max() < 0.1
    assert (moved[:, 4, 1] - 0.5).abs().max() < 0.1, "half of the way in the middle"
    assert direction.label(direction.steps()) == ["no", *[""] * 7, "yes"]


def test_missing_values_are_not_learned_from():
    mu, logvar, age, _ = latents()
    known = torch.arange(len(age)) < 200
    spoilt = torch.where(known, age, -1000)
    part = Direction.learn(mu[:200], logvar[:200], target(age[:200]))
    whole = Direction.learn(mu, logvar, Target("x", spoilt, known, ()))
    assert torch.equal(part.vector, whole.vector)


def test_targets_are_found_by_name_and_value():
    assert find_target(ATTRIBUTES, "age", "x").words == ()
    assert find_target(ATTRIBUTES, "age", "x").valid.tolist() == [True, True, True, False]
    assert find_target(ATTRIBUTES, "hat", "x").words == ("no", "yes")
    assert find_target(ATTRIBUTES, "hat=no", "x").words == ("yes", "no")
    long = find_target(ATTRIBUTES, "Hair = Long", "x")
    assert long.words == ("not long", "long")
    assert long.values.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("attributes", "asked", "why"),
    [
        (ATTRIBUTES, "nose", "--along 'nose': no such attribute, known are Age, hat, hair"),
        (ATTRIBUTES, "hair", "--along one of hair=bald, hair=long, hair=short"),
        (ATTRIBUTES, "hair=grey", "no such value of hair, known are bald, long, short"),
        (ATTRIBUTES, "age=30", "no such value of Age, known are none: it is a number"),
        (ATTRIBUTES, None, "traverse takes --along one of Age, hat, hair"),
        (ATTRIBUTES.take(slice(1, 3)), "hat", "hat never varies in photos/"),
        (None, "hat", "nothing is known of photos/"),
    ],
)
def test_a_target_that_is_not_there_is_named(attributes, asked, why):
    with pytest.raises(UserError) as caught:
        find_target(attributes, asked, "photos/")
    assert why in str(caught.value)


@pytest.fixture(scope="module")
def faces():
    return render_faces(800, VALIDATION_SEED)


@pytest.fixture(scope="module")
def model():
    return Solver.load("vae_beta_4", device="cpu").model


def test_a_hat_comes_and_goes_on_rendered_faces(model, faces):
    """The cap is red: above the forehead red leads green by far, else it does not."""
    direction = learn_direction(model, faces, "hat")
    z = encode(model, faces.take(slice(100))).mu
    pictures = decode(model, direction.move(z, direction.steps(2)).flatten(0, 1))
    pictures = pictures.unflatten(0, (100, 2))
    top = pictures[..., 6:14, 26:38].mean(dim=(3, 4))  # (100, 2, 3)
    red = top[..., 0] - top[..., 1] > 0.35
    assert red[:, 1].float().mean() >= 0.97
    assert red[:, 0].float().mean() <= 0.03
    own, others, *unread = describe_change(model, faces, direction)
    assert own.startswith("hat from no to yes, read from decoded pictures: +1.9 sd")
    assert max(abs(float(part.split()[-2])) for part in others.split(": ")[1].split(", ")) < 0.3
    assert unread == ["not to be read from these latents: smile"]


def test_a_turn_is_learned_from_a_pose_in_its_own_units(model, faces):
    known = find_attributes(faces)
    values = known.values[:, :1] / 90  # half turns
    pose = Attributes(("head_pose",), ((),), values, known.valid[:, :1])
    photos = type(faces)(faces.pixels, "photos/", attributes=pose)
    assert find_angle(pose) == 0
    turned, by_degrees = learn_rotation(model, photos), learn_rotation(model, faces)
    assert turned.attribute == "head_pose"
    assert -0.5 <= turned.known[0] < turned.usual[0] < -0.45
    z = encode(model, faces.take(slice(8))).mu
    moved = turned.turn(z, torch.tensor([-0.25, 0.4]))
    assert torch.allclose(moved, by_degrees.turn(z, torch.tensor([-22.5, 36.0])), atol=1e-3)
    lines = describe_limits(turned, [0.4, 0.6])
    assert lines[0] == "the turn is learned from head_pose, in its own units"
    assert lines[1].endswith("0.6 is a guess")
    few = Attributes(("yaw",), ((),), values, np.arange(len(values))[:, None] < 3)
    assert find_angle(few) is None, "three faces show no turn"
    words = Attributes(("yaw",), (("left", "right"),), values, pose.valid)
    assert find_angle(words) is None
    assert find_angle(known) == NAMES.index("yaw")
