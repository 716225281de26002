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

    What a carry of the rounding changes is computed beside it, so that the carry only chooses. A
    carry to the exponent of the infinities leaves their fraction, zero: it needs no watching.

    Parameters
    ----------
    p : Pipeline
    exponent : Value
        Signed biased exponent without a carry.
    tiny_is_exact : bool
        Whether no result below 2^-126 is rounded up to it.
    """

    def __init__(self, p: Pipeline, exponent: Value, *, tiny_is_exact: bool = False) -> None:
        self._p = p
        self._exponents = [p.put(e[:8], "exponent") for e in (exponent, exponent + 1)]
        self._over = p.put(exponent >= EXPONENT_MAX, "over")
        limits = (1,) if tiny_is_exact else (1, 0)
        self._tiny = [p.put(exponent < limit, "tiny") for limit in limits]

    def after(self, carry: Value) -> tuple[Value, Value, Value]:
        """Return the exponent, and whether it is too large or too small, given the carry."""
        without, with_carry = (self._p.get(exponent) for exponent in self._exponents)
        tiny = [self._p.get(tiny) for tiny in self._tiny]
        return (
            Mux(carry, with_carry, without),
            self._p.get(self._over),
            Mux(carry, tiny[-1], tiny[0]) if len(tiny) > 1 else tiny[0],
        )


def infinity(sign: ValueLike) -> Value:
    """Return the word of an infinity."""
    return Cat(Const(EXPONENT_MAX << 23, 31), sign)


def zero(sign: ValueLike) -> Value:
    """Return the word of a zero."""
    return Cat(Const(0, 31), sign)
