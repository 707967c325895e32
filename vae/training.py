"""How a variational autoencoder learns: its settings, and the task behind `main.py`."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch

from utils.config import DEVICES, PRECISIONS, Config, TrainingSection, key
from utils.errors import SettingError
from utils.images.data import Images, Shape, fingerprint_pictures
from utils.images.figures import draw_pictures
from utils.training import checkpoint
from utils.training.curves import Measure
from utils.training.device import evaluating, seeded
from utils.training.fingerprint import Fingerprint
from utils.training.optimizers import make_optimizers
from utils.training.progress import note_warmup
from utils.training.run import Run
from utils.training.task import Batch, Row, Task
from utils.words import count
from vae.data import DataConfig, NoisyBatches, load_unseen
from vae.ladder import LadderVAE
from vae.latents import generate_gallery, reconstruct
from vae.likelihood import describe_likelihood
from vae.losses import (
    LIKELIHOODS,
    OBJECTIVES,
    bits_per_dim,
    compute_capacity,
    decompose_kl,
    fit_sigma,
    kl_per_dim,
    reconstruction,
    warm_up,
)
from vae.networks import VAE, ModelConfig, Outputs
from vae.residual import ResidualVAE

ACTIVE_NATS = 0.01  # a latent with less KL than this tells the decoder nothing
WHOLE = "with --data: all pictures of it are taken"
WEIGHTED_DRAWS = 100  # K of the importance-weighted bound on the test set


@dataclass(frozen=True)
class LossConfig:
    """What is minimised (vae/losses.py)."""

    objective: str = key(
        "what is minimised; beta_tcvae weighs the total correlation only", choices=OBJECTIVES
    )
    likelihood: str = key("distribution of a pixel; categorical is exact", choices=LIKELIHOODS)
    beta: float = key("weight of the KL", low=0)
    beta_warmup: int = key("steps in which beta climbs from 0", low=0)
    capacity: float | None = key("C, weigh |KL - C| in place of the KL, in nats; null: off", low=0)
    capacity_steps: int = key("steps in which C climbs from 0", low=0)
    fit_sigma: bool = key(
        "of gaussian: take the sigma that suits each batch best, not 1", default=False
    )


@dataclass(frozen=True)
class TrainingConfig(TrainingSection):
    """How it is minimised."""

    epochs: int = key("passes over the training pictures", low=1, dry=1)
    batch_size: int = key("B, pictures of a step", low=2)
    learning_rate: float = key("peak learning rate", above=0)
    final_rate: float = key("share of the peak rate left at the last step", low=0, high=1)
    pictures: list[int] = key("epochs after which samples are drawn, besides the last", low=1)
    seed: int = key(
        "seed of the initial weights, the batch order and the noise; of what a task draws", low=0
    )
    device: str = key("where to run", choices=DEVICES)
    precision: str = key(
        "precision of the large products in training; bfloat16 is for CUDA",
        choices=PRECISIONS,
        default="float32",
    )
    optimizer: str = key(
        "optimiser of the hidden matrices; Adam steps vectors and what faces the pixels",
        choices=("adam", "muon"),
        default="adam",
    )
    epoch_images: int | None = key(
        "images of an epoch, however many there are; null: all of them once", low=1, default=None
    )
    mirror: bool = key("flip half of the pictures, drawn at random, left to right", default=False)
    init: str | None = key("run whose best weights it starts from; null: random ones", default=None)


@dataclass(frozen=True)
class VAEConfig(Config):
    """The sections of vae/faces.json and vae/mnist.json."""

    kind = "vae"
    model: ModelConfig
    data: DataConfig
    loss: LossConfig
    training: TrainingConfig
    idle: ClassVar = {
        ("data", "images"): (lambda config: config.data.data is not None, WHOLE),
        ("data", "held_out"): (lambda config: config.data.data is not None, WHOLE),
        ("loss", "beta_warmup"): (lambda config: config.loss.beta == 0, "with --beta 0"),
        ("loss", "capacity"): (
            lambda config: config.loss.beta == 0 or config.loss.objective != "beta_vae",
            "but with --objective beta_vae and a --beta above 0",
        ),
        ("loss", "capacity_steps"): (
            lambda config: config.loss.capacity is None,
            "without --capacity",
        ),
        ("loss", "fit_sigma"): (
            lambda config: config.loss.likelihood != "gaussian",
            "but with --likelihood gaussian",
        ),
    }


def build_model(shape: Shape, config: VAEConfig) -> VAE:
    """Builds the network for pictures of a shape (C, H, W). SettingError where there is none."""
    data, kinds = config.data, {"ladder": LadderVAE, "residual": ResidualVAE}
    kind = kinds.get(config.model.network, VAE)
    if data.binarise and (data.data is not None or data.dataset == "faces"):
        what = data.data or data.dataset
        raise SettingError(f"binarise is for data sets of digits, not for {what}: leave it out")
    if data.binarise and data.bits != 1:
        raise SettingError(
            f"binarise makes pixels of two values, but bits is {data.bits}: take bits 1"
        )
    if config.loss.objective == "beta_tcvae" and kind is LadderVAE:
        raise SettingError(
            "objective beta_tcvae needs latents that are drawn independently, those of network "
            "ladder are not: take objective beta_vae, or network digits"
        )
    levels = 2**data.bits if config.loss.likelihood == "categorical" else None
    return kind(shape, config.model, levels)


class VAETask(Task):
    """Training of one variational autoencoder on one set of pictures.

    `nats` in history.csv is the objective with its final weights, for one picture; reconstruction,
    KL and the KL of every latent stand beside it (of a ladder's, those at the top). A latent counts
    as active from 0.01 nats on. Where the likelihood is exact, `bpd` is the negative evidence lower
    bound, whatever beta is, in bits per dimension.
    """

    unit = "image"
    columns = (
        "train_nats",
        "val_nats",
        "val_reconstruction_nats",
        "val_kl_nats",
        "val_active",
        "learning_rate",
    )
    ranks_draw_alike = True  # the noise comes with the batch, and each rank takes its rows of it

    def __init__(self, model: VAE, training: Images, validation: Images, config: VAEConfig) -> None:
        settings = config.training
        batches = settings.batch_size, settings.seed
        latents = f"{model.z_dim} latent{'s'[: model.z_dim != 1]}"
        self.summary = f"{latents}; {training.summary()}, {len(validation):,} to validate"
        super().__init__(
            config,
            {"model": model.to(memory_format=torch.channels_last)},
            NoisyBatches(
                training, *batches, model.z_dim, settings.mirror, size=settings.epoch_images
            ),
            title=f"{config.model.name}: beta {config.loss.beta:g} on {training.source}",
        )
        self.validation, self.milestones = validation, settings.pictures
        self.exact = config.loss.likelihood == "categorical"
        self.measure = Measure("nats per picture")
        if self.exact and config.loss.beta == 1:  # with another beta the loss is no code length
            values = math.prod(model.shape)
            self.measure = Measure("nats per picture", "bits per dimension", values)
        self.optimizers = make_optimizers(
            model,
            model.outer,
            settings.learning_rate,
            beta2=0.999,
            muon=settings.optimizer == "muon",
        )

    def step(self, batch: Batch, number: int) -> dict[str, float]:
        """Learns from pictures (B, C, H, W) in [0, 1] and noise (B, Z)."""
        loss = self.config.loss
        beta = warm_up(loss.beta, number, loss.beta_warmup)
        capacity = loss.capacity
        if capacity is not None:
            capacity = compute_capacity(capacity, number, loss.capacity_steps)
        x, epsilon = (part.to(self.device) for part in batch)
        x = x.to(memory_format=torch.channels_last)
        self.model.zero_grad()
        with self.precision:
            outputs = self.model(x, epsilon)
        total, terms = self.objective(x, outputs, beta, capacity)
        total.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        return self.name_terms("train", terms)

    def objective(
        self, x: torch.Tensor, outputs: Outputs, beta: float, capacity: float | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the loss of pictures (B, C, H, W), and its terms (2 + Z,), cut off.

        The terms are the loss, the reconstruction and the KL of each latent. Under torchrun they
        are those of a rank's pictures. What is no mean over pictures, beta_tcvae's estimate of q(z)
        and the distance to a capacity, then is not quite that of the whole batch.
        """
        loss = self.config.loss
        logits, z, mu, logvar = outputs
        picture_nats = reconstruction(logits, x, loss.likelihood)
        if loss.fit_sigma and loss.likelihood == "gaussian":
            picture_nats = fit_sigma(picture_nats, math.prod(self.model.shape))
        picture_nats = picture_nats.mean()
        kl = kl_per_dim(mu, logvar).mean(dim=0)  # (Z,)
        if loss.objective == "beta_tcvae":
            information, correlation, rest = decompose_kl(z, mu, logvar, len(self.loader.images))
            penalty = information + beta * correlation + rest
        elif capacity is not None:
            penalty = beta * (kl.sum() - capacity).abs()
        else:
            penalty = beta * kl.sum()
        total = picture_nats + penalty
        return total, torch.cat([torch.stack([total, picture_nats]), kl]).detach()

    def name_terms(self, split: str, terms: torch.Tensor) -> dict[str, float]:
        """Turns the terms (2 + Z,) of `objective` into columns of history.csv."""
        total, picture_nats, *kl = terms.tolist()
        columns = {
            f"{split}_nats": total,
            f"{split}_reconstruction_nats": picture_nats,
            f"{split}_kl_nats": sum(kl),
            f"{split}_active": sum(nats > ACTIVE_NATS for nats in kl),
        }
        if self.exact:
            columns[f"{split}_bpd"] = bits_per_dim(picture_nats + sum(kl), self.model.shape)
        top = kl[: self.config.model.z_dim]
        return columns | {f"{split}_kl_{j:02}_nats": nats for j, nats in enumerate(top)}

    def validate(self) -> Row:
        loss, sums = self.config.loss, 0
        with evaluating(self.model), seeded(0, self.device):  # the same noise after every epoch
            for x in self.validation.parts(256, self.device):
                x = x.to(memory_format=torch.channels_last)
                outputs = self.model(x)
                sums += len(x) * self.objective(x, outputs, loss.beta, loss.capacity)[1]
        columns = self.name_terms("val", sums / len(self.validation))
        return columns | {"learning_rate": self.learning_rate}

    def begin(self, run: Run) -> None:
        """Writes samples_0000.png and reconstructions_0000.png of a new run; prints its bits."""
        loss, total = self.config.loss, self.config.training.epochs * self.loader.steps
        note_warmup("beta", loss.beta_warmup, total)
        if loss.capacity is not None:
            note_warmup("the capacity", loss.capacity_steps, total)
        if run.resumed is None:
            self.milestone({"epoch": 0}, run)
            if self.exact:
                print(f"before training: {self.validate()['val_bpd']:.3f} bits per dimension")

    def milestone(self, row: Row, run: Run) -> None:
        """Writes samples_NNNN.png and reconstructions_NNNN.png in the run's results."""
        samples, rows = generate_gallery(self.model, 32, seed=0)
        draw_pictures(samples, run.results / f"samples_{row['epoch']:04}.png", rows=rows)
        first = self.validation.take(slice(8))
        pair = torch.stack([first.floats(), reconstruct(self.model, first)])
        file = run.results / f"reconstructions_{row['epoch']:04}.png"
        draw_pictures(pair, file, rows=["original", "decoded"])

    def report(self, run: Run, history: list[Row]) -> None:
        best = min(history, key=lambda row: row["val_nats"])
        print(
            f"best (epoch {best['epoch']} of {len(history)}): validation reconstruction "
            f"{best['val_reconstruction_nats']:.1f} nats, KL {best['val_kl_nats']:.2f} nats, "
            f"{best['val_active']} of {count(self.model.z_dim, 'latent')} active"
        )
        if best["val_active"] == 0:
            print("note: no latent is active, all pictures are decoded alike: ", end="")
            print("lower beta or warm it up")
        if self.exact:
            file = run.checkpoints / "best.pt"
            checkpoint.rebuild(self.model, checkpoint.load(file, self.config.kind), file)
            images = load_unseen(self.config.data) or self.validation
            print(describe_likelihood(self.model, images, WEIGHTED_DRAWS))
        print(f"wrote {run.place} (loss.png, samples, reconstructions, tensorboard/)")

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return fingerprint_pictures(self.loader.images, self.validation)

    def identity(self) -> dict[str, Any]:
        return {"shape": list(self.model.shape)}
