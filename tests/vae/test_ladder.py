"""The ladder of latents: what it draws, what its posterior knows, and that its bound is one."""

import csv
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import main
from utils.images.data import Images
from utils.training.device import evaluating
from vae import ladder
from vae.ladder import LadderVAE
from vae.latents import encode, measure_kl
from vae.losses import kl_per_dim, log_normal
from vae.networks import ModelConfig

Z = 5  # latents at the top
LAYERS = [slice(0, Z), slice(Z, Z + 196), slice(Z + 196, Z + 588)]  # of the latents side by side


@pytest.fixture
def vae():
    torch.manual_seed(0)
    vae = LadderVAE((1, 28, 28), ModelConfig(name="m", network="ladder", z_dim=Z), levels=4)
    for rung in vae.decoder.rungs:  # nothing is known of the lower latents before training
        torch.nn.init.normal_(rung.meeting[-1].weight, std=0.01)
    torch.nn.init.normal_(vae.decoder.layers[-1].weight, std=0.1)
    with torch.no_grad():
        vae(torch.rand(64, 1, 28, 28))  # running statistics for the normalisation
    return vae.eval()


@torch.no_grad()
def test_every_layer_has_the_shape_written_beside_it(vae):
    source = Path(ladder.__file__).read_text(encoding="utf-8")
    shapes = {}

    def record(module, _, output):
        shapes[module] = "(" + ", ".join(map(str, ("B", *output.shape[1:]))) + ")"

    def shaping(part):
        """The layers in the order of the source, without what leaves a shape as it is."""
        kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Flatten, nn.Unflatten)
        if isinstance(part, kinds):
            return [part]
        inside = () if isinstance(part, ladder.ResidualBlock) else part.children()
        return [layer for child in inside for layer in shaping(child)]

    first, second = vae.decoder.rungs
    parts = [
        (vae.encoder, {"2 Z": 2 * Z}),
        (vae.decoder, {"C": 4}),
        (first, {"2 M": 8, "F": 64, "H": 7, "W": 7}),
        (second, {"2 M": 4, "F": 32, "H": 14, "W": 14}),
    ]
    for layer in shaping(vae):
        layer.register_forward_hook(record)
    vae(torch.rand(3, 1, 28, 28))
    for part, letters in parts:
        text = source[source.index(f"class {type(part).__name__}(") :].split("def start_at_zero")[0]
        written = re.findall(r"# (\(B, [^)]*\))", text.split("def forward")[0])
        for letter, size in letters.items():
            written = [re.sub(rf"\b{letter}\b", str(size), shape) for shape in written]
        rungs = {*shaping(first), *shaping(second)} if part is vae.decoder else set()
        assert [shapes[layer] for layer in shaping(part) if layer not in rungs] == written


@torch.no_grad()
def test_what_meets_is_what_is_decoded(vae):
    x = torch.rand(3, 1, 28, 28)
    logits, z, *_ = vae(x)
    assert vae.z_dim == z.shape[1] == Z + 4 * 7 * 7 + 2 * 14 * 14
    assert logits.shape == (3, 1, 28, 28, 4)
    assert torch.allclose(vae.decode(z), logits, atol=1e-5)
    top, coarse, fine = vae.decoder.split(z)
    assert (top.shape, coarse.shape, fine.shape) == ((3, Z), (3, 4, 7, 7), (3, 2, 14, 14))
    assert torch.equal(torch.cat([top, coarse.flatten(1), fine.flatten(1)], dim=1), z)
    for part in (0, Z + 3, Z + 196 + 3):  # every layer reaches the picture
        other = z.clone()
        other[:, part] += 1
        assert not torch.allclose(vae.decode(other), logits, atol=1e-3)


