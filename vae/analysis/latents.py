"""What each latent neuron does: its KL, what it knows of every factor, its name, its pictures."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from utils.images.data import Images
from utils.images.figures import draw_shares
from utils.words import count
from vae.analysis.disentanglement import (
    LEAD,
    LEAF,
    LEAST,
    measure_dci,
    measure_floors,
    measure_information,
    measure_mig,
    name_latents,
)
from vae.faces.factors import find_attributes
from vae.latents import decode, encode, measure_seen_kl
from vae.networks import VAE, Posterior
from vae.training import ACTIVE_NATS

# The factors that MIG is the mean over: those that change many pixels.
MIG_FACTORS = ("yaw", "skin_tone", "hair_style", "glasses", "hat", "background", "light")
SHUFFLED = "shuffled labels"
LISTED = 40  # latents in a printed line; of more only the number
MEASURED = 10_000  # pictures at most that trees and shuffled labels, which take long, are made of


class Analysis(NamedTuple):
    """Latents are counted from 0, as the encoder gives them. Without factors: no names, empty."""

    kl_nats: np.ndarray  # (Z,), mean over the pictures
    information_nats: np.ndarray  # (Z, F), I(mu_z; factor)
    ratios: np.ndarray  # (Z, F), the information over the factor's entropy
    names: list[str | None]  # of the factor that an active latent carries
    scores: dict[str, float]  # mig, dci_disentanglement, ...; active units
    factors: tuple[str, ...] = ()  # F names of what is known of the pictures
    # The most that shuffled factors have: of mig; of each factor's share, by its name.
    mig_floor: float | None = None
    floors: dict[str, float] | None = None

    @property
    def whole(self) -> dict[str, Any]:
        """Returns all of it as it is written down."""
        floors = self.floors and {"mig": self.mig_floor, "shares": self.floors}
        return {"scores": self.scores, "floors": floors, "latents": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Lists a row for each latent, by falling KL: what the tables and figures show.

        No attribute can be called so that one of its columns is one of the others.
        """
        rows = []
        for z in np.argsort(-self.kl_nats, kind="stable").tolist():
            kl = self.kl_nats[z]
            row = {"latent": z, "kl_nats": round(float(kl), 4), "active": bool(kl > ACTIVE_NATS)}
            row["name"] = self.names[z] or ""
            tables = {"information_nats": self.information_nats, "share": self.ratios}
            for unit, table in tables.items():
                for factor, value in zip(self.factors, table[z].tolist(), strict=True):
                    row[f"{factor}_{unit}"] = round(value, 4)
            rows.append(row)
        return rows

    def shuffled_row(self) -> dict[str, Any]:
        """Makes a row of the table for what latents know of shuffled labels: the largest shares."""
        shares = {f"{name}_share": round(self.floors[name], 4) for name in self.factors}
        return {"latent": SHUFFLED, "name": ""} | shares


def analyse(model: VAE, images: Images, counted: Sequence[str] | None = None) -> Analysis:
    """Measures every latent on the pictures; against their factors or attributes where known.

    `counted` names those that MIG is the mean over: by default all, of rendered faces MIG_FACTORS.
    UserError for a name that is not known.
    """
    mu, logvar = encode(model, images)
    kl = measure_seen_kl(model, images, Posterior(mu, logvar)).numpy()
    scores = {"active_units": int((kl > ACTIVE_NATS).sum()), "kl_nats": float(kl.sum())}
    attributes = find_attributes(images)
    if attributes is None:
        nothing = np.zeros((len(kl), 0))
        return Analysis(kl, nothing, nothing, [None] * len(kl), scores)
    if counted is None:
        counted = attributes.names if images.attributes else MIG_FACTORS
    columns = [attributes.find(name, "--factors") for name in counted]
    mu = mu.numpy()
    rows: np.ndarray | slice = slice(None)
    if len(images) > MEASURED:
        rows = np.sort(np.random.default_rng(0).permutation(len(images))[:MEASURED])
    some = attributes.take(rows)
    known = (mu[rows], some.values, some.categories, some.valid)
    floors = measure_floors(*known)
    every = (attributes.values, attributes.categories, attributes.valid)
    information = measure_information(mu, *every)
    scores["mig"] = measure_mig(information.ratios, columns)[0]
    if some.valid.sum(axis=0).max() >= 4 * LEAF:  # of fewer, half of them can grow no tree
        with suppress(ValueError):  # a rare one may vary in neither half
            dci = measure_dci(*known)
            scores["dci_disentanglement"] = dci.disentanglement
            scores["dci_completeness"] = dci.completeness
            scores["dci_informativeness"] = dci.informativeness
    names = name_latents(information.ratios, attributes.names, floors=floors)
    names = [name if nats > ACTIVE_NATS else None for name, nats in zip(names, kl, strict=True)]
    reached = dict(zip(attributes.names, floors.ratios.tolist(), strict=True))
    mig = floors.gaps[:, columns].mean(axis=1).max().item()
    nats = information.ratios * information.entropies
    found = (kl, nats, information.ratios, names, scores)
    return Analysis(*found, attributes.names, mig, reached)


