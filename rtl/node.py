"""Compute node without its router: packets in, packets out."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.packets import ANSWERS, PACKET_BITS, PAYLOAD_BITS, Kind
from rtl.axi import connect_recorder, connect_window, recorder_ports, window_ports
from rtl.config_arbiter import ConfigArbiter
from rtl.config_window import ConfigWindow
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.node_core import NodeCore
from rtl.packet_decoder import PacketDecoder
from rtl.packet_encoder import PacketEncoder
from rtl.packet_layout import AXES, payload_layout


class Node(wiring.Component):
    """A compute node.

    Ports
    -----
    input : stream of packets, in
        Spikes and sync messages of the master node, configuration of the host.
    output : stream of packets, out
        Spikes and barrier messages to the master node, answers to the host.
    m_axi_<signal> : AXI4 master
        Writes the spikes of the node, see `SpikeRecorder`.
    s_axil_<signal> : AXI4-Lite slave
        Configuration space, see `ConfigWindow`.

    Latency
        See its units and docs/rtl.md.
    Throughput
        One packet per cycle in and out.
    Backpressure
        The input FIFO takes packets while it has room. It empties whatever becomes of the output,
        as long as no more than `ANSWERS` reads were asked for whose answers have not left.
    Reference
        `csnn.simulator.plain.Node`; Heittmann et al. (2022), Figures 3A and 5A.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        super().__init__(
            {
                "input": In(stream.Signature(PACKET_BITS)),
                "output": Out(stream.Signature(PACKET_BITS)),
                **recorder_ports(),
                **window_ports(),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Input FIFO, decoder, core, encoder; window and recorder beside them."""
        m = Module()
        fifo_config = PacketFifoConfig(depth=self.config.event_fifo)
        m.submodules.fifo = fifo = PacketFifo(fifo_config)
        m.submodules.decoder = decoder = PacketDecoder()
        m.submodules.window = window = ConfigWindow()
        m.submodules.arbiter = arbiter = ConfigArbiter()
        m.submodules.core = core = NodeCore(self.config)
        m.submodules.encoder = encoder = PacketEncoder()
        wiring.connect(m, wiring.flipped(self.input), fifo.input)
        wiring.connect(m, fifo.output, decoder.input)
        wiring.connect(m, decoder.event, core.event)
        wiring.connect(m, core.spike, encoder.spike)
        wiring.connect(m, core.barrier, encoder.barrier)
        wiring.connect(m, encoder.output, wiring.flipped(self.output))
        m.d.comb += [
            *(
                getattr(encoder, f"{end}_{axis}").eq(getattr(core, end).word_select(place, 8))
                for end in ("master", "host")
                for place, axis in enumerate(AXES)
            ),
            core.error_packet.eq(decoder.error),
            decoder.clear.eq(core.clear),
        ]
        connect_recorder(m, self, core)
        connect_window(m, self, window)
        wiring.connect(m, window.request, arbiter.window)
        wiring.connect(m, arbiter.request, core.request)
        m.d.comb += [
            arbiter.answered.eq(core.answered),
            window.answered.eq(arbiter.window_answered),
            window.answer.eq(core.answer),
        ]
        self._packets(m, decoder, arbiter, core, encoder)
        return m

    def _packets(
        self,
        m: Module,
        decoder: PacketDecoder,
        arbiter: ConfigArbiter,
        core: NodeCore,
        encoder: PacketEncoder,
    ) -> None:
        """Pass on one request of a packet at a time; what was read waits to leave as a packet."""
        address, is_read = Signal(32), Signal()
        request = decoder.config
        queue_config = PacketFifoConfig(width=PAYLOAD_BITS, depth=ANSWERS)
        m.submodules.answers = answers = PacketFifo(queue_config)
        answer = data.View(payload_layout(Kind.MONITOR), answers.input.payload)
        # A request waits for room for its answer, not until the answers before it have left.
        m.d.comb += [
            arbiter.packet.payload.eq(request.payload),
            arbiter.packet.valid.eq(request.valid & answers.input.ready),
            request.ready.eq(arbiter.packet.ready & answers.input.ready),
            answers.input.valid.eq(arbiter.packet_answered & is_read),
            answer.address.eq(address),
            answer.data.eq(Mux(core.answer.refused, 0, core.answer.data)),
            encoder.monitor.valid.eq(answers.output.valid),
            encoder.monitor.payload.as_value().eq(answers.output.payload),
            answers.output.ready.eq(encoder.monitor.ready),
            core.error_address.eq(arbiter.packet_answered & core.answer.refused),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += [
                address.eq(request.payload.word.address),
                is_read.eq(~request.payload.is_write),
            ]
