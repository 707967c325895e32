"""A temporal convolutional network: dilated causal convolutions, and a character model of them.

Bai, Kolter & Koltun 2018, "An empirical evaluation of generic convolutional and recurrent networks
for sequence modeling", section 3. Level l has dilation 2^l, so the view doubles with every level
(kernel 2, one convolution a level, for the drawing):

    output       . . . . . . . o
    dilation 4   . . . o-------o
    dilation 2   . o---o   o---o
    dilation 1   o-o o-o   o-o o-o
    input        x x x x x x x x         nothing to the right of a character is ever looked at

Run: python models/tcn/train.py
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from utils.config import ModelSection, key
from utils.errors import SettingError
from utils.helper_functions import characters
from utils.inputs import take, take_parts
from utils.words import count

State = tuple[Tensor, ...]
ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu}


@dataclass(frozen=True)
class ModelConfig(ModelSection):
    """The "model" section of config.json."""

    name: str = key("name of the run: checkpoints/<name>/ and results/<name>/")
    channels: int = key("C, channels of every level", low=1)
    kernel_size: int = key("k, taps of every convolution", low=1)
    levels: int = key("L, residual blocks; block l has dilation 2^l", low=1)
    dropout: float = key(
        "share of every convolution's channels dropped in training", low=0, below=1
    )
    activation: str = key(
        "follows every convolution; the paper has relu", choices=tuple(ACTIVATIONS), default="relu"
    )


def receptive_field(kernel_size: int, levels: int) -> int:
    """Computes R: how many characters, the present one included, a prediction depends on.

    With two convolutions of kernel k (`kernel_size`) in each of L (`levels`) levels, whose
    dilations add up to 2^L - 1:

        R = 1 + 2 (k - 1) (2^L - 1)         k - 1 steps back for each dilation
    """
    return 1 + 2 * (kernel_size - 1) * (2**levels - 1)


class CausalConv(nn.Module):
    """A dilated convolution that sees the present and the past only.

    The output at t depends on x_{t - j d}, j = 0..k-1. It needs the (k - 1) d inputs before the
    first one: zeros when a text starts (padding on the left, nothing to cut off afterwards), or
    what was read before. So the padding *is* the state, and one rule serves a whole text, a piece
    of it, and a single character.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dilation: int
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, kernel_size, dilation) < 1:
            raise SettingError(
                f"CausalConv({in_channels}, {out_channels}, {kernel_size}, {dilation}): "
                "each of these is a whole number >= 1"
            )
        self.history = (kernel_size - 1) * dilation
        conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation)
        # Before wrapping: weight_norm splits w into a length and a direction (Salimans & Kingma
        # 2016) and computes w from them ever after, so a later edit of conv.weight would be lost.
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)
        self.conv = weight_norm(conv)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, C, T), past (B, C, history) -> output (B, C', T), the past of the next call."""
        x, past = self.take_inputs(x, past)
        if past is None:
            past = x.new_zeros(x.shape[0], x.shape[1], self.history)
        x = torch.cat([past, x], dim=2)  # (B, C, history + T)
        out = self.convolve(x).to(x.dtype)  # under autocast the product alone is of half precision
        return out, x[:, :, x.shape[2] - self.history :]

    def take_inputs(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Returns x and its past, where there is one, if they are such. TypeError, ValueError."""
        C, dtype = self.conv.in_channels, self.conv.bias.dtype
        shape = getattr(x, "shape", ())
        if len(shape) != 3 or shape[1] != C or shape[2] == 0 or x.dtype != dtype:
            x = take("x is", x, ("B", C, "T >= 1"), dtype)
        shape = (x.shape[0], C, self.history)
        if past is not None and (getattr(past, "shape", None) != shape or past.dtype != dtype):
            past = take("past is", past, shape, dtype)
        return x, past

    def convolve(self, x: Tensor) -> Tensor:
        """Computes y from x and its past: x (B, C, history + T) -> (B, C', T).

        The taps w (`weight`) count backwards from the present, d (`dilation`) apart, b (`bias`)
        is added once (Bai et al. 2018, section 3.3):

            y_t = b + Σ_j w_j x_{t - j d}
        """
        if x.shape[2] > self.history + 1:
            return self.conv(x)
        taps = x[:, :, :: self.conv.dilation[0]]  # T = 1, a stream: one product, (B, C k) by W
        out = functional.linear(taps.flatten(1), self.conv.weight.flatten(1), self.conv.bias)
        return out[:, :, None]


class ResidualBlock(nn.Module):
    """Two causal convolutions beside a shortcut (Bai et al. 2018, section 3.4, figure 1b).

    Unlike there, nothing follows the sum: the shortcut stays a straight line through all levels,
    along which gradients pass unchanged (He et al. 2016, "Identity mappings in deep residual
    networks"). SettingError for an unknown `activation`.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        dilation: int,
        *,
        dropout: float,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise SettingError(f"activation: {activation!r} is not one of {list(ACTIVATIONS)}")
        self.activation = ACTIVATIONS[activation]
        self.first = CausalConv(channels, channels, kernel_size, dilation)
        self.second = CausalConv(channels, channels, kernel_size, dilation)
        self.dropout = nn.Dropout1d(dropout)  # whole channels, as in the paper

    def forward(
        self, x: Tensor, past: tuple[Tensor | None, Tensor | None]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (B, C, T), the past of both convolutions -> output (B, C, T), their next past."""
        out, first_past = self.first(x, past[0])
        out = self.dropout(self.activation(out))
        out, second_past = self.second(out, past[1])
        out = self.dropout(self.activation(out))
        return x + out, (first_past, second_past)


class Model(nn.Module):
    """Next-character model: one-hot character -> channels -> L residual blocks -> scores."""

    position_limit = None  # a text may be of any length
    outer = ("embed.", "head.")  # face the alphabet: left to AdamW by Muon

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.kernel_size = config.kernel_size
        self.embed = nn.Linear(vocabulary, config.channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                config.channels,
                config.kernel_size,
                2**level,
                dropout=config.dropout,
                activation=config.activation,
            )
            for level in range(config.levels)
        )
        self.head = nn.Linear(config.channels, vocabulary)

    @property
    def receptive_field(self) -> int:
        """How many characters, the present one included, a prediction depends on."""
        return receptive_field(self.kernel_size, len(self.blocks))

    def levels_for(self, length: int) -> int:
        """Returns the fewest levels, with this kernel, whose receptive field holds `length`."""
        if self.kernel_size == 1:
            return len(self.blocks)  # it sees one character, however many levels it has
        levels = 1
        while receptive_field(self.kernel_size, levels) < length:
            levels += 1
        return levels

    def describe_reach(self, length: int) -> str:
        """Says how far the model sees, and how many levels would see a window of `length`."""
        return (
            f"receptive field: {count(self.receptive_field, 'character')} "
            f"({count(self.levels_for(length), 'level')} would do to see a window of {length})"
        )

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Codes x (B, T) in 0..V-1, state (past inputs) -> logits (B, T, V), state.

        The state is one tensor (B, C, (k - 1) d) for each convolution, two to a block.
        """
        count = 2 * len(self.blocks)
        pasts = state if state is not None else (None,) * count
        if not isinstance(pasts, tuple) or len(pasts) != count:
            pasts = take_parts("the state is", pasts, count, f"{count} pasts (B, C, history)")
        dtype = self.head.weight.dtype  # of all that goes along the shortcut, under autocast too
        hidden = self.embed(characters(x, self.vocabulary, dtype)).to(dtype)  # (B, T, C)
        hidden, new_state = hidden.transpose(1, 2), []  # (B, C, T), here and nowhere else
        for index, block in enumerate(self.blocks):
            hidden, past = block(hidden, pasts[2 * index : 2 * index + 2])
            new_state.extend(past)
        return self.head(hidden.transpose(1, 2)), tuple(new_state)  # (B, T, V)
