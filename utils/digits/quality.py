"""How good generated digits are: Fréchet distance, digits covered, discrepancy of latents."""

import torch

from utils.digits.classifier import EPOCHS, load_classifier
from utils.images.data import Images


def measure_moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes the mean (F,) and covariance (F, F) of features (N, F), in float64."""
    features = features.double()
    alone = len(features) == 1  # its distance from itself
    return features.mean(dim=0), torch.cov(features.T, correction=0 if alone else 1)


def take_root(matrix: torch.Tensor) -> torch.Tensor:
    """Takes the symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T  # rounding makes some 0 negative


def frechet_distance(
    a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]
) -> float:
    """Computes the squared Fréchet distance of two Gaussians, each mean (F,), covariance (F, F).

    |m - n|² + trace(S + T - 2 (S^½ T S^½)^½) (Dowson & Landau 1982; Heusel et al. 2017, equation
    6, write (S T)^½, which has the same trace, but is not symmetric). With F = 1: the squared
    difference of the means plus the squared difference of the standard deviations.
    """
    (m, S), (n, T) = a, b
    half = take_root(S)
    overlap = torch.linalg.eigvalsh(half @ T @ half).clamp(min=0).sqrt().sum()
    distance = ((m - n).square().sum() + S.trace() + T.trace() - 2 * overlap).item()
    return max(0.0, distance)  # of a set to itself it is 0 but for rounding


def measure_discrepancy(x: torch.Tensor, y: torch.Tensor, part: int = 1000) -> float:
    """Computes the squared maximum mean discrepancy of latents x (N, Z) and y (M, Z), unbiased.

    The kernel is exp(-|a - b|² / (2 Z)), of width sqrt(Z). No point is compared with itself, so
    the mean is 0 where both come from one distribution: single values can be below (Gretton et al.
    2012, equation 3).
    """
    x, y = x.double(), y.double()

    def total(a: torch.Tensor, b: torch.Tensor) -> float:
        return sum(
            torch.exp(-torch.cdist(rows, b).square() / (2 * a.shape[1])).sum().item()
            for rows in a.split(part)  # N x M numbers at once would fill the memory
        )

    N, M = len(x), len(y)
    within = (total(x, x) - N) / (N * (N - 1)) + (total(y, y) - M) / (M * (M - 1))
    return within - 2 * total(x, y) / (N * M)


class Judge:
    """Compares generated pictures with real ones, in the features of the shipped classifier.

    What is no data set of digits is seen with the eyes of MNIST's.
    """

    def __init__(self, dataset: str, images: Images) -> None:
        self.classifier = load_classifier(dataset if dataset in EPOCHS else "mnist")
        self.reference = measure_moments(self.classifier.read(images.floats())[0])

    def score(self, pictures: torch.Tensor) -> tuple[float, list[float]]:
        """Measures pictures (N, 1, 28, 28) in [0, 1]: Fréchet distance, the share of each digit."""
        features, found = self.classifier.read(pictures)
        shares = torch.bincount(found, minlength=10).double() / len(found)
        return frechet_distance(measure_moments(features), self.reference), shares.tolist()


def describe_shares(shares: list[float]) -> str:
    """Puts the shares of the digits on one line, and points out those below 5 %."""
    rare = ", ".join(str(digit) for digit, share in enumerate(shares) if share < 0.05)
    parts = ", ".join(f"{digit}: {100 * share:.1f} %" for digit, share in enumerate(shares))
    return f"{parts}; " + (f"below 5 %: {rare}" if rare else "every digit above 5 %")
