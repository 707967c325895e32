"""The solid head in numbers: where rays meet it, which way its surface looks, how it is lit."""

import math

import pytest
import torch

from vae.faces.factors import NAMES, sample_factors
from vae.faces.geometry import (
    AMBIENT,
    DIFFUSE,
    NECK,
    SIZE,
    X,
    Y,
    build_pose,
    hit_ellipsoid,
    soften,
)
from vae.faces.head import Canvas, mix, oval, render, render_chunk

USUAL = {"face_width": 1.0, "hair_style": 1.0, "hair_colour": 0.5}


def picture(**values):
    """One face in bytes (3, 64, 64)."""
    values = USUAL | values
    return render(torch.tensor([[float(values.get(name, 0)) for name in NAMES]]))[0]


def place(x, y):
    """The row and column of the pixel whose middle is at (x, y) from the picture's middle."""
    return int(31.5 - y), int(x + 31.5)


def turning(yaw, pitch):
    """Rx(-pitch) Ry(yaw): first about the vertical axis, then about the one across."""
    a, b = math.radians(yaw), math.radians(-pitch)
    Ry = [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]]
    Rx = [[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]]
    return torch.tensor(Rx).double() @ torch.tensor(Ry).double()


def pose(yaw=0.0, pitch=0.0, width=1.0, light=0.0):
    return build_pose(*(torch.tensor([float(value)]) for value in (yaw, pitch, width, light)))


def test_bytes_are_rounded():
    factors = sample_factors(3, seed=0)
    assert torch.equal(render(factors), (255 * render_chunk(factors)).round().byte())


def test_the_pixels_are_counted_from_the_middle():
    assert (X[0, 0, 0].item(), X[0, 0, -1].item()) == (-31.5, 31.5)
    assert (Y[0, 0, 0].item(), Y[0, -1, 0].item()) == (31.5, -31.5)
    assert place(0.5, 10.5) == (21, 32)
    assert X[0, 0, 32] == 0.5
    assert Y[0, 21, 0] == 10.5


@pytest.mark.parametrize(
    ("light", "towards"),
    [
        (0, (0, 0.4, 1)),
        (1, (math.sqrt(3) / 2, 0.4, 0.5)),
        (-1, (-math.sqrt(3) / 2, 0.4, 0.5)),
        (0.5, (0.5, 0.4, math.sqrt(3) / 2)),
    ],
)
def test_the_light_goes_round_by_60_degrees_a_little_above(light, towards):
    expected = torch.tensor(towards) / math.sqrt(1.16)
    assert torch.allclose(pose(light=light).light[0], expected, atol=1e-6)
    assert torch.allclose(pose(30, 5, 1.1, light).light[0], expected, atol=1e-6), "it stays"


@pytest.mark.parametrize("yaw", [-45.0, 0.0, 20.0])
@pytest.mark.parametrize("pitch", [-8.0, 0.0, 8.0])
@pytest.mark.parametrize("width", [0.85, 1.0, 1.15])
def test_a_pose_is_its_turn_and_its_width(yaw, pitch, width):
    found = pose(yaw, pitch, width)
    forward = turning(yaw, pitch) @ torch.diag(torch.tensor([width, 1, 1]).double())
    assert torch.allclose(found.forward[0].double(), forward, atol=1e-6)
    assert torch.allclose(found.inverse[0].double(), torch.linalg.inv(forward), atol=1e-6)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("yaw", "pitch", "width", "light"),
    [(0, 0, 1, 0), (45, 0, 1, 1), (-30, 8, 1.15, -0.5), (20, -8, 0.85, 0.7)],
)
def test_a_ray_meets_the_wall_and_the_light_its_normal(yaw, pitch, width, light, side):
    """Each point found is on the ellipsoid, lies under its pixel, and is as bright as Lambert says.

    The normal is the ellipsoid's gradient, carried into the picture by the transposed inverse.
    """
    centre, radii = (
        torch.tensor([2.0, -3.0, 4.0]).double(),
        torch.tensor([9.0, 14.0, 11.0]).double(),
    )
    found = pose(yaw, pitch, width, light)
    hit = hit_ellipsoid(found, tuple(centre.tolist()), tuple(radii.tolist()), side=side)
    inside = hit.cover[0] == 1
    assert inside.sum() > 200
    points = torch.stack([hit.x[0], hit.y[0], hit.z[0]], dim=-1)[inside].double()  # (P, 3)
    unit = (points - centre) / radii
    assert torch.allclose(unit.norm(dim=1), torch.ones(len(unit)).double(), atol=2e-3)

    stretch = torch.diag(torch.tensor([width, 1, 1]).double())
    forward = turning(yaw, pitch) @ stretch
    seen = (points + torch.tensor([0.0, 0.0, NECK])) @ forward.T
    depth = hit.depth[0][inside].double()
    where = torch.stack([X.expand(1, SIZE, SIZE)[0][inside], Y.expand(1, SIZE, SIZE)[0][inside]], 1)
    assert torch.allclose(seen[:, :2], where.double(), atol=0.02)
    assert torch.allclose(seen[:, 2], depth, atol=0.02)

    normals = (unit / radii) @ torch.linalg.inv(forward)
    normals = side * normals / normals.norm(dim=1, keepdim=True)
    assert (normals[:, 2] > -1e-3).all(), "the wall that looks at the viewer, or its inside"
    azimuth = math.radians(60 * light)
    towards = torch.tensor([math.sin(azimuth), 0.4, math.cos(azimuth)]).double() / math.sqrt(1.16)
    shade = AMBIENT + DIFFUSE * (normals @ towards).clamp(min=0)
    assert torch.allclose(hit.shade[0][inside].double(), shade, atol=5e-3)
    assert shade.max() - shade.min() > 0.1


