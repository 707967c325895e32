"""The variational autoencoders' tasks, one verb each: what `main.py --task ...` calls.

    solver = Solver.load("vae_beta_4")
    images = load_validation(solver.config.data, solver.model.shape)
    solver.latent_analysis(images, images.pixels[0])  # how the first of them changes

Each verb says which files it writes; the mathematics and the figures are in vae/ and utils/.
"""

import io
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
from utils.files import show, write_whole
from utils.images.data import Images
from utils.images.figures import draw_animation, draw_pictures, to_bytes, wrap_rows, write_pictures
from utils.training.checkpoint import load_model
from utils.training.loop import fit
from utils.training.run import DRY_STEPS, open_run
from utils.words import count, make_csv
from vae.analysis.latents import (
    Analysis,
    analyse,
    describe_rest,
    describe_scores,
    label_row,
    sweep,
)
from vae.analysis.rotation import describe_limits, learn_rotation
from vae.data import load_pictures
from vae.latents import (
    build_manifold,
    decode,
    draw_latents,
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
SHOWN = 20  # latents in a figure; of more, those with the most KL


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
            few = DRY_STEPS * run.config.training.batch_size if run.dry else None
            training, validation = load_pictures(run.config.data, network, few=few)
            model = build_model(training.shape, run.config)
            fit(VAETask(model, training, validation, run.config), run)

    def generate_from_latent(
        self, number: int, seed: int, *beside: "Solver", individual: bool = False
    ) -> None:
        """Writes random_generation.png: decoded z ~ N(0, I), the same z in a row for each model.

        `individual`: also random_generation/0000.png, ..., and random_generation.npz with the same
        `pictures`, bytes (N, C, H, W), and their `z` (N, Z). Of exact levels, the likeliest.
        """
        solvers = (self, *beside)
        if len({solver.model.shape for solver in solvers}) > 1:
            names = ", ".join(solver.config.model.name for solver in solvers)
            raise UserError(f"{names} draw pictures of different sizes: one at a time")
        if beside:
            labels = [solver.config.model.name for solver in solvers]
            rows = torch.stack([generate(solver.model, number, seed) for solver in solvers])
        else:
            rows, labels = generate_gallery(self.model, number, seed)
        written = [draw_pictures(rows, self.results / "random_generation.png", rows=labels)]
        if individual:
            for solver, pictures in zip(solvers, rows, strict=False):
                written += solver.keep(pictures, draw_latents(number, solver.model.z_dim, seed))
        self.report(*written)

    def keep(self, pictures: torch.Tensor, z: torch.Tensor) -> list[Path]:
        """Writes pictures (N, C, H, W) one by one, and all in an .npz with their latents (N, Z)."""
        folder, arrays = self.results / "random_generation", io.BytesIO()
        np.savez_compressed(arrays, pictures=to_bytes(pictures), z=z.numpy())
        archive = write_whole(folder.with_suffix(".npz"), arrays.getvalue())
        return [write_pictures(pictures, folder), archive]

    def manifold(self, side: int = 16) -> None:
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
        (C, H, W). The figures show the active latents, of more than 20 those with the most KL.
        """
        analysis = analyse(self.model, images)
        rows = analysis.rows()
        most = [row for row in rows if row["active"]][:SHOWN] or rows[:1]
        labels = [label_row(row) for row in most]
        for label in labels:
            print(label.replace("\n", " "))
        print(describe_rest(rows, len(most)))
        for line in describe_scores(analysis, len(images)):
            print(line)
        z = encode(self.model, one_of(images, face)).mu[0]
        pictures = sweep(self.model, z, [row["latent"] for row in most], SWEEP)  # (N, S, C, H, W)
        frames = wrap_rows(pictures.transpose(0, 1), 8).transpose(0, 1)  # (S, K, 8, C, H, W)
        values = [f"{value:g}" for value in SWEEP.tolist()]
        whole = {"scores": analysis.scores, "floors": analysis.floors, "latents": rows}
        file = self.results / "latent_analysis.png"
        self.report(
            draw_pictures(pictures, file, rows=labels, columns=values),
            draw_animation(
                frames,
                file.with_suffix(".gif"),
                captions=[f"z = {value}" for value in values],
                labels=[f"z{row['latent']}" for row in most],
            ),
            write_whole(file.with_suffix(".csv"), make_csv(rows).encode()),
            write_whole(file.with_suffix(".json"), json.dumps(whole, indent=2).encode()),
        )
        return analysis

    def rotate(self, images: Images, face: np.ndarray, angles: Sequence[float]) -> None:
        """Writes rotate.png and rotate.gif: a face (C, H, W) turned to angles, degrees of yaw.

        The turn is learned from many faces, `images`.
        """
        rotation = learn_rotation(self.model, images)
        data = self.config.data
        if data.data is None and data.dataset != "faces":
            limits = [
                f"note: {self.config.model.name} was trained on {data.dataset}, which have no yaw: "
                "this is the direction in which they differ from their mirror images"
            ]
        else:
            limits = describe_limits(rotation, angles)
        for line in limits:
            print(line)
        one = one_of(images, face)
        seen = encode(self.model, one).mu
        turned = decode(self.model, rotation.turn(seen, torch.tensor(angles))[0])
        smooth = torch.linspace(min(angles), max(angles), 25)
        frames = decode(self.model, rotation.turn(seen, smooth)[0])
        columns = ["face", "decoded", *(f"{angle:g}°" for angle in angles)]
        strip = torch.cat([one.floats(), decode(self.model, seen), turned])[None]
        captions = [f"{angle:.0f}°" for angle in smooth.tolist()]
        self.report(
            draw_pictures(strip, self.results / "rotate.png", columns=columns),
            draw_animation(frames[:, None, None], self.results / "rotate.gif", captions=captions),
        )

    def reconstruct(self, images: Images, number: int) -> None:
        """Writes reconstruction.png, pictures above their reconstructions; prints the error."""
        nats, squared = measure_reconstruction(self.model, images, self.config.loss.likelihood)
        print(
            f"{count(len(images), 'picture')}: reconstruction {nats:.1f} nats each, "
            f"root mean squared error {squared**0.5:.4f} of the range 0 to 1"
        )
        if self.config.loss.likelihood == "categorical":
            print(describe_likelihood(self.model, images, samples=10))
        first = images.take(slice(number))
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
