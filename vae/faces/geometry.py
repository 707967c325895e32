"""The geometry of a rendered head: a solid that truly turns, met by one ray for each pixel.

The camera is orthographic: x to the right, y up, z towards the viewer, all in pixels from the
middle of the picture. Every pixel sends a ray along z, which meets ellipsoids whose centres and
radii are given in the coordinates of the head.

Nothing is sampled twice: edges are soft because every shape yields its coverage of a pixel from
the distance to its outline.
"""

import math
from typing import NamedTuple

import torch

SIZE = 64
NECK = 8  # pixels from the axis about which a head turns, in the neck, forward to its middle
AMBIENT, DIFFUSE = 0.66, 0.46  # a surface in the dark, and what facing the light adds to it
EVERYWHERE = slice(0, SIZE)  # all rows of the picture
X = torch.arange(SIZE).float()[None, None] - (SIZE - 1) / 2  # (1, 1, 64) columns, rightwards
Y = -X.mT  # (1, 64, 1) rows, upwards


def rows_between(high: int, low: int) -> slice:
    """Returns the picture's rows from y = high down to y = low, to look for a part there only."""
    return slice(SIZE // 2 - high, SIZE // 2 - low)


def per_face(values: torch.Tensor) -> torch.Tensor:
    """Shapes values (N,) as (N, 1, 1), so that they broadcast over planes of pixels."""
    return values[:, None, None]


def soften(distance: torch.Tensor) -> torch.Tensor:
    """Turns the distance to an edge in pixels, positive inside, into cover 0..1, in place."""
    return distance.add_(0.5).clamp_(0, 1)


class Pose(NamedTuple):
    """Where the camera and the light are, seen from the head. `inverse` undoes width and turn.

    A point p of the head lies at R diag(width, 1, 1) (p + (0, 0, NECK)) in the picture. An
    ellipsoid stays one under such a map, so all parts of the head have constant centres and radii.
    """

    forward: torch.Tensor  # (N, 3, 3) head -> picture
    inverse: torch.Tensor  # (N, 3, 3) picture -> head
    light: torch.Tensor  # (N, 3) towards the light, in picture coordinates, of length 1


def build_pose(
    yaw: torch.Tensor, pitch: torch.Tensor, width: torch.Tensor, light: torch.Tensor
) -> Pose:
    """Builds the pose of angles in degrees, width and light (N,), with R = Rx(-pitch) Ry(yaw)."""
    height, azimuth = 0.4, (60 * light).deg2rad()
    towards = torch.stack([azimuth.sin(), torch.full_like(light, height), azimuth.cos()], dim=1)
    a, b = yaw.deg2rad(), pitch.deg2rad()
    turn = [
        [a.cos(), torch.zeros_like(a), a.sin()],
        [-b.sin() * a.sin(), b.cos(), b.sin() * a.cos()],
        [-b.cos() * a.sin(), -b.sin(), b.cos() * a.cos()],
    ]
    turn = torch.stack([torch.stack(row, dim=1) for row in turn], dim=1)  # (N, 3, 3)
    stretch = torch.stack([width, torch.ones_like(width), torch.ones_like(width)], dim=1)
    forward, inverse = turn * stretch[:, None], turn.mT / stretch[:, :, None]
    return Pose(forward, inverse, towards / math.hypot(1, height))


class Hit(NamedTuple):
    """Where the rays of some rows' pixels meet a solid; all fields but the last (N, rows, 64)."""

    cover: torch.Tensor  # 0..1, how much of the pixel the solid covers
    depth: torch.Tensor  # z of the point in the picture
    x: torch.Tensor  # the point in coordinates of the head
    y: torch.Tensor
    z: torch.Tensor
    shade: torch.Tensor  # brightness of the surface under the light, about 0.4..1.1
    rows: slice

    def crop(self, rows: slice) -> "Hit":
        """Returns the hit on fewer rows, where it was found on all; shares its memory."""
        return Hit(*(plane[:, rows] for plane in self[:-1]), rows)


def hit_ellipsoid(
    pose: Pose, centre: tuple, radii: tuple, rows: slice = EVERYWHERE, *, side: int = 1
) -> Hit:
    """Meets the ellipsoid at its near wall (side 1) or, from within, at its far one (side -1).

    With u = (ray point - centre) / radii and d = (ray direction) / radii, the points u + z d of
    the unit sphere are at z = (-u·d ± sqrt((u·d)² - |d|² (|u|² - 1))) / |d|².
    """
    a, up = pose.inverse, Y[:, rows]
    seat = (centre[0], centre[1], centre[2] + NECK)  # seen from the axis
    d = [per_face(a[:, k, 2] / radii[k]) for k in range(3)]
    u = []
    for k in range(3):
        column = per_face(a[:, k, 1] / radii[k]) * up - seat[k] / radii[k]  # (N, rows, 1)
        u.append(column + per_face(a[:, k, 0] / radii[k]) * X)  # (N, rows, 64)
    dd = d[0] ** 2 + d[1] ** 2 + d[2] ** 2
    ud = (u[0] * d[0]).addcmul_(u[1], d[1]).addcmul_(u[2], d[2]).div_(dd)
    q = u[0].square().addcmul_(u[1], u[1]).addcmul_(u[2], u[2])
    q.addcmul_(ud, ud * dd, value=-1).clamp_(min=1e-6)  # least |u + z d|²: 1 on the outline

    middle = (pose.forward * torch.tensor(seat)).sum(dim=2)  # (N, 3), its place in the picture
    radius = ((X - per_face(middle[:, 0])) ** 2 + (up - per_face(middle[:, 1])) ** 2).sqrt_()
    cover = soften((q.rsqrt() - 1).mul_(radius))  # pixels to the outline, along the radius

    depth = ((1 - q).clamp_(min=0) / dd).sqrt_().mul_(side).sub_(ud)
    w = [u[k].addcmul_(depth, d[k]) for k in range(3)]  # the point on the unit sphere
    x, y, z = (w[k] * radii[k] + centre[k] for k in range(3))

    # The normal is w / radii, carried into the picture by the transposed inverse. What the light
    # shines on it may be asked in the head as well, by carrying the light there.
    light = (a * pose.light[:, None]).sum(dim=2)  # (N, 3)
    w = [w[k].div_(radii[k]) for k in range(3)]
    shine = (w[0] * per_face(light[:, 0])).addcmul_(w[1], per_face(light[:, 1]))
    shine.addcmul_(w[2], per_face(light[:, 2]))
    squeeze = per_face((a[:, 0] ** 2).sum(dim=1))  # 1 / width²
    length = w[0].square_().mul_(squeeze).addcmul_(w[1], w[1]).addcmul_(w[2], w[2])
    shine.mul_(length.rsqrt_()).mul_(side).clamp_(min=0)
    return Hit(cover, depth, x, y, z, shine.mul_(DIFFUSE).add_(AMBIENT), rows)


def join(whole: Hit, part: Hit, *, width: float) -> None:
    """Lets a part grow out of a solid that was hit everywhere: no crease, but a seam of `width`."""
    under = whole.crop(part.rows)
    nearer = soften((part.depth - under.depth) / width)
    weight = part.cover * (1 - under.cover * (1 - nearer))
    for mine, other in zip(under[1:-1], part[1:-1], strict=True):
        mine.lerp_(other, weight)
    torch.maximum(under.cover, part.cover, out=under.cover)
