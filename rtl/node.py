"""Compute node without its router: packets in, packets out."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from rtl.node_core import NodeCore
from rtl.packet_decoder import PacketDecoder
from rtl.packet_encoder import PacketEncoder
from rtl.packet_layout import PACKET


class Node(wiring.Component):
    """A compute node.

    Ports
    -----
    input : stream of packets, in
        Spikes and sync messages of the master node, configuration of the host.
    output : stream of packets, out
        Spikes and barrier messages to the master node, answers to the host.

    Latency
        See its units and docs/rtl.md.
    Throughput
        One packet per cycle in and out.
    Backpressure
        The input FIFO takes packets while it has room.
    Reference
        `csnn.simulator.plain.Node`; Heittmann et al. (2022), Figures 3A and 5A.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        super().__init__(
            {
                "input": In(stream.Signature(PACKET)),
                "output": Out(stream.Signature(PACKET)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Input FIFO, decoder, core, encoder."""
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=PACKET.size, depth=self.config.event_fifo)
        m.submodules.decoder = decoder = PacketDecoder()
        m.submodules.core = core = NodeCore(self.config)
        m.submodules.encoder = encoder = PacketEncoder()
        m.d.comb += [
            fifo.w_data.eq(self.input.payload),
            fifo.w_en.eq(self.input.valid),
            self.input.ready.eq(fifo.w_rdy),
            decoder.input.payload.eq(fifo.r_data),
            decoder.input.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(decoder.input.ready),
        ]
        wiring.connect(m, decoder.event, core.event)
        wiring.connect(m, core.spike, encoder.spike)
        wiring.connect(m, core.barrier, encoder.barrier)
        wiring.connect(m, encoder.output, wiring.flipped(self.output))
        m.d.comb += [
            encoder.master.eq(core.master),
            encoder.host.eq(core.host),
            core.error_packet.eq(decoder.error),
        ]
        self._configuration(m, decoder, core, encoder)
        return m

    def _configuration(
        self, m: Module, decoder: PacketDecoder, core: NodeCore, encoder: PacketEncoder
    ) -> None:
        """Carry out one request at a time; reads are answered by a packet."""
        address, is_read, waits, answers = Signal(32), Signal(), Signal(), Signal()
        word = Signal(32)
        request = decoder.config
        free = ~waits & ~answers
        m.d.comb += [
            core.request.payload.eq(request.payload),
            core.request.valid.eq(request.valid & free),
            request.ready.eq(core.request.ready & free),
            encoder.monitor.valid.eq(answers),
            encoder.monitor.payload.address.eq(address),
            encoder.monitor.payload.data.eq(word),
            core.error_address.eq(waits & core.answered & core.answer.refused),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += [
                waits.eq(1),
                address.eq(request.payload.address),
                is_read.eq(~request.payload.is_write),
            ]
        with m.If(waits & core.answered):
            m.d.sync += [waits.eq(0), answers.eq(is_read), word.eq(core.answer.data)]
        with m.If(encoder.monitor.valid & encoder.monitor.ready):
            m.d.sync += answers.eq(0)
