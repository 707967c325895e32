"""An LSTM written out gate by gate, and the character model around it.

Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000 and its
bias of 1 (Jozefowicz, Zaremba & Sutskever 2015). For one character x_t and the last state h, c,
`step` computes:

    i_t = σ(W_i x_t + U_i h_{t-1} + b_i)        input gate:   how much to write
    f_t = σ(W_f x_t + U_f h_{t-1} + b_f)        forget gate:  how much to keep
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)     candidate:    what to write
    o_t = σ(W_o x_t + U_o h_{t-1} + b_o)        output gate:  how much to show
    c_t = f_t * c_{t-1} + i_t * g_t             cell
    h_t = o_t * tanh(c_t)                       hidden state

Run: python models/lstm/train.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.lstm.recurrence import read_fast
from utils.config import ModelSection, key
from utils.errors import SettingError
from utils.helper_functions import characters
from utils.inputs import take, take_parts

State = tuple[Tensor, Tensor]
RECURRENT_INIT = {"orthogonal": nn.init.orthogonal_, "xavier": nn.init.xavier_uniform_}
KERNELS = ("fast", "readable")


@dataclass(frozen=True)
class ModelConfig(ModelSection):
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    hidden_size: int = key("H, hidden units of every layer", low=1)
    layers: int = key("LSTM layers on top of each other", low=1)
    dropout: float = key("share of every layer's output dropped in training", low=0, below=1)
    recurrent_init: str = key("initialisation of U", choices=tuple(RECURRENT_INIT))
    kernel: str = key(
        "fast: a backward pass derived by hand; readable: step by step, for study",
        choices=KERNELS,
        default="fast",
    )


def step(Wx_b: Tensor, h: Tensor, c: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the equations: W x_t + b (B, 4H), h_{t-1} and c_{t-1} (B, H) -> h_t, c_t (B, H)."""
    i, f, g, o = torch.addmm(Wx_b, h, U.T).chunk(4, dim=1)  # W x_t + b + U h_{t-1}, (B, H) each
    i = torch.sigmoid(i)
    f = torch.sigmoid(f)
    g = torch.tanh(g)
    o = torch.sigmoid(o)
    c = f * c + i * g
    h = o * torch.tanh(c)
    return h, c


def read(
    x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor, *, dropout: nn.Module
) -> tuple[Tensor, Tensor, Tensor]:
    """Reads characters one after another: the readable form, whose gradient autograd finds.

    x (T, B, I), h and c (B, H), W (4H, I), U (4H, H), b (4H) -> outputs (T, B, H), h_T and c_T.
    `dropout` falls on every h_t: on the output and on what step t + 1 reads.
    """
    outputs = []
    for Wx_b in functional.linear(x, W, b):  # the part of all T that needs no earlier output
        h, c = step(Wx_b, h, c, U)
        h = dropout(h)
        outputs.append(h)
    return torch.stack(outputs), h, c


