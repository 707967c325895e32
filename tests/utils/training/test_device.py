"""What a GPU would refuse, found without one: Apple's has no float64 and its own random numbers.

Tensors that reach a model's device are marked, and so is all that is computed from them, until
`.cpu()` takes it off. None of them may become float64 or meet a generator of the CPU.
"""

import importlib
import shutil

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakIdKeyDictionary

from tests.helpers.repository import REPOSITORY, training_files
from tests.helpers.trainable import TRAINABLE
from utils import files
from utils.images import mnist
from utils.training import device as devices
from utils.training.device import restore_random_state, seeded

TO = torch.Tensor.to


class Device(TorchDispatchMode):
    """Marks what is on the device, and notes what could not be there."""

    def __init__(self):
        super().__init__()
        self.there, self.marked, self.faults = WeakIdKeyDictionary(), 0, []

    def mark(self, tensor):
        self.there[tensor] = True
        self.marked += 1
        return tensor

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        inputs = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        result = function(*args, **kwargs)
        if any(x in self.there for x in inputs):
            for output in tree_flatten(result)[0]:
                if isinstance(output, torch.Tensor):
                    self.mark(output)
                    if output.dtype == torch.float64:
                        self.faults.append(f"{function} makes float64")
            if kwargs.get("generator") is not None:
                self.faults.append(f"{function} takes a generator")
        return result


@pytest.fixture
def device(monkeypatch):
    mode = Device()

    def to(tensor, *args, **kwargs):
        moved = TO(tensor, *args, **kwargs)
        if any(isinstance(x, torch.device) for x in [*args, *kwargs.values()]):
            moved = mode.mark(moved.view_as(moved) if moved is tensor else moved)
        return moved

    def move(module, *args, **kwargs):
        for tensor in [*module.parameters(), *module.buffers()]:
            mode.mark(tensor)
        return module

    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch.nn.Module, "to", move)

    def take_off(tensor):
        copy = tensor.clone()
        mode.there.pop(copy, None)
        return copy

    monkeypatch.setattr(torch.Tensor, "cpu", take_off)

    with mode:
        yield mode


@pytest.fixture
def repository(tmp_path, monkeypatch):
    root = training_files(tmp_path / "repository", characters=4000)
    monkeypatch.setattr(files, "ROOT", root)
    few = [images.take(slice(160)) for images in mnist.digits("digits")]
    monkeypatch.setattr(mnist, "_load_small", lambda: few)
    monkeypatch.setattr(mnist, "_load_relative", lambda dataset: few)
    return root


def test_the_device_is_told_from_the_cpu(device):
    x = torch.zeros(3)
    x.double()
    assert not device.faults
    (x.to(torch.device("cpu")) + 1).double()
    assert device.faults == ["aten._to_copy.default makes float64"]
    (x.to(torch.device("cpu")) + 1).cpu().double()
    torch.multinomial(x + 1, 1, generator=torch.Generator())
    assert len(device.faults) == 1
    torch.multinomial(x.to(torch.device("cpu")) + 1, 1, generator=torch.Generator())
    assert len(device.faults) == 2


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_training_makes_no_float64_on_the_device(name, repository, device):
    assert TRAINABLE[name].train(*TRAINABLE[name].options.split(), "--dry-run") == 0
    assert device.marked > 50
    assert not device.faults


TASKS = {
    "models.lstm.test": "--prompt the --num_samples 1 --length 5",
    "models.tcn.test": "--prompt the --num_samples 1 --length 5 --top_k 3",
    "models.transformer.test": "--prompt the --num_samples 1 --length 5 --temperature 0",
    "models.palindrome.test": "--num_samples 1",
    "models.gan.test": "--num_samples 4",
    "models.aae.test": "--num_samples 4",
    "main random_generation": "--ckpt_name mnist_ladder --num_samples 2",
    "main latent_analysis": "--ckpt_name mnist_4bit",
    "main rotate": "--held_out 40 --angles 0 20",
    "main reconstruction": "--ckpt_name mnist_ladder --num_samples 2",
    "main manifold": "--ckpt_name mnist_2d",
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_makes_no_float64_on_the_device(name, repository, device, monkeypatch):
    shutil.copytree(REPOSITORY / "pretrained", repository / "pretrained", dirs_exist_ok=True)
    monkeypatch.setattr("utils.digits.testing.EVALUATED", 200)
    module, *task = name.split()
    options = [*TASKS[name].split(), *(["--task", *task] if task else ["--device", "cpu"])]
    assert importlib.import_module(module).main(options) == 0
    assert device.marked > 50
    assert not device.faults


def test_what_is_seeded_leaves_the_devices_own_numbers_alone(monkeypatch):
    """Where the device is Apple's; torch.manual_seed seeds that as well."""
    numbers, seed = ["as they were"], torch.manual_seed
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: numbers[0])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: numbers.__setitem__(0, state))
    monkeypatch.setattr(
        devices.torch, "manual_seed", lambda n: (numbers.__setitem__(0, f"seed {n}"), seed(n))
    )
    before = torch.get_rng_state()
    with seeded(3, torch.device("mps")):
        assert numbers == ["seed 3"]
        drawn = torch.rand(1)
    assert numbers == ["as they were"]
    assert torch.equal(torch.get_rng_state(), before)
    restore_random_state({"cpu": before}, torch.device("cpu"))
    with seeded(3, torch.device("cpu")):
        assert torch.rand(1) == drawn


def test_only_what_restores_them_seeds_torchs_random_numbers():
    """Elsewhere a seed is for a generator of its own, or for the start of a run."""
    allowed = {"utils/training/device.py", "utils/training/run.py", "utils/training/distributed.py"}
    folders = ("utils", "models", "vae")
    product = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")]
    found = {
        file.relative_to(REPOSITORY).as_posix()
        for file in [*product, REPOSITORY / "main.py", REPOSITORY / "solver.py"]
        if "torch.manual_seed(" in file.read_text(encoding="utf-8")
    }
    assert found - {"utils/digits/classifier.py"} == allowed
