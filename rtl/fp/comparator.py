"""Binary32 comparator."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.format import Operand
from rtl.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class ComparatorConfig:
    """Parameters: `latency` in cycles, 1 to 16; `less` compares a < b instead of a >= b."""

    latency: int = 1
    less: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.latency <= 16:
            raise ValueError(f"latency = {self.latency}: must be from 1 to 16")


class Comparator(wiring.Component):
    """Order of two binary32 numbers; false if either is NaN.

    Ports
    -----
    a, b : 32 bits, in
    result : 1 bit, out

    Latency
        `config.latency` cycles.
    Throughput
        One comparison per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.binary32.greater_equal` and `less`.
    """

    def __init__(self, config: ComparatorConfig | None = None) -> None:
        self.config = config or ComparatorConfig()
        super().__init__({"a": In(32), "b": In(32), "result": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Compare the words as integers in an order that is that of the numbers."""
        m = Module()
        p = Pipeline(m, steps=3, latency=self.config.latency)
        a, b = Operand(m, self.a), Operand(m, self.b)
        first, second = p.put(_ordered(a, self.a), "first"), p.put(_ordered(b, self.b), "second")
        # The order tells zeros and subnormals apart; the numbers are equal.
        zeros = p.put(a.is_zero & b.is_zero, "zeros")
        nan = p.put(a.is_nan | b.is_nan, "nan")
        p.step()
        less = p.put(p.get(first) < p.get(second), "less")
        p.step()
        below = p.get(less) & ~p.get(zeros)
        result = p.put((below if self.config.less else ~below) & ~p.get(nan), "holds")
        p.step()
        m.d.comb += self.result.eq(p.finish(result))
        return m


def _ordered(operand: Operand, word: Value) -> Value:
    """Return an unsigned number in the order of the words, with -0 just below +0.

    Subnormals need no flush: they lie between zero and all others, and two of them are zeros.
    """
    return Cat(word[:31] ^ operand.sign.replicate(31), ~operand.sign)
