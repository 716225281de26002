"""The exponential of arguments too small or too large for its arithmetic, whatever their fraction.

All others are tried one by one (`tests/unit/rtl/test_fp.py`). The component is the one with a
single register, whose arithmetic is that of every other latency.
"""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from csnn.binary32 import CANONICAL_NAN_BITS, EXPONENT_BITS
from csnn.exponential import LARGEST_FIELD
from rtl.fp.exponential import Exponential, ExponentialConfig

ONE = 0x3F800000
# Arguments of smaller exponent fields have no bits in the fixed-point number.
SMALLEST_FIELD = 95


class ExponentialHarness(wiring.Component):
    """The unit beside the rules of small and of large arguments."""

    def __init__(self) -> None:
        covers = ("small", "large", "not_a_number")
        super().__init__(
            {
                "a": In(32),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in covers},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compare results with what a word's sign, exponent and being a NaN say."""
        m = Module()
        p = Properties(m, self)
        m.submodules.exponential = unit = Exponential(ExponentialConfig(latency=1))
        word, known = Signal(32, reset_less=True), Signal()
        m.d.comb += unit.a.eq(self.a)
        m.d.sync += [word.eq(self.a), known.eq(1)]
        field, fraction, negative = word[23:31], word[:23], word[31]
        is_small, is_large = known & (field < SMALLEST_FIELD), known & (field > LARGEST_FIELD)
        is_nan = is_large & (field == 255) & fraction.any()
        limit = Mux(negative, 0, Const(EXPONENT_BITS, 32))
        p.never(is_small & (unit.result != ONE))
        p.never(is_large & (unit.result != Mux(is_nan, Const(CANONICAL_NAN_BITS, 32), limit)))
        p.cover("small", is_small & fraction.any() & negative)
        p.cover("large", is_large & ~is_nan & (field < 255))
        p.cover("not_a_number", is_nan)
        p.finish()
        return m
