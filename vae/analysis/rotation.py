"""Turning a face: a straight line in latent space that changes its yaw and nothing else.

Latents are first whitened by their covariance, Cov(mu) + mean sigma^2 (that of z ~ q(z) over the
data), so that no latent counts for more because its numbers are larger. There the line is

    regression    the slope of the latents on the yaw, Cov(z, yaw) / Var(yaw), where yaw is known:
                  of rendered faces, or as an attribute called yaw, pose or angle
    mirrored pairs  the main axis of z(face) - z(its mirror image), where it is not: of all that a
                  flip changes in a face, the yaw's sign is the largest

and a face is turned by moving its latents along the line to where faces of the wanted yaw lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from utils.errors import UserError
from utils.images.attributes import ANGLES, Attributes, is_called
from utils.images.data import Images
from vae.faces.factors import find_attributes
from vae.latents import encode
from vae.networks import VAE

FEWEST = 10  # faces of known yaw, of more, that a turn is learned from


def ensure_numbers(values: torch.Tensor, *, failed: bool = False) -> torch.Tensor:
    """Returns the values. UserError where they are not all finite: latents may tell nothing."""
    if failed or not values.isfinite().all():
        raise UserError(
            "the latents of these pictures are all alike, or beyond all numbers, so no turn can be "
            "learned from them: take another --ckpt_name"
        )
    return values


@dataclass(frozen=True)
class Whitening:
    """The linear map of latents z (N, Z) to mean 0 and covariance I, and its inverse."""

    mean: torch.Tensor  # (Z,)
    root: torch.Tensor  # (Z, Z), root @ root.T is the covariance

    @staticmethod
    def of(mu: torch.Tensor, logvar: torch.Tensor) -> "Whitening":
        """Computes the map from the posteriors (N, Z) of many pictures."""
        covariance = torch.cov(mu.double().T).reshape(mu.shape[1], -1)
        covariance += torch.diag(logvar.double().exp().mean(dim=0))
        root, failed = torch.linalg.cholesky_ex(covariance)
        ensure_numbers(root, failed=bool(failed))
        return Whitening(mu.double().mean(dim=0), root)

    def whiten(self, z: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(self.root, (z - self.mean).double().T, upper=False).T

    def restore(self, white: torch.Tensor) -> torch.Tensor:
        return white @ self.root.T + self.mean


def find_by_regression(white: torch.Tensor, yaw: torch.Tensor) -> torch.Tensor:
    """Finds the unit vector (Z,) along which the yaw (N,) of white latents (N, Z) grows."""
    slope = (white - white.mean(dim=0)).T @ (yaw - yaw.mean()).double()
    return ensure_numbers(slope / slope.norm())


def find_by_mirroring(white: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Finds a unit vector (Z,) of unknown sign from white latents (N, Z) of faces and their flips.

    It is the first principal axis of the differences, which have mean zero by symmetry.
    """
    return torch.linalg.svd(ensure_numbers(white - mirrored), full_matrices=False).Vh[0]


