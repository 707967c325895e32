"""An LSTM written out gate by gate, and the character model around it.

Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000 and its
bias of 1 (Jozefowicz, Zaremba & Sutskever 2015). For one character x_t and the last state h, c:

    i_t = σ(W_i x_t + U_i h_{t-1} + b_i)        input gate:   how much to write
    f_t = σ(W_f x_t + U_f h_{t-1} + b_f)        forget gate:  how much to keep
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)     candidate:    what to write
    o_t = σ(W_o x_t + U_o h_{t-1} + b_o)        output gate:  how much to show
    c_t = f_t * c_{t-1} + i_t * g_t             cell
    h_t = o_t * tanh(c_t)                       hidden state

Run: python models/lstm/train.py
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from models.lstm.recurrence import Recurrence
from utils.config import key
from utils.helper_functions import characters

State = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class ModelConfig:
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    hidden_size: int = key("H, hidden units of every layer", low=1)
    layers: int = key("LSTM layers on top of each other", low=1)
    dropout: float = key("share of every layer's output dropped in training", low=0, below=1)
    recurrent_init: str = key("start of U", choices=("orthogonal", "xavier"))


class LSTMLayer(nn.Module):
    """One LSTM layer. The four gates' weights are stacked in the order i, f, g, o.

    Stacking changes nothing in the equations: one product with the (4H, H) matrix U computes the
    four products U_i h, U_f h, U_g h and U_o h at once, which is what makes it fast.

    `hidden_dropout` drops that share of h_t in training, with a new mask at every step. What is
    left of h_t is both the output and what step t + 1 reads; the cell c_t is never dropped.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        recurrent_init: str = "orthogonal",
        hidden_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.W = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.U = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.b = nn.Parameter(torch.zeros(4 * hidden_size))
        recurrent = {"orthogonal": nn.init.orthogonal_, "xavier": nn.init.xavier_uniform_}
        if recurrent_init not in recurrent:
            raise ValueError(f"recurrent_init: {recurrent_init!r} is not one of {list(recurrent)}")
        for W_gate, U_gate in zip(self.W.chunk(4), self.U.chunk(4), strict=True):
            nn.init.xavier_uniform_(W_gate)  # gate by gate: the fan out of a gate is H, not 4H
            recurrent[recurrent_init](U_gate)
        with torch.no_grad():
            self.b.chunk(4)[1].fill_(1.0)  # open forget gates: gradients reach back from the start
        self.hidden_dropout = nn.Dropout(hidden_dropout)

    def forward(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """x (B, T, I), state h and c (B, H) each -> outputs (B, T, H), the state after x."""
        h, c = state
        x = x.transpose(0, 1)  # (T, B, I)
        if len(x) == 1:  # a stream, one character at a time
            h, c = self.step(self.project(x[0]), h, c)
            return h[:, None], (h, c)
        if self.training and self.hidden_dropout.p > 0:
            outputs, (h, c) = self.read(x, (h, c))
        else:  # what `read` does, with the gradient derived by hand: see recurrence.py
            outputs, h, c = Recurrence.apply(x, h, c, self.W, self.U, self.b)
        return outputs.transpose(0, 1), (h, c)  # (B, T, H)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., I) -> W x + b (..., 4H): the part of the gates that needs no earlier output."""
        return functional.linear(x, self.W, self.b)

    def read(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """The recurrence in plain steps: x (T, B, I) -> outputs (T, B, H), state."""
        h, c = state
        outputs = []
        for Wx_b in self.project(x):  # of all T in one product, outside the loop
            h, c = self.step(Wx_b, h, c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)

    def step(self, Wx_b: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> State:
        """W x_t + b (B, 4H), h_{t-1} and c_{t-1} (B, H) -> h_t and c_t (B, H)."""
        i, f, g, o = torch.addmm(Wx_b, h, self.U.T).chunk(4, dim=1)  # W x_t + b + U h_{t-1}
        i = torch.sigmoid(i)
        f = torch.sigmoid(f)
        g = torch.tanh(g)
        o = torch.sigmoid(o)
        c = f * c + i * g
        h = self.hidden_dropout(o * torch.tanh(c))
        return h, c


class LSTM(nn.Module):
    """Layers of LSTM with dropout between them, called like `nn.LSTM(batch_first=True)`.

    `out, (h, c) = lstm(x)` or `lstm(x, (h, c))`: x (B, T, I), out (B, T, H), h and c (L, B, H).
    Without a state it starts from zeros. ValueError where the shapes do not fit. `dropout` falls
    on what one layer hands to the next, `hidden_dropout` on h inside the loop (see LSTMLayer).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        *,
        dropout: float = 0.0,
        recurrent_init: str = "orthogonal",
        hidden_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList(
            LSTMLayer(
                input_size if depth == 0 else hidden_size,
                hidden_size,
                recurrent_init=recurrent_init,
                hidden_dropout=hidden_dropout,
            )
            for depth in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        if x.dim() != 3 or x.shape[1] == 0 or x.shape[2] != self.input_size:
            raise ValueError(f"x is {tuple(x.shape)}, expected (B, T >= 1, {self.input_size})")
        shape = (len(self.layers), x.shape[0], self.hidden_size)
        if state is None:
            state = (x.new_zeros(shape), x.new_zeros(shape))
        if state[0].shape != shape or state[1].shape != shape:
            raise ValueError(
                f"h is {tuple(state[0].shape)}, c {tuple(state[1].shape)}: not {shape}"
            )
        out, last_h, last_c = x, [], []
        for depth, layer in enumerate(self.layers):
            if depth > 0:
                out = self.dropout(out)
            out, (h, c) = layer(out, (state[0][depth], state[1][depth]))
            last_h.append(h)
            last_c.append(c)
        return out, (torch.stack(last_h), torch.stack(last_c))


class Model(nn.Module):
    """Next-character model: one-hot character -> LSTM -> a score for every symbol."""

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.lstm = LSTM(
            vocabulary,
            config.hidden_size,
            config.layers,
            dropout=config.dropout,
            recurrent_init=config.recurrent_init,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden_size, vocabulary)

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Codes x (B, T) in 0..V-1, state (h, c) -> logits (B, T, V) of the next one, state."""
        out, state = self.lstm(characters(x, self.vocabulary, self.head.weight.dtype), state)
        return self.head(self.dropout(out)), state
