"""What one worker thread of compiled code reads and writes, made from its nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.node import NodeImage
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
        parts.append(w.pool[shard, block * BLOCK_WORDS : (block + 1) * BLOCK_WORDS])
        block = int(w.following[shard, block])
    parts.append(w.pool[shard, block * BLOCK_WORDS : w.cursor[shard, slot]])
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
    n_blocks = slots + pool_blocks
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
    state = np.zeros((len(own), len(model.float_states), 256), dtype=np.float32)
    longest = int(rows.row_events.max(initial=0)) + 2 * LANES
    arena = _Arena(len(cut) * (shard_words + n_blocks * BLOCK_WORDS) + 2 * longest + 8 * LINE_WORDS)
    return Worker(
        row_first=rows.row_first,
        row_lanes=rows.row_lanes,
        row_events=rows.row_events,
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
        state=state,
        refractory=np.zeros((len(own), 256), dtype=np.int32),
        accumulator=arena.array((len(cut), shard_words), np.int32),
        pool=arena.array((len(cut), n_blocks * BLOCK_WORDS), np.uint32),
        cursor=np.tile(np.arange(slots) * BLOCK_WORDS, (len(cut), 1)),
        end=np.tile(np.arange(1, slots + 1) * BLOCK_WORDS, (len(cut), 1)),
        head=np.tile(np.arange(slots, dtype=np.int32), (len(cut), 1)),
        tail=np.tile(np.arange(slots, dtype=np.int32), (len(cut), 1)),
        following=np.zeros((len(cut), n_blocks), dtype=np.int32),
        free=np.tile(np.arange(n_blocks - 1, -1, -1, dtype=np.int32), (len(cut), 1)),
        n_free=np.full(len(cut), n_blocks - slots),
        buffer=np.zeros((len(cut), slots, shard_words), dtype=np.int32),
        buffer_used=np.zeros((len(cut), slots), dtype=np.uint8),
        saturated=np.zeros(len(own), dtype=np.uint8),
        record_node=record_node,
        record_neuron=record_neuron,
        traces=np.zeros((0, state.shape[1] + 2, len(record_node)), dtype=np.uint32),
        word=arena.array((longest,), np.uint32),
        slot=arena.array((longest,), np.uint32),
    )
