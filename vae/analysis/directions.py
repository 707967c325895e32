"""Moving a face along any attribute: smiling, glasses, hair; and what else that changes.

As for the yaw (vae/analysis/rotation.py) the direction is the slope of whitened latents on the
attribute. For a number that is a regression; for two values it is the difference of the means.
"""

import math
from dataclasses import dataclass

import torch

from utils.errors import UserError
from utils.images.attributes import Attributes
from utils.images.data import Images
from vae.analysis.rotation import Whitening, find_by_regression
from vae.faces.factors import find_attributes
from vae.latents import decode, encode
from vae.networks import VAE

ENDS = (0.01, 0.99)  # of a number's values: the outermost may be slips
MEASURED = 200  # faces at most that are moved to see what else changes
READABLE = 0.2  # R² from which on a regression on latents is said to read an attribute
PRINTED = 5  # attributes that change most
STEPS = 9


@dataclass(frozen=True)
class Target:
    """An attribute to move along: a number, or two values of a category as 0 and 1."""

    name: str
    values: torch.Tensor  # float64 (N,)
    valid: torch.Tensor  # bool (N,)
    words: tuple[str, ...]  # of 0 and 1; () for a number


def find_target(attributes: Attributes | None, asked: str | None, source: str) -> Target:
    """Finds "age", "hat", or one value of several against all others: "hair_style=long".

    UserError where there is no such attribute or value, or nothing is known of the pictures.
    """
    if attributes is None:
        raise UserError(
            f"nothing is known of {source}, so there is no direction to learn: --attributes FILE "
            "names a table with a row for each picture"
        )
    if asked is None:
        raise UserError(f"traverse takes --along one of {', '.join(attributes.names)}")
    names = {name.casefold() for name in attributes.names}
    name, _, value = (asked, "", "") if asked.casefold() in names else asked.partition("=")
    f = attributes.find(name.strip(), "--along")
    name, words, value = attributes.names[f], attributes.words[f], value.strip()
    values = torch.from_numpy(attributes.values[:, f]).double()
    valid = torch.from_numpy(attributes.valid[:, f])
    if value:
        places = {word.casefold(): place for place, word in enumerate(words)}
        if value.casefold() not in places:
            known = ", ".join(words) if words else "none: it is a number"
            raise UserError(f"--along {asked!r:.80}: no such value of {name}, known are {known}")
        place = places[value.casefold()]
        values = (values == place).double()
        other = words[1 - place] if len(words) == 2 else f"not {words[place]}"
        words = (other, words[place])
    if len(words) > 2:
        ways = ", ".join(f"{name}={word}" for word in words)
        raise UserError(f"{name} has {len(words)} values: --along one of {ways}")
    if len(values[valid].unique()) < 2:
        raise UserError(f"{name} never varies in {source}: there is no direction to learn")
    return Target(name, values, valid, words)


