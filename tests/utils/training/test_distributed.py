"""Two processes train as one does; rank 0 alone writes; they stop and go on together."""

import copy
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.helpers.by_hand import Adam, average, rate_share
from tests.helpers.comparing import assert_same, rows
from tests.helpers.distributed_worker import in_double, outcome
from tests.helpers.repository import REPOSITORY, training_files
from tests.helpers.trainable import TOGETHER
from utils import files
from utils.command_line import parse
from utils.digits.training import load_digits
from utils.errors import UserError
from utils.training import checkpoint, distributed

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32", reason="no gloo, no signals"
)

TEXT = "--batch_size 16 --training.length 16 --warmup_steps 2 --training.epochs 2"
TEXT += " --prompts 1 --prompt_length 9 --protocol.length 9 --device cpu"
VAE = "--images 104 --held_out 8 --batch_size 8 --epochs 4 --z_dim 3 --device cpu"
GAN = "--dataset digits --batch_size 200 --epochs 1 --device cpu"
DIGITS = "--dataset digits --batch_size 400 --epochs 2 --z_dim 3 --average 0.2 --device cpu"
DROPPING = f"{TEXT} --hidden_size 8 --dropout 0.3 --carry_state true"


@pytest.fixture(autouse=True)
def read_double(monkeypatch):
    """Lets files of float64 be read, which no training of the product writes."""
    monkeypatch.setattr(checkpoint, "check_content", lambda *anything: None)


def job(module, options, *more, interrupted=None, double=False):
    return module, [*options.split(), *more], interrupted, double


JOBS = {name: job(*TOGETHER[name][::2], "--ckpt_name", name) for name in TOGETHER}
# At the rate that ships, a VAE's rounding grows within 50 steps to more than what is asked here: so
# it is compared at a small rate, and at its own in float64.
JOBS["vae64"] = job("main", VAE, "--ckpt_name", "vae64", double=True)
# Two networks against each other: in float64, since Adam makes a rounding of small gradients large.
TWO_NETWORKS = {
    "gan": f"{DIGITS} --beta1 0.4",
    "aae": f"{DIGITS} --hidden_size 16 --lambda_ 0.6",
}
JOBS |= {
    f"{kind}64": job(f"models.{kind}.train", options, f"--ckpt_name={kind}64", double=True)
    for kind, options in TWO_NETWORKS.items()
}
LSTM, GAN_MODULE = "models.lstm.train", "models.gan.train"
JOBS |= {
    "whole": job(LSTM, DROPPING, "--ckpt_name", "whole"),
    "stopped": job(LSTM, DROPPING, "--ckpt_name", "run", interrupted="1"),
    "resumed": job(LSTM, "--resume --ckpt_name run"),
    "exists": job(LSTM, DROPPING, "--ckpt_name", "run"),
    "odd": job(LSTM, "--batch_size 15 --ckpt_name odd"),
    "dry": job(LSTM, "--dry-run"),
    "gan": job(GAN_MODULE, GAN, "--ckpt_name", "gan", interrupted="0"),
    "gan resumed": job(GAN_MODULE, "--resume --ckpt_name gan"),
}


