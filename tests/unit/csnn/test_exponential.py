"""The exponential: within an ulp of the exact one, and the same in NumPy and compiled."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

import exponential_words as every
import numpy as np
import pytest
from fp_vectors import CORNERS, exponents
from numba import njit

from csnn import binary32, exponential
from csnn.neurons import _primitives as p

CONTEXT = Context(prec=40)
# Exact values from where on results are infinite, and below which they are zero.
INFINITE_FROM = 2.0**128 * (1.0 - 2.0**-25)
ZERO_BELOW = 2.0**-126 * (1.0 - 2.0**-25)
LIMIT_ULP = 0.7
# Units in the last place of binary32, by exponent field.
ULPS = 2.0 ** (np.arange(256) - 150.0)
# Some of each exponent field: their first words, and more.
SOME = 1 << 9


def words_of(words: np.ndarray) -> np.ndarray:
    return binary32.bits_of(exponential.exp(binary32.from_bits(words)))


def test_within_an_ulp_of_the_exact_one() -> None:
    words = exponents(4_000, np.random.default_rng(1))
    words = words[words << np.uint32(1) <= np.uint32(0xFF000000)]
    x = binary32.flush(binary32.from_bits(words)).astype(np.float64)
    y = binary32.from_bits(words_of(words)).astype(np.float64)
    largest = 0.0
    for argument, found in zip(x.tolist(), y.tolist(), strict=True):
        if abs(argument) > 1000:
            assert found == (np.inf if argument > 0 else 0.0)
            continue
        exact = CONTEXT.exp(Decimal(argument))
        if exact >= Decimal(INFINITE_FROM):
            assert found == np.inf
        elif exact < Decimal(ZERO_BELOW):
            assert found == 0.0
        else:
            ulp = Decimal(2) ** (math.frexp(float(exact))[1] - 24)
            largest = max(largest, float(abs(Decimal(found) - exact) / ulp))
    assert 0.5 < largest < LIMIT_ULP


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
        (0x42B17217, 0x7F7FFF84),  # the last that is finite
        (0x42B17218, 0x7F800000),
        (0xC2AEAC4F, 0x00800026),  # the last that is not zero
        (0xC2AEAC50, 0x00000000),
    ],
)
def test_special_arguments(argument: int, word: int) -> None:
    assert words_of(np.array([argument], np.uint32)).tolist() == [word]
    assert every.words(argument, 1).tolist() == [word]


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


# All words. What is far from the exact value, and what is not what the definition says, by parts.


@njit
def _worst(first: int, size: int, offset: int) -> tuple[float, int]:
    """Return the largest error in ulps, and how many results are wrongly finite, zero or a number.

    `offset` is what to add to each finite result, in units in the last place: a planted error.
    """
    worst, wrong = 0.0, 0
    for word in range(first, first + size):
        x = p.of_word(np.int64(word))
        field = word >> 23 & 255
        found = p.word_of(p.exp(x))
        if field == 255 and word & 0x7FFFFF != 0:
            wrong += found != every.CANONICAL_NAN
            continue
        exact = np.exp(np.float64(x)) if field else 1.0
        if exact >= INFINITE_FROM:
            wrong += found != every.INFINITY
        elif exact < ZERO_BELOW:
            wrong += found != 0
        elif found >= every.INFINITY or found < 0x00800000:
            wrong += 1
        else:
            value = np.float64(p.of_word(found + offset))
            place = found >> 23
            # The unit is that of the exact value, or a smaller one.
            if found & 0x7FFFFF == 0 and exact < value:
                place -= 1
            worst = max(worst, abs(value - exact) / ULPS[place])
    return worst, wrong


def errors(size: int, offset: int = 0) -> tuple[float, int]:
    found = [_worst(first, size, offset) for first in every.firsts(range(256))]
    return max(worst for worst, _ in found), sum(wrong for _, wrong in found)


def test_some_words_of_every_exponent_are_within_an_ulp() -> None:
    worst, wrong = errors(SOME)
    assert wrong == 0
    assert 0.5 < worst < LIMIT_ULP
    assert errors(SOME, offset=1)[0] > 1.3


@pytest.mark.slow
def test_all_words_are_within_an_ulp() -> None:
    # The C library's float64 exponential is off by less than 1e-8 of a unit of binary32.
    worst, wrong = errors(every.SIZE)
    print(f"largest error of all 2**32 words: {worst:.5f} ulp")
    assert wrong == 0
    assert 0.5 < worst < LIMIT_ULP - 1e-8


def differing(fields: range, size: int) -> int:
    """Count the words of which NumPy and compiled code make different ones."""
    count = 0
    for first in every.firsts(fields):
        words, found = np.arange(first, first + size, dtype=np.uint32), every.words(first, size)
        # Parts that stay in the cache.
        for part in range(0, size, 1 << 13):
            here = slice(part, part + (1 << 13))
            count += int(np.count_nonzero(words_of(words[here]) != found[here]))
    return count


def other_words(size: int) -> int:
    """Count wrong words of arguments of which only sign, exponent and being a NaN matter.

    NumPy's rule for them shows at some fractions: the shift by `distance` leaves no bit of a small
    one, and of a large one the significand is not used.
    """
    few = [0, 1, 2, 0x2AAAAA, 0x400000, 0x555555, 0x7FFFFE, 0x7FFFFF]
    count = 0
    for field in (*range(every.SMALLEST_FIELD), *range(exponential.LARGEST_FIELD + 1, 256)):
        for first in every.firsts(range(field, field + 1)):
            large = 0 if first >> 31 else every.INFINITY
            rule = np.uint32(large if field > exponential.LARGEST_FIELD else every.ONE)
            found = every.words(first, size)
            if field == 255:
                count += int(found[0] != rule)
                found, rule = found[1:], np.uint32(every.CANONICAL_NAN)
            fractions = np.array(few[1 if field == 255 else 0 :], np.uint32)
            count += int(np.count_nonzero(words_of(np.uint32(first) | fractions) != rule))
            count += int(np.count_nonzero(found != rule))
    return count


def test_some_words_of_every_exponent_are_the_same_compiled() -> None:
    assert differing(range(256), SOME) == 0
    assert other_words(SOME) == 0


@pytest.mark.slow
def test_all_words_are_the_same_compiled() -> None:
    assert differing(every.FIELDS, every.SIZE) == 0
    assert other_words(every.SIZE) == 0


def test_no_argument_is_so_near_that_rounding_lifts_it_from_zero() -> None:
    """Hardware lets the carry of the rounding out of account where the exponent is too small."""
    word = np.float32(-126 * np.log(2.0)).view(np.uint32)
    near = binary32.from_bits(word + np.arange(-100, 101).astype(np.int32).view(np.uint32))
    share = np.exp(np.sort(near).astype(np.float64)) / 2.0**-126
    below, above = share[share < 1.0], share[share >= 1.0]
    assert len(below) > 90
    assert len(above) > 90
    # Errors of a unit and rounding of half of one lift nothing to 1.
    assert below[-1] < 1.0 - 2 * 2.0**-24
