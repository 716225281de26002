"""The FIFO loses nothing, doubles nothing and keeps the order, whatever happens on either side.

The FIFO does not look at what it holds, so two bits stand for a packet of any width: among packets
of colour 0 the environment sends one of colour 1 and, later, one of colour 2. Any loss, repetition
or exchange of packets could happen to these two.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from rtl.fifo import PacketFifo, PacketFifoConfig

# From the cycle in which a packet could leave to the one in which it is offered.
_PATIENCE = PacketFifo.LATENCY


class FifoHarness(wiring.Component):
    """A FIFO between an environment that colours packets and one that watches colours."""

    def __init__(self, depth: int = 8) -> None:
        self.depth = depth
        super().__init__(
            {
                "input": In(stream.Signature(2)),
                "ready": In(1),
                "violated": Out(1),
                "reached_full": Out(1),
                "reached_both": Out(1),
                "reached_empty_again": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Watch the colours, the level, and the rules of streams."""
        m = Module()
        p = Properties(m, self)
        m.submodules.fifo = fifo = PacketFifo(PacketFifoConfig(width=2, depth=self.depth))
        wiring.connect(m, wiring.flipped(self.input), fifo.input)
        m.d.comb += fifo.output.ready.eq(self.ready)
        taken, given = Signal(), Signal()
        m.d.comb += [
            taken.eq(fifo.input.valid & fifo.input.ready),
            given.eq(fifo.output.valid & fifo.output.ready),
        ]
        colour_in, colour_out = fifo.input.payload, fifo.output.payload
        came, left = (Signal(2, name=name) for name in ("came", "left"))
        for seen, moved, colour in ((came, taken, colour_in), (left, given, colour_out)):
            with m.If(moved & (colour != 0)):
                m.d.sync += seen.eq(colour)
        # Colours come in the order 1, 2, each at most once.
        p.assume(~taken | (colour_in == 0) | ((colour_in == came + 1) & (came != 2)))
        p.never(given & (colour_out != 0) & ((colour_out != left + 1) | (left == 2)))
        p.never(given & (colour_out != 0) & (colour_out > came))
        p.never((fifo.level == 0) & (came != left))
        # Nothing of colour 0 is lost or doubled either: a count modulo more than the depth.
        held = Signal(range(4 * self.depth))
        m.d.sync += held.eq(held + taken - given)
        p.never(held != fifo.level)
        p.never(fifo.level > self.depth)
        p.never(fifo.input.ready != (fifo.level != self.depth))
        # What is offered stays until it is taken.
        waits, offered = Signal(), Signal(2)
        m.d.sync += [waits.eq(fifo.output.valid & ~fifo.output.ready), offered.eq(colour_out)]
        p.never(waits & (~fifo.output.valid | (colour_out != offered)))
        idle = Signal(range(_PATIENCE + 2))
        m.d.sync += idle.eq(Mux((fifo.level != 0) & ~fifo.output.valid, idle + 1, 0))
        p.never(idle >= _PATIENCE)
        p.cover("full", fifo.level == self.depth)
        p.cover("both", left == 2)
        was_full = Signal()
        with m.If(fifo.level == self.depth):
            m.d.sync += was_full.eq(1)
        p.cover("empty_again", was_full & (fifo.level == 0))
        p.finish()
        return m
