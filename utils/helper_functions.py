"""Characters, one-hot vectors and integer codes: the course's encoding and its inverse.

An alphabet is the sorted list of a text's distinct characters; a code is an index into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # preparing a text needs no torch, which takes seconds to import
    import torch


def char_to_one_hot(char: str, alphabet: Sequence[str]) -> np.ndarray:
    """Encodes one character as a uint8 vector (V,): 1 at its place in the alphabet, 0 elsewhere.

    ValueError where `char` is not exactly one character of the alphabet.
    """
    places = np.flatnonzero(np.asarray(alphabet) == char)
    if len(char) != 1 or len(places) != 1:
        raise ValueError(f"{char!r} is not one character of the alphabet")
    vector = np.zeros(len(alphabet), dtype=np.uint8)
    vector[places[0]] = 1
    return vector


def one_hot_to_char(vector: np.ndarray, alphabet: Sequence[str]) -> str:
    """Decodes a vector (V,) with a single 1: the character at its place in the alphabet.

    ValueError where the vector is no one-hot vector of this alphabet.
    """
    vector = np.asarray(vector)
    if vector.shape != (len(alphabet),) or (vector == 1).sum() != 1 or (vector != 0).sum() != 1:
        raise ValueError(f"expected one 1 among {len(alphabet)} numbers, else 0")
    return str(alphabet[int(vector.argmax())])


def one_hot(codes: torch.Tensor, vocabulary: int, dtype: torch.dtype) -> torch.Tensor:
    """Turns codes (B, T) in 0..V-1 into one-hot vectors (B, T, V).

    Meant for one batch at a time: a whole text would take V times the memory. A one-hot vector
    times a matrix picks one of its rows, so a linear layer on it is a table of character vectors.
    ValueError for what is no whole number, as 2.5, 2.0 and True, for another shape, no time at all,
    and on the CPU for a code beyond. TypeError for what is no tensor.
    """
    if not hasattr(codes, "is_floating_point"):
        raise TypeError(f"codes are a {type(codes).__name__}, expected a tensor of whole numbers")
    if codes.is_floating_point() or codes.is_complex() or str(codes.dtype) == "torch.bool":
        raise ValueError(f"codes are {codes.dtype}, expected whole numbers, such as torch.int64")
    if codes.dim() != 2 or codes.shape[1] == 0:
        raise ValueError(f"codes are {tuple(codes.shape)}, expected (B, T >= 1)")
    vectors = codes.new_zeros(*codes.shape, vocabulary, dtype=dtype)
    try:
        return vectors.scatter_(-1, codes.long().unsqueeze(-1), 1)
    except (IndexError, RuntimeError) as problem:
        if "out of bounds" not in str(problem):
            raise
        raise ValueError(f"codes are in 0..{vocabulary - 1}: {problem}") from None


def characters(codes: torch.Tensor, vocabulary: int, dtype: torch.dtype) -> torch.Tensor:
    """Turns codes (B, T) into the models' input: one-hot vectors (B, T, V) of length sqrt(V).

    Xavier's initialisation expects inputs with a mean square of 1. A plain one-hot vector has
    1 / V: it would leave the first layer almost silent and training slow to start.
    """
    return vocabulary**0.5 * one_hot(codes, vocabulary, dtype)
