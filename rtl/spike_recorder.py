"""Spike recorder: the node's spikes in an external memory."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from csnn.hardware.recorder import BURST_RECORDS, FIFO_RECORDS, PAGE_BITS, RECORD_BYTES

RECORD = data.StructLayout({"step": 32, "source": 32})
BURST = data.StructLayout({"address": 32 + PAGE_BITS, "length": 8})
BEAT = data.StructLayout({"record": RECORD, "is_last": 1})
_BLOCK_BITS = (BURST_RECORDS - 1).bit_length()


class SpikeRecorder(wiring.Component):
    """Writes records of 8 bytes, step then source, one after the other.

    A burst is a block of `BURST_RECORDS` records at a multiple of its length, or the rest of one,
    so that none crosses a boundary of 4 KiB. It is announced when all its records are there, and
    the next one when it has been answered.

    Ports
    -----
    record : stream of `RECORD`, in
    page : 32 bits, in
        Where records go: the address, divided by 4 KiB.
    size : 32 bits, in
        Records that there is room for; 0 drops them all.
    flush : 1 bit, in
        Records are written though they fill no block.
    clear : 1 bit, in
        Begins anew; only while not busy.
    recorded : 32 bits, out
        Records that the memory holds: sent and answered with OKAY.
    busy : 1 bit, out
        A record waits or is under way.
    error : 1 bit, out
        There was no room for a record: those before it are still written. Or the memory answered
        with an error: nothing more is. No record is taken until `clear`.
    burst, beat : streams of `BURST`, `BEAT`, out
        Write address and write data of AXI4; `length` is the number of beats less one.
    response : stream of 2 bits, in
        Write response of AXI4.

    Latency
        2 cycles from a record that completes a block to its burst.
    Throughput
        One burst at a time, one beat per cycle.
    Backpressure
        Records wait while the FIFO is full; none is overwritten.
    Reference
        Arm IHI 0022, AXI4; `csnn.hardware.recorder`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "record": In(stream.Signature(RECORD)),
                "page": In(32),
                "size": In(32),
                "flush": In(1),
                "clear": In(1),
                "recorded": Out(32),
                "busy": Out(1),
                "error": Out(1),
                "burst": Out(stream.Signature(BURST)),
                "beat": Out(stream.Signature(BEAT)),
                "response": In(stream.Signature(2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """FIFO of records; one burst after the other."""
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=RECORD.size, depth=FIFO_RECORDS)
        taken = Signal(32)
        gives_up = Signal()
        stores, is_full = Signal(), Signal()
        m.d.comb += [
            is_full.eq(taken >= self.size),
            stores.eq(~is_full & ~self.error),
            self.record.ready.eq(~stores | fifo.w_rdy),
            fifo.w_data.eq(self.record.payload),
            fifo.w_en.eq(self.record.valid & stores),
        ]
        with m.If(fifo.w_en & fifo.w_rdy):
            m.d.sync += taken.eq(taken + 1)

        # Beats of the burst, or of the next one, less one.
        length, rest = Signal(_BLOCK_BITS), Signal(_BLOCK_BITS)
        block, present = Signal(_BLOCK_BITS), Signal(range(-1, FIFO_RECORDS))
        completes, begins, is_idle, answered = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            block.eq(~self.recorded[:_BLOCK_BITS]),
            present.eq(fifo.level - 1),
            completes.eq(present >= block),
            begins.eq(completes | (self.flush & (fifo.level != 0))),
            answered.eq(self.response.valid & self.response.ready),
            self.burst.payload.address.eq(
                (self.page << PAGE_BITS) + (self.recorded * RECORD_BYTES)
            ),
            self.burst.payload.length.eq(length),
            self.beat.payload.record.eq(fifo.r_data),
            self.beat.payload.is_last.eq(rest == 0),
            self.busy.eq(~is_idle | (fifo.level != 0)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += is_idle.eq(1)
                m.d.sync += length.eq(Mux(completes, block, present[:_BLOCK_BITS]))
                with m.If(gives_up):
                    m.d.comb += fifo.r_en.eq(1)
                with m.Elif(begins):
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += self.burst.valid.eq(1)
                m.d.sync += rest.eq(length)
                with m.If(self.burst.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                # All records of the burst are there, the first in the register of the FIFO.
                m.d.comb += [self.beat.valid.eq(1), fifo.r_en.eq(self.beat.ready)]
                with m.If(self.beat.ready):
                    m.d.sync += rest.eq(rest - 1)
                with m.If(self.beat.ready & (rest == 0)):
                    m.next = "RESPONSE"
            with m.State("RESPONSE"):
                m.d.comb += self.response.ready.eq(1)
                with m.If(answered):
                    m.next = "IDLE"
        with m.If(answered & (self.response.payload == 0)):
            m.d.sync += self.recorded.eq(self.recorded + length + 1)
        lost, refused = Signal(), Signal()
        m.d.comb += [
            lost.eq(self.record.valid & is_full & (self.size != 0)),
            refused.eq(answered & (self.response.payload != 0)),
        ]
        with m.If(lost | refused):
            m.d.sync += self.error.eq(1)
        with m.If(refused):
            m.d.sync += gives_up.eq(1)
        with m.If(self.clear):
            m.d.sync += [taken.eq(0), self.recorded.eq(0), self.error.eq(0), gives_up.eq(0)]
        return m
