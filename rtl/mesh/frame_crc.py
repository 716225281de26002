"""CRC of the frames on a link."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.frames import CRC_BITS, crc
from rtl.mesh.frame_layout import BODY_BITS


class FrameCrc(wiring.Component):
    """Computes the CRC of the body of a frame at once.

    Every bit is the exclusive-or of some bits of the body and a constant: three levels of
    six-input tables.

    Ports
    -----
    body : 128 bits, in
    crc : 32 bits, out

    Latency
        None: combinational.
    Throughput
        One frame per cycle.
    Backpressure
        None.
    Reference
        `csnn.hardware.frames.crc`, from which the tables come.
    """

    def __init__(self) -> None:
        super().__init__({"body": In(BODY_BITS), "crc": Out(CRC_BITS)})

    def elaborate(self, platform: object) -> Module:
        """Ask for the CRC of every single bit: that of a body is their sum."""
        m = Module()
        constant = crc(0)
        columns = [crc(1 << place) ^ constant for place in range(BODY_BITS)]
        masks = [
            sum((column >> bit & 1) << place for place, column in enumerate(columns))
            for bit in range(CRC_BITS)
        ]
        parities = Cat(*((self.body & Const(mask, BODY_BITS)).xor() for mask in masks))
        m.d.comb += self.crc.eq(parities ^ Const(constant, CRC_BITS))
        return m
