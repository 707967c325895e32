"""Faces of 64 x 64 pixels, rendered from known factors (vae/faces/factors.py).

What is painted on the skin (eyes, brows, mouth) is a function of the point that a pixel's ray hit
(vae/faces/geometry.py), so it moves, foreshortens and hides as the head turns. One core renders one
to two thousand faces a second.

    images = render_faces(count=1000, seed=0)  # pixels (1000, 3, 64, 64), labels (1000, 11)
"""

import os
from concurrent.futures import ThreadPoolExecutor

import torch
from tqdm import tqdm

from utils.images.data import Images
from vae.faces.factors import NAMES, check_factors, column, sample_factors
from vae.faces.geometry import (
    SIZE,
    Hit,
    Pose,
    X,
    Y,
    build_pose,
    hit_ellipsoid,
    join,
    per_face,
    rows_between,
    soften,
)

CHUNK = 32  # faces rendered at once: few enough for the temporaries to stay in the cache
CURTAIN = (0, -9, -4), (21.8, 30, 19)  # centre and radii of long hair


def oval(x: torch.Tensor, y: torch.Tensor, rx: float, ry: float) -> torch.Tensor:
    """Computes the distance to an ellipse, positive inside; it is exact near the four ends."""
    q = (x / rx).square_().add_((y / ry).square_())
    return (1 - q).mul_(min(rx, ry) / 2)


def mix(t: torch.Tensor, *colours: tuple) -> torch.Tensor:
    """Mixes colours (N, 3): t (N,) in 0..1 runs along straight lines from each to the next."""
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
        """Computes how much of each pixel shows the solid, past what is nearer (N, rows, 64)."""
        return soften(hit.depth - self.depth[:, hit.rows]).mul_(hit.cover)

    def add(
        self, hit: Hit, colour: torch.Tensor | tuple, mask: torch.Tensor | float = 1.0
    ) -> torch.Tensor:
        """Adds a solid where `mask` keeps it; returns how much of it shows (N, rows, 64)."""
        alpha = self.visible(hit).mul_(mask)
        self.depth[:, hit.rows].lerp_(hit.depth, alpha)
        self.paint(hit, colour, alpha)
        return alpha

    def paint(self, hit: Hit, colour: torch.Tensor | tuple, alpha: torch.Tensor) -> None:
        """Paints colour (N, 3) or (3,) on the lit surface, as opaque as alpha (N, rows, 64)."""
        colour = torch.as_tensor(colour)
        for k in range(3):
            self.image[:, k, hit.rows].lerp_(hit.shade * colour[..., k, None, None], alpha)


# The parts, in the order in which they are added. All lengths are pixels in coordinates of the
# head; |x| makes both sides at once.


def add_back_hair(canvas: Canvas, head: Pose, colour: torch.Tensor, long: torch.Tensor) -> None:
    """Adds the inside of long hair, seen past face and neck; no light gets there."""
    if long.any():
        hit = hit_ellipsoid(head, *CURTAIN, side=-1)
        hit.shade.fill_(0.5)
        canvas.add(hit, colour, long)


def add_body(canvas: Canvas, body: Pose, skin: torch.Tensor) -> None:
    neck = hit_ellipsoid(body, (0, -22, -5), (8.5, 20, 8.5), rows_between(-8, -32))
    canvas.add(neck, skin * 0.85)
    shoulders = hit_ellipsoid(body, (0, -44, -5), (31, 17, 13), rows_between(-25, -32))
    canvas.add(shoulders, (0.28, 0.5, 0.42))


