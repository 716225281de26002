"""Transposing an image for the fast simulator: rows by source, by table, longest first.

A node's file is sorted by node, block and source, which suits the hardware; a spike touches one row
in every node, so the simulator keeps the rows of a source together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn._numba import jit
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.rows import INDEX_MASK, Sampler
from csnn.simulator import lanes
from csnn.simulator.kernels import LANE_ROWS_BITS, NODE_STRIDE, NODES_PER_SHARD

_ENTRIES = INDEX_MASK + 1

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


def divide_nodes(n_nodes: int, workers: int) -> list[range]:
    """Deal the nodes out to workers in turn.

    Every worker so gets an equal share of each population, hence of the targets of every spike: the
    work of a step is balanced for each spike, not only on average.
    """
    return [range(worker, n_nodes, workers) for worker in range(workers)]


def shards(part: range) -> list[range]:
    """Cut a worker's nodes into shards of equal size that the event words can address."""
    n = -(-len(part) // NODES_PER_SHARD)
    cuts = [len(part) * i // n for i in range(n + 1)]
    return [part[a:b] for a, b in itertools.pairwise(cuts)]


@jit
def _count(sources: Any, length: Any, vector: bool, counts: Any, vectors: Any) -> None:
    for i in range(len(length)):
        if length[i] > 0:
            source = np.int64(sources[i])
            counts[source] += 1
            if vector:
                vectors[source] += 1


@jit
def _place(
    sources: Any, seed: Any, length: Any, vector: bool, block: int,
    vector_cursor: Any, other_cursor: Any, events: Any,
    row_seed: Any, row_length: Any, row_block: Any,
) -> None:  # fmt: skip
    for i in range(len(length)):
        if length[i] > 0:
            source = np.int64(sources[i])
            if vector:
                at = vector_cursor[source]
                vector_cursor[source] += 1
            else:
                at = other_cursor[source]
                other_cursor[source] += 1
            row_seed[at] = seed[i]
            row_length[at] = length[i]
            row_block[at] = block
            events[source] += np.uint32(length[i])


@jit
def _sort_rows(
    row_first: Any, row_lanes: Any, block_key: Any, n_keys: int, seed: Any, length: Any, block: Any
) -> None:
    """Sort the vector rows of every source by the key of their block, then longest first.

    Keys are below `n_keys`; those of a source come in the order of their longest rows. Two counting
    sorts, the second one stable.
    """
    most: Any = 0
    for s in range(len(row_lanes)):
        most = max(most, np.int64(row_lanes[s]))
    t_seed = np.empty(most, dtype=np.uint32)
    t_length = np.empty(most, dtype=np.uint16)
    t_block = np.empty(most, dtype=np.uint16)
    starts = np.zeros(65537, dtype=np.int64)
    counts = np.zeros(n_keys, dtype=np.int64)
    places = np.zeros(n_keys, dtype=np.int64)
    found = np.zeros(n_keys, dtype=np.int64)
    for s in range(len(row_lanes)):
        n = np.int64(row_lanes[s])
        first = row_first[s]
        longest: Any = 0
        for i in range(n):
            longest = max(longest, np.int64(length[first + i]))
        for v in range(longest + 2):
            starts[v] = 0
        for i in range(n):
            starts[longest - np.int64(length[first + i]) + 1] += 1
        for v in range(longest + 1):
            starts[v + 1] += starts[v]
        for i in range(n):
            v = longest - np.int64(length[first + i])
            to = starts[v]
            starts[v] += 1
            t_seed[to], t_length[to] = seed[first + i], length[first + i]
            t_block[to] = block[first + i]
        n_found = 0
        for i in range(n):
            key = block_key[t_block[i]]
            if counts[key] == 0:
                found[n_found] = key
                n_found += 1
            counts[key] += 1
        at = first
        for j in range(n_found):
            places[found[j]] = at
            at += counts[found[j]]
            counts[found[j]] = 0
        for i in range(n):
            key = block_key[t_block[i]]
            to = places[key]
            places[key] += 1
            seed[to], length[to], block[to] = t_seed[i], t_length[i], t_block[i]


@dataclass
class Rows:
    """Rows and blocks of the shards of one worker; fields as in `kernels.Worker`.

    `most_events` is how many synapses a source has in a shard at most.
    """

    row_place: I64
    most_events: int
    row_seed: U32
    row_length: npt.NDArray[np.uint16]
    row_block: npt.NDArray[np.uint16]
    block_first: I64
    blocks: dict[str, npt.NDArray[Any]]
    tables: dict[str, npt.NDArray[Any]]
    synapses: U32


def _is_vector(entry: Any) -> bool:
    skips = bool(entry["flags"] & layout.SKIP_SELF_FLAG)
    return int(entry["sampler"]) == Sampler.INDEPENDENT and not skips


def transpose(nodes: Sequence[NodeImage], parts: Sequence[range]) -> Rows:
    """Gather the rows of the shards `parts` by source.

    Parameters
    ----------
    nodes : sequence of NodeImage
        All nodes of the image.
    parts : sequence of range
        Node numbers of each shard.
    """
    n_sources = nodes[0].n_sources
    pool = _TablePool()
    blocks: list[dict[str, int]] = []
    block_first = np.zeros(len(parts), dtype=np.int64)
    counts = np.zeros((len(parts), n_sources), dtype=np.int64)
    row_lanes = np.zeros((len(parts), n_sources), dtype=np.uint32)
    row_events = np.zeros((len(parts), n_sources), dtype=np.uint32)
    synapses: list[U32] = []
    n_synapses = 0
    for shard, part in enumerate(parts):
        for number in part:
            node = nodes[number]
            for index, entry in enumerate(node.blocks):
                source, _, length = node.rows(index)
                _count(source, length, _is_vector(entry), counts[shard], row_lanes[shard])
    # What a spike needs in all shards lies side by side.
    ends = np.cumsum(counts.T)
    total = int(ends[-1])
    row_first = np.ascontiguousarray(ends.reshape(n_sources, len(parts)).T) - counts
    del ends
    row_place = np.empty(row_first.size + 1, dtype=np.int64)
    row_place[-1] = total << LANE_ROWS_BITS
    places = row_place[:-1].reshape(n_sources, len(parts))
    places[:] = row_first.T
    places <<= LANE_ROWS_BITS
    places |= row_lanes.T
    # Vector loads read up to a vector beyond the last row.
    row_seed = np.zeros(total + lanes.LANES, dtype=np.uint32)
    row_length = np.zeros(total + lanes.LANES, dtype=np.uint16)
    row_block = np.zeros(total + lanes.LANES, dtype=np.uint16)
    for shard, part in enumerate(parts):
        block_first[shard] = len(blocks)
        vector_cursor = row_first[shard].copy()
        other_cursor = vector_cursor + row_lanes[shard]
        keys: list[int] = []
        for local, number in enumerate(part):
            node = nodes[number]
            for index, entry in enumerate(node.blocks):
                place = len(blocks) - int(block_first[shard])
                if place > 65535:
                    raise ValueError("a shard holds more than 65,536 blocks")
                source, seed, length = node.rows(index)
                _place(
                    source, seed, length, _is_vector(entry), place,
                    vector_cursor, other_cursor, row_events[shard],
                    row_seed, row_length, row_block,
                )  # fmt: skip
                table = pool.place(node, entry)
                if table > 65535:
                    raise ValueError("a worker holds more than 65,536 pairs of tables")
                keys.append(table if lanes.permutes else 0)
                word = node.node_key << 32 | table << 16 | (node.n_neurons - 1) << 8 | local
                blocks.append(
                    {
                        "word": word,
                        "target": local * NODE_STRIDE,
                        "size": node.n_neurons,
                        "key": node.node_key,
                        "table": table * _ENTRIES,
                        "sampler": int(entry["sampler"]),
                        "skip": int(bool(entry["flags"] & layout.SKIP_SELF_FLAG)),
                        "neuron": node.first_neuron,
                        "in_degree": int(entry["in_degree"]),
                        "stub_key": int(entry["stub_key"]),
                        "synapses": n_synapses,
                    }
                )
            synapses.append(np.asarray(node.synapses))
            n_synapses += len(node.synapses)
        _sort_rows(
            row_first[shard], row_lanes[shard], np.array([*keys, 0], dtype=np.int64),
            max(keys, default=0) + 1, row_seed, row_length, row_block,
        )  # fmt: skip
    dtypes = {"word": np.uint64, "sampler": np.uint8, "skip": np.uint8, "synapses": np.int64}
    names = ("word", "target", "size", "key", "table", "sampler", "skip", "neuron", "in_degree",
             "stub_key", "synapses")  # fmt: skip
    return Rows(
        row_place,
        int(row_events.max(initial=0)),
        row_seed,
        row_length,
        row_block,
        block_first,
        {
            name: np.array(
                [block[name] for block in blocks] + [0], dtype=dtypes.get(name, np.uint32)
            )
            for name in names
        },
        pool.arrays(),
        np.concatenate([*synapses, np.zeros(1, np.uint32)]),
    )


def pack_external(tables: npt.NDArray[np.void]) -> U32:
    """Pack EXT tables into one word per entry: H[31:5] << 5 | alias.

    The outcome `own` of an entry that can yield it is the entry's number (`csnn.image.consistency`)
    or else equals the alias, so that it needs no field. A word w draws its entry w & 31 itself if
    w | 31 is below the packed word, and the word's alias if not.

    Parameters
    ----------
    tables : structured ndarray, shape (n, 32)

    Returns
    -------
    ndarray of uint32, shape (32 n,)
    """
    alias = tables["alias"].astype(np.uint32)
    high = tables["H"] >> np.uint32(5) << np.uint32(5)
    return np.where(tables["own"] == tables["alias"], alias, high | alias).astype(np.uint32).ravel()


class _TablePool:
    """Distinct table pairs of all nodes, numbered."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._weights: list[npt.NDArray[np.void]] = []
        self._delays: list[npt.NDArray[np.void]] = []

    def place(self, node: NodeImage, entry: Any) -> int:
        if int(entry["sampler"]) == Sampler.STORED:
            return 0
        selector = int(entry["selector"])
        weights, delays = node.weight_tables[selector], node.delay_tables[selector]
        key = weights.tobytes() + delays.tobytes()
        if key not in self._places:
            self._places[key] = len(self._weights)
            self._weights.append(weights)
            self._delays.append(delays)
        return self._places[key]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        if not self._weights:
            self._weights.append(np.zeros(_ENTRIES, dtype=layout.WEIGHT_TABLE))
            self._delays.append(np.zeros(_ENTRIES, dtype=layout.DELAY_TABLE))
        weights, delays = np.concatenate(self._weights), np.concatenate(self._delays)

        def column(table: npt.NDArray[np.void], name: str) -> U32:
            return np.ascontiguousarray(table[name].astype(np.uint32))

        own, alias = column(weights, "own"), column(weights, "alias")
        delay_own, delay_alias = column(delays, "own"), column(delays, "alias")
        accept = column(weights, "H") >> np.uint32(16)
        delay_accept = column(delays, "H") >> np.uint32(16)
        delay_pair = delay_alias << np.uint32(8) | delay_own
        columns = {
            lanes.ACCEPT: accept, lanes.OWN: own, lanes.ALIAS: alias,
            lanes.DELAY_ACCEPT: delay_accept, lanes.DELAY_PAIR: delay_pair,
        }  # fmt: skip
        words = [columns[i].reshape(-1, _ENTRIES) for i in range(lanes.TABLE_COLUMNS)]
        return {
            # What the vector code compares and chooses from: in one load, or by columns.
            "weight_word": accept.astype(np.uint64) << np.uint64(32)
            | (alias << np.uint32(16) | own),
            "delay_pack": delay_accept << np.uint32(16) | delay_pair,
            "table_words": np.stack(words, axis=1).astype(np.uint16).ravel(),
            "weight_H_full": column(weights, "H"),
            "weight_own": own,
            "weight_alias": alias,
            "delay_H_full": column(delays, "H"),
            "delay_own": delay_own,
            "delay_alias": delay_alias,
        }
