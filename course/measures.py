"""Measures a trained checkpoint that was handed in: our code, our data, the student's weights.

`prepare` writes the data once for a class; `measure` reads it in a process of its own, in which a
file that anyone may have made does no harm. What a kind of model is measured by is in MEASURES.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from utils.config import Config
from utils.errors import UserError
from utils.training import checkpoint

TEXT, DIGITS = ("lstm", "tcn", "transformer"), ("mnist", "digits")
FACES, TURNED = 5000, 200  # rendered faces that no model has seen; those of them that are turned
PICTURES, DRAWS = 2000, 10  # test digits, and weighted draws of each, for bits per dimension
ALPHABET, CODES = "alphabet.npy", "codes.npy"
Numbers = dict[str, float]


class Number(NamedTuple):
    """A number's name, as it is written, whether less of it is better, how many digits it has."""

    name: str
    less_is_better: bool
    digits: int

    def show(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


# Of each kind the first number is the one that the best of several is chosen by.
OF_TEXT = (Number("nats per character", True, 4), Number("nats on cold blocks", True, 4))
FRECHET, COVERED = Number("Fréchet distance", True, 2), Number("digits covered", False, 0)
MEASURES: dict[str, tuple[Number, ...]] = {
    **dict.fromkeys(TEXT, OF_TEXT),
    "vae of faces": (
        Number("MIG", False, 3),
        Number("angle error in degrees", True, 1),
        Number("active latents", False, 0),
    ),
    "vae of digits": (
        Number("bits per dimension", True, 4),
        Number(f"with {DRAWS} draws", True, 4),
    ),
    "aae": (FRECHET, COVERED, Number("squared error", True, 5)),
    "gan": (FRECHET, COVERED),
    "palindrome": (Number("share right", False, 4), Number("nats", True, 4)),
}
KINDS = tuple(MEASURES)


def name_data(kind: str) -> str:
    """Names the folder of what a kind is measured on."""
    return "text" if kind in TEXT else "faces" if kind == "vae of faces" else "digits"


def prepare(data: Path, kind: str) -> None:
    """Writes what a kind is measured on; what is not to be had, as MNIST, is left out."""
    from utils.images.mnist import digits
    from utils.text.data import DataConfig, load_text
    from vae.data import TRAINING_SEED, VALIDATION_SEED
    from vae.faces.head import render_faces

    name = name_data(kind)
    folder = data / f".{name}"  # what is there under its own name is whole
    folder.mkdir(parents=True)
    if name == "text":
        text = load_text(DataConfig("text"))
        np.save(folder / ALPHABET, np.array(text.alphabet))
        np.save(folder / CODES, np.asarray(text.validation))
    elif name == "faces":
        for part, seed in (("held_out", VALIDATION_SEED), ("known", TRAINING_SEED)):
            save_pictures(folder / part, render_faces(FACES, seed))
    else:
        for dataset in DIGITS:
            try:
                save_pictures(folder / dataset, digits(dataset)[1])
            except UserError as problem:
                print(f"note: checkpoints of {dataset} are not measured: {problem}")
    folder.rename(data / name)


def save_pictures(folder: Path, images: Any) -> None:
    folder.mkdir()
    np.save(folder / "pixels.npy", images.pixels)
    np.save(folder / "labels.npy", images.labels)


def read_pictures(folder: Path, bits: int = 8) -> Any:
    """Reads pictures that `prepare` wrote. UserError where there are none."""
    from utils.images.data import Images

    if not folder.is_dir():
        raise UserError(f"there are no pictures of {folder.name} here to measure it on")
    pixels, labels = (np.load(folder / f"{name}.npy") for name in ("pixels", "labels"))
    return Images(pixels, folder.name, labels, bits=bits)


def measure(file: Path, data: Path, kinds: Sequence[str]) -> dict[str, float]:
    """Measures the model in a file on prepared data: "kind", its place in KINDS, and its numbers.

    Without numbers, where the data is not prepared yet. UserError where the file holds none of
    these kinds, or none that we can rebuild, and says what was expected.
    """
    content = checkpoint.load(file)
    kind = content["kind"]
    if kind == "vae":
        kind = "vae of faces" if content.get("shape", [0])[0] == 3 else "vae of digits"
    if kind not in kinds:
        asked = ", ".join(kinds) or "none"
        raise UserError(f"a checkpoint of kind {kind:.40}; this sheet asks for {asked}")
    data /= name_data(kind)
    if not data.is_dir():
        return {"kind": KINDS.index(kind)}
    ways: dict[str, Callable] = dict.fromkeys(TEXT, measure_text)
    ways |= {"vae of faces": measure_faces, "vae of digits": measure_likelihood}
    ways |= {"aae": measure_digits, "gan": measure_digits, "palindrome": measure_palindromes}
    found = ways[kind](content, file, data)
    names = (number.name for number in MEASURES[kind])
    return {"kind": KINDS.index(kind)} | dict(zip(names, found, strict=True))


def rebuild(content: dict, file: Path, config_type: type, build: Callable) -> checkpoint.Loaded:
    """Rebuilds a model. UserError where its weights have other names: with those expected."""

    def build_model(config: Config, content: dict) -> nn.Module:
        model = build(config, content)
        compare_names(content["model"], model.state_dict())
        return model

    return checkpoint.load_file(file, content, config_type, build_model)


def compare_names(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    if missing or unknown:
        has = f"it has {say_some(unknown)}" if unknown else "it lacks some"
        wanted = f", expected {say_some(missing)}" if missing else ", which the edition's has not"
        raise UserError(f"its weights have other names than the edition's: {has}{wanted}")


def say_some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name:.60}" for name in names[:3]) + more


def measure_text(content: dict, file: Path, data: Path) -> tuple[float, ...]:
    """Measures nats per character of the default text's validation part: read on, and cold."""
    from utils.text.streaming import score_blocks, score_stream

    kind = content["kind"]
    config_type = importlib.import_module(f"models.{kind}.train").Config
    model_type = importlib.import_module(f"models.{kind}.modules").Model
    alphabet = np.load(data / ALPHABET).tolist()
    if content["alphabet"] != alphabet:
        raise UserError(
            f"it was trained on another text: its alphabet has {len(content['alphabet'])} "
            f"characters, that of the default text {len(alphabet)}"
        )
    model, config, _ = rebuild(
        content, file, config_type, lambda config, _: model_type(len(alphabet), config.model)
    )
    if config.data.validation_share < 0.1:
        raise UserError(
            f"it was trained with --validation_share {config.data.validation_share:g}, so on the "
            "text that it would be measured on"
        )
    codes = np.load(data / CODES)
    return score_stream(model, codes)[0], score_blocks(model, codes)


def refuse_own(config: Config) -> None:
    """Raises a UserError for pictures of one's own, of which we know nothing."""
    if config.data.data is not None:
        raise UserError("it was trained on pictures of its own, not on a data set that we have")


def load_vae(content: dict, file: Path) -> checkpoint.Loaded:
    from vae.training import VAEConfig, build_model

    def build(config: VAEConfig, content: dict) -> nn.Module:
        refuse_own(config)
        return build_model(content.get("shape"), config)

    return rebuild(content, file, VAEConfig, build)


def measure_faces(content: dict, file: Path, data: Path) -> tuple[float, ...]:
    """Measures MIG, the error of turned faces as a network reads them, and active latents."""
    from vae.analysis.disentanglement import measure_information, measure_mig
    from vae.analysis.latents import MIG_FACTORS
    from vae.analysis.reader import load_reader, measure_rotation
    from vae.faces.factors import find_attributes
    from vae.latents import encode, measure_kl
    from vae.training import ACTIVE_NATS

    model = load_vae(content, file).model
    held_out, known = read_pictures(data / "held_out"), read_pictures(data / "known")
    attributes = find_attributes(held_out)
    mu = encode(model, held_out).mu.numpy()
    shares = measure_information(
        mu, attributes.values, attributes.categories, attributes.valid
    ).ratios
    columns = [attributes.find(name, "") for name in MIG_FACTORS]
    turned = measure_rotation(model, load_reader(), known, held_out.take(slice(TURNED)))
    active = int((measure_kl(model, held_out) > ACTIVE_NATS).sum())
    return measure_mig(shares, columns)[0], turned["degrees"][1], active


def measure_likelihood(content: dict, file: Path, data: Path) -> tuple[float, ...]:
    """Measures bits per dimension of test digits, by one draw and by several weighted ones."""
    from vae.likelihood import estimate_bounds
    from vae.losses import bits_per_dim

    model, config, _ = load_vae(content, file)
    if config.loss.likelihood != "categorical":
        raise UserError(
            f"its likelihood is {config.loss.likelihood}: only one of exact levels, categorical, "
            "has bits per dimension"
        )
    images = read_pictures(data / config.data.dataset, config.data.bits).take(slice(PICTURES))
    nats = estimate_bounds(model, images, "categorical", DRAWS)
    return tuple(bits_per_dim(one, model.shape) for one in nats)


def measure_digits(content: dict, file: Path, data: Path) -> tuple[float, ...]:
    """Measures samples: Fréchet distance, digits drawn often enough; of an AAE its error, too."""
    from utils.digits.quality import Judge
    from utils.digits.testing import EVALUATED
    from utils.digits.training import sample_pictures

    kind = content["kind"]
    training = importlib.import_module(f"models.{kind}.train")
    modules = importlib.import_module(f"models.{kind}.modules")
    model_type = modules.Autoencoder if kind == "aae" else modules.Generator
    loaded = rebuild(content, file, training.Config, lambda config, _: model_type(config.model))
    refuse_own(loaded.config)
    images = read_pictures(data / loaded.config.data.dataset)
    judge = Judge(images.source, images)
    distance, shares = judge.score(sample_pictures(loaded.model, EVALUATED, seed=0))
    found = (distance, sum(share >= 0.05 for share in shares))
    return (*found, training.encode_pictures(loaded.model, images)[1]) if kind == "aae" else found


def measure_palindromes(content: dict, file: Path, data: Path) -> tuple[float, ...]:
    """Measures how many last digits of validation palindromes are right, and nats of each."""
    from models.palindrome.data import validation_set
    from models.palindrome.modules import Model
    from models.palindrome.train import Config, score_validation

    model, config, _ = rebuild(content, file, Config, lambda config, _: Model(config.model))
    held_out = validation_set(config.model.T, config.data.validation)
    nats, right = score_validation(model, torch.from_numpy(held_out))
    return right, nats
