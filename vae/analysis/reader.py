"""A small convolutional network that reads a rendered face: it judges how faces were turned.

    python -m vae.analysis.reader      trains it anew: some minutes on one core

Shipped as pretrained/classifiers/faces.pt, so that every angle measured with it is the same for
everybody, and so that nobody who measures one model has to train another one first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from utils import files
from utils.command_line import Parser
from utils.errors import UserError, command
from utils.files import show
from utils.images.data import Batches, Images
from utils.training import checkpoint
from vae.analysis.rotation import learn_rotation
from vae.data import VALIDATION_SEED
from vae.faces.factors import column
from vae.faces.head import render_faces
from vae.latents import decode, encode
from vae.networks import VAE

KIND = "face_reader"
FACES, EPOCHS = 20_000, 8
READER_SEED = 3  # of the faces that the reader learns from: neither model's nor validation's
ANGLES = torch.arange(-40.0, 41.0, 10.0)


class Reader(nn.Module):
    """A face (B, 3, 64, 64) -> yaw in units of 45 degrees, skin tone, logits of hat and glasses.

    `also` names further factors, which it reads in their own units.
    """

    def __init__(self, also: Sequence[str] = ()) -> None:
        super().__init__()
        self.also = tuple(also)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, kernel_size=4, stride=2, padding=1),  # (B, 24, 32, 32)
            nn.ReLU(),
            nn.Conv2d(24, 48, kernel_size=4, stride=2, padding=1),  # (B, 48, 16, 16)
            nn.ReLU(),
            nn.Conv2d(48, 64, kernel_size=4, stride=2, padding=1),  # (B, 64, 8, 8)
            nn.ReLU(),
            nn.Flatten(),  # (B, 4096)
            nn.Linear(4096, 128),  # (B, 128)
            nn.ReLU(),
            nn.Linear(128, 4 + len(self.also)),  # (B, 4 + number of further ones)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)

    def read(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Reads pictures (N, 3, 64, 64): degrees, 0..1, yes or no, yes or no, (N,) each."""
        with torch.no_grad():
            yaw, skin, hat, glasses, *rest = torch.cat([self(x) for x in pictures.split(250)]).T
        seen = {"yaw": 45 * yaw, "skin_tone": skin, "hat": hat > 0, "glasses": glasses > 0}
        return seen | dict(zip(self.also, rest, strict=True))


def locate_reader() -> Path:
    """Names the shipped reader's file, beside the classifiers of digits."""
    return files.ROOT / "pretrained" / "classifiers" / "faces.pt"


def load_reader() -> Reader:
    """Loads the shipped reader to the CPU. UserError where there is none."""
    path = locate_reader()
    if not path.is_file():
        raise UserError(f"{show(path)} is not there: python -m vae.analysis.reader trains it")
    reader = Reader()
    checkpoint.rebuild(reader, checkpoint.load(path, KIND), path)
    return reader.eval()


def train_reader(faces: Images, epochs: int, also: Sequence[str] = ()) -> Reader:
    """Trains a reader on rendered faces, half of them blurred as a decoder's pictures are."""
    torch.manual_seed(0)
    reader = Reader(also)
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-3)
    loader = Batches(faces, batch_size=64, seed=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs * loader.steps)
    factors = torch.from_numpy(faces.labels)
    yaw, skin = column(factors, "yaw"), column(factors, "skin_tone")
    worn = torch.stack([column(factors, "hat"), column(factors, "glasses")], dim=1)
    further = [column(factors, name) for name in also]
    for epoch in range(1, epochs + 1):
        for x, rows in loader.epoch(epoch):
            half = len(x) // 2
            x[:half] = functional.avg_pool2d(x[:half], 3, stride=1, padding=1)
            seen = reader(x)
            loss = functional.mse_loss(seen[:, 0], yaw[rows] / 45)
            loss = loss + functional.mse_loss(seen[:, 1], skin[rows])
            yes_no = functional.binary_cross_entropy_with_logits(seen[:, 2:4], worn[rows])
            loss = loss + 0.1 * yes_no
            for known, found in zip(further, seen.T[4:], strict=True):
                loss = loss + functional.mse_loss(found, known[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()


def check_reader(reader: Reader, faces: Images) -> str:
    """Says what the reader itself gets wrong on faces it has not seen."""
    seen, factors = reader.read(faces.floats()), torch.from_numpy(faces.labels)
    known = {name: column(factors, name) for name in seen}
    yaw, skin = ((seen[name] - known[name]).abs().mean() for name in ("yaw", "skin_tone"))
    hat, glasses = ((seen[name] == known[name]).float().mean() for name in ("hat", "glasses"))
    return (
        f"the reader's own mean error: yaw {yaw:.2f} degrees, skin tone {skin:.3f}; "
        f"right about hats {100 * hat:.1f} %, glasses {100 * glasses:.1f} %"
    )


def measure_rotation(model: VAE, reader: Reader, known: Images, faces: Images) -> dict[str, Any]:
    """Turns faces to ANGLES by the direction learned from `known` ones, and reads the results.

    Returns "degrees", the mean errors at negative, all and positive angles, and "kept", the shares
    of the turned faces whose hat, glasses and skin tone (to 0.1) read as on the reconstruction of
    the face that was not turned.
    """
    z = encode(model, faces).mu
    turned = learn_rotation(model, known).turn(z, ANGLES)  # (N, A, Z)
    seen = reader.read(decode(model, turned.flatten(0, 1)))
    plain = reader.read(decode(model, z))
    seen = {name: values.view(len(z), -1) for name, values in seen.items()}  # (N, A) each
    error = (seen["yaw"] - ANGLES).abs()
    parts = (error[:, ANGLES < 0], error, error[:, ANGLES > 0])
    kept = {name: seen[name] == plain[name][:, None] for name in ("hat", "glasses")}
    kept["skin_tone"] = (seen["skin_tone"] - plain["skin_tone"][:, None]).abs() <= 0.1
    return {
        "degrees": [part.mean().item() for part in parts],
        "kept": {name: same.float().mean().item() for name, same in kept.items()},
    }


@command
def main(argv: list[str] | None = None) -> None:
    Parser(description=__doc__).parse_args(argv)
    reader = train_reader(render_faces(FACES, READER_SEED), EPOCHS)
    path, weights = locate_reader(), reader.state_dict()
    content = {"kind": KIND, "trained_by": "python -m vae.analysis.reader"}
    content["model"] = {name: weight.half() for name, weight in weights.items()}
    checkpoint.save(path, content)
    print(check_reader(load_reader(), render_faces(5000, VALIDATION_SEED)))  # in float16, as here
    print(f"wrote {show(path)}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    raise SystemExit(main())
