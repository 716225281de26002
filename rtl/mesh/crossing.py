"""Packets from one clock domain into another."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from csnn.packets import PACKET_BITS

DEPTH = 16


class Crossing(wiring.Component):
    """Hands packets on from the domain `source` to the domain `sink`.

    Both domains are reset together, for three cycles of the slower clock at least: after a shorter
    reset packets may come again that had come before it. While only the sink is reset, packets that
    come are lost.

    Ports
    -----
    input : stream of 96 bits, in
        In the domain `source`.
    output : stream of 96 bits, out
        In the domain `sink`.

    Latency
        One edge of the source's clock, then three or four of the sink's: how the clocks lie to
        each other decides.
    Throughput
        One packet per cycle of the slower clock.
    Backpressure
        `input.ready` falls while `DEPTH` packets wait.
    Reference
        Heittmann et al. (2022): FIFOs between the communication and the application clock.
    """

    def __init__(self, source: str, sink: str) -> None:
        self.source, self.sink = source, sink
        super().__init__(
            {
                "input": In(stream.Signature(PACKET_BITS)),
                "output": Out(stream.Signature(PACKET_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build a FIFO of two clocks."""
        m = Module()
        m.submodules.fifo = fifo = AsyncFIFOBuffered(
            width=PACKET_BITS, depth=DEPTH, w_domain=self.source, r_domain=self.sink
        )
        wiring.connect(m, wiring.flipped(self.input), fifo.w_stream)
        wiring.connect(m, fifo.r_stream, wiring.flipped(self.output))
        return m
