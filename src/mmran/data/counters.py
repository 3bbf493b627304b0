"""Random numbers as pure functions of counters: there is no state to save or restore.

A number depends on (seed, epoch, slice number, purpose, draw) and on nothing else: not on the worker,
the other slices of the batch, the order of calls, or whether the run was resumed. The generator is SplitMix64,
whose state after n steps is start + n * constant, so all numbers are computed in parallel.

Source: Steele, Lea and Flood 2014 (Fast splittable pseudorandom number generators), constants as in Java 8.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The purpose of a stream. These values are part of every result: append, never renumber.
ORDER: Final = 0
TRANSFORMS: Final = 1
ELASTIC: Final = 2
NOISE: Final = 3
DROPOUT: Final = 4
OUTSIDE: Final = 5

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_WORD: Final = 0xFFFFFFFFFFFFFFFF


def stream_keys(seed: int, epoch: int, numbers: ArrayLike, purpose: int) -> NDArray[np.uint64]:
    """Keys of independent streams, one per slice.

    Args:
        seed: the trial's seed.
        epoch: the epoch from zero.
        numbers: (B,) integer slice numbers.
        purpose: one of the constants above, such as ORDER.

    Returns:
        (B,) uint64.
    """
    # Each word is mixed in before the next is added, so (seed 1, epoch 2) and (seed 2, epoch 1) differ.
    key = np.zeros(1, np.uint64)
    for word in (seed, purpose, epoch):
        key = _stir(key + np.uint64(word & _WORD) + _STEP)
    return _stir(key + np.asarray(numbers).astype(np.uint64) + _STEP)


def draw_bits(keys: NDArray[np.uint64], n_draws: int) -> NDArray[np.uint64]:
    """The first `n_draws` outputs of the SplitMix64 streams that start at `keys`.

    Args:
        keys: (B,) uint64.
        n_draws: numbers per stream.

    Returns:
        (B, n_draws) uint64.
    """
    return _stir(keys[:, None] + np.arange(1, n_draws + 1, dtype=np.uint64) * _STEP)


def draw_uniform(keys: NDArray[np.uint64], n_draws: int) -> NDArray[np.float64]:
    """The first `n_draws` uniform numbers in [0, 1) of every stream, with 53 random bits each.

    Args:
        keys: (B,) uint64.
        n_draws: numbers per stream.

    Returns:
        (B, n_draws) float64.
    """
    return (draw_bits(keys, n_draws) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw_symmetric_pairs(keys: NDArray[np.uint64], n_draws: int) -> NDArray[np.float32]:
    """Pairs of uniform numbers in (-1, 1), two from each output: for fields, which need less precision.

    Args:
        keys: (B,) uint64.
        n_draws: pairs per stream.

    Returns:
        (B, 2, n_draws) float32, symmetric about zero.
    """
    bits = draw_bits(keys, n_draws)
    # A float32 holds 23 of each half's 32 bits and the half step that keeps the mean at zero.
    halves = np.stack([bits >> np.uint64(41), (bits & np.uint64(0xFFFFFFFF)) >> np.uint64(9)], axis=1)
    return (halves.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-22) - np.float32(1)


def _stir(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer, a bijection of 64-bit words (Stafford's variant 13)."""
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
