"""The variational autoencoders' tasks, one verb each: what `main.py --task ...` calls.

    solver = Solver.load("vae_beta_4")
    images = load_validation(solver.config.data, solver.model.shape)
    solver.latent_analysis(images, images.pixels[0])  # how the first of them changes

Each verb says which files it writes; the mathematics and the figures are in vae/ and utils/.
"""

import io
import json
from collections.abc import Callable, Sequence
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
from utils.interpolation import interpolate_linearly, interpolate_on_sphere
from utils.training.checkpoint import load_model
from utils.training.loop import fit
from utils.training.run import DRY_STEPS, open_run
from utils.words import count, escape, make_csv
from vae.analysis.directions import describe_change, learn_direction
from vae.analysis.latents import (
    Analysis,
    analyse,
    describe_rest,
    describe_scores,
    draw_factors,
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

    def latent_analysis(
        self, images: Images, face: np.ndarray, factors: Sequence[str] | None = None
    ) -> Analysis:
        """Writes latent_analysis.png, .gif, .csv and .json: what each latent does, from -3 to 3.

        It is measured on all the pictures; the sweeps start from the latents of one face
        (C, H, W). The figures show the active latents, of more than 20 those with the most KL.
        Where something is known of the pictures, latent_factors.png shows what latents know of it;
        MIG is the mean over `factors`, by default all.
        """
        analysis = analyse(self.model, images, factors)
        rows = analysis.rows()
        most = [row for row in rows if row["active"]][:SHOWN] or rows[:1]
        labels = [label_row(row) for row in most]
        for label in labels:
            print(label.replace("\n", " "))
        print(describe_rest(rows, len(most)))
        for line in describe_scores(analysis, len(images)):
            print(line)
        z = encode(self.model, some_of(images, face)).mu[0]
        pictures = sweep(self.model, z, [row["latent"] for row in most], SWEEP)  # (N, S, C, H, W)
        frames = wrap_rows(pictures.transpose(0, 1), 8).transpose(0, 1)  # (S, K, 8, C, H, W)
        values = [f"{value:g}" for value in SWEEP.tolist()]
        file = self.results / "latent_analysis.png"
        table = rows
        if analysis.factors:
            table = [*rows, dict.fromkeys(rows[0], "") | analysis.shuffled_row()]
            self.report(draw_factors(analysis, most, self.results / "latent_factors.png"))
        self.report(
            draw_pictures(pictures, file, rows=labels, columns=values),
            draw_animation(
                frames,
                file.with_suffix(".gif"),
                captions=[f"z = {value}" for value in values],
                labels=[f"z{row['latent']}" for row in most],
            ),
            write_whole(file.with_suffix(".csv"), make_csv(table).encode()),
            write_whole(file.with_suffix(".json"), json.dumps(analysis.whole, indent=2).encode()),
        )
        return analysis

    def rotate(
        self, images: Images, faces: np.ndarray, angles: Sequence[float] | None = None
    ) -> None:
        """Writes rotate.png and rotate.gif: faces (K, C, H, W), or one, turned to angles of yaw.

        The turn is learned from many faces, `images`. The angles are in degrees, or in the units of
        an attribute of theirs; without them, nine from end to end.
        """
        rotation = learn_rotation(self.model, images)
        angles = torch.linspace(*rotation.usual, 9).tolist() if angles is None else angles
        data = self.config.data
        if data.data is None and data.dataset != "faces" and not rotation.attribute:
            limits = [
                f"note: {self.config.model.name} was trained on {data.dataset}, which have no yaw: "
                "this is the direction in which they differ from their mirror images"
            ]
        else:
            limits = describe_limits(rotation, angles)
        print("\n".join(limits), end="\n" * bool(limits))
        unit = "" if rotation.attribute else "°"
        few, many = torch.tensor(angles), torch.linspace(min(angles), max(angles), 25)
        labels = [[f"{angle:.3g}{unit}" for angle in some.tolist()] for some in (few, many)]
        self.show_moved("rotate", some_of(images, faces), rotation.turn, (few, many), labels)

    def traverse(self, images: Images, faces: np.ndarray, along: str | None) -> None:
        """Writes traverse.png and traverse.gif: faces (K, C, H, W) moved along an attribute.

        The direction is learned from `images`, of which the attribute is known; what else it
        changes is printed. `along` names it, or one value of several: "hair_style=long".
        """
        direction = learn_direction(self.model, images, along)
        print("\n".join(describe_change(self.model, images, direction)))
        faces, values = some_of(images, faces), (direction.steps(), direction.steps(25))
        labels = [direction.label(some) for some in values]
        rows = [f"along\n{direction.target.name}", *[""] * (len(faces) - 1)]
        self.show_moved("traverse", faces, direction.move, values, labels, rows)

    def show_moved(
        self,
        name: str,
        faces: Images,
        move: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        values: tuple[torch.Tensor, torch.Tensor],
        labels: Sequence[Sequence[str]],
        rows: Sequence[str] = (),
    ) -> None:
        """Writes <name>.png, faces moved to the first of two lists of values, and .gif, the other.

        `labels` are those of the two lists, `rows` of the faces.
        """
        z = encode(self.model, faces).mu
        still, moving = (
            decode(self.model, move(z, some).flatten(0, 1)).unflatten(0, (len(faces), -1))
            for some in values
        )  # (K, A, C, H, W)
        strip = torch.cat([faces.floats()[:, None], decode(self.model, z)[:, None], still], dim=1)
        frames = wrap_rows(moving.transpose(0, 1), 8).transpose(0, 1)  # (A, K / 8, 8, C, H, W)
        file = self.results / f"{name}.png"
        self.report(
            draw_pictures(strip, file, rows=rows, columns=["face", "decoded", *labels[0]]),
            draw_animation(frames, file.with_suffix(".gif"), captions=labels[1]),
        )

    def interpolate(self, ends: Images, steps: int = 8) -> None:
        """Writes interpolation.png: from one picture's code to another's, straight and in an arc.

        `ends` are the two pictures; they stand outermost, beside what they are decoded to.
        """
        a, b = encode(self.model, ends).mu
        ways = [way(a, b, steps) for way in (interpolate_linearly, interpolate_on_sphere)]
        between = decode(self.model, torch.cat(ways)).unflatten(0, (2, steps))
        first, last = ends.floats().unsqueeze(1).expand(-1, 2, -1, -1, -1)[:, :, None]
        strip = torch.cat([first, between, last], dim=1)  # (2, steps + 2, C, H, W)
        shares = [f"{100 * share:.0f} %" for share in torch.linspace(0, 1, steps)[1:-1].tolist()]
        columns = ["picture", "decoded", *shares, "decoded", "picture"]
        file = self.results / "interpolation.png"
        self.report(draw_pictures(strip, file, rows=["linear", "spherical"], columns=columns))

    def encode(self, images: Images) -> None:
        """Writes codes.npy, the means (N, Z) that pictures are encoded to, and codes.csv: names."""
        file, codes = self.results / "codes.npy", io.BytesIO()
        np.save(codes, encode(self.model, images).mu.numpy())
        names = images.names or [str(row) for row in range(len(images))]
        table = [{"row": row, "name": escape(name)} for row, name in enumerate(names)]
        print(f"{count(len(images), 'picture')}, {count(self.model.z_dim, 'latent')} each")
        self.report(
            write_whole(file, codes.getvalue()),
            write_whole(file.with_suffix(".csv"), make_csv(table).encode()),
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


def some_of(images: Images, faces: np.ndarray) -> Images:
    """Makes a set of faces (K, C, H, W), or of one, looked at in as many levels as the others."""
    faces = faces[None] if faces.ndim == 3 else faces
    return replace(images, pixels=faces, labels=None, names=None, attributes=None)
