"""Operands for binary32 units: random words, and those where units tend to be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]
SIGN = np.uint32(0x80000000)
_CORNERS = np.array(
    [
        *(0, 1, 2, 0x3FFFFF, 0x400000, 0x7FFFFE, 0x7FFFFF),  # zero and subnormals
        *(0x800000, 0x800001, 0x800002, 0xFFFFFF, 0x1000000, 0x1000001),  # smallest normal numbers
        *(0x0C000000, 0x0C000001, 0x33800000, 0x33800001, 0x34000000),  # around 2^-103, 2^-24
        *(0x3F7FFFFE, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3F800002, 0x3FFFFFFF),  # around one
        *(0x40000000, 0x40400000, 0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x4B800001),  # around 2^24
        *(0x5F000000, 0x5F7FFFFF, 0x7E7FFFFF, 0x7E800000, 0x7F000000),
        *(0x7F7FFFFE, 0x7F7FFFFF, 0x7F800000),  # largest numbers and infinity
        *(0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF),  # NaNs
    ],
    dtype=np.uint32,
)
CORNERS = np.concatenate([_CORNERS, _CORNERS | SIGN])


def corner_pairs() -> tuple[U32, U32]:
    """Return every corner with every corner."""
    a, b = np.meshgrid(CORNERS, CORNERS)
    return a.ravel(), b.ravel()


def pairs(
    n: int,
    rng: np.random.Generator,
    first: U32 | None = None,
    kinds: Sequence[int] = range(10),
) -> tuple[U32, U32]:
    """Return `n` pairs of every kind in turn, in random order of kinds.

    If the first operands are given, one or `n`, they are taken as they are. The kinds, by number:

    0 random words; 1, 2 corners with random words; 3 almost opposite numbers; 4 numbers of near
    exponents; 5, 6 factors whose product lies near 2^-126, and near the overflow; 7 few significant
    bits (ties); 8 factors whose product lies less than two ulp below a power of two, often one of
    these limits; 9 sums that rounding carries over such a power; 10, if asked for, sums
    that are ties, or would be ties one place lower.
    """
    a, b = (rng.integers(0, 2**32, n, dtype=np.uint32) for _ in range(2))
    is_free = first is None
    a = a if first is None else np.broadcast_to(first, n)
    kind = np.asarray(kinds)[rng.integers(0, len(kinds), n)]
    corner = rng.choice(CORNERS, n)
    b = np.where(kind == 1, corner, b)
    a = np.where((kind == 2) & is_free, corner, a)
    # Differences of every magnitude, so that every number of leading bits cancels.
    nudge = (rng.integers(-(2**23), 2**23, n) >> rng.integers(0, 24, n)).astype(np.int32)
    nudge = nudge.view(np.uint32)
    b = np.where(kind == 3, (a ^ SIGN) + nudge, b)
    b = np.where(kind == 4, _with_exponent(b, _exponent(a) + rng.integers(-33, 34, n)), b)
    # The exponent of a product is about the sum of the fields less 127.
    b = np.where(kind == 5, _with_exponent(b, 127 - _exponent(a) + rng.integers(-2, 3, n)), b)
    b = np.where(kind == 6, _with_exponent(b, 381 - _exponent(a) + rng.integers(-2, 3, n)), b)
    few = np.uint32(0xFFFFFFFF) << rng.integers(8, 24, n).astype(np.uint32)
    a, b = np.where((kind == 7) & is_free, a & few, a), np.where(kind == 7, b & few, b)
    # Significands whose product is the largest below 2^47, that is below the next exponent.
    significand = (a & np.uint32(0x7FFFFF)).astype(np.int64) + 2**23
    other = np.minimum((2**47 - 1) // significand, 2**24 - 1).astype(np.uint32)
    limit = np.where(rng.random(n) < 0.5, rng.choice([127, 381], n), rng.integers(100, 400, n))
    below = _with_exponent(other & np.uint32(0x7FFFFF), limit - _exponent(a))
    b = np.where(kind == 8, below | b & SIGN, b)
    # A significand of ones and an addend of about half an ulp.
    half = _with_exponent(b, _exponent(a) - rng.integers(22, 27, n)) ^ (a ^ b) & SIGN
    a = np.where((kind == 9) & is_free, a | np.uint32(0x7FFFFF), a)
    b = np.where(kind == 9, half, b)
    return a, np.where(kind == 10, _tie(a, rng), b) if 10 in kinds else b


def _tie(words: U32, rng: np.random.Generator) -> U32:
    """Return odd multiples of half, or a quarter, of the last place of each word."""
    n = len(words)
    odd = rng.integers(-(2**22), 2**22, n) >> rng.integers(0, 22, n) | 1
    place = _exponent(words) - 151 - rng.integers(0, 2, n)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(odd.astype(np.float64), place).astype(np.float32).view(np.uint32)


def _exponent(words: U32) -> npt.NDArray[np.int64]:
    return (words >> np.uint32(23) & np.uint32(255)).astype(np.int64)


def _with_exponent(words: U32, exponent: npt.NDArray[np.int64]) -> U32:
    field = np.clip(exponent, 0, 255).astype(np.uint32) << np.uint32(23)
    return words & np.uint32(0x807FFFFF) | field


def integers(n: int, rng: np.random.Generator) -> U32:
    """Return int32 words of all magnitudes, with ties and corners."""
    words = rng.integers(0, 2**32, n, dtype=np.uint32)
    small = (words.view(np.int32) >> rng.integers(0, 31, n).astype(np.int32)).view(np.uint32)
    few = words & np.uint32(0xFFFFFFFF) << rng.integers(0, 12, n).astype(np.uint32)
    edges = (2 ** rng.integers(0, 31, n) + rng.integers(-3, 4, n)).astype(np.int32).view(np.uint32)
    return np.choose(rng.integers(0, 4, n), [words, small, few, edges]).astype(np.uint32)


def exponents(n: int, rng: np.random.Generator) -> U32:
    """Return arguments of an exponential.

    Words of all kinds; numbers of every magnitude that matters; numbers near multiples of ln 2,
    where results pass a power of two, and near the ends of the range of results.
    """
    words = rng.integers(0, 2**32, n, dtype=np.uint32)
    spread = _with_exponent(words, rng.integers(95, 136, n))
    multiples = (rng.integers(-150, 150, n) * np.log(2.0)).astype(np.float32).view(np.uint32)
    ends = np.array([88.722839, -87.336545, 128.0, -128.0], np.float32).view(np.uint32)
    nudge = (rng.integers(-(2**23), 2**23, n) >> rng.integers(0, 24, n)).astype(np.int32)
    near = np.where(rng.random(n) < 0.5, multiples, rng.choice(ends, n)) + nudge.view(np.uint32)
    corner = rng.choice(CORNERS, n)
    kind = rng.choice(4, n, p=[0.05, 0.55, 0.35, 0.05])
    return np.choose(kind, [words, spread, near, corner]).astype(np.uint32)
