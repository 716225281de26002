"""Binary32 multiplier."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.format import BIAS, CANONICAL_NAN, FinalExponent, Operand, infinity, zero
from rtl.pipeline import Pipeline, Staged

# Width of the part of b that one DSP48 multiplies with all of a (18 x 25 bits, both signed).
_PART = 17
_HALF = 12


@dataclass(frozen=True, kw_only=True)
class MultiplierConfig:
    """Parameters.

    Attributes
    ----------
    latency : int
        Cycles, 1 to 16.
    quarters : bool
        Four products of 12 by 12 bits, for devices whose multipliers take 18 by 18, in place of
        two for 25 by 18.
    """

    latency: int = 5
    quarters: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.latency <= 16:
            raise ValueError(f"latency = {self.latency}: must be from 1 to 16")


class Multiplier(wiring.Component):
    """Product of two binary32 numbers.

    Ports
    -----
    a, b : 32 bits, in
    result : 32 bits, out

    Latency
        `config.latency` cycles.
    Throughput
        One product per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.binary32.mul`. A result is tiny, hence a zero, if it lies below 2^-126 after rounding
        with an unbounded exponent.
    """

    def __init__(self, config: MultiplierConfig | None = None) -> None:
        self.config = config or MultiplierConfig()
        super().__init__({"a": In(32), "b": In(32), "result": Out(32)})

    def elaborate(self, platform: object) -> Module:
        """Build the datapath: unpack, multiply in parts, add, normalise, round, pack."""
        m = Module()
        steps = 8 if self.config.quarters else 6
        p = Pipeline(m, steps=steps, latency=self.config.latency)
        a, b = Operand(m, self.a), Operand(m, self.b)
        sign = p.put(a.sign ^ b.sign, "sign")
        exponent = p.put(a.exponent + b.exponent, "exponent")
        is_zero = p.now(a.is_zero | b.is_zero, "is_zero")
        inf = p.put(a.is_inf | b.is_inf, "inf")
        nan = p.put(a.is_nan | b.is_nan | (p.get(inf) & is_zero), "nan")
        none = p.put(is_zero, "none")
        significands = p.put(a.significand, "wide"), p.put(b.significand, "narrow")
        p.step()

        product = (self._quarters if self.config.quarters else self._halves)(p, *significands)
        p.step()

        # The product of two numbers in [1, 2) has its leading one at bit 47 or 46.
        bits = p.get(product)
        top = bits[47]
        kept = p.put(Mux(top, bits[24:48], bits[23:47]), "kept")
        guard = Mux(top, bits[23], bits[22])
        sticky = Mux(top, bits[:23], bits[:22]).any()
        up = p.put(guard & (sticky | p.get(kept)[0]), "up")
        # Exponent of the word before a carry of the rounding.
        grown = p.put(p.get(exponent) + top - BIAS, "grown")
        p.step()

        rounded = p.put(p.get(kept) + p.get(up), "rounded")
        final = FinalExponent(p, p.get(grown))
        p.step()

        value = p.get(rounded)
        # A carry leaves a fraction of zero.
        exponent, over, tiny = final.after(value[24])
        normal = Cat(value[:23], exponent, p.get(sign))
        finite = Mux(over, infinity(p.get(sign)), normal)
        finite = Mux(tiny | p.get(none), zero(p.get(sign)), finite)
        special = Mux(p.get(nan), Const(CANONICAL_NAN, 32), infinity(p.get(sign)))
        result = p.put(Mux(p.get(nan) | p.get(inf), special, finite), "word")
        p.step()
        m.d.comb += self.result.eq(p.finish(result))
        return m

    def _halves(self, p: Pipeline, wide: Staged, narrow: Staged) -> Staged:
        """Return the product from two parts, one step on."""
        low = p.put(p.get(wide) * p.get(narrow)[:_PART], "low")
        high = p.put(p.get(wide) * p.get(narrow)[_PART:], "high")
        p.step()
        upper = (p.get(low)[_PART:] + p.get(high))[: 48 - _PART]
        return p.put(Cat(p.get(low)[:_PART], upper), "product")

    def _quarters(self, p: Pipeline, wide: Staged, narrow: Staged) -> Staged:
        """Return the product from four parts, three steps on."""
        a, b = ((p.get(x)[:_HALF], p.get(x)[_HALF:]) for x in (wide, narrow))
        outer = p.put(a[0] * b[0], "low"), p.put(a[1] * b[1], "high")
        inner = p.put(a[0] * b[1], "inner_1"), p.put(a[1] * b[0], "inner_2")
        p.step()
        # A step for the way from the multipliers to the adders.
        for part in (*outer, *inner):
            p.get(part)
        p.step()
        crossed = p.put(p.get(inner[0]) + p.get(inner[1]), "crossed")
        p.step()
        low = p.get(outer[0])
        upper = (Cat(low[_HALF:], p.get(outer[1])) + p.get(crossed))[: 48 - _HALF]
        return p.put(Cat(low[:_HALF], upper), "product")