@dataclass(frozen=True)
class Rotation:
    """Moves latents along a direction to the place of an angle in degrees.

    `places` are the coefficients (4,) of the cubic that gives the place along the direction, of an
    angle in units of 45. `known` are the ends of the angles that it is learned from, `usual` those
    that nearly all lie between, `attribute` what the pictures' table calls them.
    """

    whitening: Whitening
    direction: torch.Tensor
    places: torch.Tensor
    sign_is_known: bool
    known: tuple[float, float] = (-45, 45)
    usual: tuple[float, float] = (-45, 45)
    attribute: str = ""

    @staticmethod
    def by_regression(mu: torch.Tensor, logvar: torch.Tensor, yaw: torch.Tensor) -> "Rotation":
        """Learns it from latents (N, Z) of faces whose yaw (N,) in degrees is known."""
        whitening = Whitening.of(mu, logvar)
        white = whitening.whiten(mu)
        direction = find_by_regression(white, yaw)
        powers = torch.stack([(yaw.double() / 45) ** power for power in range(4)], dim=1)
        places = torch.linalg.lstsq(powers, (white @ direction)[:, None]).solution[:, 0]
        return Rotation(whitening, direction, places, True)

    @staticmethod
    def by_mirroring(
        mu: torch.Tensor, logvar: torch.Tensor, mu_mirrored: torch.Tensor
    ) -> "Rotation":
        """Learns it from latents (N, Z) of faces and of their flips.

        -45 and 45 degrees stand for the 2.5 and 97.5 % points of the faces along the line.
        """
        whitening = Whitening.of(mu, logvar)
        white = whitening.whiten(mu)
        direction = find_by_mirroring(white, whitening.whiten(mu_mirrored))
        ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
        low, high = torch.quantile(white @ direction, ends).tolist()
        places = torch.tensor([(high + low) / 2, (high - low) / 2, 0, 0], dtype=torch.float64)
        return Rotation(whitening, direction, places, False)

    def turn(self, z: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
        """Turns latents (N, Z) to absolute angles (A,): latents (N, A, Z), all else as it was."""
        white = self.whitening.whiten(z)  # (N, Z)
        powers = torch.stack([(degrees.double() / 45) ** power for power in range(4)], dim=1)
        wanted = powers @ self.places  # (A,)
        step = wanted - (white @ self.direction)[:, None]  # (N, A)
        white = white[:, None] + step[..., None] * self.direction  # (N, A, Z)
        return self.whitening.restore(white).float()


def learn_rotation(model: VAE, images: Images) -> Rotation:
    """Learns the rotation from many faces, by their yaw where it is known, else by mirroring.

    UserError for a single one.
    """
    if len(images) < 2:
        raise UserError(f"{images.source} has 1 picture: a turn is learned from at least 2")
    mu, logvar = encode(model, images)
    attributes = find_attributes(images)
    f = find_angle(attributes)
    if f is not None:
        valid = torch.from_numpy(attributes.valid[:, f])
        yaw = torch.from_numpy(attributes.values[:, f])[valid]
        rotation = Rotation.by_regression(mu[valid], logvar[valid], yaw)
        if images.attributes is None:
            return rotation
        ends = torch.quantile(yaw, yaw.new_tensor((0.025, 0.975))).tolist()
        known = yaw.min().item(), yaw.max().item()
        name = attributes.names[f]
        return replace(rotation, known=known, usual=tuple(ends), attribute=name)
    flipped = replace(images, pixels=np.ascontiguousarray(images.pixels[:][..., ::-1]))
    return Rotation.by_mirroring(mu, logvar, encode(model, flipped).mu)


def find_angle(attributes: Attributes | None) -> int | None:
    """Finds the number that says how far a face is turned; None where none does."""
    if attributes is None:
        return None
    for name in ANGLES:
        for f, known in enumerate(attributes.names):
            enough = attributes.valid[:, f].sum() >= min(FEWEST, len(attributes.valid))
            if is_called(known, {name}) and not attributes.words[f] and enough:
                return f
    return None


def describe_limits(rotation: Rotation, angles: Sequence[float]) -> list[str]:
    """Says in lines what the angles, in degrees, do not stand for."""
    (low, high), lines = rotation.known, []
    unit = "" if rotation.attribute else " degrees"
    if rotation.attribute:
        lines.append(f"the turn is learned from {rotation.attribute}, in its own units")
    known = f"the faces that it is learned from are turned by {low:g} to {high:g}{unit}"
    if not rotation.sign_is_known:
        known = f"nearly all of the pictures lie between {low:g} and {high:g}"
        lines.append(
            "the yaw of these pictures is not known: the direction is that in which a face"
        )
        lines.append(
            "differs from its mirror image, -45 and 45 stand for the 2.5 and 97.5 % points"
        )
        lines.append("of the data along it, and which sign is left or right is arbitrary")
    beyond = [f"{angle:g}" for angle in angles if not low <= angle <= high]
    if beyond:
        guess = "is a guess" if len(beyond) == 1 else "are guesses"
        lines.append(f"note: {known}, so {', '.join(beyond)} {guess}")
    return lines
