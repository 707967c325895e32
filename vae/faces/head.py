"""Faces of 64x64 pixels, rendered from known factors: data whose true latent variables we know.

As in 3D Shapes (Burgess & Kim 2018), what a model finds can be compared with what there is.

A head is a solid that truly turns, not a flat picture that is shifted: every pixel sends one ray
along the viewing axis (orthographic camera: x to the right, y up, z towards the viewer, all in
pixels from the middle of the picture), and the ray meets ellipsoids whose centres and radii are
given in the coordinates of the head. What is painted on the skin (eyes, brows, mouth) is a
function of the point that was hit, so it moves, foreshortens and hides as the head turns.

Nothing is sampled twice: edges are soft because every shape yields its coverage of a pixel from
the distance to its outline. One core renders one to two thousand faces a second.

    images, factors = faces(count=1000, seed=0)  # (1000, 3, 64, 64) bytes, (1000, 11) numbers
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

SIZE = 64
CHUNK = 32  # faces rendered at once: few enough for the temporaries to stay in the cache
AMBIENT, DIFFUSE = 0.66, 0.46  # a surface in the dark, and what facing the light adds to it
NECK = 8  # pixels from the axis about which a head turns, in the neck, forward to its middle
CURTAIN = (0, -9, -4), (21.8, 30, 19)  # centre and radii of long hair


class Factor(NamedTuple):
    """One thing that varies. Where `values` names categories, its numbers are codes 0, 1, ..."""

    name: str
    low: float
    high: float
    meaning: str
    values: tuple[str, ...] = ()


FACTORS: tuple[Factor, ...] = (
    Factor("yaw", -45, 45, "degrees the head is turned; positive: nose to the viewer's right"),
    Factor("pitch", -8, 8, "degrees the head is tilted; positive: chin up"),
    Factor("skin_tone", 0, 1, "light to dark"),
    Factor("hair_style", 0, 2, "how much hair there is", ("bald", "short", "long")),
    Factor("hair_colour", 0, 1, "black, brown, blond; without effect on a bald head"),
    Factor("hat", 0, 1, "a red cap", ("no", "yes")),
    Factor("glasses", 0, 1, "dark glasses", ("no", "yes")),
    Factor("smile", -1, 1, "corners of the mouth, down to up"),
    Factor("face_width", 0.85, 1.15, "width of the head relative to the usual one"),
    Factor("light", -1, 1, "where the light is: the viewer's left to right, 0 in front"),
    Factor("background", 0, 1, "dark blue to light sand"),
)
NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)


def column(factors: torch.Tensor, name: str) -> torch.Tensor:
    """Factors (N, F) -> the values (N,) of the one called `name`."""
    return factors[:, NAMES.index(name)]


def sample_factors(count: int, seed: int) -> torch.Tensor:
    """Independent factors (N, F): uniform in their range, categories equally likely."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.rand(count, len(FACTORS), generator=generator)
    for values, factor in zip(factors.T, FACTORS, strict=True):
        if factor.values:  # rand is below 1, so the codes end at n - 1
            values.mul_(len(factor.values)).floor_()
        else:
            values.mul_(factor.high - factor.low).add_(factor.low).clamp_(factor.low, factor.high)
    return factors


def check(factors: torch.Tensor) -> None:
    """Refuses factors that no face has, by name."""
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise ValueError(f"factors {tuple(factors.shape)} are not (N, {len(FACTORS)}): {NAMES}")
    for values, factor in zip(factors.T, FACTORS, strict=True):
        slack = 1e-5 * (factor.high - factor.low)  # a range's end in float32 may lie beyond it
        wrong = ~((values >= factor.low - slack) & (values <= factor.high + slack))  # nan is wrong
        if factor.values:
            wrong |= values != values.round()
        if wrong.any():
            kind = factor.values or f"{factor.low} to {factor.high}"
            raise ValueError(f"{factor.name}: {values[wrong][0].item()} is not in {kind}")


# Geometry


class Pose(NamedTuple):
    """Where the camera and the light are, seen from the head. `inverse` undoes width and turn.

    A point p of the head lies at R diag(width, 1, 1) (p + (0, 0, NECK)) in the picture. An
    ellipsoid stays one under such a map, so all parts of the head have constant centres and radii.
    """

    forward: torch.Tensor  # (N, 3, 3) head -> picture
    inverse: torch.Tensor  # (N, 3, 3) picture -> head
    light: torch.Tensor  # (N, 3) towards the light, in picture coordinates, of length 1


