"""Requests of the host by packet, and the answers that wait for the network."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.packets import PACKET_BITS, Kind
from rtl.config_space import ANSWER
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.packet_decoder import ACCESS
from rtl.packet_layout import AXES, TARGET, payload_layout


class AnswerQueue(wiring.Component):
    """Asks the configuration space, and sends what it answers.

    A request to read is taken while there is room for its answer. So a host that never has more
    requests under way than the queue has places never makes anything behind a request wait for the
    network, only for the requests before it.

    Parameters
    ----------
    depth : int
        Answers that wait, a power of two.

    Ports
    -----
    access : stream of `ACCESS`, in
    request : stream of `ACCESS`, out
    answered, answer : in
        As `ConfigSpace`.
    host : 24 bits, in
        Mesh coordinates X, Y, Z where answers go.
    output : stream of 96 bits, out
        MONITOR packets, one for each request to read; of what is refused the data are 0.
    refused : 1 bit, out
        The configuration space refused a request.

    Latency
        2 cycles from the answer to its packet.
    Throughput
        One request at a time.
    Backpressure
        A request to read waits while the queue is full.
    Reference
        `csnn.packets`.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "access": In(stream.Signature(ACCESS)),
                "request": Out(stream.Signature(ACCESS)),
                "answered": In(1),
                "answer": In(ANSWER),
                "host": In(24),
                "output": Out(stream.Signature(PACKET_BITS)),
                "refused": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Remember what was asked; pack the answer."""
        m = Module()
        m.submodules.fifo = fifo = PacketFifo(PacketFifoConfig(depth=self.depth))
        address, is_read, may_ask = Signal(32, reset_less=True), Signal(), Signal()
        target, word = Signal(TARGET), Signal(payload_layout(Kind.MONITOR))
        m.d.comb += [
            # Nobody else fills the queue: there is room until the answer comes.
            may_ask.eq(self.access.payload.is_write | fifo.input.ready),
            self.request.payload.eq(self.access.payload),
            self.request.valid.eq(self.access.valid & may_ask),
            self.access.ready.eq(self.request.ready & may_ask),
            self.refused.eq(self.answered & self.answer.refused),
            *(target[axis].eq(self.host.word_select(k, 8)) for k, axis in enumerate(AXES)),
            target.kind.eq(Kind.MONITOR),
            word.address.eq(address),
            word.data.eq(Mux(self.answer.refused, 0, self.answer.data)),
            fifo.input.valid.eq(self.answered & is_read),
            fifo.input.payload.eq(Cat(target, word)),
        ]
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += [
                address.eq(self.request.payload.word.address),
                is_read.eq(~self.request.payload.is_write),
            ]
        wiring.connect(m, fifo.output, wiring.flipped(self.output))
        return m
