"""The LSTM as a classifier: it reads digits and says which one comes last.

The LSTM is the one of models/lstm, imported. Around it, as in the course: dropout on the hidden
state at every step, a linear layer on the last hidden state, Xavier's initialisation (Glorot &
Bengio 2010), forget-gate bias 1, all other biases 0.

Run: python models/palindrome/train.py
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.lstm.modules import LSTM
from utils.config import ModelSection, key
from utils.helper_functions import one_hot

DIGITS = 10


@dataclass(frozen=True)
class ModelConfig(ModelSection):
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    T: int = key("digits read; the palindrome has one more", low=2, high=1000)
    hidden_size: int = key("H, hidden units", low=1)
    dropout: float = key("share of h dropped at every step of training", low=0, below=1)


class Model(nn.Module):
    """Digits read (B, T) in 0..9 -> logits (B, 10) of the digit that comes after them.

    Dropout falls on h inside the loop: what is dropped at a step reaches neither the gates of the
    next step nor, after the last one, the linear layer. The memory itself, c, is left whole.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = LSTM(
            DIGITS, config.hidden_size, recurrent_init="xavier", hidden_dropout=config.dropout
        )
        self.head = nn.Linear(config.hidden_size, DIGITS)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        _, (h, _) = self.lstm(one_hot(x, DIGITS, self.head.weight.dtype))  # h (1, B, H)
        return self.head(h[0])  # (B, 10)
