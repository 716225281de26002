"""Broadcast packets out of what the master node has to say."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.packets import PACKET_BITS, Kind
from rtl.packet_layout import AXES, TARGET, payload_layout


class BroadcastEncoder(wiring.Component):
    """Makes SPIKE and SYNC packets.

    Ports
    -----
    spike : stream of source, step, in
    sync : stream of count, step, sum, in
    output : stream of 96 bits, out
    here_x, here_y, here_z : in
        Coordinates of the master node, which a broadcast carries.

    Latency
        1 cycle: the register of the output.
    Throughput
        One packet per cycle.
    Backpressure
        Nothing is accepted while the register holds a packet that does not leave. A spike goes
        before a sync; packets leave in the order in which their contents were accepted, so that a
        sync follows every spike accepted before it.
    Reference
        `csnn.packets`; Heittmann et al. (2022), Figures 2D and 5.
    """

    LATENCY = 1

    def __init__(self) -> None:
        super().__init__(
            {
                "spike": In(stream.Signature(payload_layout(Kind.SPIKE))),
                "sync": In(stream.Signature(payload_layout(Kind.SYNC))),
                "output": Out(stream.Signature(PACKET_BITS)),
                **{f"here_{axis}": In(TARGET[axis].shape) for axis in AXES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Two packets, a choice between them, a register."""
        m = Module()
        target = Signal(TARGET)
        register = Signal(PACKET_BITS, reset_less=True)
        free = Signal()
        m.d.comb += [
            *(target[axis].eq(getattr(self, f"here_{axis}")) for axis in AXES),
            target.kind.eq(Mux(self.spike.valid, Kind.SPIKE, Kind.SYNC)),
            free.eq(~self.output.valid | self.output.ready),
            self.spike.ready.eq(free),
            self.sync.ready.eq(free & ~self.spike.valid),
            self.output.payload.eq(register),
        ]
        spike, sync = self.spike.payload.as_value(), self.sync.payload.as_value()
        with m.If(free):
            m.d.sync += [
                self.output.valid.eq(self.spike.valid | self.sync.valid),
                register.eq(Cat(target, Mux(self.spike.valid, spike, sync))),
            ]
        return m