@dataclass(frozen=True)
class Direction:
    """Moves latents along a direction to where pictures of an attribute's value lie."""

    target: Target
    whitening: Whitening
    vector: torch.Tensor  # (Z,), a unit vector in whitened latents
    places: torch.Tensor  # of the powers 0, 1, ... of a value in units of its range, from -1 to 1
    low: float
    high: float

    @staticmethod
    def learn(mu: torch.Tensor, logvar: torch.Tensor, target: Target) -> "Direction":
        """Learns it from latents (N, Z) and the attribute of the same N pictures.

        The place along it is a cubic of a number, and the mean of each of two values.
        """
        mu, logvar, values = (part[target.valid] for part in (mu, logvar, target.values))
        low, high = values.min().item(), values.max().item()
        if not target.words:
            ends = torch.tensor(ENDS, dtype=torch.float64)
            low, high = torch.quantile(values, ends).tolist()
            low, high = (low, high) if low < high else (values.min().item(), values.max().item())
        whitening = Whitening.of(mu, logvar)
        white = whitening.whiten(mu)
        vector = find_by_regression(white, values)
        powers = _powers(values, low, high, 2 if target.words else 4)
        places = torch.linalg.lstsq(powers, (white @ vector)[:, None]).solution[:, 0]
        return Direction(target, whitening, vector, places, low, high)

    def steps(self, number: int = STEPS) -> torch.Tensor:
        """Returns values (number,) from one end to the other."""
        return torch.linspace(self.low, self.high, number, dtype=torch.float64)

    def label(self, values: torch.Tensor) -> list[str]:
        """Labels values: numbers; of two, the words at the ends."""
        if not self.target.words:
            digits = max(0, 2 - math.floor(math.log10(self.high - self.low)))
            return [f"{round(value, digits) + 0.0:g}" for value in values.tolist()]
        ends = dict(zip((0.0, 1.0), self.target.words, strict=True))
        return [ends.get(value, "") for value in values.tolist()]

    def move(self, z: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Moves latents (N, Z) to where values (A,) lie: latents (N, A, Z), all else as it was."""
        white = self.whitening.whiten(z)
        wanted = _powers(values, self.low, self.high, len(self.places)) @ self.places  # (A,)
        step = wanted - (white @ self.vector)[:, None]  # (N, A)
        return self.whitening.restore(white[:, None] + step[..., None] * self.vector).float()


def _powers(values: torch.Tensor, low: float, high: float, number: int) -> torch.Tensor:
    """Computes powers 0, 1, ... of values (N,), of which low and high are -1 and 1: (N, number)."""
    scaled = (2 * values.double() - low - high) / (high - low)
    return torch.stack([scaled**power for power in range(number)], dim=1)


def learn_direction(model: VAE, images: Images, asked: str | None) -> Direction:
    """Learns the direction of an attribute from pictures of which it is known."""
    target = find_target(find_attributes(images), asked, images.source)
    if target.valid.sum() < 2:
        raise UserError(f"{target.name} is known of 1 picture: a direction is learned from 2")
    return Direction.learn(*encode(model, images), target)


def describe_change(model: VAE, images: Images, direction: Direction) -> list[str]:
    """Says in lines how far the direction moves its attribute, and which others with it.

    Up to 200 of the pictures are moved to both ends, decoded and encoded again, and every attribute
    is read from the latents by a linear regression on all pictures, in its standard deviations.
    """
    mu, name = encode(model, images).mu, direction.target.name
    chosen = mu[torch.linspace(0, len(mu) - 1, min(MEASURED, len(mu))).long().unique()]
    moved = direction.move(chosen, direction.steps(2))  # (N, 2, Z)
    pictures = decode(model, moved.flatten(0, 1))
    again = Images((255 * pictures).round().byte().numpy(), "moved", bits=images.bits)
    ends = encode(model, again).mu.unflatten(0, (-1, 2)).mean(dim=0).double()  # (2, Z)
    changes, unread, lines = [], [], []
    low, high = direction.label(torch.tensor([direction.low, direction.high]))
    listed = _list_numbers(find_attributes(images), direction.target)
    for n, (title, values, valid) in enumerate(listed):
        slope, explained = _regress(mu[valid].double(), values[valid])
        change, readable = ((ends[1] - ends[0]) @ slope).item(), explained >= READABLE
        if n == 0:
            known = f"{change:+.1f} sd" if readable else "cannot be read from these latents"
            lines.append(f"{name} from {low} to {high}, read from decoded pictures: {known}")
        elif readable:
            changes.append((title, change))
        else:
            unread.append(title)
    most = sorted(changes, key=lambda change: -abs(change[1]))[:PRINTED]
    if most:
        others = ", ".join(f"{title} {change:+.1f} sd" for title, change in most)
        lines.append(f"what changes with it (standard deviations): {others}")
    if unread:
        rest = f", and {len(unread) - PRINTED} more" * (len(unread) > PRINTED)
        lines.append(f"not to be read from these latents: {', '.join(unread[:PRINTED])}{rest}")
    return lines


def _list_numbers(
    attributes: Attributes, target: Target
) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Lists every attribute as numbers, the target first; of several words, which of them it is."""
    listed = [(target.name, target.values, target.valid)]
    for f, (name, words) in enumerate(zip(attributes.names, attributes.words, strict=True)):
        values = torch.from_numpy(attributes.values[:, f]).double()
        valid = torch.from_numpy(attributes.valid[:, f])
        if name == target.name or not valid.any():
            continue
        if len(words) > 2:
            listed += [
                (f"{name}={word}", (values == n).double(), valid) for n, word in enumerate(words)
            ]
        else:
            listed.append((name, values, valid))
    return listed


def _regress(z: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Fits values (N,), in their standard deviations, by latents (N, Z): slope (Z,), R² adjusted.

    The adjustment keeps few pictures from being read by many latents.
    """
    N, Z = z.shape
    spread = values.std()
    if N <= Z + 2 or not spread > 0:
        return torch.zeros(Z, dtype=torch.float64), 0.0
    scaled, centred = (values - values.mean()) / spread, z - z.mean(dim=0)
    slope = torch.linalg.lstsq(centred, scaled[:, None], driver="gelsd").solution[:, 0]
    explained = 1 - ((scaled - centred @ slope) ** 2).mean().item() * N / (N - 1)
    return slope, 1 - (1 - explained) * (N - 1) / (N - Z - 1)