def take_inputs(
    x: Tensor, state: State | None, layer: "LSTMLayer", depth: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns x (B, T, I) and h, c (*depth, B, H), zeros without a state, if they are such.

    TypeError for what is no tensor, ValueError for other shapes, and other dtypes than the weights'
    (under autocast those of half precision are turned into them).
    """
    U, inputs = layer.U, layer.W.shape[1]
    if getattr(x, "shape", ())[2:] != (inputs,) or x.shape[1] == 0 or x.dtype != U.dtype:
        x = take("x is", x, ("B", "T >= 1", inputs), U.dtype)
    shape = (*depth, x.shape[0], U.shape[1])
    if state is None:
        zeros = U.new_zeros(shape)
        return x, zeros, zeros
    if not isinstance(state, tuple) or len(state) != 2:
        state = take_parts("the state is", state, 2, f"(h, c), {shape} each")
    h, c = state
    if getattr(h, "shape", None) != shape or h.dtype != U.dtype:
        h = take("h is", h, shape, U.dtype)
    if getattr(c, "shape", None) != shape or c.dtype != U.dtype:
        c = take("c is", c, shape, U.dtype)
    return x, h, c


class LSTMLayer(nn.Module):
    """One LSTM layer. The four gates' weights are stacked in the order i, f, g, o.

    Stacking changes nothing in the equations: one product with the (4H, H) matrix U computes the
    four products U_i h, U_f h, U_g h and U_o h at once, which is what makes it fast.

    `hidden_dropout` drops that share of h_t in training, with a new mask at every step. What is
    left of h_t is both the output and what step t + 1 reads; the cell c_t is never dropped.

    Two forms give the same numbers. `read` above takes a stream of single characters, dropout
    inside the loop, and everything with kernel="readable"; `read_fast`, with a gradient derived by
    hand (recurrence.py), takes all else. SettingError for an unknown `recurrent_init` or `kernel`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        recurrent_init: str = "orthogonal",
        hidden_dropout: float = 0.0,
        kernel: str = "fast",
    ) -> None:
        super().__init__()
        if recurrent_init not in RECURRENT_INIT:
            raise SettingError(
                f"recurrent_init: {recurrent_init!r} is not one of {list(RECURRENT_INIT)}"
            )
        if kernel not in KERNELS:
            raise SettingError(f"kernel: {kernel!r} is not one of {list(KERNELS)}")
        if input_size < 0 or hidden_size < 1:
            raise SettingError(f"LSTMLayer({input_size}, {hidden_size}): take 1 or more of each")
        self.W = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.U = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.b = nn.Parameter(torch.empty(4 * hidden_size))
        self.initialise(RECURRENT_INIT[recurrent_init])
        self.hidden_dropout = nn.Dropout(hidden_dropout)
        self.kernel = kernel

    def initialise(self, initialise_U: Callable[[Tensor], Tensor]) -> None:
        """Gives every gate's W Xavier's uniform numbers, its U those of a function, in place.

        The bias of the forget gate is 1, all others 0.
        """
        for W_gate, U_gate in zip(self.W.chunk(4), self.U.chunk(4), strict=True):
            nn.init.xavier_uniform_(W_gate)  # gate by gate: the fan out of a gate is H, not 4H
            initialise_U(U_gate)
        nn.init.zeros_(self.b)
        nn.init.ones_(self.b.chunk(4)[1])  # open forget gates: gradients reach back from the start

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x (B, T, I), state h and c (B, H) each -> outputs (B, T, H), the state after x."""
        x, h, c = take_inputs(x, state, self, ())
        inputs = x.transpose(0, 1), h, c, self.W, self.U, self.b  # x (T, B, I)
        dropping = self.training and self.hidden_dropout.p > 0
        if self.kernel == "readable" or dropping or x.shape[1] == 1:
            outputs, h, c = read(*inputs, dropout=self.hidden_dropout)
        else:
            outputs, h, c = read_fast(*inputs, partial(read, dropout=self.hidden_dropout))
        return outputs.transpose(0, 1), (h, c)  # (B, T, H)


class LSTM(nn.Module):
    """Layers of LSTM with dropout between them, called like `nn.LSTM(batch_first=True)`.

    `out, (h, c) = lstm(x)` or `lstm(x, (h, c))`: x (B, T, I), out (B, T, H), h and c (L, B, H).
    Without a state it starts from zeros. ValueError where the shapes do not fit. `dropout` falls
    on what one layer hands to the next; LSTMLayer explains the other options.
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
        kernel: str = "fast",
    ) -> None:
        super().__init__()
        if layers < 1:
            raise SettingError(f"layers is {layers}, not a whole number >= 1")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.layers = nn.ModuleList(
            LSTMLayer(
                input_size if depth == 0 else hidden_size,
                hidden_size,
                recurrent_init=recurrent_init,
                hidden_dropout=hidden_dropout,
                kernel=kernel,
            )
            for depth in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x, h, c = take_inputs(x, state, self.layers[0], (len(self.layers),))
        out, last = x, []
        for depth, layer in enumerate(self.layers):
            out = self.dropout(out) if depth > 0 else out
            out, layer_state = layer(out, (h[depth], c[depth]))
            last.append(layer_state)
        h, c = zip(*last, strict=True)
        return out, (torch.stack(h), torch.stack(c))


class Model(nn.Module):
    """Next-character model: one-hot character -> LSTM -> a score for every symbol."""

    position_limit = None  # a text may be of any length
    outer = (
        "lstm.layers.0.W",
        "head.",
    )  # parameters that face the alphabet: Muon leaves them to AdamW

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.lstm = LSTM(
            vocabulary,
            config.hidden_size,
            config.layers,
            dropout=config.dropout,
            recurrent_init=config.recurrent_init,
            kernel=config.kernel,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden_size, vocabulary)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Codes x (B, T) in 0..V-1, state (h, c) -> logits (B, T, V) of the next code, state."""
        out, state = self.lstm(characters(x, self.vocabulary, self.head.weight.dtype), state)
        return self.head(self.dropout(out)), state