def add_face(canvas: Canvas, head: Pose, skin: torch.Tensor, smile: torch.Tensor) -> None:
    """Adds skull, jaw and nose as one surface, and paints its front: eyes, nostrils, mouth."""
    hit = hit_ellipsoid(head, (0, 1.5, 0), (17.8, 20.5, 20))
    join(hit, hit_ellipsoid(head, (0, -8, 2.5), (14, 14.5, 15.5), rows_between(12, -32)), width=4)
    join(hit, hit_ellipsoid(head, (0, 1, 17.5), (2.2, 7.5, 4.2), rows_between(13, -12)), width=2)
    tip = hit_ellipsoid(head, (0, -4.2, 19.5), (3.2, 2.8, 4.6), rows_between(4, -13))
    join(hit, tip, width=1.5)
    shown = canvas.add(hit, skin) * soften(hit.z.clone())

    eyes = hit.crop(rows_between(15, -5))
    alpha, x, y = shown[:, eyes.rows], eyes.x.abs() - 7.4, eyes.y - 3
    white, iris = oval(x, y, 3.7, 2.4), oval(x, y, 1.9, 1.9)
    lid = torch.minimum(oval(x, y, 4.3, 3.0), (y - 1.6).add_(x * x, alpha=0.1))
    brow = oval(x, (y - 5.2).add_(x * x, alpha=0.06), 4.4, 1.1)
    dark = torch.maximum(brow, lid).maximum(oval(x, y, 0.9, 0.9))
    iris = torch.minimum(iris, white)
    canvas.paint(eyes, (0.9, 0.9, 0.9), soften(white).mul_(alpha))
    canvas.paint(eyes, (0.25, 0.4, 0.5), soften(iris).mul_(alpha))
    canvas.paint(eyes, (0.1, 0.07, 0.06), soften(dark).mul_(alpha))

    mouth = hit.crop(rows_between(0, -22))
    alpha, x, y = shown[:, mouth.rows], mouth.x, mouth.y
    nostrils = oval(x.abs() - 1.7, y + 6.3, 1.1, 0.8)
    canvas.paint(mouth, skin * 0.35, soften(nostrils).mul_(alpha))
    smile = per_face(smile)
    y = y + 12.5 - smile * (x * x - 12).mul_(0.085)
    lips, teeth = oval(x, y, 7.0, 1.7), oval(x, y, 5.8, 1.2) + (smile - 0.9)
    canvas.paint(mouth, skin * 0.45 + torch.tensor((0.33, 0.02, 0.05)), soften(lips).mul_(alpha))
    canvas.paint(mouth, (0.95, 0.95, 0.93), soften(teeth).mul_(alpha))


def add_ears(canvas: Canvas, head: Pose, skin: torch.Tensor, long: torch.Tensor) -> None:
    for x in (-17.8, 17.8):
        hit = hit_ellipsoid(head, (x, 0.5, -3), (2.5, 5, 3.5), rows_between(10, -9))
        canvas.add(hit, skin * 0.92, 1 - long)


def add_hair(canvas: Canvas, head: Pose, colour: torch.Tensor, some: torch.Tensor) -> None:
    """Adds hair above a line that falls from the forehead to the nape, lower at the temples."""
    if some.any():
        hit = hit_ellipsoid(head, (0, 1.5, -1.5), (19.7, 23.3, 21.5), rows_between(30, -20))
        above = (hit.y - 0.55 * hit.z - 4.5).addcmul_(hit.x, hit.x, value=0.015)
        canvas.add(hit, colour, soften(above).mul_(some))


def add_front_hair(canvas: Canvas, head: Pose, colour: torch.Tensor, long: torch.Tensor) -> None:
    """Adds long hair over the ears, down to the shoulders."""
    if long.any():
        hit = hit_ellipsoid(head, *CURTAIN)
        beside = torch.minimum(9 - hit.z + 0.25 * hit.y, hit.x.abs() - 9)  # the face, the throat
        canvas.add(hit, colour, soften(beside).mul_(long))


