"""Amaranth layouts of the frames that `csnn.hardware.frames` declares, and their CRC."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

from csnn.hardware.frames import COUNT_BITS, CRC_BITS, FRAME_BITS, FRAME_FIELDS, crc
from csnn.packets import PACKET_BITS

BODY_BITS = FRAME_BITS - CRC_BITS
# What each direction of a link tells of the other.
COUNTS = ("expected", "freed_unicast", "freed_broadcast")


def counts_layout(count_bits: int = COUNT_BITS) -> data.StructLayout:
    """Return the counts that are in every frame."""
    return data.StructLayout(dict.fromkeys(COUNTS, count_bits))


def body_layout(packet_bits: int = PACKET_BITS, count_bits: int = COUNT_BITS) -> data.StructLayout:
    """Return the fields of a frame below its CRC; those of another size are for proofs."""
    widths = {"packet": packet_bits, **dict.fromkeys(("number", *COUNTS), count_bits)}
    return data.StructLayout(
        {field.name: widths.get(field.name, field.width) for field in FRAME_FIELDS[:-1]}
    )


def frame_crc(body: Value) -> Value:
    """Return the CRC of the body of a frame, of `CRC_BITS` bits.

    Every bit is the exclusive-or of some bits of the body and a constant: three levels of
    six-input tables.
    """
    constant = crc(0)
    columns = [crc(1 << place) ^ constant for place in range(BODY_BITS)]
    masks = [
        sum((column >> bit & 1) << place for place, column in enumerate(columns))
        for bit in range(CRC_BITS)
    ]
    parities = Cat(*((body & Const(mask, BODY_BITS)).xor() for mask in masks))
    return parities ^ Const(constant, CRC_BITS)
