"""Addresses of a node's memories, and what an image puts there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from csnn.hardware.config import NodeConfig
from csnn.hardware.registers import OFFSETS
from csnn.image.node import NodeImage
from csnn.rows import FRACTION_BITS

U32 = npt.NDArray[np.uint32]

OFFSET_BITS = 20
NEURON_BITS = 8
BLOCK_WORD_BITS = 3
EPOCH_WORD_BITS = 2
_COMPARED = np.uint32(0xFFFFFFFF ^ (1 << FRACTION_BITS) - 1)
_EXT_COMPARED = np.uint32(0xFFFFFFE0)
_NEVER = 0xFFFFFFFF


class Region(IntEnum):
    """Region of the configuration space; bits 20 and up of a word's address."""

    REGISTERS = 0
    BLOCKS = 1
    WEIGHT_TABLES = 2
    DELAY_TABLES = 3
    EXT_TABLES = 4
    EXT_STATES = 5
    SCHEDULE = 6
    CONSTANTS = 7
    STATE = 8
    SOURCE_IDS = 9
    SEED = 10
    LENGTH = 11
    PRESENCE = 12
    RANK = 13
    SYNAPSES = 14
    DELAY_BUFFER = 15
    SYNAPTIC_INPUT = 16
    EXTERNAL_INPUT = 17

    @property
    def offsets(self) -> str:
        """What the offset of a word says."""
        return _OFFSETS[self]


_ENTRY = "k = 0: H; k = 1: own in the lowest bits, alias above"
_OFFSETS = {
    Region.REGISTERS: "number of the register",
    Region.BLOCKS: f"{1 << BLOCK_WORD_BITS} b + k: word k of block b",
    Region.WEIGHT_TABLES: f"2 (64 S + i) + k: entry i of table S; {_ENTRY} (16 bits each)",
    Region.DELAY_TABLES: f"2 (64 S + i) + k: entry i of table S; {_ENTRY} (8 bits each)",
    Region.EXT_TABLES: "2 (32 (p t + l) + i) + k: entry i of table t, copy of pipeline l of p; "
    f"{_ENTRY} (8 bits each)",
    Region.EXT_STATES: "4 l + w: word w of the generator of pipeline l",
    Region.SCHEDULE: f"{1 << EPOCH_WORD_BITS} e + k: first_step, ext_table, dc of epoch e",
    Region.CONSTANTS: "constant of the neuron model",
    Region.STATE: f"{1 << NEURON_BITS} w + n: word w of neuron n, the refractory counter last",
    Region.SOURCE_IDS: "neuron",
    Region.SEED: "row",
    Region.LENGTH: "row",
    Region.PRESENCE: "word",
    Region.RANK: "word",
    Region.SYNAPSES: "synapse",
    Region.DELAY_BUFFER: f"{2 << NEURON_BITS} s + {1 << NEURON_BITS} k + n: slot s, neuron n; "
    "k = 0: excitatory, 1: inhibitory",
    Region.SYNAPTIC_INPUT: f"{1 << NEURON_BITS} k + n, as in `delay_buffer`; read only",
    Region.EXTERNAL_INPUT: "neuron; read only",
}


def present_regions(config: NodeConfig) -> list[Region]:
    """Return the regions that a node has."""
    absent = set()
    if not config.presence_words:
        absent |= {Region.PRESENCE, Region.RANK}
    if not config.synapses:
        absent.add(Region.SYNAPSES)
    return [region for region in Region if region not in absent]


@dataclass(frozen=True)
class Words:
    """Words of one region: offsets and values, both uint32 arrays of shape (n,)."""

    region: Region
    offset: U32
    value: U32

    @property
    def address(self) -> U32:
        """Addresses of the words in the configuration space."""
        return self.offset | np.uint32(self.region << OFFSET_BITS)


# Byte addresses of the AXI4-Lite window: four times a word's address.
WINDOW_ADDRESS_BITS = OFFSET_BITS + (len(Region) - 1).bit_length() + 2


def register_address(name: str) -> int:
    """Return the address of a register."""
    return Region.REGISTERS << OFFSET_BITS | OFFSETS[name]


