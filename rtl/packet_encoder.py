"""Packets out of what a node has to say."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import latency
from csnn.packets import PACKET_BITS, Kind
from rtl.packet_layout import AXES, TARGET, payload_layout


class PacketEncoder(wiring.Component):
    """Makes AER, BARRIER and MONITOR packets of a node's spikes, barriers and answers.

    Ports
    -----
    spike : stream of source, step, in
    barrier : stream of count, node, step, sum, in
    monitor : stream of address, data, in
    output : stream of 96 bits, out
    master_x, master_y, master_z : in
        Where AER and BARRIER packets go.
    host_x, host_y, host_z : in
        Where MONITOR packets go.

    Latency
        1 cycle: the register of the output.
    Throughput
        One packet per cycle.
    Backpressure
        Nothing is accepted while the register holds a packet that does not leave. A spike goes
        before a barrier, which goes before an answer; packets leave in the order in which their
        contents were accepted, so that a barrier follows every spike accepted before it.
    Reference
        `csnn.packets`; Heittmann et al. (2022), Figures 2D and 5.
    """

    LATENCY = latency.PACKET_ENCODER

    def __init__(self) -> None:
        super().__init__(
            {
                "spike": In(stream.Signature(payload_layout(Kind.AER))),
                "barrier": In(stream.Signature(payload_layout(Kind.BARRIER))),
                "monitor": In(stream.Signature(payload_layout(Kind.MONITOR))),
                "output": Out(stream.Signature(PACKET_BITS)),
                **{f"{e}_{a}": In(TARGET[a].shape) for e in ("master", "host") for a in AXES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Three packets, a fixed choice among them, a register."""
        m = Module()
        packets = []
        for kind, source, end in (
            (Kind.AER, self.spike, "master"),
            (Kind.BARRIER, self.barrier, "master"),
            (Kind.MONITOR, self.monitor, "host"),
        ):
            target = Signal(TARGET, name=f"target_{kind.name.lower()}")
            m.d.comb += [target[axis].eq(getattr(self, f"{end}_{axis}")) for axis in AXES]
            m.d.comb += target.kind.eq(kind)
            packets.append(Cat(target, source.payload))
        register = Signal(PACKET_BITS, reset_less=True)
        free = Signal()
        m.d.comb += [
            free.eq(~self.output.valid | self.output.ready),
            self.spike.ready.eq(free),
            self.barrier.ready.eq(free & ~self.spike.valid),
            self.monitor.ready.eq(free & ~self.spike.valid & ~self.barrier.valid),
            self.output.payload.eq(register),
        ]
        aer, barrier, monitor = packets
        with m.If(free):
            m.d.sync += [
                self.output.valid.eq(self.spike.valid | self.barrier.valid | self.monitor.valid),
                register.eq(Mux(self.spike.valid, aer, Mux(self.barrier.valid, barrier, monitor))),
            ]
        return m
