"""Measure one trained run by numbers: what the tables of README and docs report of its kind.

numbers = measure("lstm")        # {"best_epoch": 22, "stream_nats": 1.3795, ...}
"""

import functools
import math
from collections.abc import Callable

import torch

from models.aae.modules import Autoencoder
from models.aae.train import Config as AAEConfig
from models.aae.train import encode_pictures
from models.gan.modules import Generator
from models.gan.train import Config as GANConfig
from models.palindrome.data import validation_set
from models.palindrome.modules import Model as Palindrome
from models.palindrome.train import Config as PalindromeConfig
from models.palindrome.train import score_validation
from solver import Solver
from utils.digits.quality import Judge
from utils.digits.testing import EVALUATED
from utils.digits.training import sample_pictures
from utils.images.data import Images
from utils.images.mnist import digits
from utils.text.streaming import score_blocks, score_stream
from utils.text.testing import find_text, load_text_model
from utils.text.training import TEXT_KINDS, import_kind
from utils.training.checkpoint import load_model
from vae.analysis.latents import analyse
from vae.analysis.reader import load_reader, measure_rotation
from vae.data import TRAINING_SEED, VALIDATION_SEED, load_unseen
from vae.faces.head import render_faces
from vae.latents import measure_kl, measure_reconstruction
from vae.likelihood import estimate_bounds
from vae.losses import bits_per_dim
from vae.training import ACTIVE_NATS

Numbers = dict[str, float]
FACES = 5000  # rendered faces that no model has seen
DRAWS = 100  # weighted latents of each picture, for the tighter bound
SEED = 0  # of the samples that are judged, whatever seed the training had


def measure_text(kind: str, run: str) -> Numbers:
    """Measures a text model on its validation text: nats, bits, shares of 1.

    Where the run has a test text, that is measured, too.
    """
    model, config, content = loaded = load_text_model(*import_kind(kind), run)
    text, numbers = find_text(loaded), {}
    for prefix, codes in {"": text.validation, "test_": text.test}.items():
        if len(codes) > 1:
            nats, right = score_stream(model, codes)
            scores = {"stream_nats": nats, "stream_bits": nats / math.log(2), "right": right}
            scores["blocks_nats"] = score_blocks(model, codes)
            numbers |= {prefix + name: value for name, value in scores.items()}
    epochs = {"best_epoch": content["epoch"], "epochs": config.training.epochs}
    return epochs | numbers


@functools.cache
def render_held_out() -> Images:
    return render_faces(FACES, VALIDATION_SEED)


@functools.cache
def render_known() -> Images:
    """Renders the faces that directions are learned from."""
    return render_faces(FACES, TRAINING_SEED)


def measure_faces(run: str) -> Numbers:
    """Measures a beta-VAE on rendered faces: scores of its latents, squared error, degrees."""
    solver, unseen = Solver.load(run, device="cpu"), render_held_out()
    analysis = analyse(solver.model, unseen)
    few = unseen.take(slice(500))
    turned = measure_rotation(solver.model, load_reader(), render_known(), few)
    scores = analysis.scores
    return {
        "mig": scores["mig"],
        "dci_disentanglement": scores["dci_disentanglement"],
        "dci_completeness": scores["dci_completeness"],
        "dci_informativeness": scores["dci_informativeness"],
        "named": sum(name is not None for name in analysis.names),
        "active": scores["active_units"],
        "squared_error": measure_reconstruction(solver.model, unseen, "gaussian")[1],
        "kl_nats": scores["kl_nats"],
        "degrees": turned["degrees"][1],
    }


def measure_likelihood(run: str) -> Numbers:
    """Measures a VAE with an exact likelihood on MNIST's test pictures, in bits per dimension."""
    solver = Solver.load(run)
    model, images = solver.model, load_unseen(solver.config.data)
    elbo, weighted = estimate_bounds(model, images, "categorical", DRAWS)
    kl = measure_kl(model, images)
    return {
        "bound_bpd": bits_per_dim(elbo, model.shape),
        f"draws_{DRAWS}_bpd": bits_per_dim(weighted, model.shape),
        "active": int((kl > ACTIVE_NATS).sum()),
        "kl_nats": kl.sum().item(),
    }


def judge_pictures(model: Generator | Autoencoder, dataset: str) -> Numbers:
    """Judges samples: the Fréchet distance to the test pictures, the shares of the digits."""
    judge = Judge(dataset, digits(dataset)[1])
    distance, shares = judge.score(sample_pictures(model, EVALUATED, SEED))
    return {
        "frechet": distance,
        "covered": sum(share >= 0.05 for share in shares),
        "rarest": min(shares),
    }


def measure_gan(run: str) -> Numbers:
    """Measures a GAN's samples."""
    model, config, content = load_model(GANConfig, run, None, lambda c, _: Generator(c.model))
    return {"best_epoch": content["epoch"]} | judge_pictures(model, config.data.dataset)


def measure_aae(run: str) -> Numbers:
    """Measures an adversarial autoencoder: squared error of the test pictures, its samples."""
    model, config, content = load_model(AAEConfig, run, None, lambda c, _: Autoencoder(c.model))
    _, error = encode_pictures(model, digits(config.data.dataset)[1])
    row = {"best_epoch": content["epoch"], "squared_error": error}
    return row | judge_pictures(model, config.data.dataset)


def measure_palindromes(run: str) -> Numbers:
    """Measures how many last digits of validation palindromes are right, in 0..1."""
    model, config, content = load_model(
        PalindromeConfig, run, None, lambda config, _: Palindrome(config.model)
    )
    held_out = torch.from_numpy(validation_set(config.model.T, config.data.validation))
    nats, right = score_validation(model, held_out)
    return {"best_epoch": content["epoch"], "nats": nats, "right": right}


def choose_measure(name: str) -> Callable[[str], Numbers]:
    """Returns the measure for runs of a shipped checkpoint's command, by its name."""
    if name.startswith("mnist"):
        return measure_likelihood
    kind = name.split("_")[0]
    if kind in TEXT_KINDS:
        return functools.partial(measure_text, kind)
    others = {
        "vae": measure_faces,
        "gan": measure_gan,
        "aae": measure_aae,
        "palindrome": measure_palindromes,
    }
    return others[kind]
