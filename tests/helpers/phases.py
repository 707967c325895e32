"""Two networks that learn by turns: which of them moves in which phase of a step."""

import pytest

from utils.digits.training import DigitTask, descend


def moving(monkeypatch: pytest.MonkeyPatch, module: object, task: DigitTask) -> list[dict]:
    """Learns a batch: at each call of `descend`, which networks move, and which get a gradient."""
    phases = []

    def watched(optimizer: object, loss: object) -> None:
        networks = {name: net for name, net in task.modules.items() if name != "model"}
        before = {
            name: [p.detach().clone() for p in net.parameters()] for name, net in networks.items()
        }
        for net in networks.values():
            net.zero_grad()
        descend(optimizer, loss)
        phase = {}
        for name, net in networks.items():
            pairs = zip(net.parameters(), before[name], strict=True)
            moves = any((p != old).any() for p, old in pairs)
            phase[name] = moves, any(p.grad is not None for p in net.parameters())
        phases.append(phase)

    monkeypatch.setattr(module, "descend", watched)
    task.step(next(task.loader.epoch(1)), 1)
    return phases
