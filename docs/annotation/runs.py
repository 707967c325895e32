"""One small run of each file that teaches, so that every function of it sees something.

Sizes are primes and the like, so that a number in a shape tells which letter it is.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import torch

Module = ModuleType
B, T = 3, 7


@dataclass(frozen=True)
class Run:
    """The letters of a run's sizes, and what is done with the file's module."""

    sizes: dict[str, int]
    call: Callable[[Module], None]


def learn(model: torch.nn.Module, x: torch.Tensor) -> None:
    """Runs a text model forwards and backwards, then one character further by its state."""
    model.train()
    logits, state = model(x)
    logits.square().mean().backward()
    with torch.no_grad():
        model.eval()
        model(x[:, :1], tuple_of(state))


def tuple_of(state: tuple) -> tuple:
    """Detaches a state of whatever form."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    return tuple(tuple_of(part) for part in state) if isinstance(state, tuple) else state


def refused(call: Callable[[], object]) -> None:
    """Calls what is to be refused: the lines before its error are seen as well."""
    with suppress(TypeError, ValueError, NotImplementedError):
        call()


def codes(vocabulary: int) -> torch.Tensor:
    return torch.arange(B * T).reshape(B, T) % vocabulary


def run_lstm(m: Module) -> None:
    for kernel in m.KERNELS:
        config = m.ModelConfig(
            "page", 11, 2, dropout=0.1, recurrent_init="orthogonal", kernel=kernel
        )
        learn(m.Model(13, config), codes(13))
    lstm = m.LSTM(5, 11)
    x, h = torch.randn(B, T, 5), torch.zeros(1, B, 11)
    lstm(x, (h, h))
    m.LSTMLayer(5, 11, hidden_dropout=0.1)(x, (h[0], h[0]))
    for wrong in ((x[..., :2],), (x, 1), (x, (h[:, :1], h)), (x, (h, h[:, :1]))):
        refused(lambda: lstm(*wrong))  # noqa: B023
    refused(lambda: m.LSTMLayer(5, 11, recurrent_init="none"))
    refused(lambda: m.LSTMLayer(5, 11, kernel="none"))


def run_recurrence(m: Module) -> None:
    W, U, b = torch.randn(44, 5), torch.randn(44, 11), torch.randn(44)
    leaves = [torch.randn(T, B, 5), torch.zeros(B, 11), torch.zeros(B, 11), W, U, b]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    from models.lstm.modules import read

    def readable(*inputs: torch.Tensor) -> tuple:
        return read(*inputs, dropout=torch.nn.Identity())

    outputs, h, c = m.read_fast(*leaves, readable, piece=4 * 11 * B * 4)
    (outputs.square().sum() + h.sum() + c.sum()).backward(retain_graph=True)
    square = outputs.square().sum()
    torch.autograd.grad(square, leaves, create_graph=True)  # twice: the readable form
    refused(lambda: m.refuse(*leaves))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        m.read_fast(*leaves, readable)[0].sum().backward()
    m.add_product(torch.zeros(B, 11), torch.randn(B, 5), torch.randn(5, 11).bfloat16())


def run_tcn(m: Module) -> None:
    model = m.Model(13, m.ModelConfig("page", 11, 3, 2, 0.1, "relu"))
    learn(model, codes(13))
    model.describe_reach(30)
    m.Model(13, m.ModelConfig("page", 11, 1, 2, 0.1)).levels_for(5)
    conv = m.CausalConv(5, 11, 3, dilation=2)
    conv(torch.randn(B, 5, T))
    refused(lambda: conv(torch.randn(B, 2, T)))
    refused(lambda: conv(torch.randn(B, 5, T), torch.randn(B, 5, 1)))
    refused(lambda: m.ResidualBlock(5, 3, 1, dropout=0.1, activation="none"))
    refused(lambda: model(codes(13), 1))


def run_transformer(m: Module) -> None:
    kernels = {"rotary": "readable", "none": "fast", "learned": "fast", "sinusoidal": "fast"}
    for positions, kernel in kernels.items():
        config = m.ModelConfig("page", 20, 2, 2, 9, positions, 0.1, kernel=kernel)
        model = m.Model(13, config)
        learn(model, codes(13))
    refused(lambda: model(codes(13), (1,)))
    refused(lambda: model(codes(13), (-1, ())))
    refused(lambda: m.Model(13, m.ModelConfig("page", 20, 2, 1, 3, "learned", 0))(codes(13)))
    for positions, width, heads in (("none", 5, 2), ("rotary", 10, 2), ("sinusoidal", 5, 5)):
        settings = m.ModelConfig("page", width, heads, 1, 9, positions, 0.1)
        refused(lambda: m.Model(13, settings))  # noqa: B023
    refused(lambda: m.CausalAttention(5, 2, 9))
    refused(lambda: m.CausalAttention(4, 2, 9, kernel="none"))
    attention = m.CausalAttention(20, 2, 9, kernel="readable")
    x, k = torch.randn(B, T, 20), torch.randn(B, 2, 4, 10)
    attention(x, None, (k, k))
    for wrong in (
        (x[..., :2],),
        (x, k),
        (x, None, 1),
        (x, None, (k[:1], k)),
        (x, None, (k, k[:1])),
    ):
        refused(lambda: attention(*wrong))  # noqa: B023


