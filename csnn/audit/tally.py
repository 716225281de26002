"""Counting kernels of the audit: contingency tables of the draws of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

I64 = npt.NDArray[np.int64]

# The variables of a draw: target, delay, weight outcome; and the sizes of their tables.
VARIABLES = ("N", "D", "J")
SIZES = (256, 64, 64)

# Pairs of variables that are compared: (first, second, how many draws later).
PAIRS = (
    *((a, b, 0) for a, b in ((0, 1), (0, 2), (1, 2))),
    *((a, b, 1) for a in range(3) for b in range(3)),
    *((a, a, lag) for lag in (2, 3) for a in range(3)),
)


@njit(nogil=True, cache=True)
def _count_pairs(row: Any, first: Any, second: Any, lag: int, width: int, counts: Any) -> None:
    for i in range(lag, len(row)):
        if row[i] == row[i - lag]:
            counts[np.intp(first[i - lag]) * width + np.intp(second[i])] += 1


def count_pairs(row: I64, values: npt.NDArray[np.uint8], tables: list[I64]) -> None:
    """Add the pairs of draws of the same row to the tables of PAIRS.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Row of each draw, draws of a row adjacent and in order.
    values : ndarray of uint8, shape (3, n)
        The variables of each draw.
    tables : list of ndarray of int64, modified
        One of shape (SIZES[first], SIZES[second]) for each of PAIRS.
    """
    for (a, b, lag), table in zip(PAIRS, tables, strict=True):
        _count_pairs(row, values[a], values[b], lag, SIZES[b], table.reshape(-1))


@njit(nogil=True, cache=True)
def repeated_targets(row: Any, target: Any) -> int:
    """Count pairs of draws of one row that hit the same target."""
    hits = np.zeros(256, dtype=np.int64)
    total = 0
    begin = 0
    for i in range(len(row)):
        if row[i] != row[begin]:
            for j in range(begin, i):
                hits[target[j]] = 0
            begin = i
        total += hits[target[i]]
        hits[target[i]] += 1
    return total


# Two variables of a draw against the half (target) or quarter of a third one in the next draw.
TRIPLES = tuple((a, b, c) for a, b in ((0, 1), (0, 2), (1, 2)) for c in range(3))
COARSE = 4


@njit(nogil=True, cache=True)
def _count_triples(row: Any, first: Any, second: Any, coarse: Any, counts: Any) -> None:
    for i in range(1, len(row)):
        if row[i] == row[i - 1]:
            place = np.intp(first[i - 1]) * 64 + np.intp(second[i - 1])
            counts[place * COARSE + np.intp(coarse[i])] += 1


def count_triples(
    row: I64, values: npt.NDArray[np.uint8], n_targets: int, tables: list[I64]
) -> None:
    """Add the triples of neighbouring draws of the same row to the tables of TRIPLES.

    Parameters
    ----------
    row, values
        As for `count_pairs`.
    n_targets : int
    tables : list of ndarray of int64, modified
        One of shape (256 * 64, COARSE) for each of TRIPLES.
    """
    half = (values[0].astype(np.int64) * 2 // n_targets).astype(np.uint8)
    coarse = (half, values[1] & np.uint8(3), values[2] & np.uint8(3))
    for (a, b, c), table in zip(TRIPLES, tables, strict=True):
        _count_triples(row, values[a], values[b], coarse[c], table.reshape(-1))


def new_triple_tables() -> list[I64]:
    """Return empty tables for TRIPLES."""
    return [np.zeros((256 * 64, COARSE), dtype=np.int64) for _ in TRIPLES]


def triple_name(triple: tuple[int, int, int]) -> str:
    """Return how a triple is called in results."""
    first, second, third = (VARIABLES[index] for index in triple)
    return f"({first}, {second}) and {third} 1 later"


def new_tables() -> list[I64]:
    """Return empty tables for PAIRS."""
    return [np.zeros((SIZES[a], SIZES[b]), dtype=np.int64) for a, b, _ in PAIRS]


def pair_name(pair: tuple[int, int, int]) -> str:
    """Return how a pair is called in results."""
    first, second, lag = pair
    names = f"{VARIABLES[first]} and {VARIABLES[second]}"
    return names if lag == 0 else f"{names} {lag} later"