def torchrun(*argv):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.Popen(
        [*command, *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def ended(process, seconds):
    """Waits for a torchrun, which passes SIGTERM on, but not SIGKILL; returns its stderr."""
    try:
        return process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.communicate(timeout=60)[1]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Has two processes do all jobs: the folder of their repositories, their outcomes."""
    root = tmp_path_factory.mktemp("together")
    for rank in ("0", "1"):
        training_files(root / rank)
    jobs = json.dumps(list(JOBS.values()))
    process = torchrun(REPOSITORY / "tests" / "helpers" / "distributed_worker.py", root, jobs)
    err = ended(process, 300)
    assert process.returncode == 0, err
    found = [json.loads((root / f"{rank}.json").read_text("utf-8")) for rank in (0, 1)]
    return root, [dict(zip(JOBS, outcomes, strict=True)) for outcomes in found]


def history(root, run):
    return rows(root / "checkpoints" / run)


@pytest.mark.parametrize("name", [*TOGETHER, "vae64"])
def test_two_processes_learn_what_one_does(name, together, tmp_path, monkeypatch):
    """In nats: to 1e-4, or 1e-6 of a picture's thousands; a million times closer in float64."""
    root, (of_first, of_second) = together
    assert (of_first[name]["status"], of_second[name]["status"]) == (0, 0), of_first[name]["err"]
    assert of_first[name]["losses"] == of_second[name]["losses"]
    monkeypatch.setattr(files, "ROOT", training_files(tmp_path / "alone"))
    alone = outcome(*JOBS[name])
    assert len(alone["losses"]) >= 50
    scale = 1e-6 if name == "vae64" else 1
    for step, (one, two) in enumerate(zip(alone["losses"], of_first[name]["losses"], strict=True)):
        for column in one:
            if column.endswith("_nats") and step < 50:
                near = pytest.approx(one[column], abs=1e-4 * scale, rel=1e-6 * scale)
                assert two[column] == near, (step, column)
    mine, others = history(tmp_path / "alone", name), history(root / "0", name)
    assert [row.keys() for row in mine] == [row.keys() for row in others]
    for row, other in zip(mine, others, strict=True):
        assert float(other["val_nats"]) == pytest.approx(float(row["val_nats"]), rel=1e-3)
    models = [
        checkpoint.load(folder / "checkpoints" / name / "best.pt")["model"]
        for folder in (tmp_path / "alone", root / "0")
    ]
    assert models[0].keys() == models[1].keys()


def networks_of(kind, config):
    """The two networks of a configuration, made in the order in which the command makes them."""
    modules = importlib.import_module(f"models.{kind}.modules")
    if kind == "gan":
        return modules.Generator(config.model), modules.Discriminator()
    return modules.Autoencoder(config.model), modules.Discriminator(config.model)


def gan_losses(generator, discriminator, x):
    """Yields the loss of each network's turn, in their order, on the same noise."""
    fake = generator(torch.randn(len(x), 3))
    of_real, of_fake = (torch.sigmoid(discriminator(some)) for some in (2 * x - 1, fake.detach()))
    yield -(of_real.log().mean() + (1 - of_fake).log().mean()) / 2
    yield -torch.sigmoid(discriminator(fake)).log().mean()


def aae_losses(autoencoder, discriminator, x):
    decoded, z = autoencoder(x)
    adversarial = -torch.sigmoid(discriminator(z)).log().mean()
    yield 0.6 * ((decoded - x) ** 2).mean() + 0.4 * adversarial
    of_prior, of_latents = (
        torch.sigmoid(discriminator(some)) for some in (torch.randn_like(z), z.detach())
    )
    yield -(of_prior.log().mean() + (1 - of_latents).log().mean()) / 2


@pytest.mark.parametrize("kind", TWO_NETWORKS)
def test_two_networks_learn_on_two_ranks_what_one_process_reckons(kind, together):
    """Each half of a batch with its own noise (and normalisation), the gradients averaged."""
    module = importlib.import_module(f"models.{kind}.train")
    file = REPOSITORY / "models" / kind / "config.json"
    config = parse(TWO_NETWORKS[kind].split(), "", module.Config, file).config
    training = config.training
    losses = gan_losses if kind == "gan" else aae_losses
    with in_double(True):
        torch.manual_seed(training.seed)
        nets = networks_of(kind, config)
        parts = load_digits(config.data)
        task = (module.GANTask if kind == "gan" else module.AAETask)(*nets, *parts, config)
        replicas = [nets[0], copy.deepcopy(nets[0])]  # the normalisations' statistics differ
        other, mean = nets[1], copy.deepcopy(nets[0])
        states = [torch.get_rng_state()]
        torch.manual_seed(training.seed + 1)  # rank 1 draws its own
        states.append(torch.get_rng_state())
        rates = (training.discriminator_rate, training.learning_rate)
        turns = [  # the networks that step, their optimiser, its peak rate
            ([other], Adam(list(other.parameters()), training.beta1, 0.999), rates[0]),
            (replicas, Adam(list(replicas[0].parameters()), training.beta1, 0.999), rates[1]),
        ]
        turns = turns if kind == "gan" else turns[::-1]
        number = 0
        for epoch in (1, 2):
            for x, _ in task.loader.epoch(epoch):
                number += 1
                share = rate_share(number, 0, 2 * task.loader.steps, training.final_rate)
                running = [
                    losses(net, other, half) for net, half in zip(replicas, x.chunk(2), strict=True)
                ]
                for stepping, adam, rate in turns:
                    found = []
                    for rank in (0, 1):
                        torch.set_rng_state(states[rank])
                        loss = next(running[rank])
                        states[rank] = torch.get_rng_state()
                        parameters = list(stepping[rank % len(stepping)].parameters())
                        found.append(torch.autograd.grad(loss, parameters, retain_graph=True))
                    adam.step([(a + b) / 2 for a, b in zip(*found, strict=True)], rate * share)
                    for replica in stepping[1:]:
                        with torch.no_grad():
                            for p, new in zip(replica.parameters(), adam.parameters, strict=True):
                                p.copy_(new)
                average(mean, replicas[0], training.average, number)
    root, outcomes = together
    assert [of_rank[f"{kind}64"]["status"] for of_rank in outcomes] == [0, 0]
    last = checkpoint.load(root / "0" / "checkpoints" / f"{kind}64" / "last.pt")
    saved = last["training"]["task"]["modules"] | {"model": last["model"]}
    for name, net in {task.network: replicas[0], "discriminator": other, "model": mean}.items():
        for key, value in net.state_dict().items():
            assert torch.allclose(saved[name][key], value, rtol=1e-7, atol=1e-8), (name, key)
    assert number == 2 * 3


def test_rank_0_alone_writes(together):
    root, (of_first, of_second) = together
    for name in TOGETHER:
        run = root / "0" / "checkpoints" / name
        files = {"config.json", "history.csv", "last.pt", "best.pt"}
        assert {file.name for file in run.iterdir()} >= files
        assert (root / "0" / "results" / name / "loss.png").is_file()
        assert f"writes checkpoints/{name}/" in of_first[name]["out"]
    for folder in ("checkpoints", "results"):
        assert not (root / "1" / folder).exists()
    for name, second in of_second.items():
        assert second["out"] == "", name


def test_no_thread_of_gloo_outlives_the_group(together):
    """At Python's end one of them now and then aborts the process."""
    for rank in ("0", "1"):
        assert "gloo" not in (together[0] / f"{rank}.threads").read_text("utf-8")


def test_stopped_on_any_rank_all_stop_and_go_on_exactly(together):
    """Also with what each rank has of its own: dropout, and the state that it carries on."""
    root, (of_first, of_second) = together
    assert (of_first["stopped"]["status"], of_second["stopped"]["status"]) == (130, 130)
    assert "batch 5 of 31; go on with --resume" in of_first["stopped"]["err"]
    assert (of_first["resumed"]["status"], of_second["resumed"]["status"]) == (0, 0)
    whole = of_first["whole"]["losses"]
    assert of_first["stopped"]["losses"] + of_first["resumed"]["losses"] == whole
    assert history(root / "0", "run") == history(root / "0", "whole")
    run, other = (
        checkpoint.load(root / "0" / "checkpoints" / name / "last.pt") for name in ("run", "whole")
    )
    for part in ("model", "training"):
        assert_same(run[part], other[part], part)
    random = [rank["random"]["cpu"] for rank in run["training"]["task"]["ranks"]]
    assert not torch.equal(*random), "the ranks draw the same dropout"


def test_two_networks_train_together(together):
    _, (of_first, of_second) = together
    for name, status in (("gan", 130), ("gan resumed", 0)):
        assert (of_first[name]["status"], of_second[name]["status"]) == (status, status)
        assert of_first[name]["losses"] == of_second[name]["losses"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("odd", "--batch_size 15 cannot be shared by 2 processes: take a multiple of 2"),
        ("exists", "checkpoints/run exists: --resume goes on with it, "),
    ],
)
def test_a_mistake_is_said_once(name, line, together):
    root, (of_first, of_second) = together
    assert (of_first[name]["status"], of_second[name]["status"]) == (2, 2)
    assert of_first[name]["err"].startswith(f"error: {line}")
    assert of_first[name]["err"].count("\n") == 1
    assert not (root / "0" / "checkpoints" / "odd").exists()


def test_a_dry_run_needs_both(together):
    _, (of_first, of_second) = together
    assert (of_first["dry"]["status"], of_second["dry"]["status"]) == (0, 0)
    assert of_first["dry"]["out"].endswith("nothing was kept\n")
    assert of_second["dry"]["losses"] == of_first["dry"]["losses"] != []


def test_one_process_cannot_go_on_with_the_run_of_two(together, tmp_path, monkeypatch):
    root, _ = together
    shutil.copytree(root / "0", tmp_path / "repository")
    monkeypatch.setattr(files, "ROOT", tmp_path / "repository")
    alone = outcome(LSTM, ["--resume", "--ckpt_name", "run", "--training.epochs", "3"])
    assert alone["status"] == 2
    assert alone["err"] == (
        "error: the run is that of 2 processes, not of 1: go on with torchrun --nproc_per_node 2\n"
    )


def test_more_processes_cannot_go_on_with_the_run_of_one(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    with pytest.raises(UserError, match="that of 1 process, not of 2: go on with no torchrun"):
        distributed.pick_own({"random": {"cpu": torch.zeros(3)}})


def test_torchrun_is_stopped(tmp_path):
    """SIGTERM reaches torchrun alone, which hands it on; both save, and their run goes on."""
    root = training_files(tmp_path / "repository")
    for folder in ("models", "utils"):
        shutil.copytree(REPOSITORY / folder, root / folder, dirs_exist_ok=True)
    shutil.copy(REPOSITORY / "data_preparation.py", root)
    argv = [*DROPPING.split(), "--training.epochs", "10000", "--protocol.epochs", "10000"]
    process = torchrun(root / "models" / "lstm" / "train.py", *argv)
    last = root / "checkpoints" / "lstm" / "last.pt"
    try:
        until = time.monotonic() + 120
        while not last.is_file() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        err = ended(process, 60)
    assert err.count("go on with --resume --ckpt_name lstm") == 1, err
    assert "Traceback" not in err.split("stopped in")[0], err
    content = checkpoint.load(last)
    place = content["training"]["place"]
    assert f"epoch {content['epoch'] + (place['index'] > 0)} of 10000" in err or not place["index"]
    assert len(content["training"]["task"]["ranks"]) == 2
    assert not list(root.rglob("*.partial"))
