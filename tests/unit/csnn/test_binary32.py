"""binary32: NumPy = exact rationals = SSE hardware with FTZ and DAZ, operation by operation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import exact_binary32 as exact
import numpy as np
import pytest
from numba import njit

from csnn import binary32
from csnn.neurons import flush

BINARY = {
    "add": (binary32.add, exact.add),
    "sub": (binary32.sub, exact.sub),
    "mul": (binary32.mul, exact.mul),
    "greater_equal": (binary32.greater_equal, exact.greater_equal),
    "less": (binary32.less, exact.less),
}
_POSITIVE = [
    0x00000000,  # zero
    0x00000001,  # least subnormal
    0x00400000,
    0x007FFFFF,  # greatest subnormal
    0x00800000,  # 2**-126
    0x00800001,
    0x00FFFFFF,
    0x01000000,  # 2**-125
    0x0C000000,  # 2**-103: sums with 2**-126 lose its last bits
    0x1F800000,  # 2**-64
    0x20000000,  # 2**-63
    0x1FFFFFFF,
    0x33800000,  # 2**-24
    0x33800001,
    0x34000000,  # 2**-23
    0x3F7FFFFF,  # 1 - 2**-24
    0x3F800000,  # 1
    0x3F800001,
    0x3FC00000,  # 1.5
    0x40400000,  # 3
    0x4B7FFFFF,
    0x4B800000,  # 2**24
    0x5F000000,
    0x5F7FFFFF,
    0x5F800000,  # 2**64
    0x7E800000,  # 2**126
    0x7F000000,
    0x7F7FFFFF,  # greatest finite
    0x7F800000,  # infinity
    0x7F800001,  # signalling NaN
    0x7FC00000,
    0x7FD12345,
]
CORNERS = np.array(_POSITIVE + [w | 0x80000000 for w in _POSITIVE], dtype=np.uint32)


def corner_pairs() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(CORNERS, CORNERS)
    return a.ravel(), b.ravel()


def random_pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    words = np.random.default_rng(seed).integers(0, 2**32, (2, n), dtype=np.uint32)
    return words[0], words[1]


def near_pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponents close together, all magnitudes: cancellation, and sums at the subnormal edge."""
    rng = np.random.default_rng(seed)
    exponent = rng.integers(0, 40, n)
    other = np.clip(exponent + rng.integers(-3, 4, n), 0, 254)
    fields = rng.integers(0, 2**23, (2, n)) | rng.integers(0, 2, (2, n)) << 31
    return (fields[0] | exponent << 23).astype(np.uint32), (fields[1] | other << 23).astype(
        np.uint32
    )


