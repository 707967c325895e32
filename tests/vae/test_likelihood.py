"""The exact likelihood: levels of a pixel, bits per dimension, both bounds, the manifold."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Categorical

import main
from utils.config import override, read_config
from utils.files import ROOT
from utils.images.data import Images, Rows
from utils.training import checkpoint
from vae.data import binarise, load_pictures, load_unseen, load_validation
from vae.ladder import LadderVAE
from vae.latents import (
    build_manifold,
    decode,
    generate,
    generate_gallery,
    sample_levels,
    take_likeliest,
    take_mean,
)
from vae.likelihood import estimate_bounds
from vae.losses import (
    bits_per_dim,
    importance_weighted_bound,
    kl_per_dim,
    log_importance_weights,
    reconstruction,
)
from vae.networks import VAE, ModelConfig
from vae.training import VAEConfig

SMALL = ["--dataset", "digits", "--images", "96", "--held_out", "32", "--batch_size", "32"]
SMALL += ["--epochs", "2", "--pictures", "1", "--device", "cpu"]


def every_byte(bits):
    pixels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    return Images(pixels, "bytes", bits=bits)


@pytest.mark.parametrize("bits", range(1, 9))
def test_levels_survive_the_way_to_a_picture_and_back(bits):
    L = 2**bits
    images = every_byte(bits)
    levels = (images.floats() * (L - 1)).round().long().flatten()
    assert torch.equal(levels, torch.arange(256) * L // 256)  # the upper bits, all L of them
    sure = 100.0 * torch.nn.functional.one_hot(levels, L).view(256, 1, 1, 1, L)
    assert reconstruction(sure, images.floats(), "categorical").max() < 1e-6
    assert images.floats().min() == 0
    assert images.floats().max() == 1
    large = replace(images, pixels=Rows(images.pixels, np.arange(256)))
    assert torch.equal(large.take(slice(3, 200)).floats(), images.floats()[3:200])


def test_pictures_on_disk_are_made_coarse_only_when_they_are_read():
    whole = every_byte(4)
    images = replace(whole, pixels=Rows(whole.pixels, np.arange(255, -1, -1)))
    assert isinstance(images.pixels, Rows)
    assert images.read(slice(2)).flatten().tolist() == [255, 255]
    assert images.read([16, 255]).flatten().tolist() == [14 * 17, 0]
    assert images.summary().endswith("values 0 to 255, from bytes")


def test_equal_logits_cost_exactly_the_bits():
    x = every_byte(4).floats().reshape(4, 1, 8, 8)
    nats = reconstruction(torch.zeros(4, 1, 8, 8, 16), x, "categorical")
    assert bits_per_dim(nats.mean().item(), (1, 8, 8)) == pytest.approx(4, abs=1e-6)


def test_a_known_bound_by_hand():
    """Two pixels, two levels: p(x|z) = 0.9 * 0.2; q = N(1, e): KL = (1 + e - 1 - 1) / 2."""
    x = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    p = torch.tensor([[0.1, 0.9], [0.2, 0.8]]).view(1, 1, 1, 2, 2)
    nats = reconstruction(p.log(), x, "categorical")
    assert nats.item() == pytest.approx(-math.log(0.9 * 0.2))
    kl = kl_per_dim(torch.ones(1, 1), torch.ones(1, 1)).sum()
    bound = bits_per_dim((nats + kl).item(), (1, 1, 2))
    assert bound == pytest.approx((-math.log(0.18) + (math.e - 1) / 2) / (2 * math.log(2)))


def test_the_categorical_likelihood_against_torch_distributions():
    torch.manual_seed(0)
    logits, levels = torch.randn(5, 3, 4, 4, 8), torch.randint(8, (5, 3, 4, 4))
    nats = reconstruction(logits, levels / 7, "categorical")
    expected = -Categorical(logits=logits).log_prob(levels).flatten(1).sum(dim=1)
    assert torch.allclose(nats, expected, atol=1e-4)


def test_mean_likeliest_and_sampled_levels():
    p = torch.tensor([0.6, 0.1, 0.1, 0.2])
    logits = p.log().expand(20_000, 1, 1, 1, 4)
    assert take_mean(logits[:1]).item() == pytest.approx((0.1 + 2 * 0.1 + 3 * 0.2) / 3)
    assert take_likeliest(logits[:1]).item() == 0
    levels = (3 * sample_levels(0)(logits)).round().long().flatten()
    assert torch.allclose(torch.bincount(levels) / len(levels), p, atol=0.01)
    assert torch.equal(sample_levels(1)(logits), sample_levels(1)(logits))
    assert not torch.equal(sample_levels(1)(logits), sample_levels(2)(logits))


@pytest.mark.parametrize("channels", [1, 3])
def test_digit_networks_have_the_shape_written_beside_each_layer(channels):
    torch.manual_seed(0)
    vae = VAE((channels, 28, 28), ModelConfig(name="m", network="digits", z_dim=5))
    source = (ROOT / "vae" / "networks.py").read_text(encoding="utf-8")
    for part, x in (
        (vae.encoder, torch.rand(2, channels, 28, 28)),
        (vae.decoder, torch.rand(2, 5)),
    ):
        text = source[source.index(f"class {type(part).__name__}") :].split("def forward")[0]
        shapes = []
        for layer in part.layers:
            x = layer(x)
            if type(layer).__name__ not in ("ReLU", "GELU", "BatchNorm2d"):
                shapes.append(str(tuple(x.shape[1:])).replace(",)", ")"))
        written = [shape.replace("B, ", "") for shape in re.findall(r"# (\(B, [^)]*\))", text)]
        written = [shape.replace("2 Z", "10").replace("C", str(channels)) for shape in written]
        assert shapes == written


def test_convolutions_are_those_of_the_report_and_the_deeper_network_is_small_enough():
    digits = VAE((1, 28, 28), ModelConfig(name="m", network="digits", z_dim=20), 16)
    convolutions = [
        layer.out_channels for layer in digits.encoder.layers if isinstance(layer, torch.nn.Conv2d)
    ]
    assert convolutions == [32, 32, 64, 64, 64]
    deeper = LadderVAE((1, 28, 28), ModelConfig(name="m", network="ladder", z_dim=40), 16)
    assert sum(p.numel() for p in deeper.parameters()) <= 3_000_000


@pytest.mark.parametrize(("model", "network"), [(VAE, "digits"), (LadderVAE, "ladder")])
def test_an_untrained_network_knows_nothing(model, network):
    torch.manual_seed(0)
    vae = model((1, 28, 28), ModelConfig(name="m", network=network, z_dim=20), levels=16)
    x = torch.randint(16, (6, 1, 28, 28)) / 15
    logits, _, mu, logvar = vae(x)
    assert logits.shape == (6, 1, 28, 28, 16)
    assert torch.equal(logits, torch.zeros_like(logits))
    nats = (reconstruction(logits, x, "categorical") + kl_per_dim(mu, logvar).sum(dim=1)).mean()
    assert bits_per_dim(nats.item(), vae.shape) == pytest.approx(4.0, abs=0.05)
    nats.backward()
    assert vae.decoder.layers[-1].weight.grad.abs().max() > 0


def test_every_pixel_has_its_own_levels_for_each_colour():
    vae = VAE((3, 28, 28), ModelConfig(name="m", network="digits", z_dim=2), levels=4)
    with torch.no_grad():  # level l of channel c gets the logit 10 c + l
        channels, levels = 10 * torch.arange(3)[:, None], torch.arange(4)
        vae.decoder.layers[-1].bias.copy_((channels + levels).flatten())
    logits = vae.decode(torch.zeros(1, 2))
    assert logits.shape == (1, 3, 28, 28, 4)
    assert logits[0, 1, 5, 7].tolist() == [10, 11, 12, 13]


@pytest.fixture
def vae():
    torch.manual_seed(0)
    model = VAE((1, 28, 28), ModelConfig(name="m", network="digits", z_dim=3), levels=4)
    torch.nn.init.normal_(model.decoder.layers[-1].weight, std=0.1)
    return model


def test_importance_weights_are_what_their_name_says(vae):
    x = torch.randint(4, (2, 1, 28, 28)) / 3
    logits, z, mu, logvar = vae(x)
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    prior = torch.distributions.Normal(0, 1)
    expected = (
        Categorical(logits=logits).log_prob((3 * x).round().long()).flatten(1).sum(dim=1)
        + prior.log_prob(z).sum(dim=1)
        - q.log_prob(z).sum(dim=1)
    )
    weights = log_importance_weights(logits, x, "categorical", z, mu, logvar)
    assert torch.allclose(weights, expected, atol=1e-3)
    assert torch.equal(importance_weighted_bound(weights[None]), weights)
    two = importance_weighted_bound(torch.tensor([[1.0], [3.0]]))
    assert two.item() == pytest.approx(math.log((math.e + math.e**3) / 2))


def test_more_draws_give_a_tighter_bound(vae):
    pixels = torch.randint(256, (100, 1, 28, 28), dtype=torch.uint8).numpy()
    images = Images(pixels, "", bits=2)
    state = torch.get_rng_state()
    loose, one = estimate_bounds(vae, images, "categorical", samples=1)
    same, many = estimate_bounds(vae, images, "categorical", samples=50)
    assert torch.equal(state, torch.get_rng_state())
    assert loose == same
    assert one == pytest.approx(loose, abs=0.5)  # the KL drawn instead of integrated
    assert many < loose


def test_the_manifold_is_a_grid_over_the_percentiles_of_the_prior():
    z = build_manifold(20)
    assert z.shape == (20, 20, 2)
    share = torch.special.ndtr(z)
    corners = share[[0, 0, -1, -1], [0, -1, 0, -1]]
    expected = torch.tensor([[0.025, 0.975], [0.975, 0.975], [0.025, 0.025], [0.975, 0.025]])
    assert torch.allclose(corners, expected, atol=1e-6)
    assert torch.allclose(share[3, :, 0].diff(), torch.tensor(0.05), atol=1e-6)


def test_a_gallery_shows_likeliest_levels_above_sampled_ones_of_the_same_latents(vae):
    pictures, rows = generate_gallery(vae, 12, seed=3)
    assert pictures.shape == (2, 12, 1, 28, 28)
    assert rows == ["likeliest levels", "drawn levels"]
    assert torch.equal(pictures[0], generate(vae, 12, 3, take_likeliest))
    assert torch.equal(pictures[1], generate(vae, 12, 3, sample_levels(3)))
    assert 0 <= decode(vae, torch.zeros(1, 3)).min() <= decode(vae, torch.zeros(1, 3)).max() <= 1


def test_digits_are_split_in_three():
    config = read_config(ROOT / "vae" / "mnist.json", VAEConfig)
    data = replace(config.data, dataset="digits")
    validation, test = load_validation(data, (1, 28, 28)), load_unseen(data)
    assert (len(validation), len(test)) == (144, 359)
    assert set(np.unique(test.read())) == set(range(0, 256, 17))
    for a, b in itertools.product(validation.pixels[:20], test.pixels):
        assert not np.array_equal(a, b)


def test_no_face_is_trained_on_and_validated():
    """Faces are rendered from two seeds, whatever --seed is: always the same, never shared."""
    data = replace(read_config(ROOT / "vae" / "faces.json", VAEConfig).data, images=40, held_out=30)
    training, validation = load_pictures(data, "higgins")
    assert (len(training), len(validation)) == (40, 30)
    assert not {row.tobytes() for row in training.pixels} & {
        row.tobytes() for row in validation.pixels
    }
    assert np.array_equal(load_validation(data, (3, 64, 64)).pixels, validation.pixels)
    assert np.array_equal(validation.pixels[:8], load_pictures(data, "higgins", few=24)[1].pixels)


# main.py


def trained(name, *more):
    assert main.main([*SMALL, "--ckpt_name", name, *more]) == 0


def test_digits_through_main(repository, capsys):
    trained("two", "--z_dim", "2")
    out = capsys.readouterr().out
    before = float(re.search(r"before training: ([\d.]+) bits per dimension", out)[1])
    assert before == pytest.approx(4, abs=0.05)
    assert re.search(r"359 pictures: [\d.]+ bits .* [\d.]+ with 100 weighted draws", out)
    header, *rows = (repository / "checkpoints" / "two" / "history.csv").read_text().split()
    assert {"train_bpd", "val_bpd"} <= set(header.split(","))
    last = dict(zip(header.split(","), map(float, rows[-1].split(",")), strict=True))
    nats = last["val_reconstruction_nats"] + last["val_kl_nats"]
    assert last["val_bpd"] == pytest.approx(nats / (784 * math.log(2)), rel=1e-6)
    assert last["val_bpd"] < before  # by 0.051 with a standard deviation of 0.008 over five seeds
    results = repository / "results" / "two"
    for epoch in (0, 1, 2):
        assert (results / f"samples_{epoch:04}.png").is_file()

    assert main.main(["--task", "manifold", "--ckpt_name", "two"]) == 0
    with Image.open(results / "manifold.png") as picture:
        assert min(picture.size) > 16 * 28
        assert picture.convert("L").getextrema()[0] < 100
    for task in ("random_generation", "reconstruction", "latent_analysis", "rotate"):
        assert main.main(f"--task {task} --ckpt_name two".split()) == 0
    assert "32 pictures: " in capsys.readouterr().out
    content = checkpoint.load(repository / "checkpoints" / "two" / "best.pt", "vae")
    assert content["model"]["decoder.layers.15.weight"].shape == (32, 16, 4, 4)


def test_faces_and_digits_with_other_likelihoods_and_bits(repository, capsys):
    trained("grey", "--likelihood", "bernoulli", "--bits", "8", "--beta", "2")
    assert "before training" not in capsys.readouterr().out
    faces = (
        "--dataset faces --images 32 --held_out 8 --batch_size 8 --epochs 1 --z_dim 2 --device cpu"
    )
    more = "--bits 1 --likelihood categorical --ckpt_name faces"
    assert main.main(f"{faces} {more}".split()) == 0
    assert "bits per dimension" in capsys.readouterr().out


def test_binarised_pixels_are_white_with_their_value_as_the_probability():
    """All bytes, 4,000 times each: three standard deviations of the share and some more."""
    pixels = np.tile(np.arange(256, dtype=np.uint8), (4000, 1)).reshape(4000, 1, 16, 16)
    images = Images(pixels, "bytes", bits=1)
    drawn = binarise(images, seed=3)
    assert set(np.unique(drawn.pixels)) == {0, 255}
    p = torch.arange(256) / 255
    shares = drawn.floats().mean(dim=0).flatten()
    assert (shares - p).abs().max() < 5 * (p * (1 - p)).max().sqrt() / 4000**0.5
    assert (shares[0], shares[-1]) == (0, 1), "black and white stay what they are"
    assert np.array_equal(binarise(images, seed=3).pixels, drawn.pixels)
    assert not np.array_equal(binarise(images, seed=4).pixels, drawn.pixels)
    assert np.array_equal(binarise(images.take(slice(1500)), seed=3).pixels, drawn.pixels[:1500])
    assert images.pixels is pixels, "what was given stays"


def test_a_binarised_set_is_the_same_wherever_it_is_read():
    """Training, validation and test pictures are those of the grey set, drawn once."""
    config = override(
        read_config(ROOT / "vae" / "mnist.json", VAEConfig),
        {("data", "dataset"): "digits", ("data", "bits"): 1},
    )
    grey, data = config.data, replace(config.data, binarise=True)
    training, validation = load_pictures(data, "digits")
    again = load_validation(data, (1, 28, 28))
    assert np.array_equal(validation.read(), again.read())
    for drawn, of in (
        (training, load_pictures(grey, "digits")[0]),
        (validation, load_validation(grey, (1, 28, 28))),
        (load_unseen(data), load_unseen(grey)),
    ):
        assert drawn.source.endswith(", binarised")
        assert len(drawn) == len(of)
        assert np.array_equal(drawn.read() > of.pixels, (drawn.read() == 255) & (of.pixels < 255))
        assert (drawn.read()[of.pixels == 0] == 0).all()
        assert (drawn.read()[of.pixels == 255] == 255).all()
        assert drawn.floats().mean() == pytest.approx(float(of.pixels.mean() / 255), abs=0.01)


MISTAKES = {
    "no bits": ("--dataset digits --bits 0", "--bits is '0', not a whole number >= 1 <= 8"),
    "too many bits": ("--dataset mnist --bits 9", "--bits is '9', not a whole number"),
    "two values of 16": ("--dataset digits --binarise true", "but bits is 4: take bits 1"),
    "binarised faces": ("--bits 1 --binarise true --images 9", "of digits, not for faces: leave"),
    "many latents": ("--task manifold --ckpt_name five", "five has 5 latents, not 2"),
    "network": (
        "--dataset digits --network higgins",
        "28 x 28, not 64 x 64 as the network higgins",
    ),
    "faces for digits": ("--network digits --images 9", "64 x 64, not 28 x 28"),
    "other pictures": (
        "--task reconstruction --ckpt_name five --dataset faces --held_out 2",
        "five takes pictures of (1, 28, 28), rendered faces has (3, 64, 64)",
    ),
    "sizes": ("--task random_generation --ckpt_name five vae_beta_4", "different sizes"),
}


def test_a_mistake_is_one_line(shipped, capsys):
    trained("five", "--z_dim", "5")
    capsys.readouterr()
    before = sorted(shipped.rglob("*"))
    for argv, message in MISTAKES.values():
        assert main.main(argv.split()) == 2, argv
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert message in err
    assert sorted(shipped.rglob("*")) == before
