"""The exponential: within an ulp of the exact one, and the same in NumPy and compiled."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import numpy as np
import pytest
from fp_vectors import CORNERS, exponents
from numba import njit

from csnn import binary32, exponential
from csnn.neurons import _primitives as p

CONTEXT = Context(prec=40)
# Where results round to infinity and to less than 2**-126, beyond any double.
LARGEST, SMALLEST = Decimal(2) ** 128 * (1 - Decimal(2) ** -25), Decimal(2) ** -126
SMALLEST *= 1 - Decimal(2) ** -25


def words_of(words: np.ndarray) -> np.ndarray:
    return binary32.bits_of(exponential.exp(binary32.from_bits(words)))


def test_within_an_ulp_of_the_exact_one() -> None:
    words = exponents(4_000, np.random.default_rng(1))
    x = binary32.flush(binary32.from_bits(words)).astype(np.float64)
    y = binary32.from_bits(words_of(words)).astype(np.float64)
    largest = 0.0
    for argument, found in zip(x.tolist(), y.tolist(), strict=True):
        if not np.isfinite(argument) or abs(argument) > 1000:
            continue
        exact = CONTEXT.exp(Decimal(argument))
        if exact >= LARGEST:
            assert found == np.inf
        elif exact < SMALLEST:
            assert found == 0.0
        else:
            exponent = max(exact.adjusted(), -40)
            ulp = Decimal(2) ** (int(CONTEXT.divide(exact.ln(CONTEXT), Decimal(2).ln(CONTEXT)).to_integral_value(rounding="ROUND_FLOOR")) - 23)
            assert exponent > -60
            largest = max(largest, float(abs(Decimal(found) - exact) / ulp))
    assert 0.5 < largest < 0.7


@pytest.mark.parametrize(
    ("argument", "word"),
    [
        (0x00000000, 0x3F800000),
        (0x80000000, 0x3F800000),
        (0x007FFFFF, 0x3F800000),
        (0x7F800000, 0x7F800000),
        (0xFF800000, 0x00000000),
        (0x7F7FFFFF, 0x7F800000),
        (0xFF7FFFFF, 0x00000000),
        (0x7F800001, 0x7FC00000),
        (0xFFFFFFFF, 0x7FC00000),
        (0x3F800000, 0x402DF854),  # e
    ],
)
def test_special_arguments(argument: int, word: int) -> None:
    assert words_of(np.array([argument], np.uint32)).tolist() == [word]


def test_shapes_and_types() -> None:
    assert exponential.exp(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert exponential.exp(np.float32(0.0)).shape == ()
    with pytest.raises(TypeError, match="expected float32, got float64"):
        exponential.exp(np.zeros(2))


@njit
def _compiled(x: Any, y: Any) -> None:
    for i in range(len(x)):
        y[i] = p.exp(x[i])


def test_compiled_is_the_same() -> None:
    words = np.concatenate([CORNERS, exponents(500_000, np.random.default_rng(2))])
    found = np.empty(len(words), np.float32)
    _compiled(binary32.from_bits(words), found)
    assert np.array_equal(binary32.bits_of(found), words_of(words))


@njit
def _worst(first: int, last: int) -> tuple[float, int]:
    """Return the largest error in ulps, and how many results are wrongly finite or not."""
    worst, wrong = 0.0, 0
    for word in range(first, last):
        x = p.of_word(np.int64(word))
        found = np.float64(p.exp(x))
        field = word >> 23 & 255
        if field == 255 and word & 0x7FFFFF != 0:
            wrong += found == found
            continue
        exact = np.exp(np.float64(x)) if field else 1.0
        if exact >= 2.0**128 * (1.0 - 2.0**-25):
            wrong += found != np.inf
        elif exact < 2.0**-126 * (1.0 - 2.0**-25):
            wrong += found != 0.0
        elif found == np.inf or found == 0.0:
            wrong += 1
        else:
            ulp = 2.0 ** (np.floor(np.log2(exact)) - 23)
            worst = max(worst, abs(found - exact) / ulp)
    return worst, wrong


@pytest.mark.slow
def test_all_words() -> None:
    """The C library's float64 exponential is exact enough: to less than 1e-8 ulp of binary32."""
    found = [_worst(first, first + 2**26) for first in range(0, 2**32, 2**26)]
    print(f"largest error {max(worst for worst, _ in found):.4f} ulp")
    assert sum(wrong for _, wrong in found) == 0
    assert max(worst for worst, _ in found) < 0.7
