"""Faces: what a latent does to a face, named by measurement; the same face in several models.

A face is rendered by its factors, drawn from the prior, or somebody's photograph, of which only
the codes are kept, in the page's address. Names and turns are those of `main.py`.
"""

import base64
import binascii
from io import BytesIO
from typing import Any

import numpy as np
import torch

from explorer.library import Library
from explorer.pictures import draw, pack
from explorer.web import Query
from utils.errors import UserError
from utils.images.data import Images, to_unit_range
from utils.images.files import read_picture
from utils.training.checkpoint import Loaded
from vae.analysis.rotation import Rotation, Whitening
from vae.faces.factors import FACTORS
from vae.faces.geometry import SIZE
from vae.faces.head import render_chunk
from vae.latents import draw_latents, encode

NAME = "faces"
SHAPE = (3, SIZE, SIZE)
PICTURES = 5000  # rendered faces that are measured: as many as main.py looks at
DRAWN = 8  # pictures that `main.py --task random_generation` draws: a face is the first of them
FARTHEST = 100  # of a latent; the largest codes of a model without a prior are about 10
# The face that the page begins with; a factor that is not here is in the middle of its range.
FIRST = {"yaw": -20, "smile": 0.6, "hair_style": "short", "skin_tone": 0.3, "light": 0.4}


def find_model(run: str, library: Library) -> Loaded:
    """Loads a VAE of faces. UserError for one of other pictures."""
    loaded = library.image_model(run, ("vae",))
    if loaded.model.shape != SHAPE:
        raise UserError(f"{run:.60} takes pictures of {loaded.model.shape}, a face has {SHAPE}")
    return loaded


def find_measured(run: str, library: Library) -> dict[str, Any] | None:
    """Finds what was measured of a run; None while it is being measured."""
    entry, epoch = library.find(run, ("vae",))
    question = {"run": entry.name, "epoch": epoch, "pictures": PICTURES}
    name = f"{entry.name}@{epoch}"
    future = library.keep(name, entry, lambda: library.beside.ask(question), "latents")
    return future.result() if future.done() else None


def list_latents(query: Query, library: Library) -> dict[str, Any]:
    """Lists the active latents by falling KL; "latents" is missing while they are measured."""
    run = query.text("run", "vae_beta_4", most=120)
    query.finish()
    loss, found = find_model(run, library).config.loss, find_measured(run, library)
    known = {"beta": loss.beta, "pictures": PICTURES}
    if found is not None:
        known |= {"latents": found["latents"], "rest": found["rest"], "turns": bool(found["turn"])}
    return known


def list_factors(query: Query, library: Library) -> dict[str, Any]:
    """Lists what varies in a rendered face, in its own units, and where the page begins."""
    query.finish()
    return {
        "factors": [
            {
                "name": factor.name,
                "low": factor.low,
                "high": factor.high,
                "meaning": factor.meaning,
                "words": factor.values,
                "first": begin(factor.name),
            }
            for factor in FACTORS
        ]
    }


def begin(name: str) -> Any:
    """Returns the value of a factor that the page begins with: a number, or a category's word."""
    factor = next(factor for factor in FACTORS if factor.name == name)
    if factor.values:
        return FIRST.get(name, factor.values[0])
    return FIRST.get(name, (factor.low + factor.high) / 2)


def render_face(query: Query, library: Library) -> dict[str, Any]:
    """Renders a face by its factors."""
    values = [
        float(factor.values.index(query.choice(factor.name, factor.values, begin(factor.name))))
        if factor.values
        else query.number(factor.name, begin(factor.name), factor.low, factor.high)
        for factor in FACTORS
    ]
    query.finish()
    return pack(render_chunk(torch.tensor([values])))


def read_photograph(query: Query, library: Library) -> dict[str, Any]:
    """Reads a picture that was sent, fitted as `main.py --image` does. It is not kept."""
    query.finish()
    if not query.body:
        raise UserError("no picture was sent: it is the body of the request")
    pixels, note = read_picture(BytesIO(query.body), "this", SHAPE)
    return pack(to_unit_range(pixels[None])) | {"note": note}


def read_codes(z: torch.Tensor, text: str) -> torch.Tensor:
    """Sets latents of z (1, Z) by "14*-1.2*3*0.5": latent 14 to -1.2, latent 3 to 0.5."""
    parts, z = text.split("*") if text else [], z.clone()
    for latent, value in zip(parts[::2], [*parts[1::2], ""][: len(parts[::2])], strict=True):
        try:
            place, number = int(latent), float(value)
        except ValueError:
            place, number = -1, 0.0
        if not (0 <= place < z.shape[1] and abs(number) <= FARTHEST):
            raise UserError(
                f"z has {latent!r:.20} to be {value!r:.20}: right would be LATENT*VALUE, of the "
                f"latents 0..{z.shape[1] - 1} and -{FARTHEST}..{FARTHEST}, as 0*1.5"
            )
        z[0, place] = number
    return z


def read_pixels(body: bytes) -> np.ndarray:
    """Reads bytes (1, C, H, W) that `pack` has made."""
    try:
        pixels = base64.b64decode(body, validate=True)
        return np.frombuffer(pixels, dtype=np.uint8).reshape(1, *SHAPE)
    except (binascii.Error, ValueError):
        raise UserError(f"the body is no picture {SHAPE} in base64, as others are sent") from None


def make_rotation(turn: dict[str, list]) -> Rotation:
    """Makes the rotation that was measured beside."""
    parts = {name: torch.tensor(part, dtype=torch.float64) for name, part in turn.items()}
    whitening = Whitening(parts["mean"], parts["root"])
    return Rotation(whitening, parts["direction"], parts["places"], True)


def draw_face(query: Query, library: Library) -> dict[str, Any]:
    """Draws a face as a model sees it: encodes what was sent, sets latents, turns, decodes.

    Without a picture it is a draw from the prior by its seed, without a seed the prior's middle.
    """
    run = query.text("run", "vae_beta_4", most=120)
    seed = query.whole("seed", -1, -1, 2**31)
    typed = query.text("z", "", most=20_000)
    degrees = query.number("turn", 0, -45, 45)
    query.finish()
    loaded, original = find_model(run, library), None
    model = loaded.model
    if query.body:
        original = Images(read_pixels(query.body), "a face", bits=loaded.config.data.bits)
        z = encode(model, original).mu
    elif seed >= 0:
        z = draw_latents(DRAWN, model.z_dim, seed)[:1]
    else:
        z = torch.zeros(1, model.z_dim)
    z = read_codes(z, typed)
    if "turn" in query.given:
        found = find_measured(run, library)
        if found is None or found["turn"] is None:
            why = "is still being measured" if found is None else "tell nothing of a turn"
            raise UserError(f"the latents of {run:.60} {why}: leave turn out")
        z = make_rotation(found["turn"]).turn(z, torch.tensor([degrees]))[0]
    picture = draw(loaded, z)
    error = None if original is None else ((picture - original.floats()) ** 2).mean().item()
    codes = [round(value, 4) for value in z[0].tolist()]
    return pack(picture) | {"codes": codes, "squared_error": error}


ROUTES = {
    "latents": list_latents,
    "factors": list_factors,
    "rendered": render_face,
    "photograph": read_photograph,
    "face": draw_face,
}
