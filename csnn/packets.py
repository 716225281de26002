"""Packets of the machine: 96 bits, a 32-bit target specifier and a 64-bit payload.

Declared once; the RTL, the simulator of the machine and the documentation follow it.

Kinds
-----
AER
    A node tells the master node of a spike (unicast).
SPIKE
    The master node tells all nodes of a spike (broadcast).
BARRIER
    A node has finished its step: it handled everything and sent its spikes (unicast).
SYNC
    The step is over everywhere; the next one begins (broadcast).
CONFIG
    Writes a word of a node's memories or registers.
MONITOR
    Asks for such a word; the answer is a packet of the same kind with the word in it.

Reference: Heittmann et al. (2022), Figures 2D and 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]

PACKET_BITS = 96
TARGET_BITS = 32
PAYLOAD_BITS = 64
# Answers to MONITOR packets that wait in a node. A host that has no more than so many requests
# outstanding at a node can never hold up the spikes behind them.
ANSWERS = 16
_M32 = 0xFFFFFFFF


class Kind(IntEnum):
    """Kind of a packet; zero is none."""

    AER = 1
    SPIKE = 2
    BARRIER = 3
    SYNC = 4
    CONFIG = 5
    MONITOR = 6


@dataclass(frozen=True)
class Field:
    """A field of a packet: name, lowest bit, width in bits, meaning."""

    name: str
    low: int
    width: int
    meaning: str


TARGET_FIELDS = (
    Field("x", 0, 8, "mesh coordinate X of the target; of the sender in a broadcast"),
    Field("y", 8, 8, "mesh coordinate Y"),
    Field("z", 16, 8, "mesh coordinate Z"),
    Field("kind", 24, 8, "kind of the packet"),
)
_SPIKE_FIELDS = (
    Field("source", 32, 32, "global number of the neuron"),
    Field("step", 64, 32, "step of the spike"),
)
_WORD_FIELDS = (
    Field("address", 32, 32, "address of the word in the node's configuration space"),
    Field("data", 64, 32, "the word; ignored in a request"),
)
PAYLOAD_FIELDS: dict[Kind, tuple[Field, ...]] = {
    Kind.AER: _SPIKE_FIELDS,
    Kind.SPIKE: _SPIKE_FIELDS,
    Kind.BARRIER: (
        Field("count", 32, 10, "spikes that the node sent in the step, 0 to 256"),
        Field("node", 42, 16, "number of the node"),
        Field("step", 58, 6, "step, lowest bits"),
        Field("sum", 64, 32, "sum mod 2^32 of the hashes of the spikes sent"),
    ),
    Kind.SYNC: (
        Field("count", 32, 26, "spikes that were broadcast in the step"),
        Field("step", 58, 6, "step, lowest bits"),
        Field("sum", 64, 32, "sum mod 2^32 of the hashes of the spikes broadcast"),
    ),
    Kind.CONFIG: _WORD_FIELDS,
    Kind.MONITOR: _WORD_FIELDS,
}


def fields_of(kind: Kind) -> tuple[Field, ...]:
    """Return all fields of a kind of packet, lowest bit first."""
    return (*TARGET_FIELDS, *PAYLOAD_FIELDS[kind])


def encode(kind: Kind, target: tuple[int, int, int] = (0, 0, 0), **values: int) -> int:
    """Return a packet as an integer of 96 bits.

    Parameters
    ----------
    kind : Kind
    target : tuple of 3 int
        X, Y, Z.
    **values : int
        The fields of the payload; all must be given.

    Raises
    ------
    ValueError
        If a field is missing, unknown or too wide.
    """
    given = {**dict(zip("xyz", target, strict=True)), "kind": int(kind), **values}
    packet = 0
    for field in fields_of(kind):
        if field.name not in given:
            raise ValueError(f"{kind.name} packet: {field.name} is missing")
        value = given.pop(field.name)
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"{kind.name} packet: {field.name} = {value}: {field.width} bits")
        packet |= value << field.low
    if given:
        raise ValueError(f"{kind.name} packet has no field {next(iter(given))}")
    return packet


def packet_words(packet: int) -> U32:
    """Return a packet as three words, shape (3,), lowest bits first."""
    return np.frombuffer(packet.to_bytes(PACKET_BITS // 8, "little"), dtype="<u4")


def decode(packet: int) -> dict[str, int]:
    """Return the fields of a packet; ValueError if its kind is unknown."""
    kind = packet >> TARGET_FIELDS[-1].low & 0xFF
    if kind not in tuple(Kind):
        raise ValueError(f"packet kind {kind} is unknown")
    return {
        field.name: packet >> field.low & (1 << field.width) - 1 for field in fields_of(Kind(kind))
    }


def spike_hash(source: U32, step: int) -> U32:
    """Return the hash of spikes, whose sum mod 2^32 goes with the counts.

    For a given step it is a bijection of the source: one altered source always changes the sum.
    Additions and exclusive-ors alternate, so that no simple set of alterations cancels. The step
    enters with its bits reversed, apart from those of the source and free in hardware.

    Parameters
    ----------
    source : ndarray of uint32, shape (n,)
        Global numbers of the neurons.
    step : int
        Step of the spikes.
    """
    h = np.asarray(source, dtype=np.uint32) ^ np.uint32(int(f"{step & _M32:032b}"[::-1], 2))
    h = h + (h << np.uint32(10))
    h ^= h >> np.uint32(6)
    h = h + (h << np.uint32(3))
    h ^= h >> np.uint32(11)
    return h + (h << np.uint32(15))


def spike_sum(source: U32, step: int) -> int:
    """Return the sum mod 2^32 of the hashes of the spikes of a step."""
    return int(spike_hash(source, step).sum(dtype=np.uint64)) & _M32