def test_the_edge_of_a_sphere_is_as_soft_as_a_pixel():
    """Covered are 1/2 on the outline, and 1 less for a pixel's width farther out."""
    hit = hit_ellipsoid(pose(), (0, 0, 0), (10, 10, 10))
    distance = (X**2 + Y**2).sqrt()[0]
    expected = (10 - distance + 0.5).clamp(0, 1)
    assert torch.allclose(hit.cover[0], expected, atol=1e-2)
    assert soften(torch.tensor([-1.0, -0.5, 0.0, 0.25, 0.5, 9.0])).tolist() == [
        0,
        0,
        0.5,
        0.75,
        1,
        1,
    ]


def test_the_distance_to_an_oval():
    x, y = torch.tensor([0.0, 4.0, 0.0, 3.0]), torch.tensor([0.0, 0.0, 2.0, 0.0])
    assert oval(x, y, 4.0, 2.0).tolist() == pytest.approx([1, 0, 0, 1 - 9 / 16])


def test_colours_are_mixed_along_straight_lines():
    t = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    mixed = mix(t, (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.5, 0.0, 1.0))
    expected = [(0, 1, 0), (0.5, 0.5, 0), (1, 0, 0), (0.75, 0, 0.5), (0.5, 0, 1)]
    assert torch.allclose(mixed, torch.tensor(expected))


def lambert(normal, light=0.0):
    """How bright a surface of a normal is."""
    azimuth, length = math.radians(60 * light), math.sqrt(sum(n * n for n in normal))
    towards = (math.sin(azimuth), 0.4, math.cos(azimuth))
    shine = sum(n * t for n, t in zip(normal, towards, strict=True)) / length / math.sqrt(1.16)
    return AMBIENT + DIFFUSE * max(0.0, shine)


def bytes_of(colour, shade):
    return [round(255 * min(1.0, part * shade)) for part in colour]


@pytest.mark.parametrize("light", [-1, 0, 0.6])
def test_the_peak_of_a_cap_is_where_it_should_be(light):
    """A flat ellipsoid about (0, 10.2, 15) with radii 16.5, 2.5 and 15, darker than the dome."""
    dark_red = (0.72, 0.1, 0.12)
    image = picture(hat=1, light=light).permute(1, 2, 0)
    for x, y in ((0.5, 10.5), (8.5, 10.5), (-8.5, 9.5), (3.5, 8.5), (14.5, 10.5)):
        u = (x / 16.5, (y - 10.2) / 2.5)
        w = math.sqrt(1 - u[0] ** 2 - u[1] ** 2)
        shade = lambert((u[0] / 16.5, u[1] / 2.5, w / 15), light)
        found = image[place(x, y)].tolist()
        assert found == pytest.approx(bytes_of(dark_red, shade), abs=2), (x, y)
    for x, y in ((0.5, 6.5), (18.5, 6.5)):  # below it
        red, green, _ = image[place(x, y)].tolist()
        assert red < 4 * green, (x, y)


