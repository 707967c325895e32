"""A small convolutional network that reads digits: it judges what generative models draw.

    python -m utils.digits.classifier mnist      trains it anew: about a minute on one core

Shipped as pretrained/classifiers/<dataset>.pt, so that its features, and every distance measured
in them, are the same for everybody.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from utils import files
from utils.command_line import Parser
from utils.errors import UserError, command
from utils.files import show
from utils.images.data import Batches, Images
from utils.images.mnist import digits
from utils.training import checkpoint
from utils.training.progress import warmup_cosine
from utils.words import count

FEATURES = 128
EPOCHS = {"mnist": 5, "digits": 60}


class DigitClassifier(nn.Module):
    """Pictures (B, 1, 28, 28) in [0, 1] -> features (B, 128), then logits of the digits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),  # (B, 16, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (B, 16, 14, 14)
            nn.Conv2d(16, 32, kernel_size=3, padding=1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (B, 32, 7, 7)
            nn.Flatten(),  # (B, 1568)
            nn.Linear(1568, FEATURES),  # (B, 128)
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))

    def read(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reads pictures (N, 1, 28, 28): their features (N, 128) and digits (N,), on the CPU."""
        device = self.head.weight.device
        with torch.no_grad():
            features = torch.cat([self.features(x.to(device)) for x in pictures.split(500)])
            return features.cpu(), self.head(features).argmax(dim=1).cpu()


def locate_classifier(dataset: str) -> Path:
    """Names the file of a data set's classifier, apart from the runs that are loaded by name."""
    return files.ROOT / "pretrained" / "classifiers" / f"{dataset}.pt"


def load_classifier(dataset: str) -> DigitClassifier:
    """Loads the shipped classifier of a data set to the CPU. UserError where there is none."""
    path = locate_classifier(dataset)
    if not path.is_file():
        raise UserError(
            f"{show(path)} is not there: python -m utils.digits.classifier {dataset} trains it"
        )
    classifier = DigitClassifier()
    checkpoint.rebuild(classifier, checkpoint.load(path, "digit_classifier"), path)
    return classifier.eval()


def train_classifier(images: Images, epochs: int, seed: int = 0) -> DigitClassifier:
    """Trains a classifier of pictures and their labels: cross entropy, Adam, a falling rate."""
    torch.manual_seed(seed)
    classifier, batches = DigitClassifier(), Batches(images, batch_size=64, seed=seed)
    optimizer = torch.optim.Adam(classifier.parameters())
    labels, step = torch.from_numpy(images.labels), 0
    for epoch in range(1, epochs + 1):
        for x, rows in batches.epoch(epoch):
            step += 1
            share = warmup_cosine(step, warmup=0, total=epochs * batches.steps, final=0.0)
            for group in optimizer.param_groups:
                group["lr"] = 0.002 * share
            optimizer.zero_grad()
            loss = functional.cross_entropy(classifier(x), labels[rows])
            loss.backward()
            optimizer.step()
    return classifier


def measure_accuracy(classifier: DigitClassifier, images: Images) -> float:
    """Measures the share of pictures whose digit is read as it is labelled."""
    found = classifier.read(images.floats())[1]
    return (found == torch.from_numpy(images.labels)).double().mean().item()


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("dataset", choices=tuple(EPOCHS), help="the digits to learn from")
    dataset = parser.parse_args(argv).dataset
    training, test = digits(dataset)
    print(training.summary())
    classifier = train_classifier(training, EPOCHS[dataset])
    path = locate_classifier(dataset)
    weights = {name: weight.half() for name, weight in classifier.state_dict().items()}
    trained_by = f"python -m utils.digits.classifier {dataset}"
    content = {"kind": "digit_classifier", "model": weights, "trained_by": trained_by}
    checkpoint.save(path, content)
    right = measure_accuracy(load_classifier(dataset), test)  # in float16, as it is shipped
    print(
        f"{100 * right:.2f} % of {count(len(test), 'test picture')} read right; "
        f"wrote {show(path)}, {path.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    raise SystemExit(main())
