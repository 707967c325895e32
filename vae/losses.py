"""What a variational autoencoder minimises, term by term.

For pictures x and latents z, `vae.training.VAETask.objective` computes

    total = reconstruction + beta KL(q(z|x) || p(z))

Both are summed over pixels or latents and averaged over the batch; beta is the only weight, and
at 1 the loss is the negative evidence lower bound (Kingma & Welling 2014, section 2.3, equation 7).
Code that averages the reconstruction over D values and the KL over Z latents trains with our beta
at its own beta * D / Z: for 64 x 64 colour pictures and 20 latents, its 0.01 is our 6.1.

All of it is computed in float32 at least, whatever the precision of what is given: sums over
thousands of pixels need more than the 8 bits of a bfloat16.

Sources: Higgins et al. 2017 (beta), Burgess et al. 2018 (capacity), Chen et al. 2018 (beta-TCVAE),
Rybkin et al. 2021 (sigma).
"""

import math

import torch
from torch.nn import functional

LIKELIHOODS = ("bernoulli", "gaussian", "categorical")
OBJECTIVES = ("beta_vae", "beta_tcvae")


def exact(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Turns half precision into float32, and leaves float32 and float64 as they are."""
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def reconstruction(logits: torch.Tensor, x: torch.Tensor, likelihood: str) -> torch.Tensor:
    """Computes -log p(x|z) of every picture: logits and x (B, C, H, W), x in [0, 1] -> nats (B,).

    With p (`logits`) the sigmoid of the logits, for categorical their softmax, a pixel costs

        nats = -x log p - (1 - x) log(1 - p)        bernoulli
        nats = 1/2 (p - x)^2                        gaussian
        nats = -log p_x                             categorical

    bernoulli: a pixel is the probability of white. Its cost is least at p = x, where it is not zero
    unless the pixel is black or white. gaussian: sigma 1 about p, without the constant.
    categorical: exact, for pictures of L levels 0, 1 / (L - 1), ..., 1: logits (B, C, H, W, L), p
    at the pixel's own level. Equal logits give log L for each pixel.
    ValueError for another likelihood, and for pictures of another shape than the logits.
    """
    if logits.shape[: x.dim()] != x.shape:
        raise ValueError(f"pictures are {tuple(x.shape)}, logits of {tuple(logits.shape)}")
    logits, x = exact(logits, x)
    if likelihood == "bernoulli":
        nats = functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    elif likelihood == "gaussian":
        nats = 0.5 * (torch.sigmoid(logits) - x) ** 2
    elif likelihood == "categorical":
        levels = (x * (logits.shape[-1] - 1)).round().long()  # (B, C, H, W)
        nats = functional.cross_entropy(
            logits.flatten(0, -2), levels.flatten(), reduction="none"
        ).view_as(levels)
    else:
        raise ValueError(f"likelihood is {likelihood!r}, not one of {', '.join(LIKELIHOODS)}")
    return nats.flatten(1).sum(dim=1)


def fit_sigma(halves: torch.Tensor, values: int) -> torch.Tensor:
    """Turns nats of `gaussian`, at sigma 1, into those at the best sigma: (B,) -> nats (B,).

    With h (`halves`) half the squared error of a picture, which has D (`values`) values, and the
    square of sigma s (`variance`),

        s = 2 / D E [h]
        nats = h / s + 1/2 D log(2 pi s)

    One sigma serves all pictures: no other makes them likelier (Rybkin et al. 2021, "Simple and
    effective VAE training with calibrated decoders", section 4.2). The better the decoder gets, the
    more an error costs beside the KL, and no beta has to be found. Its mean over the pictures is
    D/2 (1 + log(2 pi s)), which may be below 0: it is a density. Sigma is at least 0.001, a
    quarter of a byte's step.
    """
    halves = exact(halves)[0]
    variance = (2 / values * halves.mean()).detach().clamp_min(1e-6)  # at the best, d/d sigma is 0
    return halves / variance + 0.5 * values * torch.log(2 * math.pi * variance)


def kl_per_dim(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Computes the KL to the prior of every latent: mu, logvar (B, Z) each -> nats (B, Z).

        KL(N(mu, exp(logvar)) || N(0, 1)) = 1/2 (mu^2 + exp(logvar) - 1 - logvar)

    Kingma & Welling 2014, appendix B. Zero exactly where the posterior is the prior.
    """
    mu, logvar = exact(mu, logvar)
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


def log_normal(z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Computes the log density of a normal distribution, elementwise, in nats.

        log N(z; mu, exp(logvar)) = -1/2 (log(2 pi) + logvar + (z - mu)^2 / exp(logvar))

    z, mu and logvar have any shapes that broadcast.
    """
    z, mu, logvar = exact(z, mu, logvar)
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu) ** 2 * torch.exp(-logvar))


def decompose_kl(
    z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor, images: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Computes the three parts of the mean KL (Chen et al. 2018, equation 2), numbers in nats.

        information    = E [log q(z|x) - log q(z)]          index-code mutual information
        correlation    = E [log q(z) - Σ_j log q(z_j)]      total: what beta-TCVAE weighs
        dimension_wise = E [Σ_j (log q(z_j) - log p(z_j))]  the KL of each latent by itself

    z, mu, logvar (B, Z). q(z) is estimated from the batch by minibatch-weighted sampling (appendix
    C.1), for N (`images`) pictures in all:

        log q(z) = log(1/(N B) Σ_b q(z|x_b))

    The sum of the
    three is the one-sample estimate of the KL, whatever q(z) was taken for; the second alone is too
    high by about (Z - 1) log N, a constant, which no gradient sees.
    """
    B = len(z)
    pairs = log_normal(z[:, None], mu[None], logvar[None])  # (B, B, Z): z_a under q(. | x_b)
    log_q_z_given_x = log_normal(z, mu, logvar).sum(dim=1)  # (B,)
    log_q_z = torch.logsumexp(pairs.sum(dim=2), dim=1) - math.log(images * B)  # (B,)
    log_q_each = torch.logsumexp(pairs, dim=1) - math.log(images * B)  # (B, Z)
    log_prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z))  # (B, Z)
    information = (log_q_z_given_x - log_q_z).mean()
    correlation = (log_q_z - log_q_each.sum(dim=1)).mean()
    dimension_wise = (log_q_each - log_prior).sum(dim=1).mean()
    return information, correlation, dimension_wise


def warm_up(beta: float, step: int, steps: int) -> float:
    """Returns beta at a step in 1, 2, ...: a straight line from 0 to its full value after `steps`.

        beta(step) = beta min(1, step / steps)

    With beta 4 and 4 steps: 1, 2, 3, 4, 4, 4. With 0 steps it has its full value from the start.
    """
    return beta * min(1.0, step / steps) if steps else beta


def compute_capacity(capacity: float, step: int, steps: int) -> float:
    """Returns C, the nats that latents may hold at a step (Burgess et al. 2018, equation 8)."""
    return warm_up(capacity, step, steps)


def log_importance_weights(
    logits: torch.Tensor,
    x: torch.Tensor,
    likelihood: str,
    z: torch.Tensor,
    mu: torch.Tensor,
    logvar: torch.Tensor,
) -> torch.Tensor:
    """Computes the log of the weight w of every picture: z (B, Z) -> nats (B,).

        log w = log p(x|z) + log p(z) - log q(z|x)

    Its mean over z ~ q(z|x) is the evidence lower bound; that of its exponential is p(x) (Burda et
    al. 2016, "Importance weighted autoencoders").
    """
    prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(dim=1)  # (B,)
    return prior - log_normal(z, mu, logvar).sum(dim=1) - reconstruction(logits, x, likelihood)


def importance_weighted_bound(log_weights: torch.Tensor) -> torch.Tensor:
    """Computes a bound by K weights w (`log_weights`, (K, B)) -> (B,).

        bound = log(1/K Σ_k w_k)

    A lower bound on log p(x) (Burda et al. 2016, section 3, equation 8): the evidence lower bound
    at K = 1, and never looser with more.
    """
    K = len(log_weights)
    return torch.logsumexp(*exact(log_weights), dim=0) - math.log(K)


def bits_per_dim(nats: float, shape: tuple[int, ...]) -> float:
    """Converts nats of a whole picture (C, H, W) into bits for each of its D (`prod`) values.

        bits = nats / (D log 2)

    A bit is log 2 nats.
    """
    return nats / (math.prod(shape) * math.log(2))