def pose(yaw: torch.Tensor, pitch: torch.Tensor, width: torch.Tensor, light: torch.Tensor) -> Pose:
    """Angles in degrees, width and light (N,) -> Pose. R = Rx(-pitch) Ry(yaw)."""
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


X = torch.arange(SIZE).float()[None, None] - (SIZE - 1) / 2  # (1, 1, 64) columns, rightwards
Y = -X.mT  # (1, 64, 1) rows, upwards


def rows(high: int, low: int) -> slice:
    """The rows of the picture from y = high down to y = low: where a part can be, to save time."""
    return slice(SIZE // 2 - high, SIZE // 2 - low)


EVERYWHERE = slice(0, SIZE)


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
        """The same on fewer rows of a hit that has them all; shares its memory."""
        return Hit(*(plane[:, rows] for plane in self[:-1]), rows)


def per_face(values: torch.Tensor) -> torch.Tensor:
    """(N,) -> (N, 1, 1), to meet planes of pixels."""
    return values[:, None, None]


def ellipsoid(
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
    cover = soft((q.rsqrt() - 1).mul_(radius))  # pixels to the outline, along the radius

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
    nearer = soft((part.depth - under.depth) / width)
    weight = part.cover * (1 - under.cover * (1 - nearer))
    for mine, other in zip(under[1:-1], part[1:-1], strict=True):
        mine.lerp_(other, weight)
    torch.maximum(under.cover, part.cover, out=under.cover)


# Painting


def soft(distance: torch.Tensor) -> torch.Tensor:
    """Signed distance to an edge in pixels, positive inside -> cover 0..1. Overwrites it."""
    return distance.add_(0.5).clamp_(0, 1)


def oval(x: torch.Tensor, y: torch.Tensor, rx: float, ry: float) -> torch.Tensor:
    """Distance of (x, y) to the ellipse with these radii, positive inside; right near its ends."""
    q = (x / rx).square_().add_((y / ry).square_())
    return (1 - q).mul_(min(rx, ry) / 2)


def mix(t: torch.Tensor, *colours: tuple) -> torch.Tensor:
    """t (N,) in 0..1 -> colours (N, 3) along the straight lines from each colour to the next."""
    table = torch.tensor(colours)
    t = t * (len(colours) - 1)
    start = t.long().clamp_(max=len(colours) - 2)
    return torch.lerp(table[start], table[start + 1], (t - start)[:, None])


class Canvas:
    """A picture (N, 3, 64, 64) and how near its surfaces are (N, 64, 64)."""

    def __init__(self, image: torch.Tensor) -> None:
        self.image = image
        self.depth = torch.full_like(image[:, 0], -1000.0)

    def visible(self, hit: Hit) -> torch.Tensor:
        """How much of each pixel shows the solid, given what is nearer (N, rows, 64)."""
        return soft(hit.depth - self.depth[:, hit.rows]).mul_(hit.cover)

    def add(
        self, hit: Hit, colour: torch.Tensor | tuple, mask: torch.Tensor | float = 1.0
    ) -> torch.Tensor:
        """Adds a solid where `mask` keeps it and nothing is nearer -> how much shows (as above)."""
        alpha = self.visible(hit).mul_(mask)
        self.depth[:, hit.rows].lerp_(hit.depth, alpha)
        self.paint(hit, colour, alpha)
        return alpha

    def paint(self, hit: Hit, colour: torch.Tensor | tuple, alpha: torch.Tensor) -> None:
        """Colour (N, 3) or (3,) on the lit surface, over what is there, as opaque as alpha."""
        colour = torch.as_tensor(colour)
        for k in range(3):
            self.image[:, k, hit.rows].lerp_(hit.shade * colour[..., k, None, None], alpha)


# The parts, in the order they are drawn. All lengths are pixels in coordinates of the head; |x|
# draws both sides at once.


def add_back_hair(canvas: Canvas, head: Pose, colour: torch.Tensor, long: torch.Tensor) -> None:
    """The inside of long hair, seen past face and neck; no light gets there."""
    if long.any():
        hit = ellipsoid(head, *CURTAIN, side=-1)
        hit.shade.fill_(0.5)
        canvas.add(hit, colour, long)


def add_body(canvas: Canvas, body: Pose, skin: torch.Tensor) -> None:
    canvas.add(ellipsoid(body, (0, -22, -5), (8.5, 20, 8.5), rows(-8, -32)), skin * 0.85)
    canvas.add(ellipsoid(body, (0, -44, -5), (31, 17, 13), rows(-25, -32)), (0.28, 0.5, 0.42))


def add_face(canvas: Canvas, head: Pose, skin: torch.Tensor, smile: torch.Tensor) -> None:
    """Skull, jaw and nose as one surface, and what is painted on it where it looks forwards."""
    hit = ellipsoid(head, (0, 1.5, 0), (17.8, 20.5, 20))
    join(hit, ellipsoid(head, (0, -8, 2.5), (14, 14.5, 15.5), rows(12, -32)), width=4)
    join(hit, ellipsoid(head, (0, 1, 17.5), (2.2, 7.5, 4.2), rows(13, -12)), width=2)
    join(hit, ellipsoid(head, (0, -4.2, 19.5), (3.2, 2.8, 4.6), rows(4, -13)), width=1.5)
    shown = canvas.add(hit, skin) * soft(hit.z.clone())

    eyes = hit.crop(rows(15, -5))
    alpha, x, y = shown[:, eyes.rows], eyes.x.abs() - 7.4, eyes.y - 3
    white, iris = oval(x, y, 3.7, 2.4), oval(x, y, 1.9, 1.9)
    lid = torch.minimum(oval(x, y, 4.3, 3.0), (y - 1.6).add_(x * x, alpha=0.1))
    brow = oval(x, (y - 5.2).add_(x * x, alpha=0.06), 4.4, 1.1)
    dark = torch.maximum(brow, lid).maximum(oval(x, y, 0.9, 0.9))
    iris = torch.minimum(iris, white)
    canvas.paint(eyes, (0.9, 0.9, 0.9), soft(white).mul_(alpha))
    canvas.paint(eyes, (0.25, 0.4, 0.5), soft(iris).mul_(alpha))
    canvas.paint(eyes, (0.1, 0.07, 0.06), soft(dark).mul_(alpha))

    mouth = hit.crop(rows(0, -22))
    alpha, x, y = shown[:, mouth.rows], mouth.x, mouth.y
    nostrils = oval(x.abs() - 1.7, y + 6.3, 1.1, 0.8)
    canvas.paint(mouth, skin * 0.35, soft(nostrils).mul_(alpha))
    smile = per_face(smile)
    y = y + 12.5 - smile * (x * x - 12).mul_(0.085)
    lips, teeth = oval(x, y, 7.0, 1.7), oval(x, y, 5.8, 1.2) + (smile - 0.9)
    canvas.paint(mouth, skin * 0.45 + torch.tensor((0.33, 0.02, 0.05)), soft(lips).mul_(alpha))
    canvas.paint(mouth, (0.95, 0.95, 0.93), soft(teeth).mul_(alpha))


def add_ears(canvas: Canvas, head: Pose, skin: torch.Tensor, long: torch.Tensor) -> None:
    for x in (-17.8, 17.8):
        hit = ellipsoid(head, (x, 0.5, -3), (2.5, 5, 3.5), rows(10, -9))
        canvas.add(hit, skin * 0.92, 1 - long)


def add_hair(canvas: Canvas, head: Pose, colour: torch.Tensor, some: torch.Tensor) -> None:
    """Above a hairline that falls from the forehead to the nape, lower at the temples."""
    if some.any():
        hit = ellipsoid(head, (0, 1.5, -1.5), (19.7, 23.3, 21.5), rows(30, -20))
        above = (hit.y - 0.55 * hit.z - 4.5).addcmul_(hit.x, hit.x, value=0.015)
        canvas.add(hit, colour, soft(above).mul_(some))


def add_front_hair(canvas: Canvas, head: Pose, colour: torch.Tensor, long: torch.Tensor) -> None:
    """Long hair over the ears, down to the shoulders."""
    if long.any():
        hit = ellipsoid(head, *CURTAIN)
        beside = torch.minimum(9 - hit.z + 0.25 * hit.y, hit.x.abs() - 9)  # the face, the throat
        canvas.add(hit, colour, soft(beside).mul_(long))


def add_glasses(canvas: Canvas, head: Pose, worn: torch.Tensor) -> None:
    """Painted on a shell just off the face: dark lenses, rims, a bridge, temples to the ears."""
    if not worn.any():
        return
    hit = ellipsoid(head, (0, 1.5, 0), (19.4, 22, 22), rows(14, -7))
    alpha = canvas.visible(hit).mul_(worn)
    x, y = hit.x.abs(), hit.y - 3
    front = alpha * soft(hit.z.clone())
    lens = oval(x - 8, y, 6.6, 5.2)
    rim = 0.7 - (lens - 0.3).abs_()
    bridge = torch.minimum(3 - x, 0.6 - (y - 1).abs_())
    temple = torch.minimum(0.7 - (y - 1).abs_(), torch.minimum(x - 13.5, hit.z + 2))
    canvas.paint(hit, (0.04, 0.05, 0.08), soft(lens).mul_(front))
    frame = soft(torch.maximum(rim, bridge)).mul_(front)
    canvas.paint(hit, (0.05, 0.05, 0.07), frame.maximum(soft(temple).mul_(alpha)))


def add_hat(canvas: Canvas, head: Pose, worn: torch.Tensor) -> None:
    """A cap, dome and peak; hair stays visible below it."""
    if worn.any():
        hit = ellipsoid(head, (0, 9, -1), (21, 20, 22.8), rows(32, 3))
        canvas.add(hit, (0.85, 0.13, 0.15), soft(hit.y - 10).mul_(worn))
        peak = ellipsoid(head, (0, 10.2, 15), (16.5, 2.5, 15), rows(20, 2))
        canvas.add(peak, (0.72, 0.1, 0.12), worn)


def render_chunk(factors: torch.Tensor) -> torch.Tensor:
    """Factors (N, F) of a few faces -> (N, 3, 64, 64) in 0..1."""
    f = {name: column(factors, name) for name in NAMES}
    zero = torch.zeros_like(f["yaw"])
    head = pose(f["yaw"], f["pitch"], f["face_width"], f["light"])
    body = pose(zero, zero, zero + 1, f["light"])
    skin = mix(f["skin_tone"], (1.0, 0.82, 0.7), (0.74, 0.5, 0.36), (0.22, 0.12, 0.08))
    hair = mix(f["hair_colour"], (0.06, 0.05, 0.05), (0.42, 0.22, 0.1), (0.95, 0.78, 0.42))
    wall = mix(f["background"], (0.08, 0.12, 0.38), (0.95, 0.88, 0.72))
    some, long = (per_face((f["hair_style"] >= code).float()) for code in (1, 2))

    lit = 0.85 + 0.1 * Y / Y.max() + 0.18 * per_face(f["light"]) * X / X.max()  # towards the light
    canvas = Canvas(wall[:, :, None, None] * lit[:, None])
    add_back_hair(canvas, head, hair, long)
    add_body(canvas, body, skin)
    add_face(canvas, head, skin, f["smile"])
    add_ears(canvas, head, skin, long)
    add_hair(canvas, head, hair, some)
    add_front_hair(canvas, head, hair, long)
    add_glasses(canvas, head, per_face(f["glasses"]))
    add_hat(canvas, head, per_face(f["hat"]))
    return canvas.image.clamp_(0, 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Planes this small take longer to share out than to compute, much longer on busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def render(factors: torch.Tensor) -> torch.Tensor:
    """Factors (N, F) -> faces (N, 3, 64, 64), bytes."""
    check(factors)
    images = torch.empty(len(factors), 3, SIZE, SIZE, dtype=torch.uint8)
    # Faces with the same hair, hat and glasses side by side: chunks without a part skip it.
    hair, hat, glasses = (column(factors, name) for name in ("hair_style", "hat", "glasses"))
    order = (hair * 4 + hat * 2 + glasses).argsort(stable=True)
    with one_thread():
        for some in order.split(CHUNK):
            images[some] = render_chunk(factors[some].float()).mul_(255).add_(0.5).to(torch.uint8)
    return images


def faces(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` random faces: bytes (N, 3, 64, 64) and their factors (N, F)."""
    factors = sample_factors(count, seed)
    return render(factors), factors
