"""Digits: a plane of latents, ways between two, a ladder's layers drawn anew, a code to turn.

Wherever a classifier was trained for the data, the pictures are read: which digit, how sure.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from explorer.library import IMAGE_KINDS, Entry, Library
from explorer.pictures import draw, pack, read_digits
from explorer.web import Query
from utils.errors import UserError
from utils.images import mnist
from utils.images.data import Images
from utils.interpolation import interpolate_linearly, interpolate_on_sphere
from utils.training.checkpoint import Loaded
from vae.ladder import LadderVAE
from vae.latents import build_manifold, draw_latents

NAME = "digits"
SEEDS = (0, 2**31)
SIDE = 16  # pictures of the map, as of main.py --task manifold
TICKS = (-2.0, -1.0, 0.0, 1.0, 2.0)
WAYS = (interpolate_linearly, interpolate_on_sphere)
POINTS, STRIP = 101, 9  # points of a way: where a slider can stop, and pictures of its strip
MIDDLES = 400  # ways whose middles are read
LAYERS = ("top", "coarse", "fine")  # of a ladder: vae/ladder.py
MOST_DRAWS = 30
SAMPLES, EACH = 24, 5  # of which, drawn anew so often, it is measured what a layer holds
TURNS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # what a number of a code is turned to in its row
MOST_ROWS = 12


def load(
    query: Query, library: Library, default: str, kinds: tuple[str, ...] = IMAGE_KINDS
) -> tuple[Loaded, Entry, str]:
    """Loads the model asked for; returns its entry and its name with the epoch, too."""
    run = query.text("run", default, most=120)
    query.finish()
    loaded = library.image_model(run, kinds)
    entry, epoch = library.find(run, kinds)
    return loaded, entry, f"{entry.name}@{epoch}"


def describe(loaded: Loaded, pictures: Tensor) -> dict[str, Any]:
    """Packs pictures and what is read in them."""
    return {**pack(pictures), "reads": read_digits(loaded, pictures)}


def decode_rows(loaded: Loaded, z: Tensor) -> list[dict[str, Any]]:
    """Decodes latents (R, N, Z), and packs each row of pictures by itself."""
    pictures = draw(loaded, z.flatten(0, 1)).unflatten(0, z.shape[:2])
    return [describe(loaded, row) if len(row) == 1 else pack(row) for row in pictures]


def show_map(query: Query, library: Library) -> dict[str, Any]:
    """Gives the grid of decoded percentiles, and at which percentiles whole latents lie."""
    loaded, entry, name = load(query, library, "mnist_2d")
    check_plane(loaded)
    z = build_manifold(SIDE).flatten(0, 1)
    packed = library.keep(name, entry, lambda: pack(draw(loaded, z)), "map")
    shares = torch.special.ndtr(torch.tensor(TICKS)).tolist()
    ticks = [[value, round(100 * share, 2)] for value, share in zip(TICKS, shares, strict=True)]
    return {**packed, "side": SIDE, "ticks": ticks}


def show_point(query: Query, library: Library) -> dict[str, Any]:
    """Decodes the point with x and y percent of the prior below it."""
    place = [query.number(axis, 50, 0.1, 99.9) / 100 for axis in ("x", "y")]
    loaded, _, _ = load(query, library, "mnist_2d")
    check_plane(loaded)
    z = torch.special.ndtri(torch.tensor([place], dtype=torch.float64)).float()
    found = describe(loaded, draw(loaded, z))
    return {**found, "z": [round(value, 3) for value in z[0].tolist()]}


def check_plane(loaded: Loaded) -> None:
    if (count := loaded.model.z_dim) != 2:
        raise UserError(
            f"the map takes 2 latents, this model has {count}: train one with --z_dim 2"
        )


def find_ends(model: Any, seeds: tuple[int, int]) -> list[Tensor]:
    """Draws the two ends of a way, (Z,) each."""
    return [draw_latents(1, model.z_dim, seed)[0] for seed in seeds]


@cache
def measure_lengths(z_dim: int) -> list[float]:
    """Measures between which lengths 99 % of draws of N(0, I) in Z dimensions lie."""
    lengths = draw_latents(20_000, z_dim, 0).norm(dim=1)
    return [round(float(lengths.quantile(share)), 2) for share in (0.005, 0.995)]


def read_ends(query: Query) -> tuple[int, int]:
    return query.whole("a", 0, *SEEDS), query.whole("b", 1, *SEEDS)


def show_way(query: Query, library: Library) -> dict[str, Any]:
    """Gives the strips of a linear and a spherical way, and the lengths of all their latents."""
    seeds = read_ends(query)
    loaded, _, _ = load(query, library, "gan")
    a, b = find_ends(loaded.model, seeds)
    z = torch.stack([way(a, b, STRIP) for way in WAYS])
    lengths = [way(a, b, POINTS).norm(dim=1).tolist() for way in WAYS]
    return {
        "rows": decode_rows(loaded, z),
        "lengths": [[round(length, 3) for length in some] for some in lengths],
        "usual": measure_lengths(loaded.model.z_dim),
        "z_dim": loaded.model.z_dim,
    }


def show_step(query: Query, library: Library) -> dict[str, Any]:
    """Decodes one step of both ways, in percent of them."""
    seeds, step = read_ends(query), query.whole("step", 50, 0, POINTS - 1)
    loaded, _, _ = load(query, library, "gan")
    ends = find_ends(loaded.model, seeds)
    z = torch.stack([way(*ends, POINTS)[step] for way in WAYS])
    lengths = [round(value, 2) for value in z.norm(dim=1).tolist()]
    return {"rows": decode_rows(loaded, z[:, None]), "lengths": lengths}


def show_middles(query: Query, library: Library) -> dict[str, Any]:
    """Reads the middles of many ways: the share of each digit, linear and spherical."""
    loaded, entry, name = load(query, library, "gan")

    def measure() -> list[list[float]]:
        ends = draw_latents(2 * MIDDLES, loaded.model.z_dim, 0).unflatten(0, (2, MIDDLES))
        shares = []
        for way in WAYS:
            middles = torch.stack([way(a, b, 3)[1] for a, b in zip(*ends, strict=True)])
            digits = [digit for digit, _ in read_digits(loaded, draw(loaded, middles))]
            shares.append([digits.count(d) / MIDDLES for d in range(10)] if digits else [])
        return shares

    return {"shares": library.keep(name, entry, measure, "middles"), "count": MIDDLES}


def load_ladder(query: Query, library: Library) -> tuple[Loaded, Entry, str]:
    loaded, entry, name = load(query, library, "mnist_ladder", ("vae",))
    if not isinstance(loaded.model, LadderVAE):
        raise UserError(
            f"{entry.name} has its latents in one layer: train one with --network ladder"
        )
    return loaded, entry, name


def draw_anew(model: LadderVAE, z: Tensor, layer: int, seed: int) -> Tensor:
    """Draws one layer of latents (N, Z') anew from its prior; the other layers stay."""
    old = model.decoder.split(z)
    old[layer] = model.decoder.split(draw_latents(*z.shape, seed))[layer]
    return torch.cat([part.flatten(1) for part in old], dim=1)


def show_ladder(query: Query, library: Library) -> dict[str, Any]:
    """Draws a digit, and one layer of its latents anew: also where the pictures then differ."""
    seed, again = query.whole("seed", 1, *SEEDS), query.whole("again", 0, *SEEDS)
    layer = query.whole("layer", 1, 1, len(LAYERS)) - 1
    draws = query.whole("draws", 15, 2, MOST_DRAWS)
    loaded, _, _ = load_ladder(query, library)
    z = draw_latents(1, loaded.model.z_dim, seed)
    # The seeds of new draws are apart from those of digits: 0 and 0 are not the same draw.
    anew = draw_anew(loaded.model, z.repeat(draws, 1), layer, 2**40 + again)
    pictures = draw(loaded, torch.cat([z, anew]))
    return {
        "digit": describe(loaded, pictures[:1]),
        "anew": describe(loaded, pictures[1:]),
        "spread": pack(2 * pictures[1:].std(dim=0)[None]),  # at most 0.5, or a little more
    }


def show_layers(query: Query, library: Library) -> dict[str, Any]:
    """Measures what each layer holds: how much pixels move, how often the digit stays."""
    loaded, entry, name = load_ladder(query, library)

    def measure() -> list[dict[str, Any]]:
        z = draw_latents(SAMPLES, loaded.model.z_dim, 0)
        pictures = draw(loaded, z)
        before = [digit for digit, _ in read_digits(loaded, pictures)]
        found = []
        for layer, (what, shape) in enumerate(
            zip(LAYERS, loaded.model.decoder.shapes, strict=True)
        ):
            anew = draw_anew(loaded.model, z.repeat(EACH, 1), layer, 2**40)
            moved = draw(loaded, anew)
            after = [digit for digit, _ in read_digits(loaded, moved)]
            same = [a == b for a, b in zip(before * EACH, after, strict=True)]
            change = (moved - pictures.repeat(EACH, 1, 1, 1)).square().mean().sqrt().item()
            share = sum(same) / len(same) if same else None
            found.append({"name": what, "shape": shape, "moves": round(change, 3), "stays": share})
        return found

    layers = library.keep(name, entry, measure, "layers")
    return {"layers": layers, "count": SAMPLES * EACH}


@cache
def load_test(dataset: str) -> Images:
    """Loads test pictures that are on this machine. UserError where they are not."""
    if not mnist.is_there(dataset):
        where = "docs/digits.md says where its files go"
        raise UserError(f"the test pictures of {dataset} are not on this machine: {where}")
    return mnist.digits(dataset)[1]


def read_turns(text: str, z_dim: int) -> dict[int, float]:
    """Reads "3_1.5,7_-2": number 3 of a code is turned to 1.5, number 7 to -2."""
    turns = {}
    for part in text.split(",") if text else []:
        place, _, value = part.partition("_")
        try:
            number = float(value)
        except ValueError:
            number = 9.0
        if not (place.isdecimal() and len(place) < 5 and int(place) < z_dim and abs(number) <= 5):
            raise UserError(
                f"turn has {part!r:.40}: right would be PLACE_VALUE, as 3_1.5, "
                f"with a place below {z_dim} and a value in -5..5"
            )
        turns[int(place)] = number
    return turns


def show_code(query: Query, library: Library) -> dict[str, Any]:
    """Gives a code, its picture, and each of its numbers turned from -3 to 3."""
    of = query.choice("of", ("prior", "test"), "prior")
    number = query.whole("number", 0, *SEEDS)
    turn = query.text("turn", "", most=1000)
    loaded, _, _ = load(query, library, "aae", ("aae",))
    model, data = loaded.model, loaded.config.data
    original = None
    if of == "test":
        original, z = encode_test(loaded, number)
    else:
        z = draw_latents(1, model.z_dim, number)
    turns = read_turns(turn, model.z_dim)
    for place, value in turns.items():
        z[0, place] = value
    shown = min(model.z_dim, MOST_ROWS)
    rows = z.repeat(shown * len(TURNS), 1).unflatten(0, (shown, len(TURNS)))
    rows.diagonal(dim1=0, dim2=2).copy_(torch.tensor(TURNS)[:, None].expand(-1, shown))
    return {
        "picture": decode_rows(loaded, z[None])[0],
        "rows": decode_rows(loaded, rows),
        "turns": TURNS,
        "original": original,
        "z": [round(value, 3) for value in z[0].tolist()],
        "length": round(float(z.norm()), 2),
        "usual": measure_lengths(model.z_dim),
        "test": data.data is None and mnist.is_there(data.dataset),
    }


def encode_test(loaded: Loaded, number: int) -> tuple[dict[str, Any], Tensor]:
    """Encodes a test picture: what it is, and its code (1, Z)."""
    if loaded.config.data.data is not None:
        raise UserError("this model was trained on pictures of its user: choose a drawn code")
    images = load_test(loaded.config.data.dataset)
    if number >= len(images):
        raise UserError(f"there are {len(images):,} test pictures, counted from 0: not {number}")
    picture = images.floats(slice(number, number + 1))
    with torch.no_grad():
        z = loaded.model.encoder(picture.to(next(loaded.model.parameters()).device)).cpu()
    return {**pack(picture), "label": int(images.labels[number])}, z


ROUTES = {
    "map": show_map,
    "point": show_point,
    "way": show_way,
    "step": show_step,
    "middles": show_middles,
    "ladder": show_ladder,
    "layers": show_layers,
    "code": show_code,
}
