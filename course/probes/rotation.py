"""Exercise 2d: the direction in latent space in which a face turns."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch

from course.probes.probe import Arrays, Probe, Project, tensors

FILE = "vae/analysis/rotation.py"
N, Z, A = 40, 5, 6


def draw_faces(rng: np.random.Generator) -> Arrays:
    """Draws white latents (N, Z) of faces, their mirror images', and the yaw (N,) of both."""
    yaw = rng.uniform(-45, 45, size=N)
    direction, white = rng.normal(size=Z), rng.normal(size=(N, Z))
    mirrored = white + 0.3 * rng.normal(size=(N, Z)) - np.outer(yaw, direction) / 10
    return {"yaw": yaw, "white": white + np.outer(yaw, direction) / 20 + 0.5, "mirrored": mirrored}


class Regression(Probe):
    function = f"{FILE}:find_by_regression"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        faces = draw_faces(rng)
        return {"white": faces["white"], "yaw": faces["yaw"] + 20}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        return {"direction": module.find_by_regression(*tensors(inputs, "white", "yaw"))}


class Mirroring(Probe):
    """A principal axis has no sign of its own, so it is given one before it is compared."""

    function = f"{FILE}:find_by_mirroring"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        faces = draw_faces(rng)
        return {"white": faces["white"], "mirrored": faces["mirrored"]}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        return {"direction": module.find_by_mirroring(*tensors(inputs, "white", "mirrored"))}

    def summarise(self, outputs: Arrays) -> Arrays:
        direction = outputs["direction"]
        if direction.ndim == 1 and len(direction):
            direction = direction * np.sign(direction[np.abs(direction).argmax()])
        return outputs | {"direction": direction}


class Turn(Probe):
    function = f"{FILE}:Rotation.turn"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        direction = rng.normal(size=Z)
        return {
            "mean": rng.normal(size=Z),
            "root": np.tril(rng.normal(size=(Z, Z))) + 3 * np.eye(Z),
            "direction": direction / np.linalg.norm(direction),
            "places": np.array([0.2, 1.5, -0.1, 0.3]),
            "z": rng.normal(size=(3, Z)),
            "degrees": rng.uniform(-45, 45, size=A),
        }

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        names = ("mean", "root", "direction", "places", "z", "degrees")
        mean, root, direction, places, z, degrees = tensors(inputs, *names)
        rotation = module.Rotation(module.Whitening(mean, root), direction, places, True)
        turned = rotation.turn(z, degrees)
        return {"turned": turned, "keeps_float32": keeps_float32(rotation, z, degrees)}

    def violations(self, inputs: Arrays, outputs: Arrays) -> Iterator[str]:
        if not outputs["keeps_float32"]:
            yield "latents of float32 do not come back as such: the decoder takes no others"

    def show(self, outputs: Arrays, right: Arrays) -> str:
        """Draws how far the first face has moved with each angle."""
        rows = []
        for name, turned in (("yours", outputs["turned"]), ("target", right["turned"])):
            moved = np.linalg.norm(turned[0] - turned[0, :1], axis=1)
            rows.append(f"    {name:7}" + " ".join(f"{length:6.2f}" for length in moved))
        return "\n".join(["    how far the first face is from its place at the first angle", *rows])


def keeps_float32(rotation: Any, z: torch.Tensor, degrees: torch.Tensor) -> bool:
    """Tells whether latents of float32, as a model gives them, come back in float32."""
    try:
        return rotation.turn(z.float(), degrees.float()).dtype == torch.float32
    except RuntimeError:  # two dtypes that do not go together
        return False
