"""Mixed precision as an option of training: it learns, goes on, and stays what it was."""

import pytest
import torch

from tests.helpers.comparing import rows
from tests.helpers.repository import training_files
from tests.helpers.trainable import TOGETHER
from utils import files
from utils.training import checkpoint
from utils.training.device import in_precision

# What is enough to compare two processes is too little, or too slow, to be seen to learn.
LONGER = {
    "palindrome": " --hidden_size 32 --batch_size 64 --batches 50",
    "vae": " --learning_rate 0.002",
}

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def losses(root):
    return [float(row["train_nats"]) for row in rows(root / "checkpoints" / "run")]


def learns(name, root, monkeypatch, device):
    """Trained in bfloat16 the loss falls, and the weights are float32; resumed, it stays so."""
    monkeypatch.setattr(files, "ROOT", training_files(root))
    trainable, seen = TOGETHER[name], []
    options = trainable.options.replace("device cpu", f"device {device}") + LONGER.get(name, "")
    head = torch.nn.Linear.forward

    def watched(self, x):
        out = head(self, x)
        if self.training:
            seen.append(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.Linear, "forward", watched)
    assert trainable.train(*options.split(), "--precision", "bfloat16") == 0
    assert set(seen) == {torch.bfloat16}
    first, last = losses(root)[0], losses(root)[-1]
    # Over five seeds lower by 0.18, 0.29, 0.28, 0.95 (palindrome) and 322 nats (VAE), with standard
    # deviations of 0.04, 0.05, 0.04, 0.05 and 32.
    assert last < first
    content = checkpoint.load(root / "checkpoints" / "run" / "last.pt")
    assert {tensor.dtype for tensor in content["model"].values()} == {torch.float32}
    seen.clear()
    assert trainable.train("--resume", "--training.epochs", "5") == 0
    assert set(seen) == {torch.bfloat16}
    assert trainable.train("--resume", "--precision", "float32") == 2


@pytest.mark.parametrize("name", TOGETHER)
def test_it_learns_on_the_cpu(name, tmp_path, monkeypatch):
    learns(name, tmp_path / "repository", monkeypatch, "cpu")


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", TOGETHER)
def test_it_learns_on_a_gpu(name, tmp_path, monkeypatch):
    learns(name, tmp_path / "repository", monkeypatch, "cuda")


def test_float32_is_what_it_is_without():
    x = torch.randn(3, 4)
    with in_precision("float32", torch.device("cpu")):
        assert torch.equal(x @ x.T, x @ x.T)
        assert (x @ x.T).dtype == torch.float32
