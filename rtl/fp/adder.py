"""Binary32 adder."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.bits import leading_zeros, shift_left, shift_right_sticky
from rtl.fp.format import CANONICAL_NAN, FinalExponent, Operand, infinity, zero
from rtl.pipeline import Pipeline

# Significand, guard, round and sticky bit.
_WIDTH = 27


@dataclass(frozen=True, kw_only=True)
class AdderConfig:
    """Parameters: `latency` in cycles, 1 to 16; `subtract` makes it a - b."""

    latency: int = 7
    subtract: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.latency <= 16:
            raise ValueError(f"latency = {self.latency}: must be from 1 to 16")


class Adder(wiring.Component):
    """Sum, or difference, of two binary32 numbers.

    Ports
    -----
    a, b : 32 bits, in
    result : 32 bits, out

    Latency
        `config.latency` cycles.
    Throughput
        One sum per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.binary32.add` and `sub`. A tiny sum is exact, so it is judged before rounding.
    """

    def __init__(self, config: AdderConfig | None = None) -> None:
        self.config = config or AdderConfig()
        super().__init__({"a": In(32), "b": In(32), "result": Out(32)})

    def elaborate(self, platform: object) -> Module:
        """Build the datapath: order, align, add, count, normalise, round, pack."""
        m = Module()
        p = Pipeline(m, steps=10, latency=self.config.latency)
        a, b = Operand(m, self.a), Operand(m, self.b)
        b_sign = p.now(b.sign ^ int(self.config.subtract), "b_sign")
        unlike = p.now(a.sign ^ b_sign, "unlike")
        minus = p.put(unlike, "minus")
        swap = p.put(self.b[:31] > self.a[:31], "swap")
        a_sign, b_sign = p.put(a.sign, "a_sign"), p.put(b_sign, "b_sign")
        a_exponent, b_exponent = p.put(a.exponent, "a_exp"), p.put(b.exponent, "b_exp")
        a_bits, b_bits = p.put(a.significand, "a_bits"), p.put(b.significand, "b_bits")
        nan = p.put(a.is_nan | b.is_nan | (a.is_inf & b.is_inf & unlike), "nan")
        inf = p.put(a.is_inf | b.is_inf, "inf")
        p.step()

        def ordered(first: Value, second: Value) -> tuple[Value, Value]:
            return Mux(p.get(swap), second, first), Mux(p.get(swap), first, second)

        # A subnormal operand is zero, whatever its exponent counts as: its significand is.
        large, small = ordered(p.get(a_bits), p.get(b_bits))
        large_exponent, small_exponent = ordered(p.get(a_exponent), p.get(b_exponent))
        sign = p.put(Mux(p.get(swap), p.get(b_sign), p.get(a_sign)), "sign")
        large, small = p.put(large, "large"), p.put(small, "small")
        exponent = p.put(large_exponent, "exponent")
        distance = p.put((large_exponent - small_exponent)[:8], "distance")
        p.step()

        far = p.get(distance)
        shifted = shift_right_sticky(m, Cat(Const(0, 3), p.get(small)), far, (16, 8))
        # Beyond that no bit of the smaller operand can change the rounded sum.
        coarse = p.put(Mux(far[5:8].any(), 0, shifted), "coarse")
        fine_distance = p.put(far[:3], "fine")
        p.step()

        fine = shift_right_sticky(m, p.get(coarse), p.get(fine_distance), (4, 2, 1))
        aligned = p.put(fine, "aligned")
        p.step()

        wide = Cat(Const(0, 3), p.get(large))
        second = Cat(p.get(aligned), Const(0, 1)) ^ p.get(minus).replicate(_WIDTH + 1)
        total = p.put((wide + second + p.get(minus))[: _WIDTH + 1], "total")
        p.step()

        zeros = p.put(leading_zeros(m, p.get(total)), "zeros")
        p.step()

        coarse_left = p.put(shift_left(m, p.get(total), p.get(zeros), (16, 8)), "left")
        p.step()

        left = p.put(shift_left(m, p.get(coarse_left), p.get(zeros), (4, 2, 1)), "normal")
        # One place to the right of the leading one of the larger operand is the carry's place.
        grown = p.put(p.get(exponent) + 1 - p.get(zeros), "grown")
        empty = p.put(~p.get(total).any(), "empty")
        p.step()

        bits = p.get(left)
        kept, guard, sticky = bits[4:28], bits[3], bits[:3].any()
        rounded = p.put(kept + (guard & (sticky | kept[0])), "rounded")
        final = FinalExponent(p, p.get(grown), tiny_is_exact=True)
        p.step()

        value = p.get(rounded)
        exponent, over, tiny = final.after(value[24])
        normal = Cat(value[:23], exponent, p.get(sign))
        finite = Mux(over, infinity(p.get(sign)), normal)
        finite = Mux(tiny, zero(p.get(sign)), finite)
        # Equal magnitudes of unlike sign give +0; zeros of one sign keep it.
        finite = Mux(p.get(empty), zero(p.get(sign) & ~p.get(minus)), finite)
        special = Mux(p.get(nan), Const(CANONICAL_NAN, 32), infinity(p.get(sign)))
        result = p.put(Mux(p.get(nan) | p.get(inf), special, finite), "word")
        p.step()
        m.d.comb += self.result.eq(p.finish(result))
        return m
