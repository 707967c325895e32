"""Exercises 2b, 2c and the manifold: from latents to pictures, and what each latent does."""

import importlib
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch
from torch import nn

from course.probes.losses import summarise_draws
from course.probes.probe import Arrays, Probe, Project, tensors

FILE = "vae/latents.py"
N, Z, L = 5, 4, 6
SHAPE = (2, 3, 3)
DRAWN = 2500  # latents: enough to tell N(0, I) from others


class TakeMean(Probe):
    function = f"{FILE}:take_mean"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "logits": 2 * rng.normal(size=(N, *SHAPE)),
            "levels": 2 * rng.normal(size=(N, *SHAPE, L)),
        }

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        logits, levels = tensors(inputs, "logits", "levels")
        return {"of_logits": module.take_mean(logits), "of_levels": module.take_mean(levels)}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        values = np.concatenate([array.ravel() for array in outputs.values()])
        if values.min() < 0 or values.max() > 1:
            yield "a picture has values outside 0..1"


class DrawLatents(Probe):
    function = f"{FILE}:draw_latents"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"seeds": rng.integers(1, 1000) + np.arange(2)}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        first, second = inputs["seeds"].tolist()
        z = module.draw_latents(DRAWN, Z, first)
        again, other = module.draw_latents(DRAWN, Z, first), module.draw_latents(DRAWN, Z, second)
        same = torch.stack([(again == z).all(), (other == z).all()])
        return {"z": z, "same_seed_other_seed": same}

    def summarise(self, outputs: Arrays) -> Arrays:
        return outputs | summarise_draws(outputs.pop("z"))

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not outputs["same_seed_other_seed"][0]:
            yield "the same seed gives other latents the second time"


class Generate(Probe):
    """The stand-in for the prior's latents takes them from the inputs, from the seed's place on."""

    function = f"{FILE}:generate"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"seeds": rng.permutation(9)[:2] + 1, "z": rng.normal(size=(DRAWN, Z))}

    def neighbours(self, inputs: Arrays) -> dict:
        z = torch.from_numpy(inputs["z"])

        def decode(model, z, to_pictures=torch.clone, part=256):
            return to_pictures(2 * z + 1)

        def draw_latents(count, z_dim, seed):
            return z.roll(seed, dims=0)[:count, :z_dim].clone()

        return {f"{FILE}:decode": decode, f"{FILE}:draw_latents": draw_latents}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        first, second = inputs["seeds"].tolist()
        model = Decoding(Z)
        pictures, other = (module.generate(model, DRAWN, s, torch.neg) for s in (first, second))
        again = module.generate(model, DRAWN, first, torch.neg)
        same = torch.stack([(again == pictures).all(), (other == pictures).all()])
        return {"pictures": pictures, "same_seed_other_seed": same}

    def summarise(self, outputs: Arrays) -> Arrays:
        return outputs | summarise_draws(outputs.pop("pictures"))


class Decoding(nn.Module):
    """A model whose decoder is 2 z + 1."""

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.z_dim, self.levels = z_dim, None
        self.unused = nn.Parameter(torch.zeros(1))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return 2 * z + 1


class MeasureKL(Probe):
    """The stand-in for the KL is none: mu + 10 logvar, so that all of it is seen."""

    function = f"{FILE}:measure_kl"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"pictures": rng.normal(size=(7, Z, 2)), "offset": rng.normal(size=Z)}

    def neighbours(self, inputs: Arrays) -> dict:
        return {"vae/losses.py:kl_per_dim": lambda mu, logvar: mu + 10 * logvar}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        pictures, offset = tensors(inputs, "pictures", "offset")
        model = Encoding(offset).train()
        kl = module.measure_kl(model, Pictures(pictures))
        return {"kl": kl, "still_training": model.training}


class Encoding(nn.Module):
    """A model that takes what it encodes from the picture: mu and logvar (B, Z).

    In training it is another one, as with batch normalisation.
    """

    def __init__(self, offset: torch.Tensor) -> None:
        super().__init__()
        self.z_dim, self.levels = len(offset), None
        self.offset = nn.Parameter(offset)

    def encode(self, x: torch.Tensor) -> tuple:
        seen = x + 1 if self.training else x
        return networks().Posterior(seen[..., 0] + self.offset, seen[..., 1])

    encoder = encode

    def forward(self, x: torch.Tensor, epsilon: torch.Tensor | None = None) -> tuple:
        mu, logvar = self.encode(x)
        return networks().Outputs(x, mu, mu, logvar)


def networks() -> ModuleType:
    """Imports vae/networks.py of the project that is asked, which may be another one than ours."""
    return importlib.import_module("vae.networks")


class Pictures:
    """Pictures that are read in parts of three, whatever is asked for."""

    def __init__(self, pictures: torch.Tensor) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def parts(self, size: int, device: torch.device) -> Iterator[torch.Tensor]:
        yield from self.pictures.split(3)


class Sweep(Probe):
    """What is decoded is a picture (Z, 1, 1) of the latents themselves."""

    function = "vae/analysis/latents.py:sweep"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "z": rng.normal(size=Z),
            "latents": rng.permutation(Z)[:3],
            "values": np.sort(rng.normal(size=5)),
        }

    def neighbours(self, inputs: Arrays) -> dict:
        def decode(model, z, to_pictures=None, part=256):
            return (2 * z + 1)[:, :, None, None]

        return {f"{FILE}:decode": decode}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        z, values = tensors(inputs, "z", "values")
        before = z.clone()
        swept = module.sweep(Decoding(Z), z, inputs["latents"].tolist(), values)
        return {"pictures": swept, "z_unchanged": (z == before).all()}


class Manifold(Probe):
    function = f"{FILE}:build_manifold"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"side": rng.integers(5, 12, size=1)}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        sides = (4, int(inputs["side"][0]))
        return {f"grid_{number}": module.build_manifold(s) for number, s in enumerate(sides)}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not np.isfinite(outputs["grid_0"]).all():
            yield "the grid has points at infinity: 0 and 100 % of N(0, 1) lie there"
