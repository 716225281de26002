"""Receiving half of a link end: takes packets in order into the buffers of their channels."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import mesh_latency
from csnn.hardware.frames import COUNT_BITS, Channel
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.mesh.frame_layout import body_layout, counts_layout


class LinkReceiver(wiring.Component):
    """Takes the packet that comes next, drops all others, and counts.

    Ports
    -----
    frame_valid : 1 bit, in
        A frame with the right CRC has come; `frame` holds for this cycle.
    frame : `body_layout`, in
    enable : 1 bit, in
        With it low no packet is taken, and silence is no error.
    unicast, broadcast : streams of `packet_bits`, out
    counts : `counts_layout`, out
        Number of the packet that comes next; packets that left each buffer.
    silent : 1 bit, out
        No frame came for `silence_limit` cycles after one had come. Sticks.
    overflow : 1 bit, out
        A packet came for which there was no room: the other side has taken more places than it
        was told are free. It was dropped and not counted. Sticks.

    Latency
        2 cycles from a frame to its packet: the buffer.
    Throughput
        One frame per cycle.
    Backpressure
        Packets wait in `buffer` places for each channel. A frame cannot be held up. After an
        error none is taken; those in the buffers are still handed on.
    Reference
        `csnn.hardware.frames`; Dally & Towles (2004), chapters 13 and 21.
    """

    LATENCY = mesh_latency.LINK_RECEIVER

    def __init__(
        self, config: LinkConfig, *, packet_bits: int = PACKET_BITS, count_bits: int = COUNT_BITS
    ) -> None:
        self.config = config
        self.packet_bits = packet_bits
        super().__init__(
            {
                "frame_valid": In(1),
                "frame": In(body_layout(packet_bits, count_bits)),
                "enable": In(1),
                "unicast": Out(stream.Signature(packet_bits)),
                "broadcast": Out(stream.Signature(packet_bits)),
                "counts": Out(counts_layout(count_bits)),
                "silent": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compare the number; write the buffer; listen for silence."""
        m = Module()
        config, counts = self.config, self.counts
        is_next = Signal()
        m.d.comb += is_next.eq(
            self.frame_valid
            & self.enable
            & ~self.silent
            & ~self.overflow
            & (self.frame.number == counts.expected)
        )
        for channel, name in ((Channel.UNICAST, "unicast"), (Channel.BROADCAST, "broadcast")):
            fifo = PacketFifo(PacketFifoConfig(width=self.packet_bits, depth=config.buffer))
            m.submodules[name] = fifo
            output, freed = getattr(self, name), counts[f"freed_{name}"]
            m.d.comb += [
                fifo.input.valid.eq(is_next & (self.frame.channel == channel)),
                fifo.input.payload.eq(self.frame.packet),
            ]
            wiring.connect(m, fifo.output, wiring.flipped(output))
            with m.If(fifo.input.valid):
                with m.If(fifo.input.ready):
                    m.d.sync += counts.expected.eq(counts.expected + 1)
                with m.Else():
                    m.d.sync += self.overflow.eq(1)
            with m.If(output.valid & output.ready):
                m.d.sync += freed.eq(freed + 1)

        has_heard, quiet = Signal(), Signal(range(config.silence_limit))
        with m.If(self.frame_valid | ~self.enable):
            m.d.sync += quiet.eq(0)
        with m.Else():
            m.d.sync += quiet.eq(quiet + has_heard)
        with m.If(self.frame_valid):
            m.d.sync += has_heard.eq(1)
        with m.Elif(self.enable & (quiet == config.silence_limit - 1)):
            m.d.sync += self.silent.eq(1)
        return m
