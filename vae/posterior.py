"""The draw from the posterior, of which a gradient can be taken."""

import torch

Normal = tuple[torch.Tensor, torch.Tensor]  # mu and logvar of independent Gaussians


def draw(
    mu: torch.Tensor, logvar: torch.Tensor, epsilon: torch.Tensor | None = None
) -> torch.Tensor:
    """z ~ N(mu, exp(logvar)) as mu + sigma * epsilon (Kingma & Welling 2014, section 2.4).

    A drawn number has no derivative with respect to the mean it was drawn with. Written as a fixed
    function of mu, logvar and noise from outside, it has: 1 and sigma / 2 * epsilon.
    """
    epsilon = torch.randn_like(mu) if epsilon is None else epsilon
    return mu + torch.exp(0.5 * logvar) * epsilon
