"""Amaranth layouts of the two halves of the packets that `csnn.packets` declares."""

from __future__ import annotations

from amaranth.lib import data

from csnn.packets import PAYLOAD_BITS, PAYLOAD_FIELDS, TARGET_BITS, TARGET_FIELDS, Kind

TARGET = data.FlexibleLayout(
    TARGET_BITS, {field.name: data.Field(field.width, field.low) for field in TARGET_FIELDS}
)
AXES = tuple(field.name for field in TARGET_FIELDS if field.name != "kind")


def payload_layout(kind: Kind) -> data.FlexibleLayout:
    """Return the fields of the payload of a kind, counted from the lowest bit of the payload."""
    return data.FlexibleLayout(
        PAYLOAD_BITS,
        {
            field.name: data.Field(field.width, field.low - TARGET_BITS)
            for field in PAYLOAD_FIELDS[kind]
        },
    )
