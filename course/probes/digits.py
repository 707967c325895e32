"""Exercises on digits: a discriminator's two losses, a step of GAN and AAE, the way between."""

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from torch import nn

from course.probes.losses import summarise_draws
from course.probes.probe import Arrays, Probe, Project, fill, tensors

LOSSES = "utils/digits/training.py"
B, Z, PIXELS = 3000, 3, 4
NOWHERE = torch.tensor([3.0, 4.0], dtype=torch.float64)  # of length 5: no rounding hides a 0 / 0
FAR = 100  # how far latents are from samples of the prior


class RealLoss(Probe):
    function = f"{LOSSES}:real_loss"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"logits": 3 * rng.normal(size=(6, 1)), "sure": np.array([[-200.0], [200.0]])}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        loss = getattr(module, self.function.partition(":")[2])
        logits, sure = tensors(inputs, "logits", "sure")
        return {"nats": loss(logits), "at_zero": loss(torch.zeros(4, 1)), "where_sure": loss(sure)}


class FakeLoss(RealLoss):
    function = f"{LOSSES}:fake_loss"


def stand_in_for_losses() -> dict:
    """Names the two losses, and others that are neither: told apart, they show who used which."""
    return {
        f"{LOSSES}:real_loss": lambda logits: (logits - 2).square().mean(),
        f"{LOSSES}:fake_loss": lambda logits: (logits + 1).square().mean() / 2,
    }


class Pretending(nn.Module):
    """A generator that looks at the number of latents alone, not at their values; it keeps them."""

    z_dim = Z

    def __init__(self, pattern: np.ndarray) -> None:
        super().__init__()
        self.pattern = torch.from_numpy(pattern)  # (B, PIXELS)
        self.gain = nn.Parameter(torch.ones(PIXELS))
        self.seen: list[torch.Tensor] = []

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.seen.append(z.detach())
        return torch.tanh(self.gain * self.pattern[: len(z)]).view(-1, 1, 2, 2)


class Judging(nn.Module):
    """A small discriminator of anything that has as many numbers as its weights."""

    def __init__(self, inputs: int, weights: np.ndarray) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, 1))
        fill(self, weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Telling(Judging):
    """A discriminator that knows latents, which are above 10, and keeps what else it is given.

    All of the latter look the same to it: whatever was drawn, the numbers are the same.
    """

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__(Z, weights)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        drawn = x[:, 0] < 10
        self.seen.append(x[drawn].detach())
        return super().forward(torch.where(drawn[:, None], 0.3, x - FAR))


class Coding(nn.Module):
    """A small autoencoder: pictures -> their reconstructions, their latents (B, Z)."""

    z_dim = Z

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, Z), nn.Tanh())
        self.decoder = nn.Sequential(nn.Linear(Z, PIXELS), nn.Unflatten(1, (1, 2, 2)))
        fill(self, weights)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.encoder(x) + FAR
        return self.generate(z), z

    def generate(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.decoder(z - FAR))


def prepare_task(kind: type, network: str, modules: dict[str, nn.Module]) -> SimpleNamespace:
    """Makes a task of a class without data and settings; its optimisers are plain descent."""
    task = object.__new__(kind)
    task.device, task.modules, task.averaged = torch.device("cpu"), modules, []
    task.model = modules[network]
    task.optimizers = {name: torch.optim.SGD(m.parameters(), lr=0.5) for name, m in modules.items()}
    task.average_weights = task.averaged.append
    task.config = SimpleNamespace(training=SimpleNamespace(lambda_=0.7))
    return task


def flatten(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class GANStep(Probe):
    function = "models/gan/train.py:GANTask.step"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {
            "x": rng.uniform(size=(B, 1, 2, 2)),
            "pattern": rng.normal(size=(B, PIXELS)) + 0.5,
            "weights": rng.normal(size=31),
        }

    def neighbours(self, inputs: Arrays) -> dict:
        return stand_in_for_losses()

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        generator = Pretending(inputs["pattern"])
        discriminator = Judging(PIXELS, inputs["weights"])
        modules = {"generator": generator, "discriminator": discriminator}
        task = prepare_task(module.GANTask, "generator", modules)
        (x,) = tensors(inputs, "x")
        outputs = {}
        for number in (1, 2):
            outputs |= {f"{k}_{number}": v for k, v in task.step((x,), number).items()}
        outputs |= {name: flatten(network) for name, network in modules.items()}
        noises = {tuple(z.flatten().tolist()) for z in generator.seen}
        averaged = {"averaged": np.array(task.averaged), "noises": len(noises)}
        return outputs | averaged | {"draws": generator.seen[0]}

    def summarise(self, outputs: Arrays) -> Arrays:
        draws = outputs.pop("draws")
        return outputs | summarise_draws(draws)


class AAEStep(Probe):
    function = "models/aae/train.py:AAETask.step"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"x": rng.uniform(size=(B, 1, 2, 2)), "weights": rng.normal(size=40)}

    def neighbours(self, inputs: Arrays) -> dict:
        return stand_in_for_losses()

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        autoencoder = Coding(inputs["weights"])
        discriminator = Telling(inputs["weights"][::-1].copy())
        modules = {"autoencoder": autoencoder, "discriminator": discriminator}
        task = prepare_task(module.AAETask, "autoencoder", modules)
        (x,) = tensors(inputs, "x")
        outputs = {}
        for number in (1, 2):
            outputs |= {f"{k}_{number}": v for k, v in task.step((x,), number).items()}
        outputs |= {name: flatten(network) for name, network in modules.items()}
        averaged = {"averaged": np.array(task.averaged)}
        return outputs | averaged | {"draws": torch.cat(discriminator.seen)}

    def summarise(self, outputs: Arrays) -> Arrays:
        draws = outputs.pop("draws")
        return outputs | summarise_draws(draws)


class Linearly(Probe):
    function = "utils/interpolation.py:interpolate_linearly"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"a": rng.normal(size=8), "b": 2 * rng.normal(size=8)}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        walk = getattr(module, self.function.partition(":")[2])
        a, b = tensors(inputs, "a", "b")
        return {"way": walk(a, b, 7), "ends": walk(a, b, 2), "nowhere": walk(NOWHERE, NOWHERE, 3)}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not np.isfinite(outputs["nowhere"]).all():
            yield "between two equal points there is no arc, and a division by zero"


class OnSphere(Linearly):
    function = "utils/interpolation.py:interpolate_on_sphere"

    def neighbours(self, inputs: Arrays) -> dict:
        def along(a, b, steps):
            return a + torch.arange(steps)[:, None] * (b - a)

        return {"utils/interpolation.py:interpolate_linearly": along}
