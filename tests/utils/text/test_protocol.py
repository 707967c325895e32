"""The protocol of a training: where its passages are, and how they are shown."""

import numpy as np
import pytest
import torch

from utils.errors import UserError
from utils.text.data import Text
from utils.text.protocol import Protocol, ProtocolConfig, make_visible, space_evenly


def test_places_are_evenly_spaced_and_fit():
    assert space_evenly(100, 1, 20) == [40]
    assert space_evenly(100, 3, 20) == [20, 40, 60]
    with pytest.raises(UserError, match="fewer"):
        space_evenly(10, 1, 11)
    assert make_visible("a\nb\r\nc\td\x07") == "a↵b↵c\\td\\x07"


class Next(torch.nn.Module):
    """Says that b follows a, c follows b, and a follows c."""

    vocabulary, position_limit = 3, None

    def __init__(self):
        super().__init__()
        self.sure = torch.nn.Parameter(torch.tensor(5.0))

    def forward(self, x, state=None):
        return self.sure * torch.nn.functional.one_hot((x + 1) % 3, 3).float(), state


def test_a_protocol_shows_prompts_originals_and_what_was_written(tmp_path):
    """Of three passages two are from the training text; the likeliest goes on, not a sample."""
    text = Text(["a", "b", "c"], np.arange(40) % 2, np.full(20, 2))
    protocol = Protocol(ProtocolConfig(epochs=[1], prompts=3, prompt_length=4, length=5), text)
    assert [name for name, _ in protocol.passages] == ["training", "training", "validation"]
    assert [len(codes) for _, codes in protocol.passages] == [9, 9, 9]
    for epoch in (1, 7):
        protocol.add({"epoch": epoch, "train_nats": 1.5, "val_nats": 0.25, "x": 0}, Next())
    path = tmp_path / "protocol.md"
    protocol.write(path, "run", "abc")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "| 1 | 1.500 | 0.250 |" in lines
    assert "| 7 | 1.500 | 0.250 |" in lines
    start = lines.index("## Passage 3, from the validation text")
    shown = [line.split() for line in lines[start + 3 : start + 7]]
    assert shown[:2] == [["prompt", "cccc"], ["original", "ccccc"]]
    assert shown[2:] == [["epoch", "1", "abcab"], ["epoch", "7", "abcab"]]
    assert any(line.split() == ["prompt", "abab"] for line in lines)