def sweep(
    model: VAE, z: torch.Tensor, latents: Sequence[int], values: torch.Tensor
) -> torch.Tensor:
    """Sets N latents of z (Z,) in turn to each value (S,) and decodes: (N, S, C, H, W)."""
    N, S = len(latents), len(values)
    swept = z.repeat(N, S, 1)  # (N, S, Z)
    swept[torch.arange(N), :, latents] = values
    return decode(model, swept.flatten(0, 1)).unflatten(0, (N, S))


def label_row(row: dict[str, Any]) -> str:
    """Labels the pictures of a table's row: "z7  2.31 nats", and the name with I / H."""
    label = f"z{row['latent']}   {row['kl_nats']:.2f} nats"
    if row["name"]:
        return f"{label}\n{row['name']} {row[row['name'] + '_share']:.2f}"
    return label if row["active"] else f"{label}\n(not active)"  # only where none is


def draw_factors(analysis: Analysis, shown: Sequence[dict[str, Any]], file: Path) -> Path:
    """Draws what latents, rows of the table, know of each factor, and shuffled labels below."""
    names = [f"{name}_share" for name in analysis.factors]
    rows = [*shown, analysis.shuffled_row()]
    labels = [f"z{row['latent']}  {row['name']}".rstrip() for row in shown]
    boxes = [(r, analysis.factors.index(row["name"])) for r, row in enumerate(shown) if row["name"]]
    shares = np.array([[row[name] for name in names] for row in rows])
    return draw_shares(
        shares, file, rows=[*labels, SHUFFLED], columns=analysis.factors, boxes=boxes
    )


def describe_rest(rows: Sequence[dict[str, Any]], shown: int) -> str:
    """Says in a line which of all latents, by falling KL, are not among the first ones shown."""
    active = sum(row["active"] for row in rows)
    words = [f"{active} of {count(len(rows), 'latent')} active"]
    silent = sorted(row["latent"] for row in rows[max(active, shown) :])
    if silent:
        listed = ": " + ", ".join(f"z{z}" for z in silent) if len(silent) <= LISTED else ""
        words.append(f"{len(silent)} below {ACTIVE_NATS} nats{listed}")
    if active > shown:
        words.append(f"{active - shown} active ones with less KL in latent_analysis.csv only")
    return "; ".join(words)


def describe_scores(analysis: Analysis, pictures: int) -> list[str]:
    """Says in lines what was measured on so many pictures, and what chance alone would reach."""
    scores = {name: f"{name} {score:.4g}" for name, score in analysis.scores.items()}
    if analysis.floors is None:
        return [", ".join(scores.values())]
    scores["mig"] += f" (shuffled factors: up to {analysis.mig_floor:.2g})"
    if "dci_disentanglement" not in scores:
        scores["dci"] = f"no DCI of {count(pictures, 'picture')}"
    floors = [analysis.floors[name] for name in analysis.factors]
    chance = f"of {count(pictures, 'picture')} it is up to {min(floors):.2f} to {max(floors):.2f}"
    if any(analysis.names):
        names = f"a name's share is above what latents know of its shuffled factor: {chance}"
    else:
        names = f"no latent is named: it takes a share of {LEAST} more than chance, {LEAD:g} times "
        names += f"the next latent's, and more than any latent's of the shuffled factor: {chance}"
    return [", ".join(scores.values()), names]
