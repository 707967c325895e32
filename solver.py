"""The variational autoencoders' tasks, one verb each: what `main.py --task ...` calls.

    solver = Solver.load("vae_beta_4")
    images = load_validation(solver.config.data, solver.model.shape)
    solver.latent_analysis(images, images.pixels[0])  # how the first of them changes

Each verb says which files it writes; the mathematics and the figures are in vae/ and utils/.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from utils import files
from utils.command_line import Call
from utils.config import override
from utils.errors import UserError
from utils.files import make_csv, show, write_whole
from utils.images.data import Images
from utils.images.figures import draw_animation, draw_pictures
from utils.training.checkpoint import load_model
from utils.training.loop import fit
from utils.training.run import open_run
from vae.analysis.latents import Analysis, analyse, label_row, sweep
from vae.analysis.rotation import learn_rotation
from vae.data import load_pictures
from vae.latents import (
    build_manifold,
    count_columns,
    decode,
    encode,
    generate,
    generate_gallery,
    measure_reconstruction,
    reconstruct,
)
from vae.likelihood import describe_likelihood
from vae.networks import VAE
from vae.training import VAEConfig, VAETask, build_model

SWEEP = torch.linspace(-3, 3, 9)
SHOWN = 40  # latents in a figure; of more, those with the most KL


class Solver:
    """A variational autoencoder with its configuration, and everything that is done with it."""

    def __init__(self, config: VAEConfig, model: VAE) -> None:
        self.config = config
        self.model = model
        self.results = files.result_folder(config.model.name)

    @staticmethod
    def load(name: str, epoch: str | None = None, *, device: str = "auto") -> "Solver":
        """Loads the model of checkpoints/<name>/, else of pretrained/<name>.pt, and its config."""

        def build(config: VAEConfig, content: dict) -> VAE:
            return build_model(content.get("shape"), config)

        model, config, _ = load_model(VAEConfig, name, epoch, build, device)
        changes = {("model", "name"): name, ("training", "device"): device}
        return Solver(override(config, changes), model)

    @staticmethod
    def train(call: Call[VAEConfig]) -> None:
        """Writes checkpoints/<run>/ and, in results/<run>/, loss.png and pictures of milestones."""
        with open_run(call) as run:
            network = run.config.model.network
            training, validation = load_pictures(run.config.data, network, few=run.dry)
            model = build_model(training.shape, run.config)
            fit(VAETask(model, training, validation, run.config), run)

    def generate_from_latent(self, count: int, seed: int, *beside: "Solver") -> None:
        """Writes random_generation.png: decoded z ~ N(0, I), the same z in a row for each model."""
        file = self.results / "random_generation.png"
        if not beside:
            pictures, columns = generate_gallery(self.model, count, seed)
            self.report(draw_pictures(pictures, file, columns=columns))
            return
        solvers = (self, *beside)
        labels = [solver.config.model.name for solver in solvers]
        if len({solver.model.shape for solver in solvers}) > 1:
            raise UserError(f"{', '.join(labels)} draw pictures of different sizes: one at a time")
        pictures = torch.stack([generate(solver.model, count, seed) for solver in solvers])
        self.report(draw_pictures(pictures, file, rows=labels))

    def manifold(self, side: int = 20) -> None:
        """Writes manifold.png: the mean pictures of a grid over the prior of two latents."""
        if self.model.z_dim != 2:
            raise UserError(
                f"manifold draws a plane: {self.config.model.name} has {self.model.z_dim} "
                "latents, not 2 (train one with --z_dim 2; a ladder has more)"
            )
        z = build_manifold(side)
        pictures = decode(self.model, z.flatten(0, 1)).unflatten(0, (side, side))
        rows, columns = ([f"{value:.2f}" for value in axis] for axis in (z[:, 0, 1], z[0, :, 0]))
        file = self.results / "manifold.png"
        self.report(draw_pictures(pictures, file, rows=rows, columns=columns))

    def latent_analysis(self, images: Images, face: np.ndarray) -> Analysis:
        """Writes latent_analysis.png, .gif, .csv and .json: what each latent does, from -3 to 3.

        It is measured on all the pictures; the sweeps start from the latents of one face
        (C, H, W). Of more than 40 latents the figures show the 40 with the most KL.
        """
        analysis = analyse(self.model, images)
        rows = analysis.rows()
        most = rows[:SHOWN]
        labels = [label_row(row) for row in most]
        for label in labels:
            print(label.replace("\n", " "))
        if len(rows) > len(most):
            print(f"and {len(rows) - len(most)} with less KL, in latent_analysis.csv only")
        print(", ".join(f"{name} {score:.4g}" for name, score in analysis.scores.items()))
        z = encode(self.model, one_of(images, face)).mu[0]
        pictures = sweep(self.model, z, [row["latent"] for row in most], SWEEP)  # (N, S, C, H, W)
        frames = pictures.transpose(0, 1).unflatten(1, (-1, count_columns(len(most))))
        columns = [f"{value:g}" for value in SWEEP.tolist()]
        whole = json.dumps({"scores": analysis.scores, "latents": rows}, indent=2)
        file = self.results / "latent_analysis.png"
        self.report(
            draw_pictures(pictures, file, rows=labels, columns=columns),
            draw_animation(frames, file.with_suffix(".gif")),
            write_whole(file.with_suffix(".csv"), make_csv(rows).encode()),
            write_whole(file.with_suffix(".json"), whole.encode()),
        )
        return analysis

    def rotate(self, images: Images, face: np.ndarray, angles: Sequence[float]) -> None:
        """Writes rotate.png and rotate.gif: a face (C, H, W) turned to angles, degrees of yaw."""
        rotation = learn_rotation(self.model, images)
        if not rotation.sign_is_known:
            print("the yaw of these pictures is not known: the direction is that in which a face")
            print("differs from its mirror image, -45 and 45 stand for the 2.5 and 97.5 % points")
            print("of the data along it, and which sign is left or right is arbitrary")
        one = one_of(images, face)
        z = encode(self.model, one).mu
        turned = decode(self.model, rotation.turn(z, torch.tensor(angles))[0])
        smooth = torch.linspace(min(angles), max(angles), 25)
        frames = decode(self.model, rotation.turn(z, smooth)[0])
        columns = ["face", *(f"{angle:g}°" for angle in angles)]
        strip = torch.cat([one.floats(), turned])[None]
        self.report(
            draw_pictures(strip, self.results / "rotate.png", columns=columns),
            draw_animation(frames[:, None, None], self.results / "rotate.gif"),
        )

    def reconstruct(self, images: Images, count: int) -> None:
        """Writes reconstruction.png, pictures above their reconstructions; prints the error."""
        nats, squared = measure_reconstruction(self.model, images, self.config.loss.likelihood)
        print(
            f"{len(images):,} pictures: reconstruction {nats:.1f} nats each, "
            f"root mean squared error {squared**0.5:.4f} of the range 0 to 1"
        )
        if self.config.loss.likelihood == "categorical":
            print(describe_likelihood(self.model, images, samples=10))
        first = images.take(slice(count))
        pairs = torch.stack([first.floats(), reconstruct(self.model, first)])
        file = self.results / "reconstruction.png"
        self.report(draw_pictures(pairs, file, rows=["original", "decoded"]))

    @staticmethod
    def report(*files: Path) -> None:
        """Prints which files were written."""
        print("wrote", ", ".join(show(file) for file in files))


def one_of(images: Images, face: np.ndarray) -> Images:
    """Makes a set of one face (C, H, W), looked at in as many levels as the others."""
    return replace(images, pixels=face[None], labels=None)
