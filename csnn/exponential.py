"""The binary32 exponential of the machine, defined bit for bit in integers.

The argument becomes a fixed-point number, from which a whole number of logarithms of two is taken;
of the rest, nine bits choose an entry of a table and a polynomial of degree two does the others. No
result is further than one unit in the last place from the exact one (0.69 is the most over all
words), and exp(0) is 1. Subnormals, tiny results and NaNs are treated as in `csnn.binary32`.

NumPy here, `csnn.neurons._primitives`, `rtl.fp.exponential` and emitted C++ share the constants and
the table of this file and nothing else.

References
----------
de Dinechin & Pasca (2010), Floating-point exponential functions for DSP-enabled FPGAs, FPT 2010
(range reduction, table of leading bits).
"""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt

from csnn.binary32 import CANONICAL_NAN_BITS, EXPONENT_BITS, F32, bits_of, from_bits

# Fraction bits of the argument, of the rest, and of the entries of the table.
ARGUMENT_BITS = 32
REST_BITS = 36
ENTRY_BITS = 28
# Leading bits of the rest that choose an entry.
INDEX_BITS = 9
# Arguments whose exponent field is larger have results that are infinite or zero.
LARGEST_FIELD = 127 + 6

# k = (top * INVERSE_LN2 - MARGIN) >> (TOP_BITS + INVERSE_BITS), where `top` is the argument with
# TOP_BITS fraction bits: at most x / ln 2, and never so much less that the table would end.
TOP_BITS = 4
INVERSE_BITS = 12
_CONTEXT = Context(prec=50)


def _rounded(value: Decimal, bits: int) -> int:
    return int((value * 2**bits).to_integral_value(rounding="ROUND_HALF_EVEN"))


LN2 = _rounded(_CONTEXT.ln(Decimal(2)), REST_BITS)
INVERSE_LN2 = _rounded(1 / _CONTEXT.ln(Decimal(2)), INVERSE_BITS)
MARGIN = 1 << 10
# exp(i / 512) in ENTRY_BITS.
TABLE = tuple(
    _rounded(_CONTEXT.exp(Decimal(i) / 2**INDEX_BITS), ENTRY_BITS) for i in range(2**INDEX_BITS)
)
_TABLE = np.array(TABLE, dtype=np.int64)


def exp(x: npt.ArrayLike) -> F32:
    """Return the exponential of float32 values, any shape; any other dtype is a TypeError."""
    words = bits_of(x).astype(np.int64)
    field, is_negative = words >> 23 & 255, words >> 31 != 0
    significand = np.where(field == 0, 0, words & 0x7FFFFF | 0x800000)
    # Beyond LARGEST_FIELD nothing of this is used.
    distance = np.clip(LARGEST_FIELD - field, 0, 63)
    magnitude = significand << (LARGEST_FIELD - 127 + ARGUMENT_BITS - 23) >> distance
    fixed = np.where(is_negative, -magnitude, magnitude)

    top = fixed >> (ARGUMENT_BITS - TOP_BITS)
    k = (top * INVERSE_LN2 - MARGIN) >> (TOP_BITS + INVERSE_BITS)
    rest = (fixed << (REST_BITS - ARGUMENT_BITS)) - k * LN2
    entry = _TABLE[rest >> (REST_BITS - INDEX_BITS)]
    low = rest & ((1 << (REST_BITS - INDEX_BITS)) - 1)

    # exp(low) - 1 with 32 fraction bits: low + low**2 / 2, the square of its 11 leading bits.
    leading = low >> 16
    growth = (low >> (REST_BITS - 32)) + (leading * leading >> 9)
    # (entry - 1) with 16 fraction bits is enough for what `growth` adds to it.
    factor = (entry - (1 << ENTRY_BITS) + (1 << 11)) >> 12
    total = (entry << 4) + growth + (factor * growth >> 16)

    is_two = total >> 33
    kept = total >> (9 + is_two)
    guard = total >> (8 + is_two) & 1
    sticky = (total & ((1 << (8 + is_two)) - 1)) != 0
    rounded = kept + (guard & (sticky | kept & 1))
    exponent = k + is_two + (rounded >> 24) + 127
    fraction = np.where(rounded >> 24 != 0, 0, rounded & 0x7FFFFF)

    is_large = field > LARGEST_FIELD
    over = np.where(is_large, ~is_negative, exponent > 254)
    tiny = np.where(is_large, is_negative, exponent < 1)
    word = np.where(over, EXPONENT_BITS, np.where(tiny, 0, exponent << 23 | fraction))
    is_nan = (field == 255) & (words & 0x7FFFFF != 0)
    return from_bits(np.where(is_nan, CANONICAL_NAN_BITS, word).astype(np.uint32))