def test_the_dome_of_a_cap_is_above_its_peak():
    image = picture(hat=1).permute(1, 2, 0)
    for x, y in ((0.5, 16.5), (9.5, 20.5), (-12.5, 16.5)):
        u = (x / 21, (y - 9) / 20)
        w = math.sqrt(1 - u[0] ** 2 - u[1] ** 2)
        shade = lambert((u[0] / 21, u[1] / 20, w / 22.8))
        assert image[place(x, y)].tolist() == pytest.approx(
            bytes_of((0.85, 0.13, 0.15), shade), abs=2
        ), (x, y)


def test_the_peak_points_where_the_head_turns():
    """Its middle is 15 + NECK from the axis: at 30 degrees 11.5 aside, and its outline 16.1 more.

    That is sqrt((16.5 cos)² + (15 sin)²), of the ellipse that is seen from above.
    """
    row, _ = place(0.5, 10.5)
    for side in (-1, 1):
        red, green, _ = picture(hat=1, yaw=30 * side, background=1)[:, row].float()
        columns = side * (X[0, 0] * (red > 1.5 * green))
        expected = (15 + NECK) / 2 + math.hypot(16.5 * math.sqrt(3) / 2, 15 / 2)
        assert columns.max().item() == pytest.approx(expected, abs=0.8)


def test_the_wall_is_lit_from_above_and_from_the_side():
    """85 % in its middle, 10 % more at the top and less at the bottom, 18 % by the light."""
    for light in (-1, 0, 1):
        wall = picture(light=light, background=0)[:, :20].double() / 255
        for row, column in ((0, 0), (0, 63), (19, 0), (19, 63)):
            y, x = (31.5 - row) / 31.5, (column - 31.5) / 31.5
            shade = 0.85 + 0.1 * y + 0.18 * light * x
            expected = [part * shade for part in (0.08, 0.12, 0.38)]
            assert wall[:, row, column].tolist() == pytest.approx(expected, abs=0.003)


def test_skin_is_lit_by_the_light():
    """The forehead of a bald head, at its very front and left and right of it."""
    skin, radii = (1.0, 0.82, 0.7), (17.8, 20.5, 20.0)
    for light in (-1.0, 0.0, 1.0):
        image = picture(hair_style=0, light=light).permute(1, 2, 0)
        for x, y in ((0.5, 14.5), (10.5, 12.5), (-10.5, 12.5)):
            u = (x / radii[0], (y - 1.5) / radii[1])
            w = math.sqrt(1 - u[0] ** 2 - u[1] ** 2)
            shade = lambert((u[0] / radii[0], u[1] / radii[1], w / radii[2]), light)
            found = image[place(x, y)].tolist()
            assert found == pytest.approx(bytes_of(skin, shade), abs=3), (light, x, y)


def test_the_shade_of_the_brightest_and_the_darkest_surface():
    """0.66 where no light falls, 0.46 more where it falls straight on."""
    hit = hit_ellipsoid(pose(light=1), (0, 0, 0), (25, 25, 25))
    shade = hit.shade[0][hit.cover[0] == 1]
    assert shade.min().item() == pytest.approx(0.66)
    assert shade.max().item() == pytest.approx(1.12, abs=0.002)


def test_ears_show_unless_long_hair_hides_them():
    """The outermost part of the head beside its middle: at y = 0.5, up to x = 17.8 + 2.5."""
    row, column = place(-18.5, 0.5)

    def at(**values):
        return picture(background=1, **values)[:, row, column].int()

    wall = picture(background=1)[:, row, 1].int()
    for style in (0, 1):
        light, dark = (at(hair_style=style, skin_tone=tone) for tone in (0, 1))
        assert (light - dark).max() > 40, "the colour of the skin is seen"
        assert (dark - wall).abs().max() > 60
    assert torch.equal(at(hair_style=2, skin_tone=0), at(hair_style=2, skin_tone=1))


def test_nearer_solids_hide_what_is_behind_them():
    """Whatever the order in which they are added."""
    near = hit_ellipsoid(pose(), (0, 0, 20), (10, 10, 5))
    far = hit_ellipsoid(pose(), (0, 0, -5), (15, 15, 5))
    pictures = []
    for order in ((near, far), (far, near)):
        canvas = Canvas(torch.zeros(1, 3, SIZE, SIZE))
        for hit in order:
            canvas.add(hit, (1.0, 0.0, 0.0) if hit is near else (0.0, 1.0, 0.0))
        pictures.append(canvas.image[0])
    for image in pictures:
        red, green, _ = image
        assert red[place(0.5, 0.5)] > 0.5 > green[place(0.5, 0.5)] == 0
        assert green[place(12.5, 0.5)] > 0.5 > red[place(12.5, 0.5)] == 0
