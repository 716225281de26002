"""Binary32 under the machine's rule in exact rational arithmetic, word by word.

Shares nothing with `csnn.binary32`: values are `Fraction`s, and rounding is integer division.
"""

from __future__ import annotations

from fractions import Fraction

NAN = 0x7FC00000
INFINITY = 0x7F800000
SIGN = 0x80000000


def is_nan(word: int) -> bool:
    return word & 0x7FFFFFFF > INFINITY


def is_infinite(word: int) -> bool:
    return word & 0x7FFFFFFF == INFINITY


def value(word: int) -> Fraction:
    """Value of a finite word; subnormals count as zero."""
    exponent = word >> 23 & 0xFF
    if exponent == 0:
        return Fraction(0)
    magnitude = Fraction(word & 0x7FFFFF | 0x800000) * Fraction(2) ** (exponent - 150)
    return -magnitude if word & SIGN else magnitude


def encode(x: Fraction, sign_of_zero: int = 0) -> int:
    """Round to 24 bits with unbounded exponent, then flush or overflow."""
    if x == 0:
        return sign_of_zero
    sign, magnitude = (SIGN, -x) if x < 0 else (0, x)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    scaled = magnitude / Fraction(2) ** (exponent - 23)
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    if 2 * rest > scaled.denominator or (2 * rest == scaled.denominator and whole & 1):
        whole += 1
    if whole == 1 << 24:
        whole, exponent = 1 << 23, exponent + 1
    if exponent < -126:
        return sign
    if exponent > 127:
        return sign | INFINITY
    return sign | (exponent + 127) << 23 | whole & 0x7FFFFF


def add(a: int, b: int) -> int:
    if is_nan(a) or is_nan(b):
        return NAN
    if is_infinite(a) or is_infinite(b):
        if is_infinite(a) and is_infinite(b) and a != b:
            return NAN
        return a if is_infinite(a) else b
    x, y = value(a), value(b)
    both_negative_zero = x == 0 and y == 0 and a & b & SIGN
    return encode(x + y, SIGN if both_negative_zero else 0)


def sub(a: int, b: int) -> int:
    return add(a, b if is_nan(b) else b ^ SIGN)


def mul(a: int, b: int) -> int:
    sign = (a ^ b) & SIGN
    if is_nan(a) or is_nan(b):
        return NAN
    if is_infinite(a) or is_infinite(b):
        other = b if is_infinite(a) else a
        return NAN if not is_infinite(other) and value(other) == 0 else sign | INFINITY
    return encode(value(a) * value(b), sign)


def _order(word: int) -> Fraction:
    if is_infinite(word):
        return Fraction(-(2**200) if word & SIGN else 2**200)
    return value(word)


def greater_equal(a: int, b: int) -> bool:
    return not (is_nan(a) or is_nan(b)) and _order(a) >= _order(b)


def less(a: int, b: int) -> bool:
    return not (is_nan(a) or is_nan(b)) and _order(a) < _order(b)


def from_int(x: int) -> int:
    return encode(Fraction(x))


def lif_step(
    state: tuple[int, int, int, int], ss_ex: int, ss_in: int, constants: dict[str, int]
) -> tuple[tuple[int, int, int, int], bool]:
    """One LIF step on words: (V, I_ex, I_in, refractory) -> the same and the spike."""
    V, I_ex, I_in, refractory = state
    k = constants
    if refractory == 0:
        excited = add(mul(k["P22"], V), mul(k["P21_ex"], I_ex))
        V = add(excited, add(mul(k["P21_in"], I_in), k["C_dc"]))
    refractory = refractory - 1 if refractory > 0 else 0
    I_ex = add(mul(k["P11_ex"], I_ex), from_int(ss_ex))
    I_in = add(mul(k["P11_in"], I_in), from_int(ss_in))
    spike = greater_equal(V, k["theta"])
    if spike:
        V, refractory = k["V_reset"], k["ref_steps"]
    return (V, I_ex, I_in, refractory), spike
