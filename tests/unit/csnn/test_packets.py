"""Packets: every field comes back, ranges are kept, and the sums of hashes see alterations."""

from __future__ import annotations

import numpy as np
import pytest

from csnn.packets import (
    PACKET_BITS,
    Kind,
    decode,
    encode,
    fields_of,
    packet_words,
    spike_hash,
    spike_sum,
)


@pytest.mark.parametrize("kind", Kind)
def test_fields_fill_96_bits_and_come_back(kind: Kind) -> None:
    fields = fields_of(kind)
    assert [f.low for f in fields] == np.cumsum([0, *(f.width for f in fields)])[:-1].tolist()
    assert sum(f.width for f in fields) == PACKET_BITS
    rng = np.random.default_rng(1)
    for _ in range(100):
        values = {f.name: int(rng.integers(0, 1 << f.width)) for f in fields if f.name != "kind"}
        target = tuple(values.pop(axis) for axis in "xyz")
        packet = encode(kind, target, **values)
        assert decode(packet) == {
            **values,
            **dict(zip("xyz", target, strict=True)),
            "kind": kind,
        }


def test_a_packet_is_what_the_format_says() -> None:
    packet = encode(Kind.SPIKE, (1, 2, 3), source=0x89ABCDEF, step=0x12345678)
    assert packet == 0x12345678_89ABCDEF_02030201
    packet = encode(Kind.BARRIER, node=0x1234, count=256, step=5, sum=0xDEADBEEF)
    assert packet == 0xDEADBEEF << 64 | 5 << 58 | 0x1234 << 42 | 256 << 32 | 3 << 24


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": 1}, "AER packet: step is missing"),
        ({"source": 2**32, "step": 0}, "AER packet: source = 4294967296: 32 bits"),
        ({"source": -1, "step": 0}, "AER packet: source = -1: 32 bits"),
        ({"source": 1, "step": 0, "sum": 0}, "AER packet has no field sum"),
    ],
)
def test_packets_that_do_not_fit_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        encode(Kind.AER, **values)
    with pytest.raises(ValueError, match="packet kind 7 is unknown"):
        decode(7 << 24)


VECTORS = [0xB2124000, 0xC460E49D, 0x05FA9450]


def test_published_hashes() -> None:
    assert spike_hash(np.array([0, 1, 77168], np.uint32), 1).tolist() == VECTORS


def test_hashes_of_a_step_differ() -> None:
    for step in (0, 1, 2**32 - 1):
        assert len(np.unique(spike_hash(np.arange(200_000, dtype=np.uint32), step))) == 200_000


def test_sums_see_what_counts_do_not() -> None:
    """Altered, exchanged and duplicated-for-lost spikes change the sum, also in pairs."""
    rng = np.random.default_rng(2)
    for step in range(1, 300):
        source = rng.choice(77169, 25, replace=False).astype(np.uint32)
        right = spike_sum(source, step)
        assert spike_sum(source[::-1], step) == right
        assert spike_sum(source, step + 1) != right
        bit = np.uint32(1 << rng.integers(0, 32))
        for places in ([0], [0, 1], [3, 4, 5]):
            altered = source.copy()
            altered[places] ^= bit
            assert spike_sum(altered, step) != right
        lost = source.copy()
        lost[7] = lost[8]
        assert spike_sum(lost, step) != right
        shifted = source.copy()
        shifted[:2] += np.array([1, -1], np.int64).astype(np.uint32)
        assert spike_sum(shifted, step) != right


def test_words_are_the_packet_lowest_bits_first() -> None:
    words = packet_words(0x33333333_22222222_11111111)
    assert words.tolist() == [0x11111111, 0x22222222, 0x33333333]
    assert words.dtype == np.uint32
