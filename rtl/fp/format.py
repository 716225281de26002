"""Fields of a binary32 word, with the flush of subnormal operands built in."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike

from rtl.pipeline import Pipeline

BIAS = 127
CANONICAL_NAN = 0x7FC00000
EXPONENT_MAX = 255


class Operand:
    """A binary32 operand taken apart.

    Attributes
    ----------
    sign, exponent, significand : Value
        1, 8 and 24 bits; a subnormal has the significand 0, others their leading one.
    is_zero, is_inf, is_nan : Signal
        1 bit each; subnormals are zeros.
    """

    def __init__(self, m: Module, word: ValueLike) -> None:
        word = Value.cast(word)
        fraction = word[:23]
        self.sign = word[31]
        self.exponent = word[23:31]
        self.is_zero, self.is_inf, self.is_nan = (
            Signal(name=f"is_{kind}") for kind in ("zero", "inf", "nan")
        )
        special, whole = Signal(), Signal()
        m.d.comb += [
            self.is_zero.eq(self.exponent == 0),
            special.eq(self.exponent == EXPONENT_MAX),
            whole.eq(fraction == 0),
            self.is_inf.eq(special & whole),
            self.is_nan.eq(special & ~whole),
        ]
        self.significand = Cat(fraction, Const(1, 1)) & (~self.is_zero).replicate(24)


class FinalExponent:
    """Exponent of a result, made ready in the step in which the significand is rounded.

    Both cases are computed beside the rounding, so that its carry only chooses.

    Parameters
    ----------
    p : Pipeline
    exponent : Value
        Signed biased exponent without a carry.
    """

    def __init__(self, p: Pipeline, exponent: Value) -> None:
        self._p = p
        self._cases = [
            (
                p.put((exponent + carry)[:8], f"exponent_{carry}"),
                p.put(exponent >= EXPONENT_MAX - carry, f"over_{carry}"),
                p.put(exponent < 1 - carry, f"tiny_{carry}"),
            )
            for carry in range(2)
        ]

    def after(self, carry: Value) -> tuple[Value, Value, Value]:
        """Return the exponent, and whether it is too large or too small, given the carry."""
        without, with_carry = self._cases
        exponent, over, tiny = (
            Mux(carry, self._p.get(one), self._p.get(none))
            for none, one in zip(without, with_carry, strict=True)
        )
        return exponent, over, tiny


def infinity(sign: ValueLike) -> Value:
    """Return the word of an infinity."""
    return Cat(Const(EXPONENT_MAX << 23, 31), sign)


def zero(sign: ValueLike) -> Value:
    """Return the word of a zero."""
    return Cat(Const(0, 31), sign)
