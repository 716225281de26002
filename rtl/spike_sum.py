"""Count of spikes and sum of their hashes: what makes losses and alterations visible."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

COUNT_BITS = 26


class SpikeSum(wiring.Component):
    """Counts the spikes of a step and adds up their hashes.

    Ports
    -----
    clear : 1 bit, in
        Begins a step.
    step : 32 bits, in
        Number of the step.
    valid, source : in
        A spike.
    count, sum : out
    busy : 1 bit, out
        A spike is on its way into the sum.

    Latency
        3 cycles.
    Throughput
        One spike per cycle.
    Backpressure
        None.
    Reference
        `csnn.packets.spike_sum`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "clear": In(1),
                "step": In(32),
                "valid": In(1),
                "source": In(32),
                "count": Out(COUNT_BITS),
                "sum": Out(32),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build an addition and an exclusive-or per step of the hash."""
        m = Module()
        reversed_step = Cat(*(self.step[31 - i] for i in range(32)))
        mixed, first, second = (Signal(32, name=f"mixed_{i}") for i in range(3))
        h = [Signal(32, name=f"h_{i}", reset_less=True) for i in range(2)]
        valids = Signal(2)
        m.d.comb += [
            mixed.eq(self.source ^ reversed_step),
            first.eq(mixed + _shifted(mixed, 10)),
            second.eq(h[0] + _shifted(h[0], 3)),
            self.busy.eq(valids.any()),
        ]
        m.d.sync += [
            valids.eq(Cat(self.valid, valids[0])),
            h[0].eq(first ^ first >> 6),
            h[1].eq(second ^ second >> 11),
        ]
        with m.If(self.clear):
            m.d.sync += [self.count.eq(0), self.sum.eq(0)]
        with m.Elif(valids[1]):
            m.d.sync += [
                self.count.eq(self.count + 1),
                self.sum.eq(self.sum + h[1] + _shifted(h[1], 15)),
            ]
        return m


def _shifted(word: Signal, places: int) -> Cat:
    """Return a word shifted up, within its width."""
    return Cat(Const(0, places), word[: len(word) - places])