def add_glasses(canvas: Canvas, head: Pose, worn: torch.Tensor) -> None:
    """Paints lenses, rims, bridge and temples on a shell just off the face."""
    if not worn.any():
        return
    hit = hit_ellipsoid(head, (0, 1.5, 0), (19.4, 22, 22), rows_between(14, -7))
    alpha = canvas.visible(hit).mul_(worn)
    x, y = hit.x.abs(), hit.y - 3
    front = alpha * soften(hit.z.clone())
    lens = oval(x - 8, y, 6.6, 5.2)
    rim = 0.7 - (lens - 0.3).abs_()
    bridge = torch.minimum(3 - x, 0.6 - (y - 1).abs_())
    temple = torch.minimum(0.7 - (y - 1).abs_(), torch.minimum(x - 13.5, hit.z + 2))
    canvas.paint(hit, (0.04, 0.05, 0.08), soften(lens).mul_(front))
    frame = soften(torch.maximum(rim, bridge)).mul_(front)
    canvas.paint(hit, (0.05, 0.05, 0.07), frame.maximum(soften(temple).mul_(alpha)))


def add_hat(canvas: Canvas, head: Pose, worn: torch.Tensor) -> None:
    """Adds a cap, dome and peak; hair stays visible below it."""
    if worn.any():
        hit = hit_ellipsoid(head, (0, 9, -1), (21, 20, 22.8), rows_between(32, 3))
        canvas.add(hit, (0.85, 0.13, 0.15), soften(hit.y - 10).mul_(worn))
        peak = hit_ellipsoid(head, (0, 10.2, 15), (16.5, 2.5, 15), rows_between(20, 2))
        canvas.add(peak, (0.72, 0.1, 0.12), worn)


def render_chunk(factors: torch.Tensor) -> torch.Tensor:
    """Renders the faces of factors (N, F), all at once, as (N, 3, 64, 64) in 0..1."""
    f = {name: column(factors, name) for name in NAMES}
    zero = torch.zeros_like(f["yaw"])
    head = build_pose(f["yaw"], f["pitch"], f["face_width"], f["light"])
    body = build_pose(zero, zero, zero + 1, f["light"])
    skin = mix(f["skin_tone"], (1.0, 0.82, 0.7), (0.74, 0.5, 0.36), (0.22, 0.12, 0.08))
    hair = mix(f["hair_colour"], (0.06, 0.05, 0.05), (0.42, 0.22, 0.1), (0.95, 0.78, 0.42))
    wall = mix(f["background"], (0.08, 0.12, 0.38), (0.95, 0.88, 0.72))
    some, long = (per_face((f["hair_style"] >= style).float()) for style in (1, 2))

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


def render(factors: torch.Tensor) -> torch.Tensor:
    """Renders as `render_all` does; ValueError for factors that no face has."""
    check_factors(factors)
    return render_all(factors)


def render_all(factors: torch.Tensor, part: int = 1000) -> torch.Tensor:
    """Renders the faces of possible factors (N, F) as bytes (N, 3, 64, 64), on all cores."""
    pixels = torch.empty(len(factors), 3, SIZE, SIZE, dtype=torch.uint8)
    looks = factors[:, [NAMES.index(name) for name in ("hair_style", "hat", "glasses")]]
    kinds = (looks * torch.tensor([4, 2, 1])).sum(dim=1)

    def render_rows(rows: torch.Tensor) -> None:
        pixels[rows] = render_chunk(factors[rows].float()).mul_(255).add_(0.5).to(torch.uint8)

    bar = tqdm(total=len(factors), unit="face", unit_scale=True, disable=None, leave=False)
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # planes this small take longer to share out than to compute
    try:
        with bar, ThreadPoolExecutor(os.cpu_count()) as threads:
            for start in range(0, len(factors), part):
                # Faces of the same hair, hat and glasses side by side: chunks skip absent parts.
                order = start + kinds[start : start + part].argsort(stable=True)
                list(threads.map(render_rows, order.split(CHUNK)))
                bar.update(len(order))
    finally:
        torch.set_num_threads(torch_threads)
    return pixels


def render_faces(count: int, seed: int, part: int = 1000) -> Images:
    """Renders random faces, their factors (N, F) as labels, with a progress bar."""
    factors = sample_factors(count, seed)
    return Images(render_all(factors, part).numpy(), "rendered faces", factors.numpy())
