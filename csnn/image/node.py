"""The memories of one node, and the look-up of rows in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image import layout
from csnn.rows import Block, Sampler

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class NodeImage:
    """Memories of one node; arrays as `csnn.image.layout` declares them.

    The scalar fields are the header's, the array fields are the sections.
    """

    node: int
    population: int
    first_neuron: int
    n_neurons: int
    n_sources: int
    node_key: int
    ext_lanes: int
    ext_weight: int
    delay_slots: int
    grid_exponent: int
    dt_ms: float
    model: str
    blocks: npt.NDArray[np.void]
    weight_tables: npt.NDArray[np.void]
    delay_tables: npt.NDArray[np.void]
    ext_tables: npt.NDArray[np.void]
    ext_states: U32
    schedule: npt.NDArray[np.void]
    constants: U32
    state: U32
    refractory: U32
    source_ids: U32
    seed: U32
    length: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    presence: U32
    rank: U32
    synapses: U32
    delay_buffer: U32

    def block(self, index: int) -> Block:
        """Return block `index` with its tables, ready to unroll rows."""
        entry = self.blocks[index]
        if entry["sampler"] == Sampler.STORED:
            weights, delays = np.zeros(64, layout.WEIGHT_TABLE), np.zeros(64, layout.DELAY_TABLE)
        else:
            weights = self.weight_tables[entry["selector"]]
            delays = self.delay_tables[entry["selector"]]
        return Block(
            sampler=Sampler(int(entry["sampler"])),
            n_neurons=self.n_neurons,
            skip_self=bool(entry["flags"] & layout.SKIP_SELF_FLAG),
            first_neuron=self.first_neuron,
            node_key=self.node_key,
            weight_H=weights["H"],
            weight_own=weights["own"],
            weight_alias=weights["alias"],
            delay_H=delays["H"],
            delay_own=delays["own"],
            delay_alias=delays["alias"],
            in_degree=int(entry["in_degree"]),
            stub_key=int(entry["stub_key"]),
            synapses=self.synapses,
        )

    def rows(self, index: int) -> tuple[U32, U32, npt.NDArray[np.integer[Any]]]:
        """Return source, seed and length of every row of block `index`."""
        entry = self.blocks[index]
        first, count = int(entry["row_first"]), int(entry["row_count"])
        seed, length = self.seed[first : first + count], self.length[first : first + count]
        if entry["flags"] & layout.SPARSE_FLAG:
            words = (int(entry["source_count"]) + 31) // 32
            start = int(entry["presence_first"])
            bits = np.unpackbits(
                np.ascontiguousarray(self.presence[start : start + words]).view(np.uint8),
                bitorder="little",
            )
            offsets = np.flatnonzero(bits).astype(np.uint32)
        else:
            offsets = np.arange(count, dtype=np.uint32)
        return offsets + np.uint32(entry["source_first"]), seed, length

    def find_rows(self, index: int, source: U32) -> tuple[U32, U32, npt.NDArray[np.integer[Any]]]:
        """Return source, seed and length of the rows of block `index` for the given spikes.

        This is the look-up of the spike router: sources outside the block have no row, sparse
        blocks find theirs by presence bit and rank.
        """
        entry = self.blocks[index]
        first = np.uint32(entry["source_first"])
        hit = source[(source >= first) & (source - first < entry["source_count"])]
        offset = hit - first
        if entry["flags"] & layout.SPARSE_FLAG:
            word = offset // np.uint32(32) + entry["presence_first"]
            bit = offset % np.uint32(32)
            present = (self.presence[word] >> bit & np.uint32(1)).astype(bool)
            below = self.presence[word] & ((np.uint32(1) << bit) - np.uint32(1))
            offset = (self.rank[word] + np.bitwise_count(below))[present]
            hit = hit[present]
        row = offset.astype(np.int64) + int(entry["row_first"])
        return hit, self.seed[row], self.length[row]
