"""Conversion of int32 to binary32."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.bits import leading_zeros, shift_left
from rtl.fp.format import BIAS, zero
from rtl.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class FromIntConfig:
    """Parameters: `latency` in cycles, 1 to 16."""

    latency: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.latency <= 16:
            raise ValueError(f"latency = {self.latency}: must be from 1 to 16")


class FromInt(wiring.Component):
    """An int32 as the nearest binary32 number, ties to even.

    Ports
    -----
    a : 32 bits, in
    result : 32 bits, out

    Latency
        `config.latency` cycles.
    Throughput
        One number per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.binary32.from_int32`.
    """

    def __init__(self, config: FromIntConfig | None = None) -> None:
        self.config = config or FromIntConfig()
        super().__init__({"a": In(32), "result": Out(32)})

    def elaborate(self, platform: object) -> Module:
        """Build the datapath: magnitude, leading zeros, normalise, round, pack."""
        m = Module()
        p = Pipeline(m, steps=5, latency=self.config.latency)
        sign = p.put(self.a[31], "sign")
        magnitude = p.put(((self.a ^ self.a[31].replicate(32)) + self.a[31])[:32], "magnitude")
        p.step()

        zeros = p.put(leading_zeros(m, p.get(magnitude)), "zeros")
        empty = p.put(~p.get(magnitude).any(), "empty")
        p.step()

        left = p.put(shift_left(m, p.get(magnitude), p.get(zeros), (16, 8, 4, 2, 1)), "left")
        p.step()

        bits = p.get(left)
        kept, guard, sticky = bits[8:32], bits[7], bits[:7].any()
        rounded = p.put(kept + (guard & (sticky | kept[0])), "rounded")
        p.step()

        value = p.get(rounded)
        exponent = (BIAS + 31 - p.get(zeros) + value[24])[:8]
        normal = Cat(value[:23], exponent, p.get(sign))
        result = p.put(Mux(p.get(empty), zero(Const(0, 1)), normal), "word")
        p.step()
        m.d.comb += self.result.eq(p.finish(result))
        return m
