"""What one worker thread of compiled code reads and writes, made from its nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.node import NodeImage
from csnn.rows_compiled import SLACK
from csnn.simulator.kernels import BLOCK_WORDS, LINE_WORDS, NODE_STRIDE, Worker
from csnn.simulator.lanes import LANES
from csnn.simulator.layout import pack_external, shards, transpose

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


class _Arena:
    """Zeroed arrays side by side, each from the start of a cache line.

    NumPy asks for huge pages for large allocations only; what the loops touch at random shares one.
    """

    def __init__(self, words: int) -> None:
        self._raw = np.zeros(words + LINE_WORDS, dtype=np.uint32)
        self._used = -self._raw.ctypes.data // 4 % LINE_WORDS

    def array(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return the next array, of a dtype of 4 bytes."""
        words = math.prod(shape)
        part = self._raw[self._used : self._used + words]
        self._used += -(-words // LINE_WORDS) * LINE_WORDS
        return part.view(dtype).reshape(shape)


def pending(w: Worker, shard: int, slot: int) -> U32:
    """Events of one calendar list, in order."""
    block = int(w.head[shard, slot])
    parts = []
    while block != w.tail[shard, slot]:
        parts.append(w.pool[block * BLOCK_WORDS : (block + 1) * BLOCK_WORDS])
        block = int(w.following[block])
    parts.append(w.pool[block * BLOCK_WORDS : w.cursor[shard, slot]])
    return np.concatenate(parts)


def recorded(nodes: Sequence[NodeImage], part: range, record: I64) -> tuple[I64, I64, I64]:
    """Find the recorded neurons that a worker owns.

    Returns their positions in `record`, their nodes' places in `part`, and their local numbers.
    """
    first = np.array([node.first_neuron for node in nodes], dtype=np.int64)
    size = np.array([node.n_neurons for node in nodes], dtype=np.int64)
    # Between the nodes of one rank lie those of others.
    node = np.maximum(np.searchsorted(first, record, side="right") - 1, 0)
    local = record - first[node]
    inside = (local >= 0) & (local < size[node])
    columns = np.flatnonzero(inside & np.isin(node, part))
    places = (node[columns] - part.start) // part.step
    return columns, places, local[columns]


def make_worker(
    nodes: Sequence[NodeImage],
    part: range,
    model: Any,
    record: I64,
    pool_blocks: int,
) -> Worker:
    """Return the arrays of the worker that owns the nodes `part` of `nodes`."""
    cut = shards(part)
    rows = transpose(nodes, cut)
    own = [nodes[k] for k in part]
    slots = own[0].delay_slots
    shard_words = NODE_STRIDE * max(len(s) for s in cut)
    n_floats = len(model.float_constants)
    epochs = [node.schedule for node in own]
    ext_first = np.cumsum([0] + [len(node.ext_tables) for node in own])
    epoch_table = [
        np.where(
            schedule["ext_table"] == 0xFFFFFFFF,
            np.uint32(0xFFFFFFFF),
            (schedule["ext_table"].astype(np.int64) + first).astype(np.uint32),
        )
        for schedule, first in zip(epochs, ext_first, strict=False)
    ]
    ext = np.concatenate([node.ext_tables for node in own])
    _, record_node, record_neuron = recorded(nodes, part, record)
    n_states = len(model.float_states)
    longest = rows.most_events + 2 * LANES
    pool_words = len(cut) * (slots + pool_blocks) * BLOCK_WORDS
    if pool_words > 1 << 32:
        raise ValueError("the pool of a worker holds more than 2^32 words")
    heads = np.arange(len(cut) * slots, dtype=np.int32).reshape(len(cut), slots)
    n_free = len(cut) * pool_blocks
    arena = _Arena(
        len(own) * (n_states + 1) * 256
        + len(cut) * shard_words + pool_words + 2 * longest + 8 * LINE_WORDS
    )  # fmt: skip
    return Worker(
        row_place=rows.row_place,
        row_seed=rows.row_seed,
        row_length=rows.row_length,
        row_block=rows.row_block,
        block_first=rows.block_first,
        **{f"block_{name}": array for name, array in rows.blocks.items()},
        **rows.tables,
        synapses=rows.synapses,
        node_shard=np.repeat(np.arange(len(cut)), [len(s) for s in cut]),
        node_local=np.concatenate([np.arange(len(s)) for s in cut]),
        node_size=np.array([node.n_neurons for node in own]),
        node_neuron=np.array([node.first_neuron for node in own], dtype=np.uint32),
        node_ext_weight=np.array([node.ext_weight for node in own], dtype=np.int32),
        epoch_first=np.cumsum([0] + [len(schedule) for schedule in epochs]),
        epoch_step=np.concatenate([s["first_step"] for s in epochs]).astype(np.uint32),
        epoch_table=np.concatenate(epoch_table).astype(np.uint32),
        epoch_dc=np.concatenate([s["dc"] for s in epochs]).astype(np.float32),
        ext_packed=pack_external(ext),
        ext_state=np.zeros((len(own), 4, own[0].ext_lanes), dtype=np.uint32),
        constants_f=np.stack([node.constants[:n_floats].view(np.float32) for node in own]).copy(),
        constants_i=np.stack([node.constants[n_floats:].view(np.int32) for node in own]).copy(),
        dc_constant=model.float_constants.index("C_dc"),
        state=arena.array((len(own), n_states, 256), np.float32),
        refractory=arena.array((len(own), 256), np.int32),
        accumulator=arena.array((len(cut), shard_words), np.int32),
        pool=arena.array((pool_words,), np.uint32),
        cursor=heads * np.int64(BLOCK_WORDS),
        end=(heads + 1) * np.int64(BLOCK_WORDS),
        head=heads,
        tail=heads.copy(),
        following=np.zeros(heads.size + n_free, dtype=np.int32),
        free=np.arange(heads.size + n_free - 1, -1, -1, dtype=np.int32),
        n_free=np.array([n_free]),
        buffer=np.zeros((len(cut), slots, shard_words), dtype=np.int32),
        buffer_used=np.zeros((len(cut), slots), dtype=np.uint8),
        saturated=np.zeros(len(own), dtype=np.uint8),
        record_node=record_node,
        record_neuron=record_neuron,
        traces=np.zeros((0, n_states + 2, len(record_node)), dtype=np.uint32),
        word=arena.array((longest,), np.uint32),
        slot=arena.array((longest,), np.uint32),
        shard_first=np.cumsum([0] + [len(s) for s in cut]),
        epoch=np.zeros(len(own), dtype=np.int64),
        spiked=np.zeros(32, dtype=np.uint64),
        spikes=np.zeros(own[0].n_sources, dtype=np.uint32),
        used=np.zeros(256, dtype=np.uint8),
        neuron=np.zeros(65535 + SLACK, dtype=np.uint32),
        delay=np.zeros(65535 + SLACK, dtype=np.uint32),
        code=np.zeros(65535 + SLACK, dtype=np.uint32),
    )
