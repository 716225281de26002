"""Amaranth layouts of the frames that `csnn.hardware.frames` declares."""

from __future__ import annotations

from amaranth.lib import data

from csnn.hardware.frames import COUNT_BITS, CRC_BITS, FRAME_BITS, FRAME_FIELDS
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
