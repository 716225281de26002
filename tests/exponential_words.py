"""All words as arguments of the exponential, in parts that compiled code goes through."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from csnn import exponential
from csnn.neurons import _primitives as p

# Of arguments with a smaller exponent field the fixed-point number has no bit: 24 bits, of which
# the highest stands for 2**-33.
SMALLEST_FIELD = 95
FIELDS = range(SMALLEST_FIELD, exponential.LARGEST_FIELD + 1)
ONE, INFINITY, CANONICAL_NAN = 0x3F800000, 0x7F800000, 0x7FC00000
# An exponent field and a sign: words that follow each other.
SIZE = 1 << 23


def firsts(fields: range) -> list[int]:
    """Return the first words of each exponent field, of both signs."""
    return [sign << 31 | field << 23 for field in fields for sign in (0, 1)]


@njit
def compiled(first: int, found: Any) -> None:
    """Write the words of the exponentials of the words from `first` on."""
    for i in range(len(found)):
        found[i] = p.word_of(p.exp(p.of_word(np.int64(first + i))))


def words(first: int, size: int = SIZE) -> npt.NDArray[np.uint32]:
    """Return compiled code's exponentials of the words from `first` on, uint32 [size]."""
    found = np.empty(size, np.uint32)
    compiled(first, found)
    return found
