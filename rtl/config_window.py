"""AXI4-Lite window on the configuration space."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.memory_map import WINDOW_ADDRESS_BITS
from rtl.config_space import ANSWER
from rtl.packet_decoder import ACCESS

WRITE_DATA = data.StructLayout({"data": 32, "strobes": 4})
READ_DATA = data.StructLayout({"data": 32, "response": 2})
OKAY, SLVERR = 0, 2


class ConfigWindow(wiring.Component):
    """Carries out one AXI4-Lite access after the other.

    Ports
    -----
    write_address, read_address : streams of `WINDOW_ADDRESS_BITS` bits, in
        Byte addresses: four times the address of the word.
    write_data : stream of `WRITE_DATA`, in
    write_response : stream of 2 bits, out
    read_data : stream of `READ_DATA`, out
        SLVERR and zeros where nothing is there, a word cannot be written, the node is not halted,
        the address is not a multiple of 4, or a write leaves bytes out.
    request : stream of `ACCESS`, out
    answered : 1 bit, in
    answer : `ANSWER`, in

    Latency
        A refused access: 1 cycle. Any other: 2 cycles more than the configuration space takes.
    Throughput
        One access at a time; reads and writes in turn if both wait.
    Backpressure
        An access waits for the one before; its answer may wait.
    Reference
        Arm IHI 0022, AXI4-Lite.
    """

    def __init__(self) -> None:
        address = stream.Signature(WINDOW_ADDRESS_BITS)
        super().__init__(
            {
                "write_address": In(address),
                "write_data": In(stream.Signature(WRITE_DATA)),
                "write_response": Out(stream.Signature(2)),
                "read_address": In(address),
                "read_data": Out(stream.Signature(READ_DATA)),
                "request": Out(stream.Signature(ACCESS)),
                "answered": In(1),
                "answer": In(ANSWER),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Take a write or a read; ask; answer."""
        m = Module()
        writes, reads, is_write, is_legal = Signal(), Signal(), Signal(), Signal()
        address = Signal(WINDOW_ADDRESS_BITS)
        word = Signal(32, reset_less=True)
        failed = Signal()
        response = Signal(2)
        m.d.comb += [
            # A write needs both its parts; what was not served last goes first.
            writes.eq(
                self.write_address.valid
                & self.write_data.valid
                & ~(is_write & self.read_address.valid)
            ),
            reads.eq(self.read_address.valid & ~writes),
            is_legal.eq(
                Mux(
                    writes,
                    (self.write_address.payload[:2] == 0) & self.write_data.payload.strobes.all(),
                    self.read_address.payload[:2] == 0,
                )
            ),
            response.eq(Mux(failed, SLVERR, OKAY)),
            self.request.payload.is_write.eq(is_write),
            self.request.payload.word.address.eq(address[2:]),
            self.request.payload.word.data.eq(word),
            self.write_response.payload.eq(response),
            self.read_data.payload.data.eq(word),
            self.read_data.payload.response.eq(response),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.write_address.ready.eq(writes),
                    self.write_data.ready.eq(writes),
                    self.read_address.ready.eq(reads),
                ]
                with m.If(writes):
                    m.d.sync += address.eq(self.write_address.payload)
                with m.Else():
                    m.d.sync += address.eq(self.read_address.payload)
                m.d.sync += [
                    word.eq(Mux(writes, self.write_data.payload.data, 0)),
                    failed.eq(~is_legal),
                ]
                with m.If(writes | reads):
                    m.d.sync += is_write.eq(writes)
                    m.next = "ASK"
                    with m.If(~is_legal):
                        m.next = "ANSWER"
            with m.State("ASK"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += [
                    failed.eq(self.answer.refused),
                    word.eq(Mux(self.answer.refused, 0, self.answer.data)),
                ]
                with m.If(self.answered):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [
                    self.write_response.valid.eq(is_write),
                    self.read_data.valid.eq(~is_write),
                ]
                with m.If(Mux(is_write, self.write_response.ready, self.read_data.ready)):
                    m.next = "IDLE"
        return m