def run_attention(m: Module) -> None:
    from models.transformer.modules import attend

    q, k, v = (torch.randn(B, 2, 8, 5, requires_grad=True) for _ in range(3))
    sizes = m.Sizes(queries=4, keys=4, scores_on_cpu=2 * 4 * 4)
    m.attend_fast(q, k, v, 3, attend, sizes=sizes).square().sum().backward()
    torch.autograd.grad(
        m.attend_fast(q, k, v, 3, attend, sizes=sizes).square().sum(), q, create_graph=True
    )
    refused(lambda: m.refuse(q, k, v, 3))
    m.Blocks(q.new_empty(B, 2, 8, 1, device="meta"), 8, 3, sizes)  # as if on a GPU


def run_networks(m: Module) -> None:
    for network, side in (("higgins", 64), ("digits", 28)):
        model = m.VAE((1, side, side), m.ModelConfig("page", network, 5), levels=11)
        seen = model.encode(torch.rand(B, 1, side, side))
        refused(lambda: model.sample(seen, torch.zeros(1)))  # noqa: B023
        model(torch.rand(B, 1, side, side), torch.randn(B, 5))
        refused(lambda: model(torch.rand(B, 1, 5, 5)))  # noqa: B023
    m.VAE((1, 28, 28), m.ModelConfig("page", "digits", 5))(torch.rand(B, 1, 28, 28))
    for shape in ((1, 32, 32), (1, 64, 64), "1"):
        refused(lambda: m.check_shape(shape, "digits"))  # noqa: B023


def run_ladder(m: Module) -> None:
    from vae.networks import ModelConfig

    model = m.LadderVAE((1, 28, 28), ModelConfig("page", "ladder", 5), levels=11)
    x = torch.rand(B, 1, 28, 28)
    model.encode(x)
    model(x, torch.randn(B, model.z_dim))
    model(x)
    model.decode(torch.randn(B, model.z_dim))


def run_losses(m: Module) -> None:
    x, logits = torch.rand(B, 1, 17, 19), torch.randn(B, 1, 17, 19)
    mu, logvar = torch.randn(B, 5), torch.randn(B, 5)
    z = mu + torch.randn(B, 5)
    for likelihood in ("bernoulli", "gaussian"):
        m.reconstruction(logits, x, likelihood)
    m.reconstruction(torch.randn(B, 1, 17, 19, 11), (10 * x).round() / 10, "categorical")
    refused(lambda: m.reconstruction(logits, x, "none"))
    refused(lambda: m.reconstruction(logits, x[:1, :, :1], "none"))
    m.fit_sigma(torch.rand(B), 3)
    m.kl_per_dim(mu, logvar)
    m.decompose_kl(z, mu, logvar, 100)
    m.compute_capacity(25.0, 3, 4)
    m.warm_up(4.0, 3, 0)
    weights = [m.log_importance_weights(logits, x, "bernoulli", z, mu, logvar) for _ in range(7)]
    m.importance_weighted_bound(torch.stack(weights))
    m.bits_per_dim(100.0, (1, 17, 19))


def run_gan(m: Module) -> None:
    generator, discriminator = m.Generator(SimpleNamespace(z_dim=5)), m.Discriminator()
    discriminator.probability(generator(torch.randn(B, 5)))
    generator.generate(torch.randn(B, 5))
    refused(lambda: generator(torch.randn(B, 2)))


def run_aae(m: Module) -> None:
    config = m.ModelConfig("page", 5, 11)
    x, z = m.Autoencoder(config)(torch.rand(B, 1, 28, 28))
    m.Discriminator(config)(z)
    refused(lambda: m.Discriminator(config)(x))


RUNS = {
    "lstm": Run({"B": B, "T": T, "V": 13, "H": 11, "I": 5}, run_lstm),
    "recurrence": Run({"B": B, "T": T, "H": 11, "I": 5}, run_recurrence),
    "tcn": Run({"B": B, "T": T, "V": 13, "C": 11}, run_tcn),
    "transformer": Run({"B": B, "T": T, "V": 13, "N": 2, "d": 20, "D": 10}, run_transformer),
    "attention": Run({"B": B, "N": 2, "T": 8, "D": 5}, run_attention),
    "networks": Run({"B": B, "Z": 5, "L": 11}, run_networks),
    "ladder": Run({"B": B, "Z": 5, "Z'": 593, "L": 11}, run_ladder),
    "losses": Run({"B": B, "Z": 5, "H": 17, "W": 19, "L": 11, "K": 7}, run_losses),
    "gan": Run({"B": B, "Z": 5}, run_gan),
    "aae": Run({"B": B, "Z": 5, "H": 11}, run_aae),
}
