"""What each latent neuron does: its KL, what it knows of every factor, its name, its pictures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from utils.images.data import Images
from vae.analysis.disentanglement import measure_dci, measure_information, measure_mig, name_latents
from vae.faces.factors import CATEGORIES, NAMES, has_factors, mark_valid
from vae.latents import decode, encode, measure_kl
from vae.networks import VAE
from vae.training import ACTIVE_NATS

# The factors that MIG is the mean over: those that change many pixels.
MIG_FACTORS = ("yaw", "skin_tone", "hair_style", "glasses", "hat", "background", "light")


class Analysis(NamedTuple):
    """Latents are counted from 0, as the encoder gives them. Without factors: no names, empty."""

    kl_nats: np.ndarray  # (Z,), mean over the pictures
    information_nats: np.ndarray  # (Z, F), I(mu_z; factor)
    ratios: np.ndarray  # (Z, F), the information over the factor's entropy
    names: list[str | None]  # of the factor that a latent carries
    scores: dict[str, float]  # mig, dci_disentanglement, ...; active units

    def rows(self) -> list[dict[str, Any]]:
        """Lists a row for each latent, by falling KL: what the tables and figures show."""
        rows = []
        for z in np.argsort(-self.kl_nats, kind="stable").tolist():
            kl = self.kl_nats[z]
            row = {"latent": z, "kl_nats": round(float(kl), 4), "active": bool(kl > ACTIVE_NATS)}
            row["name"] = self.names[z] or ""
            for unit, table in (("nats", self.information_nats), ("share", self.ratios)):
                for factor, value in zip(NAMES, table[z].tolist(), strict=False):  # or none at all
                    row[f"{factor}_{unit}"] = round(value, 4)
            rows.append(row)
        return rows


def analyse(model: VAE, images: Images) -> Analysis:
    """Measures every latent on the pictures; against their factors where they are known."""
    mu, _ = encode(model, images)
    kl = measure_kl(model, images).numpy()
    scores = {"active_units": int((kl > ACTIVE_NATS).sum()), "kl_nats": float(kl.sum())}
    if not has_factors(images):
        nothing = np.zeros((len(kl), 0))
        return Analysis(kl, nothing, nothing, [None] * len(kl), scores)
    known = (images.labels, CATEGORIES, mark_valid(images.labels))
    information = measure_information(mu.numpy(), *known)
    ratios = information.ratios
    gap, _ = measure_mig(ratios, [NAMES.index(name) for name in MIG_FACTORS])
    measured = measure_dci(mu.numpy(), *known)
    scores |= {
        "mig": gap,
        "dci_disentanglement": measured.disentanglement,
        "dci_completeness": measured.completeness,
        "dci_informativeness": measured.informativeness,
    }
    nats = ratios * information.entropies
    return Analysis(kl, nats, ratios, name_latents(ratios, NAMES), scores)


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
    return label if row["active"] else f"{label}\n(not active)"
