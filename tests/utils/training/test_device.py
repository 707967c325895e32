"""What a GPU would refuse, found without one (tests/helpers/other_device.py).

Every training and every task runs as if its device were another than the CPU: none may meet a
tensor or a generator of the CPU there, be read by numpy, or be float64, which Apple's do not have.
"""

import importlib
import inspect
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tests.helpers.comparing import rows
from tests.helpers.other_device import CPU, THERE, OtherDevice
from tests.helpers.repository import REPOSITORY, training_files
from tests.helpers.trainable import TOGETHER, TRAINABLE
from utils import files
from utils.images import mnist
from utils.training import checkpoint, task
from utils.training import device as devices
from utils.training.device import restore_random_state, seeded


@pytest.fixture
def device(monkeypatch):
    mode = OtherDevice()
    mode.install(monkeypatch)
    for module in (checkpoint, task):
        monkeypatch.setattr(module, "choose_device", lambda name: THERE)
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


def on_the_device(number=3):
    return torch.arange(float(number)).to(THERE)


def test_the_device_is_told_from_the_cpu(device):
    x = on_the_device()
    layer = torch.nn.Linear(3, 2).to(THERE)
    out = layer(x)
    made = torch.zeros(2, device=x.device), x.new_zeros(2), torch.tensor([1.0], device=THERE)
    there = [x, x[1:], out, layer.weight, *made, torch.stack([x, x]), torch.empty_like(out)]
    here = [torch.zeros(3), x.cpu(), x.to("cpu"), out.detach().cpu()]
    here += [torch.rand(2, device=here[0].device)]
    functional.cross_entropy(out, on_the_device(2)).backward()
    assert {tensor.device for tensor in [*there, layer.weight.grad]} == {THERE}
    assert {str(tensor.device) for tensor in here} == {str(CPU)}
    assert np.array_equal(x.cpu().numpy(), [0, 1, 2])
    here[0].double().numpy()
    assert x.cpu().double().sum() + x.sum().item() == 6
    x[torch.tensor([0, 2])] += torch.tensor(2.0)  # codes and single numbers may be anywhere
    assert not device.faults


