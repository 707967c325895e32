"""What lets the Transformer learn sooner: four changes, which `--model.recipe quick` makes at once.

    squared ReLU    max(0, x)² in place of GELU (So et al. 2021, "Primer", section 4.1)
    normed q and k  each head's queries and keys have length √D, so that scores stay in √D of 0
                    (Henry et al. 2020, "Query-key normalization for transformers")
    outputs of 0    at first no sublayer adds anything to the shortcut (Zhang, Dauphin & Ma 2019,
                    "Fixup initialization", section 3)
    pairs           a vector for each pair of neighbours is added to that of the character: what
                    two characters in a row mean need not be found by attention (Huang et al. 2025,
                    "Over-tokenized transformer", section 3.2)

The course's Transformer is that of modules.py; docs/text.md says what each of these gains.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from utils.inputs import take


class SquaredReLU(nn.Module):
    """max(0, x)², of any shape."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x).square()


class NormedQueriesKeys(nn.Module):
    """x (B, T, d) -> q, k, v side by side (B, T, 3 d); q and k of length √D in each head."""

    def __init__(self, qkv: nn.Linear, heads: int) -> None:
        super().__init__()
        self.weight, self.bias, self.heads = qkv.weight, qkv.bias, heads

    def forward(self, x: Tensor) -> Tensor:
        qkv = functional.linear(x, self.weight, self.bias).to(x.dtype)
        q_k, v = qkv.unflatten(2, (3, self.heads, -1)).split([2, 1], dim=2)  # (B, T, 2 or 1, N, D)
        q_k = functional.rms_norm(q_k, q_k.shape[-1:])
        return torch.cat([q_k, v], dim=2).flatten(2)


class Pairs(nn.Module):
    """Adds to what goes along the shortcut (B, T, d) a vector for each pair of codes, at first 0.

    Called like a block: its cache is the last code read, (B, 1). A text begins as if code 0 stood
    before it.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(vocabulary, vocabulary, width))

    def after(self, codes: Tensor) -> Callable[..., tuple[Tensor, Tensor]]:
        """Returns the block for codes (B, T)."""
        return partial(self, codes)

    def forward(
        self, codes: Tensor, x: Tensor, waves: Tensor | None, before: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        codes = codes.long()
        if before is None:
            before = torch.zeros_like(codes[:, :1])
        before = take("the last code is", before, (len(codes), 1), codes.dtype)
        rows = torch.cat([before, codes[:, :-1]], dim=1) * len(self.table) + codes
        return x + functional.embedding(rows, self.table.flatten(0, 1)), codes[:, -1:]


def quicken(blocks: nn.ModuleList, vocabulary: int) -> Pairs:
    """Makes the first three changes in the blocks of a Transformer, in place; returns the pairs."""
    for block in blocks:
        block.attention.qkv = NormedQueriesKeys(block.attention.qkv, block.attention.heads)
        block.mlp[1] = SquaredReLU()
        nn.init.zeros_(block.attention.out.weight)
        nn.init.zeros_(block.mlp[2].weight)
    return Pairs(vocabulary, blocks[0].attention.out.in_features)
