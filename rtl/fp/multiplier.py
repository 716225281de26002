"""Binary32 multiplier."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.format import BIAS, CANONICAL_NAN, EXPONENT_MAX, Operand, infinity, zero
from rtl.pipeline import Pipeline

# Width of the part of b that one DSP multiplies with all of a (18 x 25 bits, both signed).
_PART = 17


@dataclass(frozen=True, kw_only=True)
class MultiplierConfig:
    """Parameters: `latency` in cycles, 1 to 16."""

    latency: int = 5

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
        """Build the datapath: unpack, multiply in two parts, add, round, pack."""
        m = Module()
        p = Pipeline(m, steps=5, latency=self.config.latency)
        a, b = Operand(m, self.a), Operand(m, self.b)
        sign = p.put(a.sign ^ b.sign, "sign")
        exponent = p.put(a.exponent + b.exponent, "exponent")
        is_zero = p.now(a.is_zero | b.is_zero, "is_zero")
        inf = p.put(a.is_inf | b.is_inf, "inf")
        nan = p.put(a.is_nan | b.is_nan | (p.get(inf) & is_zero), "nan")
        none = p.put(is_zero, "none")
        wide, narrow = p.put(a.significand, "wide"), p.put(b.significand, "narrow")
        p.step()

        low = p.put(p.get(wide) * p.get(narrow)[:_PART], "low")
        high = p.put(p.get(wide) * p.get(narrow)[_PART:], "high")
        p.step()

        upper = (p.get(low)[_PART:] + p.get(high))[: 48 - _PART]
        product = p.put(Cat(p.get(low)[:_PART], upper), "product")
        p.step()

        # The product of two numbers in [1, 2) has its leading one at bit 47 or 46.
        bits = p.get(product)
        top = bits[47]
        kept = Mux(top, bits[24:48], bits[23:47])
        guard = Mux(top, bits[23], bits[22])
        sticky = Mux(top, bits[:23], bits[:22]).any()
        rounded = p.put(kept + (guard & (sticky | kept[0])), "rounded")
        # Exponent of the word before a carry of the rounding, plus the bias.
        grown = p.put(p.get(exponent) + top, "grown")
        p.step()

        value = p.get(rounded)
        final = p.now(p.get(grown) + value[24], "final")
        over = final >= EXPONENT_MAX + BIAS
        tiny = final <= BIAS
        # A carry leaves a fraction of zero.
        normal = Cat(value[:23], (final - BIAS)[:8], p.get(sign))
        finite = Mux(over, infinity(p.get(sign)), normal)
        finite = Mux(tiny | p.get(none), zero(p.get(sign)), finite)
        special = Mux(p.get(nan), Const(CANONICAL_NAN, 32), infinity(p.get(sign)))
        result = p.put(Mux(p.get(nan) | p.get(inf), special, finite), "word")
        p.step()
        m.d.comb += self.result.eq(p.finish(result))
        return m
