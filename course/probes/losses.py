"""Exercise 2a and bits per dimension: what a variational autoencoder minimises, and its draw."""

import math
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch

from course.probes.probe import Arrays, Probe, Project, derive, tensors

FILE = "vae/losses.py"
B, Z, L = 5, 4, 6
SHAPE = (2, 3, 4)
MANY = 24  # levels: 11 / 23 times 23 is a little less than 11, as floating point has it


class Reconstruction(Probe):
    function = f"{FILE}:reconstruction"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "logits": rng.normal(size=(B, *SHAPE)),
            "levels": rng.normal(size=(B, *SHAPE, L)),
            "x": rng.uniform(size=(B, *SHAPE)),
            "level": rng.integers(0, L, size=(B, *SHAPE)) / (L - 1),
        }

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        logits, levels, x, level = tensors(inputs, "logits", "levels", "x", "level")
        logits.requires_grad_()
        levels.requires_grad_()
        compute = module.reconstruction
        outputs = {name: compute(logits, x, name) for name in ("bernoulli", "gaussian")}
        outputs["categorical"] = compute(levels, level, "categorical")
        outputs |= derive(list(outputs.values()), logits=logits, levels=levels)
        outputs["equal_logits"] = compute(torch.zeros_like(levels), level, "categorical")
        many = torch.arange(MANY)
        of_pixels = torch.sin(many * many[:, None]).view(1, 1, 4, -1, MANY)
        pixels = (many / (MANY - 1)).view(1, 1, 4, -1)
        return outputs | {"of_many_levels": compute(of_pixels, pixels, "categorical")}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        pixels = math.prod(SHAPE)
        if not np.allclose(outputs["equal_logits"], pixels * math.log(L), rtol=1e-4):
            yield f"equal logits of {L} levels do not give log {L} nats for each pixel"


class KL(Probe):
    function = f"{FILE}:kl_per_dim"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"mu": rng.normal(size=(B, Z)), "logvar": rng.normal(size=(B, Z))}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        mu, logvar = tensors(inputs, "mu", "logvar")
        prior = torch.zeros(2, Z)
        kl = module.kl_per_dim(mu.requires_grad_(), logvar.requires_grad_())
        outputs = {"kl": kl, "at_prior": module.kl_per_dim(prior, prior)}
        return outputs | derive([kl], mu=mu, logvar=logvar)

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if np.abs(outputs["at_prior"]).max() > 1e-6:
            yield "the KL is not zero where the posterior is the prior: mu 0, logvar 0"
        if outputs["kl"].min() < 0:
            yield "a KL is negative: that cannot be"


class Reparametrise(Probe):
    function = "vae/networks.py:reparametrise"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        names = ("mu", "logvar", "epsilon")
        return {name: rng.normal(size=(B, Z)) for name in names}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        mu, logvar, epsilon = tensors(inputs, "mu", "logvar", "epsilon")
        mu.requires_grad_()
        logvar.requires_grad_()
        z = module.reparametrise(mu, logvar, epsilon)
        many = torch.full((20_000, 2), 3.0), torch.full((20_000, 2), 2 * math.log(0.5))
        draws = module.reparametrise(*many)
        return {"z": z, "draws": draws} | derive([z], mu=mu, logvar=logvar)

    def summarise(self, outputs: Arrays) -> Arrays:
        draws = outputs.pop("draws")
        return outputs | summarise_draws(draws)


class BitsPerDim(Probe):
    function = f"{FILE}:bits_per_dim"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"nats": rng.uniform(100, 2000, size=4)}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        shapes = ((1, 28, 28), (3, 64, 64), (3, 5, 7), (1, 1, 1))
        pairs = zip(inputs["nats"].tolist(), shapes, strict=True)
        return {f"bits_{n}": module.bits_per_dim(nats, s) for n, (nats, s) in enumerate(pairs)}


class ImportanceWeights(Probe):
    function = f"{FILE}:log_importance_weights"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        names = {"z": (B, Z), "mu": (B, Z), "logvar": (B, Z), "logits": (B, *SHAPE)}
        inputs = {name: rng.normal(size=size) for name, size in names.items()}
        return inputs | {"x": rng.uniform(size=(B, *SHAPE))}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        logits, x, z, mu, logvar = tensors(inputs, "logits", "x", "z", "mu", "logvar")
        prior = torch.zeros_like(mu)
        weights = module.log_importance_weights
        return {
            "nats": weights(logits, x, "bernoulli", z, mu, logvar),
            "at_prior": weights(logits, x, "bernoulli", z, prior, prior),
        }


class WeightedBound(Probe):
    function = f"{FILE}:importance_weighted_bound"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"log_weights": 3 * rng.normal(size=(7, B)) - 900}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        (weights,) = tensors(inputs, "log_weights")
        bound = module.importance_weighted_bound
        return {"nats": bound(weights) + 900, "of_one": bound(weights[:1]) + 900}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not np.isfinite(outputs["nats"]).all():
            yield "exp of -900 is 0 in any precision: take the largest out of the sum first"


def summarise_draws(draws: np.ndarray) -> Arrays:
    """Turns many draws (N, Z) into what is sure of them: coarse moments, and whether they differ.

    Of N(0, 1) with 10,000 draws the mean is within 0.04, the deviation within 0.03 and the
    kurtosis within 0.2, at four standard deviations: so the steps of 0.25, 0.25 and 1 are safe.
    """
    if draws.ndim != 2 or len(draws) < 2:
        return {"draws": draws}
    mean, deviation = draws.mean(), draws.std()
    kurtosis = ((draws - mean) ** 4).mean() / max(deviation, 1e-9) ** 4
    steps = np.array([mean / 0.25, deviation / 0.25, kurtosis])
    return {
        "moments": np.round(steps),
        "rows_differ": np.array(draws[0] != draws[1]).all(),
        "columns_differ": np.array(draws[:, 0] != draws[:, -1]).any(),
        "draws_shape": np.array(draws.shape),
    }
