"""What 32-bit words of ports are as binary32 numbers, and models of units on such words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from bench import Arrays

from csnn import binary32

Words = npt.NDArray[np.uint64]


def numbers(words: Words) -> npt.NDArray[np.float64]:
    """Return the numbers, subnormals as zeros of their sign."""
    with np.errstate(invalid="ignore"):
        return binary32.flush(binary32.from_bits(words.astype(np.uint32))).astype(np.float64)


def exponents(words: Words) -> npt.NDArray[np.int64]:
    """Return the exponent fields."""
    return (words >> np.uint64(23) & np.uint64(255)).astype(np.int64)


def is_nan(words: Words) -> npt.NDArray[np.bool_]:
    """Return which words are NaNs."""
    return np.isnan(numbers(words))


def is_subnormal(words: Words) -> npt.NDArray[np.bool_]:
    """Return which words are subnormals."""
    return (exponents(words) == 0) & (words << np.uint64(41) != 0)


def of_two(operation: Callable[[Any, Any], Any]) -> Callable[[Arrays], Arrays]:
    """Return the model of a unit with the ports a, b and result."""

    def model(inputs: Arrays) -> Arrays:
        a, b = (binary32.from_bits(inputs[name].astype(np.uint32)) for name in "ab")
        result = operation(a, b)
        words = binary32.bits_of(result) if result.dtype == np.float32 else result
        return {"result": words.astype(np.uint64)}

    return model