@torch.no_grad()
def test_a_layers_posterior_knows_the_picture_and_the_latents_above_it(vae):
    x, epsilon = torch.rand(3, 1, 28, 28), torch.randn(3, vae.z_dim)
    _, _, mu, logvar = vae(x, epsilon)
    for drawn, layer in enumerate(LAYERS):
        noise = epsilon.clone()
        noise[:, layer] = torch.randn(noise[:, layer].shape)
        _, _, other, otherwise = vae(x, noise)
        for read, part in enumerate(LAYERS):
            same = torch.equal(mu[:, part], other[:, part])
            assert same == torch.equal(logvar[:, part], otherwise[:, part]) == (read <= drawn)
    for layer, features in ((1, "coarse"), (2, "fine")):  # the encoder's, for the layers below
        seen = vae.encoder(x)
        seen = seen._replace(**{features: torch.rand_like(getattr(seen, features))})
        other = vae.sample(seen, epsilon).mu
        for read, part in enumerate(LAYERS):
            assert torch.equal(mu[:, part], other[:, part]) == (read < layer)


@torch.no_grad()
def test_a_picture_is_encoded_as_the_mean_all_the_way_down(vae):
    x = torch.rand(3, 1, 28, 28)
    mu, logvar = vae.encode(x)
    _, z, *found = vae(x, torch.zeros(3, vae.z_dim))
    assert torch.equal(z, mu)
    assert all(map(torch.equal, found, (mu, logvar)))


@torch.no_grad()
def test_the_kl_of_the_layers_is_that_of_all_latents_together(vae):
    """E log q(z|x) - log p(z), with q the product of the layers, against the sum that is used."""
    pixels = torch.randint(256, (1, 1, 28, 28), dtype=torch.uint8).expand(2000, -1, -1, -1)
    x = pixels / 255
    _, z, mu, logvar = vae(x)
    zero = torch.zeros_like(z)
    drawn = (log_normal(z, mu, logvar) - log_normal(z, zero, zero)).sum(dim=1)
    closed = kl_per_dim(mu, logvar).sum(dim=1)
    error = (drawn - closed).std() / math.sqrt(len(z))
    assert abs(drawn.mean() - closed.mean()) < 4 * error
    assert closed.mean() > 10 * error, "or any number would do"

    pictures = Images(pixels.numpy(), "")
    found = measure_kl(vae, pictures)
    assert found.shape == (vae.z_dim,)
    assert abs(found.sum() - closed.mean()) < 6 * closed.std() / math.sqrt(len(z))
    at_the_mean = kl_per_dim(*encode(vae, pictures)).mean(dim=0).sum().item()
    assert abs(at_the_mean - closed.mean()) > 10 * closed.std() / math.sqrt(len(z))


def test_before_training_the_lower_latents_say_nothing():
    torch.manual_seed(0)
    vae = LadderVAE((1, 28, 28), ModelConfig(name="m", network="ladder", z_dim=Z))
    with evaluating(vae), torch.no_grad():
        kl = kl_per_dim(*vae.encode(torch.rand(3, 1, 28, 28)))
    assert kl[:, LAYERS[0]].min() > 0
    assert (kl[:, Z:] == 0).all()


def test_a_ladder_trains_and_shows_the_latents_that_say_most(repository, capsys):
    options = "--dataset digits --network ladder --z_dim 2 --images 96 --held_out 32 --device cpu"
    options += " --batch_size 32 --epochs 2 --ckpt_name ladder"
    assert main.main(options.split()) == 0
    with open(repository / "checkpoints" / "ladder" / "history.csv", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[-1]
    tops = {name for name in row if name.startswith("val_kl_0")}
    assert tops == {"val_kl_00_nats", "val_kl_01_nats"}
    assert float(row["val_kl_nats"]) > sum(float(row[name]) for name in tops) > 0
    capsys.readouterr()
    assert main.main(["--task", "latent_analysis", "--ckpt_name", "ladder"]) == 0
    out = capsys.readouterr().out
    active, silent = map(int, re.search(r"(\d+) of 590 latents active; (\d+) below", out).groups())
    assert active + silent == 590
    assert (f"{active - 20} active ones with less KL in latent_analysis.csv only" in out) == (
        active > 20
    )
    table = repository / "results" / "ladder" / "latent_analysis.csv"
    assert len(table.read_text(encoding="utf-8").splitlines()) == 1 + 590
