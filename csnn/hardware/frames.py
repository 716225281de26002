"""Frames on a link between two routers: a packet, what the other side needs to know, and a CRC.

A link has two directions, each with its own frames. A frame carries a packet of one channel or
none, and always what the other direction waits for: how far its frames have come, and how much room
its packets found. Counts go round and are repeated in every frame, so that a lost frame
takes nothing with it.

Reference: go-back-N and credits as in Dally & Towles, "Principles and Practices of Interconnection
Networks" (2004), chapters 13 and 21.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from csnn.packets import PACKET_BITS, Kind

COUNT_BITS = 7
CRC_BITS = 32
# CRC-32C (Castagnoli), reflected, of the bits before it, lowest first.
CRC_POLYNOMIAL = 0x1EDC6F41


class Channel(IntEnum):
    """Virtual channel of a frame's packet; zero: the frame has none."""

    NONE = 0
    UNICAST = 1
    BROADCAST = 2


CHANNELS = (Channel.UNICAST, Channel.BROADCAST)


def channel_of(kind: Kind) -> Channel:
    """Return the channel on which packets of a kind travel."""
    return Channel.BROADCAST if kind in (Kind.SPIKE, Kind.SYNC) else Channel.UNICAST


@dataclass(frozen=True)
class FrameField:
    """A field of a frame: name, lowest bit, width in bits, meaning."""

    name: str
    low: int
    width: int
    meaning: str


def _fields() -> tuple[FrameField, ...]:
    widths = (
        ("packet", PACKET_BITS, "packet, if there is one"),
        ("channel", 2, "0: no packet; 1: unicast; 2: broadcast"),
        ("reserved", 2, "0"),
        ("number", COUNT_BITS, "number of the packet, in the order of both channels together"),
        ("expected", COUNT_BITS, "number of the packet that the sender of this frame waits for"),
        ("freed_unicast", COUNT_BITS, "unicast packets that left its buffer since the reset"),
        ("freed_broadcast", COUNT_BITS, "broadcast packets that left its buffer since the reset"),
        ("crc", CRC_BITS, "CRC-32C of the bits below"),
    )
    fields = []
    low = 0
    for name, width, meaning in widths:
        fields.append(FrameField(name, low, width, meaning))
        low += width
    return tuple(fields)


FRAME_FIELDS = _fields()
FRAME_BITS = FRAME_FIELDS[-1].low + CRC_BITS


def crc32c(value: int, bits: int) -> int:
    """Return the CRC-32C of so many bits, the lowest first."""
    reflected = int(f"{CRC_POLYNOMIAL:032b}"[::-1], 2)
    register = (1 << CRC_BITS) - 1
    for place in range(bits):
        bit = (register ^ value >> place) & 1
        register = register >> 1 ^ (reflected if bit else 0)
    return register ^ (1 << CRC_BITS) - 1


def crc(body: int) -> int:
    """Return the CRC-32C of the bits of a frame below its CRC.

    Parameters
    ----------
    body : int
        `FRAME_BITS - CRC_BITS` bits.
    """
    return crc32c(body, FRAME_BITS - CRC_BITS)


def encode_frame(**values: int) -> int:
    """Return a frame of `FRAME_BITS` bits with the CRC that belongs to it.

    Parameters
    ----------
    **values : int
        The fields but `crc`; those left out are zero.

    Raises
    ------
    ValueError
        If a field is unknown or too wide.
    """
    body = 0
    for field in FRAME_FIELDS[:-1]:
        value = values.pop(field.name, 0)
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"frame: {field.name} = {value}: {field.width} bits")
        body |= value << field.low
    if values:
        raise ValueError(f"a frame has no field {next(iter(values))}")
    return body | crc(body) << FRAME_FIELDS[-1].low


def decode_frame(frame: int) -> dict[str, int] | None:
    """Return the fields of a frame; None if its CRC is wrong."""
    fields = {field.name: frame >> field.low & (1 << field.width) - 1 for field in FRAME_FIELDS}
    body = frame & (1 << FRAME_FIELDS[-1].low) - 1
    return fields if fields["crc"] == crc(body) else None
