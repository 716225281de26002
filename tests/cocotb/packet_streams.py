"""Payloads of streams as Python integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bench import Arrays, transfers

from csnn.packets import PACKET_BITS, Kind, encode, fields_of
from rtl.verilate import to_words


def integers(words: np.ndarray) -> list[int]:
    """Return the values of an array of shape (n,) or (n, words of 64 bits)."""
    rows = (words if words.ndim == 2 else words[:, np.newaxis]).tolist()
    return [sum(word << 64 * place for place, word in enumerate(row)) for row in rows]


def moved(found: Arrays, stream: str) -> list[tuple[int, int]]:
    """Return cycle and payload of every transfer of a stream."""
    cycles, payloads = transfers(found, stream)
    return list(zip(cycles.tolist(), integers(payloads), strict=True))


def random_packet(rng: np.random.Generator, kinds: Sequence[int]) -> int:
    """Return a packet of one of some kinds, known or not, with random fields."""
    kind = int(rng.choice(np.asarray(kinds)))
    if kind not in tuple(Kind):
        return int.from_bytes(rng.bytes(PACKET_BITS // 8), "little") & ~(0xFF << 24) | kind << 24
    known = Kind(kind)
    values = {
        field.name: int(rng.integers(0, 1 << field.width))
        for field in fields_of(known)
        if field.name not in ("x", "y", "z", "kind")
    }
    x, y, z = (int(axis) for axis in rng.integers(0, 256, 3))
    return encode(known, (x, y, z), **values)


def packet_words(packets: Sequence[int]) -> np.ndarray:
    """Return packets as the words that a bench takes, shape (n, 2)."""
    return to_words(list(packets), PACKET_BITS)