REFUSED = {
    "float64": lambda x: (x + 1).double(),
    "a generator": lambda x: torch.multinomial(x + 1, 1, generator=torch.Generator()),
    "numpy": lambda x: (2 * x).numpy(),
    "numpy by itself": lambda x: np.asarray(x),
    "a sum": lambda x: x + torch.ones(3),
    "a sum in place": lambda x: torch.ones(3).add_(x),
    "a list": lambda x: torch.cat([x, torch.ones(3)]),
    "labels": lambda x: functional.cross_entropy(x[None], torch.tensor([1])),
    "codes": lambda x: torch.nn.Embedding(3, 2).to(THERE)(torch.tensor([1])),
    "rows": lambda x: torch.ones(3)[x.long()],
    "a mask": lambda x: x.masked_fill(torch.arange(3) > 1, 0),
    "a layer": lambda x: torch.nn.Linear(3, 2)(x),
    "a state": lambda x: torch.nn.GRU(3, 2).to(THERE)(x[None], torch.zeros(1, 2)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_gpu_refuses_is_noted(device, what):
    x = on_the_device()
    assert not device.faults
    REFUSED[what](x)
    assert device.faults


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_training_keeps_to_its_device(name, repository, device):
    assert TRAINABLE[name].train(*TRAINABLE[name].options.split(), "--dry-run") == 0
    assert device.marked > 50
    assert not device.faults


# What a dry run leaves out: first words, a milestone, last words, and what a resume restores.
FEW = "--batch_size 50 --prompt_length 5 --protocol.length 3"
WHOLE = {
    "lstm": f"{FEW} --precision bfloat16",
    "transformer": f"{FEW} --precision bfloat16 --positions sinusoidal",
    "gan": "",
    "vae beta_vae": "--precision bfloat16 --images 32 --network ladder --likelihood categorical",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_training_and_its_resume_keep_to_their_device(
    name, repository, device, monkeypatch
):
    monkeypatch.setattr("vae.training.WEIGHTED_DRAWS", 2)
    options = f"{TRAINABLE[name].options} {WHOLE[name]}".replace("epochs 4", "epochs 1").split()
    assert TRAINABLE[name].train(*options) == 0
    assert TRAINABLE[name].train("--resume", "--training.epochs", "2") == 0
    assert device.marked > 50
    assert not device.faults


def test_the_explorers_views_keep_to_their_device(repository, device):
    pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
    from explorer.app import VIEWS
    from explorer.library import Library
    from explorer.web import Query

    shutil.copytree(REPOSITORY / "pretrained", repository / "pretrained", dirs_exist_ok=True)
    library, before = Library(), 0
    for view in VIEWS:
        for answer in view.ROUTES.values():
            if "run" in inspect.getsource(answer) and view.NAME != "runs":
                found = answer(Query({"length": "3"} if view.NAME == "write" else {}), library)
                assert list(found)
                assert device.marked > before, f"{view.NAME} has computed nothing there"
                before = device.marked
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
    "main rotate ladder": "--ckpt_name mnist_ladder --angles 0 20",
    "main traverse": "--held_out 40 --along smile",
    "main interpolation": "--image a.png b.png",
    "main encode": "--held_out 40",
    "main reconstruction": "--ckpt_name mnist_ladder --num_samples 2",
    "main manifold": "--ckpt_name mnist_2d",
}


def perform(name, repository, folder, monkeypatch, *where):
    """Calls a task on what is shipped; returns its exit status."""
    shutil.copytree(REPOSITORY / "pretrained", repository / "pretrained", dirs_exist_ok=True)
    monkeypatch.setattr("utils.digits.testing.EVALUATED", 200)
    module, *task = name.split()[:2]
    options = [*TASKS[name].split(), *where, *(["--task", *task] if task else [])]
    if "--image" in options:
        pictures = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
        for file, pixels in zip(("a.png", "b.png"), pictures, strict=True):
            Image.fromarray(pixels).save(folder / file)
        monkeypatch.chdir(folder)
    return importlib.import_module(module).main(options)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_keeps_to_its_device(name, repository, device, tmp_path, monkeypatch):
    assert perform(name, repository, tmp_path, monkeypatch) == 0
    assert device.marked > 50
    assert not device.faults


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", TASKS)
def test_a_task_on_a_gpu(name, repository, tmp_path, monkeypatch):
    assert perform(name, repository, tmp_path, monkeypatch, "--device", "cuda") == 0


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", TOGETHER)
def test_a_gpu_learns_what_the_cpu_does(name, tmp_path, monkeypatch):
    """Products are summed in another order; what a learning rate makes of that is below 1e-3."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    histories = []
    for where in ("cpu", "cuda"):
        monkeypatch.setattr(files, "ROOT", training_files(tmp_path / where))
        options = TOGETHER[name].options.replace("device cpu", f"device {where}").split()
        assert TOGETHER[name].train(*options) == 0
        histories.append(rows(tmp_path / where / "checkpoints" / "run"))
    for ours, theirs in zip(*histories, strict=True):
        for column in ("train_nats", "val_nats"):
            assert float(theirs[column]) == pytest.approx(float(ours[column]), rel=1e-3)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("first", ["cpu", "cuda"])
@pytest.mark.parametrize("name", TRAINABLE)
def test_a_run_goes_on_on_another_device(name, first, repository):
    options = TRAINABLE[name].options.replace("device cpu", f"device {first}")
    assert TRAINABLE[name].train(*options.replace("epochs 4", "epochs 1").split()) == 0
    then = {"cpu": "cuda", "cuda": "cpu"}[first]
    assert TRAINABLE[name].train("--resume", "--training.epochs", "2", "--device", then) == 0


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
    assert found - {"utils/digits/classifier.py", "vae/analysis/reader.py"} == allowed
