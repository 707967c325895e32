"""How a variational autoencoder learns: its settings, and the task behind `main.py`."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from utils import config as configuration
from utils.config import DEVICES, PRECISIONS, key
from utils.errors import SettingError
from utils.images.data import Batches, Images
from utils.images.figures import picture_rows
from utils.training import checkpoint, distributed
from utils.training.curves import Measure
from utils.training.device import (
    choose_device,
    evaluating,
    in_precision,
    random_state,
    restore_random_state,
)
from utils.training.loop import warmup_cosine
from utils.training.optimizers import is_matrix, optimizers_for, set_rate
from utils.training.run import Run
from vae.data import DataConfig, load_unseen
from vae.ladder import AnyVAE, LadderVAE
from vae.latents import generate_gallery, reconstruct
from vae.likelihood import likelihood_line
from vae.losses import (
    LIKELIHOODS,
    OBJECTIVES,
    bits_per_dim,
    capacity_at,
    decomposed_kl,
    kl_per_dim,
    reconstruction,
    warmed_up,
)
from vae.networks import VAE, ModelConfig

ACTIVE_NATS = 0.01  # a latent with less KL than this tells the decoder nothing
WEIGHTED_DRAWS = 100  # K of the importance-weighted bound on the test set


@dataclass(frozen=True)
class LossConfig:
    """What is minimised (vae/losses.py)."""

    objective: str = key("beta_tcvae weighs the total correlation only", choices=OBJECTIVES)
    likelihood: str = key("of a pixel; categorical is exact", choices=LIKELIHOODS)
    beta: float = key("weight of the KL", low=0)
    beta_warmup: int = key("steps in which beta climbs from 0", low=0)
    capacity: float | None = key("C, weigh |KL - C| in place of the KL, in nats; null: off", low=0)
    capacity_steps: int = key("steps in which C climbs from 0", low=0)


@dataclass(frozen=True)
class TrainingConfig:
    """How it is minimised."""

    epochs: int = key("passes over the training pictures", low=1)
    batch_size: int = key("B, pictures of a step", low=2)
    learning_rate: float = key("peak learning rate", above=0)
    final_rate: float = key("share of the peak left at the last step", low=0, high=1)
    pictures: list[int] = key("epochs after which samples are drawn, besides the last", low=1)
    seed: int = key("of the weights, the order, the noise; of what a task draws", low=0)
    device: str = key("where to run", choices=DEVICES)
    precision: str = key(
        "of the products in training; bfloat16 is for CUDA", choices=PRECISIONS, default="float32"
    )
    optimizer: str = key(
        "of the matrices within; vectors and the layers that face the pixels are always adam's",
        choices=("adam", "muon"),
        default="adam",
    )


CONFIG = configuration.schema(
    model=ModelConfig, data=DataConfig, loss=LossConfig, training=TrainingConfig
)


class VAETask:
    """Training of one variational autoencoder on one set of pictures (see utils.loop.Task).

    `nats` in history.csv is the objective with its final weights, for one picture; reconstruction,
    KL and the KL of every latent stand beside it (of a ladder's, those at the top). A latent counts
    as active from 0.01 nats on.
    Where the likelihood is exact, `bpd` is the negative evidence lower bound, whatever beta is, in
    bits per dimension.
    """

    unit = "image"
    monitor = "val_nats"
    columns = (
        *("train_nats", "val_nats", "val_reconstruction_nats", "val_kl_nats", "val_active"),
        "learning_rate",
    )

    def __init__(self, model: AnyVAE, training: Images, validation: Images, config: Any) -> None:
        self.config = config
        self.validation = validation
        self.title = f"{config.model.name}: beta {config.loss.beta:g} on {training.source}"
        self.exact = config.loss.likelihood == "categorical"
        self.measure = Measure("nats per picture")
        if self.exact and config.loss.beta == 1:  # with another beta the loss is no code length
            dimensions = math.prod(model.shape)
            self.measure = Measure("nats per picture", "bits per dimension", dimensions)
        self.loader = Batches(training, config.training.batch_size, config.training.seed)
        self.units_per_step = config.training.batch_size
        self.device = choose_device(config.training.device)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.network = distributed.parallel(self.model)
        hidden = []
        if config.training.optimizer == "muon":  # but for the layers that face the pixels
            hidden = [p for p in model.parameters() if is_matrix(p)][1:-1]
        rate = config.training.learning_rate
        self.optimizers = optimizers_for(model, hidden, rate, beta2=0.999)

    def __len__(self) -> int:
        return len(self.loader)

    def batches(self, epoch: int, first: int) -> Iterable[torch.Tensor]:
        return (x for x, _ in self.loader.epoch(epoch, first))

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        """N(0, I) for pictures (B, C, H, W) -> (B, Z).

        In training all ranks draw that of the whole batch and take their rows of it, as they do of
        the pictures: so the losses do not depend on how many ranks there are.
        """
        ranks = distributed.size() if self.model.training else 1
        whole = torch.randn(ranks * len(x), self.model.z_dim, device=x.device, dtype=x.dtype)
        return distributed.share(whole) if self.model.training else whole

    def objective(
        self, x: torch.Tensor, beta: float, capacity: float | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (B, C, H, W) -> the loss; (2 + Z,): it, reconstruction, KL of each latent.

        Under torchrun it is that of a rank's pictures. What is no mean over pictures, beta_tcvae's
        estimate of q(z) and the distance to a capacity, then is not quite that of the whole batch.
        """
        loss = self.config.loss
        network = self.network if self.model.training else self.model
        precision = self.config.training.precision if self.model.training else "float32"
        with in_precision(precision, x.device):
            outputs = network(x, self.noise(x))
        logits, z, mu, logvar = (output.float() for output in outputs)
        picture_nats = reconstruction(logits, x, loss.likelihood).mean()
        kl = kl_per_dim(mu, logvar).mean(dim=0)  # (Z,)
        if loss.objective == "beta_tcvae":
            information, correlation, rest = decomposed_kl(z, mu, logvar, len(self.loader.images))
            penalty = information + beta * correlation + rest
        elif capacity is not None:
            penalty = beta * (kl.sum() - capacity).abs()
        else:
            penalty = beta * kl.sum()
        total = picture_nats + penalty
        return total, torch.cat([torch.stack([total, picture_nats]), kl]).detach()

    def step(self, x: torch.Tensor, number: int) -> dict[str, float]:
        loss, training = self.config.loss, self.config.training
        share = warmup_cosine(
            number, warmup=0, total=training.epochs * len(self), final=training.final_rate
        )
        set_rate(self.optimizers, share * training.learning_rate)
        beta = warmed_up(loss.beta, number, loss.beta_warmup)
        capacity = loss.capacity
        if capacity is not None:
            capacity = capacity_at(capacity, number, loss.capacity_steps)

        x = x.to(self.device, memory_format=torch.channels_last)
        self.model.zero_grad()
        total, terms = self.objective(x, beta, capacity)
        total.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        return self.columns_of("train", terms)

    def columns_of(self, split: str, terms: torch.Tensor) -> dict[str, float]:
        """The terms (2 + Z,) of `objective` -> columns of history.csv."""
        total, picture_nats, *kl = terms.tolist()
        columns = {f"{split}_nats": total, f"{split}_reconstruction_nats": picture_nats}
        columns |= {f"{split}_kl_nats": sum(kl)}
        columns |= {f"{split}_active": sum(nats > ACTIVE_NATS for nats in kl)}
        if self.exact:
            bpd = bits_per_dim(picture_nats + sum(kl), self.model.shape)
            columns |= {f"{split}_bpd": bpd}
        top = kl[: self.config.model.z_dim]
        return columns | {f"{split}_kl_{j:02}_nats": nats for j, nats in enumerate(top)}

    def validate(self) -> dict[str, float]:
        loss, sums = self.config.loss, 0
        gpus = [self.device] if self.device.type == "cuda" else []
        with evaluating(self.model), torch.random.fork_rng(gpus):
            torch.manual_seed(0)  # the same noise after every epoch
            for start in range(0, len(self.validation), 256):
                x = self.validation.floats(slice(start, start + 256))
                x = x.to(self.device, memory_format=torch.channels_last)
                sums += len(x) * self.objective(x, loss.beta, loss.capacity)[1]
        return self.columns_of("val", sums / len(self.validation)) | {
            "learning_rate": self.optimizers["optimizer"].param_groups[0]["lr"]
        }

    def milestone(self, row: dict[str, Any], run: Run) -> None:
        """samples_NNNN.png and reconstructions_NNNN.png in the run's results."""
        samples, columns = generate_gallery(self.model, 32, seed=0)
        picture_rows(samples, run.results / f"samples_{row['epoch']:04}.png", columns=columns)
        first = self.validation.take(slice(8))
        pair = torch.stack([first.floats(), reconstruct(self.model, first)])
        file = run.results / f"reconstructions_{row['epoch']:04}.png"
        picture_rows(pair, file, rows=["original", "decoded"])

    def content(self) -> dict[str, Any]:
        return {
            "kind": "vae",
            "config": configuration.plain(self.config),
            "shape": list(self.model.shape),
            "model": self.model.state_dict(),
        }

    def training_state(self) -> dict[str, Any]:
        optimizers = {name: each.state_dict() for name, each in self.optimizers.items()}
        return optimizers | {"random": random_state(self.device)}

    def restore(self, content: dict[str, Any], state: dict[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])
        restore_random_state(state["random"], self.device)


def build_model(shape: tuple[int, int, int], config: Any) -> AnyVAE:
    """Builds the network for pictures of a shape (C, H, W). SettingError where there is none."""
    ladder = config.model.network == "ladder"
    if config.loss.objective == "beta_tcvae" and ladder:
        raise SettingError(
            "objective beta_tcvae needs latents that are drawn independently, those of network "
            "ladder are not: take objective beta_vae, or network digits"
        )
    levels = 2**config.data.bits if config.loss.likelihood == "categorical" else None
    return (LadderVAE if ladder else VAE)(shape, config.model, levels)


def tiny(config: Any) -> Any:
    """The same settings for one epoch of two small batches of a few pictures."""
    data = dataclasses.replace(config.data, images=16, held_out=8)
    training = dataclasses.replace(config.training, epochs=1, batch_size=8)
    return dataclasses.replace(config, data=data, training=training)


def describe(task: VAETask, run: Run) -> None:
    """What is about to happen, before it takes long."""
    parameters = sum(p.numel() for p in task.model.parameters())
    print(task.loader.images.summary())
    print(
        f"{task.title}: {parameters:,} parameters on {task.device}, {task.model.z_dim} latents; "
        f"{len(task.validation):,} pictures to validate; {task.config.training.epochs} epochs of "
        f"{len(task)} steps; writes {run.place}"
    )


def untrained(task: VAETask, run: Run) -> None:
    """samples_0000.png and reconstructions_0000.png: where training starts from, also in bits."""
    task.milestone({"epoch": 0}, run)
    if task.exact:
        print(f"before training: {task.validate()['val_bpd']:.3f} bits per dimension")


def report(task: VAETask, run: Run, history: list[dict[str, Any]]) -> None:
    """The last lines of a training."""
    best = min(history, key=lambda row: row["val_nats"])
    print(
        f"best (epoch {best['epoch']} of {len(history)}): validation reconstruction "
        f"{best['val_reconstruction_nats']:.1f} nats, KL {best['val_kl_nats']:.2f} nats, "
        f"{best['val_active']} of {task.model.z_dim} latents active"
    )
    if best["val_active"] == 0:
        print("note: no latent is active, all pictures are decoded alike: lower beta or warm it up")
    if task.exact:
        content = checkpoint.load(run.checkpoints / "best.pt", "vae")
        checkpoint.rebuild(task.model, content, run.checkpoints / "best.pt")
        images = load_unseen(task.config.data) or task.validation
        print(likelihood_line(task.model, images, WEIGHTED_DRAWS))
    files = "loss.png, samples, reconstructions, tensorboard/"
    print(f"wrote {run.place} ({files})")
