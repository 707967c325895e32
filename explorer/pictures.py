"""Pictures on their way to the page: decoded, read by a classifier, and packed for its canvases.

pictures = draw(library.image_model("gan"), z)      # (N, C, H, W), of a vae, gan or aae
pack(pictures)      # {"shape": [N, C, H, W], "pixels": "AAECAw..."}, for parts.js: paint
"""

import base64
from functools import cache
from typing import Any

import torch

from utils.digits.classifier import EPOCHS, DigitClassifier, load_classifier
from utils.digits.training import generate_pictures
from utils.errors import UserError
from utils.images.figures import to_bytes
from utils.training.checkpoint import Loaded
from vae.latents import decode


def draw(loaded: Loaded, z: torch.Tensor) -> torch.Tensor:
    """Decodes latents (N, Z) of any kind of model: pictures (N, C, H, W) in [0, 1], on the CPU."""
    is_vae = loaded.config.kind == "vae"
    return decode(loaded.model, z) if is_vae else generate_pictures(loaded.model, z)


def pack(pictures: torch.Tensor) -> dict[str, Any]:
    """Packs pictures (N, C, H, W) in [0, 1] as base64 of their bytes."""
    pixels = base64.b64encode(to_bytes(pictures.contiguous()).tobytes()).decode("ascii")
    return {"shape": list(pictures.shape), "pixels": pixels}


@cache
def reader(dataset: str) -> DigitClassifier | None:
    """Loads what reads a data set's digits; None where none was trained for it."""
    try:
        return load_classifier(dataset) if dataset in EPOCHS else None
    except UserError:
        return None


def read_digits(loaded: Loaded, pictures: torch.Tensor) -> list[tuple[int, float]]:
    """Reads pictures (N, 1, 28, 28): for each a digit, and how sure that is; [] of other data."""
    data = loaded.config.data
    classifier = None if data.data else reader(data.dataset)
    if classifier is None:
        return []
    with torch.no_grad():
        sure, digits = classifier(pictures).softmax(dim=1).max(dim=1)
    return [(d, round(s, 4)) for d, s in zip(digits.tolist(), sure.tolist(), strict=True)]
