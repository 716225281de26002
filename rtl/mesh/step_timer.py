"""How long the steps of the machine take."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

_NONE = (1 << 32) - 1


class StepTimer(wiring.Component):
    """Counts the cycles of a step; keeps those of the last, the longest, the shortest.

    Ports
    -----
    begins : 1 bit, in
        A sync message is handed over; the cycle after it is the first of the step.
    ends : 1 bit, in
        The last cycle of the step.
    clear : 1 bit, in
        No step has ended yet.
    limit : 32 bits, in
        Cycles that a step may take; 0: any number.
    expired : 1 bit, out
        The step takes more.
    last, longest, shortest : 32 bits, out
        0, 0 and 2^32 - 1 if no step has ended.

    Latency
        1 cycle to `last`, 2 to the others.
    Throughput
        A step of two cycles or more.
    Backpressure
        None.
    Reference
        Heittmann et al. (2022), "Node synchronization".
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "begins": In(1),
                "ends": In(1),
                "clear": In(1),
                "limit": In(32),
                "expired": Out(1),
                "last": Out(32),
                "longest": Out(32),
                "shortest": Out(32, init=_NONE),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count; compare the last step with the extremes when it has been stored."""
        m = Module()
        elapsed = Signal(32)
        has_ended = Signal()
        m.d.comb += self.expired.eq((self.limit != 0) & (elapsed > self.limit))
        m.d.sync += [elapsed.eq(elapsed + 1), has_ended.eq(self.ends)]
        with m.If(self.begins):
            m.d.sync += elapsed.eq(1)
        with m.If(self.ends):
            m.d.sync += self.last.eq(elapsed)
        with m.If(has_ended & (self.last > self.longest)):
            m.d.sync += self.longest.eq(self.last)
        with m.If(has_ended & (self.last < self.shortest)):
            m.d.sync += self.shortest.eq(self.last)
        with m.If(self.clear):
            m.d.sync += [self.last.eq(0), self.longest.eq(0), self.shortest.eq(_NONE)]
        return m
