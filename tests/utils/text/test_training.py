"""A short training of each text model, against one whose every step is written out."""

import copy
import importlib
import itertools

import pytest
import torch

from tests.helpers.by_hand import Adam, Muon, assert_same_weights, clip, rate_share, train
from tests.helpers.distributed_worker import in_double
from tests.helpers.repository import REPOSITORY
from utils.config import override, read_config
from utils.text.data import Text
from utils.text.training import NextCharacter

TRAINING = {
    "epochs": 2, "batch_size": 4, "length": 25, "learning_rate": 0.01, "final_rate": 0.2,
    "warmup_steps": 2, "beta2": 0.9, "weight_decay": 0.3, "clip_norm": 0.1, "device": "cpu",
}  # fmt: skip
MODELS = {
    "lstm": {"hidden_size": 6, "layers": 2, "dropout": 0.3},
    "tcn": {"channels": 6, "levels": 2, "dropout": 0.3},
    "transformer": {"width": 8, "heads": 2, "layers": 1, "context": 9, "dropout": 0.3},
}
PROTOCOL = {"epochs": [1], "prompts": 1, "prompt_length": 5, "length": 5}


@pytest.fixture(autouse=True)
def double():
    with in_double(True):
        yield


def small_task(kind, words, **training):
    text = Text(words.alphabet, words.training[:330], words.validation[:60])
    module = importlib.import_module(f"models.{kind}.train")
    config = read_config(REPOSITORY / "models" / kind / "config.json", module.Config)
    sections = {"training": TRAINING | training, "model": MODELS[kind], "protocol": PROTOCOL}
    changes = {(name, k): v for name, values in sections.items() for k, v in values.items()}
    config = override(config, changes)
    torch.manual_seed(0)
    model = module.Model(len(text.alphabet), config.model)
    return NextCharacter(model, text, config)


def cut_off(state):
    """Ends the gradients of a state."""
    if isinstance(state, tuple):
        return tuple(map(cut_off, state))
    return state.detach() if isinstance(state, torch.Tensor) else state


def decays(name, parameter):
    """Matrices decay; biases, gains and what weight_norm makes of a matrix do not."""
    return parameter.ndim > 1 and "original" not in name


def learn_by_hand(task):
    """Returns the model after the training, and each step's loss and learning rate."""
    training, model = task.config.training, copy.deepcopy(task.model)
    names, parameters = zip(*model.named_parameters(), strict=True)
    assert {decays(*one) for one in zip(names, parameters, strict=True)} == {False, True}
    decay = [training.weight_decay * decays(*one) for one in zip(names, parameters, strict=True)]
    hidden = {}  # what Muon steps: every matrix that does not face the alphabet
    if training.optimizer == "muon":
        for index, (name, p) in enumerate(zip(names, parameters, strict=True)):
            if name.endswith("original1") or (
                decays(name, p) and len(task.text.alphabet) not in p.shape
            ):
                hidden[index] = Muon(p)
    rest = [index for index in range(len(names)) if index not in hidden]
    adam = Adam([parameters[index] for index in rest], 0.9, training.beta2)
    losses, rates, clipped, number = [], [], [], 0
    total = training.epochs * task.loader.steps
    for epoch in range(1, training.epochs + 1):
        state = None
        for x, y in task.loader.epoch(epoch):
            number += 1
            logits, after = model(x, state)
            loss = -logits.log_softmax(dim=2).gather(2, y[:, :, None]).mean()
            gradients, was_long = clip(torch.autograd.grad(loss, parameters), training.clip_norm)
            rate = training.learning_rate * rate_share(
                number, training.warmup_steps, total, training.final_rate
            )
            adam.step([gradients[index] for index in rest], rate, [decay[i] for i in rest])
            for index, muon in hidden.items():
                muon.step(gradients[index], rate, decay[index])
            state = cut_off(after) if training.carry_state else None
            losses.append(loss.item())
            rates.append(rate)
            clipped.append(was_long)
    assert number == total == 6
    assert any(clipped), "or nothing is known of the clipping"
    return model, losses, rates


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("carry", [True, False])
@pytest.mark.parametrize("kind", MODELS)
def test_a_short_training_is_the_one_written_out(kind, carry, optimizer, words, tmp_path):
    """Forward with the state of the last batch, clip, decay matrices, step; each epoch anew."""
    task = small_task(kind, words, carry_state=carry, optimizer=optimizer)
    torch.manual_seed(7)  # the same dropout
    expected, losses, rates = learn_by_hand(task)
    history = train(task, tmp_path, seed=7)
    assert_same_weights(task.model, expected, kind)
    for row, first in zip(history, (0, 3), strict=True):
        assert row["train_nats"] == pytest.approx(sum(losses[first : first + 3]) / 3, rel=1e-9)
        assert row["learning_rate"] == pytest.approx(rates[first + 2], rel=1e-12)
        assert row["step"] == first + 3


@pytest.mark.parametrize("carry", [True, False])
def test_windows_are_shuffled_where_no_state_is_carried(carry, words):
    """What goes on from the last batch must follow it; what starts cold is a mix of the text."""
    task = small_task("lstm", words, carry_state=carry)
    batches = list(task.loader.epoch(1))
    follow = [torch.equal(y[:, -1], x[:, 0]) for (_, y), (x, _) in itertools.pairwise(batches)]
    assert all(follow) == carry
