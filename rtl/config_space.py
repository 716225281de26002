"""Configuration space: divides the words of a node among its memories."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import IntEnum

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.memory_map import OFFSET_BITS, Region
from rtl.memory_access import READ_LATENCY, MemoryAccess
from rtl.packet_decoder import ACCESS

ANSWER = data.StructLayout({"refused": 1, "data": 32})
_READ_ONLY = (Region.SYNAPTIC_INPUT, Region.EXTERNAL_INPUT)
# Registers have no memory to be taken from a running unit.
_ANY_TIME = (Region.REGISTERS,)


class ConfigSpace(wiring.Component):
    """Carries out one request after the other.

    Parameters
    ----------
    widths : mapping of IntEnum to int
        Regions that there are, with the bits of an offset.
    read_only : collection of IntEnum
        Regions that cannot be written.
    any_time : collection of IntEnum
        Regions that answer though the node is not halted.

    Ports
    -----
    request : stream of `ACCESS`, in
    answered : 1 bit, out
        The request is done; `answer` holds for this cycle.
    answer : `ANSWER`, out
        `refused`: nothing is there, or it cannot be written, or the node is not halted.
    halted : 1 bit, in
    <region> : MemoryAccess, out
        One for each region given.

    Latency
        A write takes 2 cycles, a read 3 + READ_LATENCY.
    Throughput
        One request at a time.
    Backpressure
        A request waits for the one before.
    Reference
        `csnn.hardware.memory_map`.
    """

    def __init__(
        self,
        widths: Mapping[IntEnum, int],
        *,
        read_only: Collection[IntEnum] = _READ_ONLY,
        any_time: Collection[IntEnum] = _ANY_TIME,
    ) -> None:
        self.widths = widths
        self._read_only, self._any_time = read_only, any_time
        super().__init__(
            {
                "request": In(stream.Signature(ACCESS)),
                "answered": Out(1),
                "answer": Out(ANSWER),
                "halted": In(1),
                **{region.name.lower(): Out(MemoryAccess(bits)) for region, bits in widths.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Hold the request; select its region; wait for the word."""
        m = Module()
        request = Signal(ACCESS, reset_less=True)
        held, waited = Signal(), Signal(range(READ_LATENCY + 2))
        address = request.word.address
        region, offset = address[OFFSET_BITS:], address[:OFFSET_BITS]
        is_there, may_write, refused = Signal(), Signal(), Signal()
        read = Signal(32)
        select = Signal()
        for name in self.widths:
            access = getattr(self, name.name.lower())
            m.d.comb += [access.address.eq(offset), access.write_data.eq(request.word.data)]
        with m.Switch(region):
            for name, bits in self.widths.items():
                access = getattr(self, name.name.lower())
                with m.Case(name):
                    allowed = Const(1, 1) if name in self._any_time else self.halted
                    m.d.comb += [
                        is_there.eq((offset[bits:] == 0) & allowed),
                        may_write.eq(name not in self._read_only),
                        access.select.eq(select),
                        access.write.eq(select & request.is_write),
                        read.eq(access.read_data),
                    ]
        m.d.comb += refused.eq(~is_there | request.is_write & ~may_write)
        done = Signal()
        m.d.comb += [
            self.request.ready.eq(~held),
            select.eq(held & ~refused),
            done.eq(held & (refused | request.is_write | (waited == READ_LATENCY + 1))),
            self.answered.eq(done),
            self.answer.refused.eq(refused),
            self.answer.data.eq(read),
        ]
        with m.If(~held):
            m.d.sync += [held.eq(self.request.valid), request.eq(self.request.payload)]
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)
            with m.If(done):
                m.d.sync += held.eq(0)
        return m
