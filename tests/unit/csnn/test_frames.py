"""Frames: fields come back, the CRC is the published one, and no small error passes."""

from __future__ import annotations

import numpy as np
import pytest

from csnn.hardware.frames import (
    CHANNELS,
    CRC_BITS,
    FRAME_BITS,
    FRAME_FIELDS,
    Channel,
    channel_of,
    crc,
    crc32c,
    decode_frame,
    encode_frame,
)
from csnn.packets import PACKET_BITS, Kind


def random_fields(rng: np.random.Generator) -> dict[str, int]:
    return {
        field.name: int.from_bytes(rng.bytes(12), "little") % (1 << field.width)
        for field in FRAME_FIELDS[:-1]
    }


def test_fields_fill_the_frame_and_come_back() -> None:
    lows = [field.low for field in FRAME_FIELDS]
    ends = np.cumsum([field.width for field in FRAME_FIELDS]).tolist()
    assert lows == [0, *ends[:-1]]
    assert ends[-1] == FRAME_BITS == 160
    assert FRAME_FIELDS[0].width == PACKET_BITS
    rng = np.random.default_rng(1)
    for _ in range(100):
        values = random_fields(rng)
        frame = encode_frame(**values)
        body = frame & (1 << FRAME_BITS - CRC_BITS) - 1
        assert decode_frame(frame) == {**values, "crc": crc(body)}


def test_fields_left_out_are_zero() -> None:
    frame = encode_frame(packet=5, channel=Channel.BROADCAST, number=127)
    assert frame & (1 << 128) - 1 == 5 | 2 << 96 | 127 << 100
    assert decode_frame(encode_frame()) == {
        **{field.name: 0 for field in FRAME_FIELDS},
        "crc": crc(0),
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"number": 128}, "frame: number = 128: 7 bits"),
        ({"packet": -1}, "frame: packet = -1: 96 bits"),
        ({"length": 1}, "a frame has no field length"),
        ({"crc": 1}, "a frame has no field crc"),
    ],
)
def test_bad_fields_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        encode_frame(**values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The check value of the catalogue of CRCs, and examples of RFC 3720, B.4.
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc_is_the_published_one(text: bytes, value: int) -> None:
    assert crc32c(int.from_bytes(text, "little"), 8 * len(text)) == value


def test_every_single_wrong_bit_is_found() -> None:
    frame = encode_frame(**random_fields(np.random.default_rng(2)))
    assert decode_frame(frame) is not None
    assert not [bit for bit in range(FRAME_BITS) if decode_frame(frame ^ 1 << bit) is not None]


def syndromes() -> list[int]:
    """Return how each wrong bit of a frame alone changes whether CRC and body agree."""
    body_bits = FRAME_BITS - CRC_BITS
    wrong = [crc(1 << bit) ^ crc(0) for bit in range(body_bits)]
    return wrong + [1 << bit for bit in range(CRC_BITS)]


def independent(vectors: list[int]) -> bool:
    """Return whether no exclusive-or of some of the vectors is zero."""
    basis: dict[int, int] = {}
    for vector in vectors:
        rest = vector
        while rest and rest.bit_length() in basis:
            rest ^= basis[rest.bit_length()]
        if not rest:
            return False
        basis[rest.bit_length()] = rest
    return True


def test_every_burst_up_to_32_bits_is_found() -> None:
    # A CRC is linear, and what errors change is the exclusive-or of what each wrong bit changes.
    # So all 2^32 - 1 patterns within 32 bits are found if and only if these are independent.
    wrong = syndromes()
    frame, rng = encode_frame(**random_fields(np.random.default_rng(3))), np.random.default_rng(4)
    for low in range(FRAME_BITS - CRC_BITS + 1):
        assert independent(wrong[low : low + CRC_BITS]), low
        pattern = int(rng.integers(1, 1 << CRC_BITS)) << low
        assert decode_frame(frame ^ pattern) is None
    assert not independent(wrong[: CRC_BITS + 1])  # 33 vectors of 32 bits cannot be


def test_a_pattern_that_the_crc_cannot_see_passes() -> None:
    # The negative control: the difference of two sound frames.
    rng = np.random.default_rng(5)
    one, other, third = (encode_frame(**random_fields(rng)) for _ in range(3))
    assert decode_frame(one ^ other ^ third) is not None


def test_channels_of_kinds() -> None:
    broadcast = {kind for kind in Kind if channel_of(kind) == Channel.BROADCAST}
    assert broadcast == {Kind.SPIKE, Kind.SYNC}
    assert {channel_of(kind) for kind in Kind} == set(CHANNELS)
