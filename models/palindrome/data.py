"""Palindromes of digits, sampled for training and for validation so that none is in both.

A palindrome of T + 1 digits is decided by its first half, the free digits (for an odd length with
the middle one). With T = 5 there are 3 of them, so 1,000 palindromes: 1 2 3 3 2 1 is one. The
network reads the first T digits, 1 2 3 3 2, and predicts the last, 1: it must remember the first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch


def count_free_digits(T: int) -> int:
    """Returns how many digits decide a palindrome of T + 1: half of them, rounded up.

    ValueError for T below 1: nothing would be read.
    """
    if T < 1:
        raise ValueError(f"T is {T}, not a whole number >= 1")
    return T // 2 + 1


def complete_palindromes(free: np.ndarray, T: int) -> np.ndarray:
    """Completes free digits (N, F) to their palindromes (N, T + 1). ValueError for another F."""
    if free.shape[1:] != (count_free_digits(T),):
        shape = f"(N, {count_free_digits(T)})"
        raise ValueError(f"free digits are {free.shape}, expected {shape} for T = {T}")
    mirrored = free[:, ::-1]
    return np.concatenate([free, mirrored[:, 2 * free.shape[1] - (T + 1) :]], axis=1)


def is_held_out(free: np.ndarray) -> np.ndarray:
    """Says which of the free digits (N, F) are for validation, bool (N,): about a fifth.

    Their hash decides (FNV-1a, 64 bits), so the split needs no list: it is the same on every
    machine, in every run and for any seed, however many palindromes there are.
    """
    hashed = np.full(len(free), 0xCBF29CE484222325, dtype=np.uint64)
    for digit in free.T.astype(np.uint64):
        hashed = (hashed ^ digit) * np.uint64(0x100000001B3)  # modulo 2^64
    return (hashed >> np.uint64(32)) % np.uint64(5) == 0  # FNV mixes its upper half best


def sample_palindromes(
    count: int, T: int, rng: np.random.Generator, *, validation: bool
) -> np.ndarray:
    """Samples palindromes of one split with replacement: uint8 (count, T + 1)."""
    found = np.empty((0, count_free_digits(T)), dtype=np.uint8)
    while len(found) < count:
        free = rng.integers(10, size=(2 * count, count_free_digits(T)), dtype=np.uint8)
        found = np.concatenate([found, free[is_held_out(free) == validation]])
    return complete_palindromes(found[:count], T)


def validation_set(T: int, limit: int) -> np.ndarray:
    """Returns the palindromes (N, T + 1) to validate on: all that are held out, `limit` at most.

    They do not depend on the seed of a run, so that runs compare. Where there are too many to
    list, they are sampled, and a few may come twice.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}, not a whole number >= 1")
    F, rng = count_free_digits(T), np.random.default_rng(0)
    if math.log10(10 * limit) < F:
        return sample_palindromes(limit, T, rng, validation=True)
    free = np.stack(np.unravel_index(np.arange(10**F), (10,) * F), axis=1).astype(np.uint8)
    free = rng.permutation(free[is_held_out(free)])  # in order, a limit would cut off the nines
    return complete_palindromes(free[:limit], T)


@dataclass(frozen=True)
class Palindromes:
    """Batches of palindromes, (B, T + 1) each: sampled anew for every epoch."""

    T: int
    steps: int  # batches of an epoch
    batch_size: int
    seed: int

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[torch.Tensor]]:
        """Yields batches first, first + 1, ... of an epoch: uint8 (B, T + 1)."""
        for index in range(first, self.steps):  # each from its own seed: it needs no earlier one
            rng = np.random.default_rng([self.seed, number, index])
            digits = sample_palindromes(self.batch_size, self.T, rng, validation=False)
            yield (torch.from_numpy(digits),)
