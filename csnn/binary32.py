"""Binary32 arithmetic of the machine, defined in NumPy.

IEEE-754 binary32, round to nearest even, with the x86 FTZ+DAZ rule: subnormal operands count as
zeros of their sign, and a result that is tiny becomes a zero of its sign. A result is tiny when its
magnitude, rounded to 24 bits as if the exponent were unbounded, is below 2**-126. Every NaN result
is 0x7FC00000; infinities, signed zeros and comparisons are as IEEE has them. No operation warns.

Operands are float32 arrays (or scalars) of shapes that broadcast; any other dtype is a `TypeError`,
so that nothing is rounded unnoticed.

References
----------
Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, sections 10.2.3 and 11.5.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint32]
Bool = npt.NDArray[np.bool_]

CANONICAL_NAN_BITS = 0x7FC00000
SIGN_BIT = 0x80000000
EXPONENT_BITS = 0x7F800000
# Magnitudes below this round to less than 2**-126 with 24 bits; it ties, and ties go up to 2**-126.
TINY_BELOW = 2.0**-126 * (1.0 - 2.0**-25)


def _array(x: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:
    array = np.asarray(x)
    if array.dtype != dtype:
        raise TypeError(f"expected {np.dtype(dtype).name}, got {array.dtype.name}")
    return array


def bits_of(x: npt.ArrayLike) -> Bits:
    """Return the words of float32 values, uint32 of the same shape."""
    return np.ascontiguousarray(_array(x, np.float32)).view(np.uint32).reshape(np.shape(x))


def from_bits(words: npt.ArrayLike) -> F32:
    """Return the float32 values of uint32 words, same shape."""
    return np.ascontiguousarray(_array(words, np.uint32)).view(np.float32).reshape(np.shape(words))


def flush(x: npt.ArrayLike) -> F32:
    """Replace subnormal values by zeros of their sign; all other words pass unchanged."""
    words = bits_of(x)
    is_small = (words & np.uint32(EXPONENT_BITS)) == 0
    return from_bits(np.where(is_small, words & np.uint32(SIGN_BIT), words))


def canonical(x: npt.ArrayLike) -> F32:
    """Replace every NaN by 0x7FC00000; all other words pass unchanged."""
    words = bits_of(x)
    return from_bits(np.where(np.isnan(_array(x, np.float32)), np.uint32(0x7FC00000), words))


def round_to_binary32(x: npt.ArrayLike) -> F32:
    """Round float64 values once to binary32 under the rule above.

    Parameters
    ----------
    x : array_like of float64
        Exact values; magnitudes that round past the largest binary32 number become infinite.

    Returns
    -------
    ndarray of float32
    """
    exact = _array(x, np.float64)
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        is_tiny = np.abs(exact) < TINY_BELOW
    zero = np.copysign(np.float32(0.0), rounded)
    return canonical(np.where(is_tiny, zero, rounded))


def _sum(a: F32, b: F32, operation: Callable[[F32, F32], F32]) -> F32:
    # Sums of binary32 numbers are multiples of 2**-149, so a tiny one is exact: rounding before or
    # after judging tininess is the same, and flushing NumPy's result suffices.
    with np.errstate(all="ignore"):
        return flush(canonical(operation(flush(a), flush(b))))


def add(a: npt.ArrayLike, b: npt.ArrayLike) -> F32:
    """Return a + b."""
    return _sum(_array(a, np.float32), _array(b, np.float32), np.add)


def sub(a: npt.ArrayLike, b: npt.ArrayLike) -> F32:
    """Return a - b."""
    return _sum(_array(a, np.float32), _array(b, np.float32), np.subtract)


def mul(a: npt.ArrayLike, b: npt.ArrayLike) -> F32:
    """Return a * b.

    NumPy's binary32 product followed by a flush is not enough: gradual underflow lifts magnitudes
    in [2**-126 - 2**-150, 2**-126 - 2**-151) to 2**-126. The float64 product is exact and decides.
    """
    with np.errstate(all="ignore"):
        return round_to_binary32(flush(a).astype(np.float64) * flush(b).astype(np.float64))


def greater_equal(a: npt.ArrayLike, b: npt.ArrayLike) -> Bool:
    """Return a >= b; false if either is NaN."""
    with np.errstate(all="ignore"):
        return np.greater_equal(flush(a), flush(b))


def less(a: npt.ArrayLike, b: npt.ArrayLike) -> Bool:
    """Return a < b; false if either is NaN."""
    with np.errstate(all="ignore"):
        return np.less(flush(a), flush(b))


def from_int32(x: npt.ArrayLike) -> F32:
    """Return int32 values rounded to binary32 (exact below 2**24 in magnitude)."""
    return np.asarray(_array(x, np.int32).astype(np.float32))