def node_words(config: NodeConfig, node: NodeImage) -> Iterator[Words]:
    """Yield all words that load a node, settings among them.

    Parameters
    ----------
    config : NodeConfig
        The hardware, which must fit (`NodeConfig.misfit`).
    node : NodeImage
        Memories; for a run that goes on, those of `with_state`.
    """
    settings = {
        name: getattr(node, name)
        for name in ("node", "n_neurons", "first_neuron", "node_key", "ext_weight")
    }
    yield Words(
        Region.REGISTERS,
        np.array([OFFSETS[name] for name in settings], dtype=np.uint32),
        np.array([*settings.values()], dtype=np.uint32),
    )
    # What the image does not use must not act: empty blocks, epochs that never begin.
    blocks = _padded(node.blocks, config.blocks, 0)
    yield _records(Region.BLOCKS, blocks, BLOCK_WORD_BITS)
    yield _table(Region.WEIGHT_TABLES, node.weight_tables, _COMPARED)
    yield _table(Region.DELAY_TABLES, node.delay_tables, _COMPARED)
    # Every lane has a copy of its own.
    copies = np.repeat(node.ext_tables[:, np.newaxis], config.pipelines, axis=1)
    yield _table(Region.EXT_TABLES, copies, _EXT_COMPARED)
    yield _array(Region.EXT_STATES, node.ext_states)
    schedule = _padded(node.schedule, config.epochs, _NEVER)
    yield _records(Region.SCHEDULE, schedule, EPOCH_WORD_BITS, words=3)
    yield _array(Region.CONSTANTS, node.constants)
    yield from state_words(config, node.state, node.refractory, node.delay_buffer)
    for region in (
        Region.SOURCE_IDS,
        Region.SEED,
        Region.LENGTH,
        Region.PRESENCE,
        Region.RANK,
        Region.SYNAPSES,
    ):
        words = _array(region, getattr(node, region.name.lower()))
        if len(words.offset):
            yield words


def state_words(
    config: NodeConfig, state: U32, refractory: U32, delay_buffer: U32
) -> Iterator[Words]:
    """Yield the words of the neurons' states and of the circular buffer.

    Parameters
    ----------
    config : NodeConfig
    state : ndarray of uint32, shape (float states, n)
    refractory : ndarray of uint32, shape (n,)
    delay_buffer : ndarray of uint32, shape (slots, 2, n), or empty for zeros
    """
    integers = [refractory][: len(config.neuron_model.int_states)]
    rows = np.concatenate([state, *(row[np.newaxis] for row in integers)])
    word, neuron = np.indices(rows.shape)
    offset = word << NEURON_BITS | neuron
    yield Words(Region.STATE, offset.ravel().astype(np.uint32), rows.ravel().astype(np.uint32))
    n = rows.shape[1]
    if not delay_buffer.size:
        delay_buffer = np.zeros((config.delay_slots, 2, n), dtype=np.uint32)
    slot, kind, neuron = np.indices(delay_buffer.shape)
    offset = (slot << 1 | kind) << NEURON_BITS | neuron
    values = delay_buffer.ravel().astype(np.uint32)
    yield Words(Region.DELAY_BUFFER, offset.ravel().astype(np.uint32), values)


def digests(parts: Iterable[Words]) -> dict[str, str]:
    """Return the SHA-256 of the words of every region, by the region's name in small letters.

    Hashed are pairs of little-endian 32-bit words, offset and value, in the order given: those of
    `node_words` for what a node was loaded with, the same offsets with the values read back for
    what it holds.
    """
    found: dict[str, hashlib._Hash] = {}
    for words in parts:
        pairs = np.stack([words.offset, words.value], axis=1).astype("<u4")
        found.setdefault(words.region.name.lower(), hashlib.sha256()).update(pairs.tobytes())
    return {name: digest.hexdigest() for name, digest in found.items()}


def _array(region: Region, array: npt.NDArray[np.generic]) -> Words:
    values = np.ascontiguousarray(array).ravel().astype(np.uint32)
    return Words(region, np.arange(len(values), dtype=np.uint32), values)


def _padded(records: npt.NDArray[np.void], count: int, word: int) -> npt.NDArray[np.void]:
    """Return records followed by others of which every word is `word`, `count` in all."""
    padded = np.full((count, records.dtype.itemsize // 4), word, dtype="<u4")
    words = np.ascontiguousarray(records).view("<u4")
    padded[: len(records)] = words.reshape(len(records), padded.shape[1])
    return padded.view(records.dtype)[:, 0]


def _records(
    region: Region, records: npt.NDArray[np.void], bits: int, words: int | None = None
) -> Words:
    """Return the words of records, each record at a multiple of 2^bits."""
    values = np.ascontiguousarray(records).view("<u4").reshape(len(records), -1)[:, :words]
    index, word = np.indices(values.shape)
    offset = (index << bits | word).ravel().astype(np.uint32)
    return Words(region, offset, values.ravel().astype(np.uint32))


def _table(region: Region, tables: npt.NDArray[np.void], compared: np.uint32) -> Words:
    """Return H (the bits that are compared) and the outcomes of every entry."""
    entries = np.ascontiguousarray(tables).ravel()
    width = 8 * entries.dtype["own"].itemsize
    own, alias = (entries[name].astype(np.uint32) for name in ("own", "alias"))
    values = np.stack([entries["H"] & compared, own | alias << np.uint32(width)], axis=1)
    return _array(region, values)