def edge_products(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors whose product lies within 2**-22 (relative) below or above 2**-126."""
    rng = np.random.default_rng(seed)
    a = rng.integers(2**23, 2**24, n)
    b = np.minimum(2**47 // a + rng.integers(0, 2, n), 2**24)
    x = np.ldexp(a.astype(np.float64), -86).astype(np.float32)
    y = np.ldexp(b.astype(np.float64), -87).astype(np.float32)
    y *= rng.choice(np.array([-1, 1], dtype=np.float32), n)
    return x.view(np.uint32), y.view(np.uint32)


def words_of(result: np.ndarray) -> np.ndarray:
    return result if result.dtype == np.bool_ else binary32.bits_of(result)


def first_difference(got: np.ndarray, expected: np.ndarray) -> int | None:
    different = np.flatnonzero(got != expected)
    return int(different[0]) if different.size else None


PAIRS = {
    "corners": corner_pairs(),
    "random": random_pairs(4000, 1),
    "near": near_pairs(4000, 2),
    "edge": edge_products(4000, 3),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("pairs", PAIRS)
def test_operation_equals_exact_rationals(name: str, pairs: str) -> None:
    ours, reference = BINARY[name]
    a, b = PAIRS[pairs]
    with np.errstate(all="raise"):
        got = words_of(ours(binary32.from_bits(a), binary32.from_bits(b)))
    expected = np.array(
        [reference(int(x), int(y)) for x, y in zip(a, b, strict=True)], dtype=got.dtype
    )
    assert first_difference(got, expected) is None


@pytest.mark.parametrize("naive_edge", [True, False])
def test_gradual_underflow_then_flush_is_another_product(naive_edge: bool) -> None:
    a, b = edge_products(4000, 3) if naive_edge else random_pairs(4000, 1)
    x, y = binary32.flush(binary32.from_bits(a)), binary32.flush(binary32.from_bits(b))
    with np.errstate(all="ignore"):
        naive = binary32.canonical(binary32.flush(x * y))
    differs = first_difference(binary32.bits_of(naive), binary32.bits_of(binary32.mul(x, y)))
    # The comparison sees the fault, and only the edge vectors can show it.
    assert (differs is not None) == naive_edge


@njit
def sse(name: str, a: Any, b: Any, out: Any) -> None:
    old = flush.enable()
    if name == "add":
        for i in range(a.size):
            out[i] = a[i] + b[i]
    elif name == "sub":
        for i in range(a.size):
            out[i] = a[i] - b[i]
    elif name == "mul":
        for i in range(a.size):
            out[i] = a[i] * b[i]
    elif name == "greater_equal":
        for i in range(a.size):
            out[i] = np.float32(a[i] >= b[i])
    else:
        for i in range(a.size):
            out[i] = np.float32(a[i] < b[i])
    flush.restore(old)


@pytest.mark.skipif(not flush.HARDWARE, reason="needs the FTZ and DAZ modes of x86-64")
@pytest.mark.parametrize("name", BINARY)
def test_operation_equals_hardware(name: str) -> None:
    sets = (
        corner_pairs(),
        random_pairs(300_000, 11),
        near_pairs(300_000, 12),
        edge_products(300_000, 13),
    )
    a, b = (binary32.from_bits(np.concatenate(words)) for words in zip(*sets, strict=True))
    out = np.empty_like(a)
    sse(name, a, b, out)
    got = BINARY[name][0](a, b)
    expected = words_of(binary32.canonical(out)) if got.dtype == np.float32 else out != 0
    assert first_difference(words_of(got), expected) is None


def test_int32_conversion_rounds_to_nearest_even() -> None:
    edges = [0, 1, -1, 2**24 - 1, 2**24, 2**24 + 1, 2**24 + 3, 2**31 - 1, -(2**31), 2**30 + 63]
    rng = np.random.default_rng(5)
    x = np.concatenate([edges, rng.integers(-(2**31), 2**31, 2000)]).astype(np.int32)
    expected = [exact.from_int(int(value)) for value in x]
    assert binary32.bits_of(binary32.from_int32(x)).tolist() == expected


def test_float64_rounding_equals_exact_rationals() -> None:
    rng = np.random.default_rng(6)
    least = 2.0**-126
    edges = [0.0, -0.0, least, binary32.TINY_BELOW, np.nextafter(binary32.TINY_BELOW, 0.0)]
    edges += [least - 2.0**-150, 5e-324, 3.4028235677973366e38, np.nextafter(2.0**128, 0), 1e300]
    x = np.concatenate([edges, np.negative(edges), np.exp(rng.uniform(-95, 95, 2000))])
    signs = np.where(np.signbit(x), exact.SIGN, 0)
    expected = [exact.encode(Fraction(v), s) for v, s in zip(x.tolist(), signs, strict=True)]
    with np.errstate(all="raise"):
        assert binary32.bits_of(binary32.round_to_binary32(x)).tolist() == expected
        special = binary32.round_to_binary32(np.array([np.inf, -np.inf, np.nan, -np.nan]))
    assert binary32.bits_of(special).tolist() == [0x7F800000, 0xFF800000, 0x7FC00000, 0x7FC00000]


def test_shapes_broadcast_and_results_are_float32() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    result = binary32.mul(a, np.float32(2))
    assert (result.shape, result.dtype) == ((2, 3), np.float32)
    assert binary32.add(np.float32(1), np.float32(2)).shape == ()
    assert binary32.bits_of(a.T).shape == (3, 2)


@pytest.mark.parametrize("operation", [ours for ours, _ in BINARY.values()])
def test_other_dtypes_are_refused(operation: Any) -> None:
    with pytest.raises(TypeError, match="expected float32, got float64"):
        operation(np.float32(1), np.float64(1))
    with pytest.raises(TypeError, match="expected int32"):
        binary32.from_int32(np.array([1], dtype=np.int64))
