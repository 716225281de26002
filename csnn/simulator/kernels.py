"""Compiled loops of the fast simulator.

A *shard* is up to 256 nodes owned by one worker. Synaptic events wait in a calendar: one list per
slot of the circular buffer, each event one word (weight magnitude << 17 | accumulator), where the
accumulator is node << 9 | inhibitory << 8 | neuron. A step drains one list into the shard's
accumulators, which fit the level-2 cache. Sums of integers do not depend on the order, so the
result is the plain simulator's bit for bit. A list is a chain of blocks of a pool; the block freed
last is used first, so that the calendar takes no more cache than it has events.

Arrays of the shards of one worker lie one after the other; `Worker` says how.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from csnn._numba import jit
from csnn.neurons import flush
from csnn.prng import EXT_SHIFTS
from csnn.rows_compiled import SLACK, unroll_row
from csnn.simulator.atomics import prefetch_read, prefetch_write, wait
from csnn.simulator.exchange import exchange_spikes
from csnn.simulator.lanes import EXT_LANES, NODE_SHIFT, draw_external_lanes, unroll_lanes

ACCUMULATOR_BITS = 17
NODES_PER_SHARD = 1 << (ACCUMULATOR_BITS - 9)
NODE_STRIDE = 1 << NODE_SHIFT
LINE_WORDS = 16
# An odd number of cache lines: ends of lists spread over the sets of the level-1 cache.
BLOCK_WORDS = 63 * LINE_WORDS
# So far ahead of draining a list is asked for.
AHEAD = 24 * LINE_WORDS

_u4 = np.uint32
_ACCUMULATOR_MASK = np.uint32((1 << ACCUMULATOR_BITS) - 1)
_LEFT, _MIDDLE, _RIGHT = (np.uint32(s) for s in EXT_SHIFTS)
_NO_TABLE = np.uint32(0xFFFFFFFF)

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


class Worker(NamedTuple):
    """Everything one worker thread reads and writes.

    Rows of shard h and source s are `row_first[h, s]` to `row_first[h, s + 1]`; of these the first
    `row_lanes[h, s]` are INDEPENDENT, without self-avoidance, sorted for `lanes`. Node arrays are
    indexed by the worker's node k, which has accumulators of shard `node_shard[k]`.
    """

    row_first: I64
    row_lanes: U32
    row_events: U32
    row_seed: U32
    row_length: npt.NDArray[np.uint16]
    row_block: npt.NDArray[np.uint16]
    block_first: I64
    block_target: U32
    block_size: U32
    block_key: U32
    block_table: U32
    block_sampler: npt.NDArray[np.uint8]
    block_skip: npt.NDArray[np.uint8]
    block_neuron: U32
    block_in_degree: U32
    block_stub_key: U32
    block_synapses: I64
    block_word: U64
    weight_word: U64
    delay_pack: U32
    table_words: npt.NDArray[np.uint16]
    weight_H_full: U32
    weight_own: U32
    weight_alias: U32
    delay_H_full: U32
    delay_own: U32
    delay_alias: U32
    synapses: U32
    node_shard: I64
    node_local: I64
    node_size: I64
    node_neuron: U32
    node_ext_weight: npt.NDArray[np.int32]
    epoch_first: I64
    epoch_step: U32
    epoch_table: U32
    epoch_dc: npt.NDArray[np.float32]
    ext_packed: U32
    ext_state: U32
    constants_f: npt.NDArray[np.float32]
    constants_i: npt.NDArray[np.int32]
    dc_constant: int
    state: npt.NDArray[np.float32]
    refractory: npt.NDArray[np.int32]
    accumulator: npt.NDArray[np.int32]
    pool: U32
    cursor: I64
    end: I64
    head: npt.NDArray[np.int32]
    tail: npt.NDArray[np.int32]
    following: npt.NDArray[np.int32]
    free: npt.NDArray[np.int32]
    n_free: I64
    buffer: npt.NDArray[np.int32]
    buffer_used: npt.NDArray[np.uint8]
    saturated: npt.NDArray[np.uint8]
    record_node: I64
    record_neuron: I64
    traces: U32
    word: U32
    slot: U32


@jit
def drain(w: Any, shard: int, slot: int) -> None:
    """Add what is due in `slot` to the accumulators of a shard and empty the slot."""
    accumulator, pool = w.accumulator[shard], w.pool[shard]
    block, last = np.int64(w.head[shard, slot]), np.int64(w.tail[shard, slot])
    while True:
        first = block * BLOCK_WORDS
        # The loop asks for what lies ahead in its own block only.
        following = np.int64(w.following[shard, block]) * BLOCK_WORDS
        for i in range(0, AHEAD, LINE_WORDS):
            prefetch_read(pool, following + i)
        for i in range(first, w.cursor[shard, slot] if block == last else first + BLOCK_WORDS):
            prefetch_read(pool, i + AHEAD)
            event = pool[i]
            accumulator[event & _ACCUMULATOR_MASK] += np.int32(event >> _u4(ACCUMULATOR_BITS))
        if block == last:
            break
        w.free[shard, w.n_free[shard]] = block
        w.n_free[shard] += 1
        block = np.int64(w.following[shard, block])
    w.head[shard, slot] = last
    w.cursor[shard, slot] = last * BLOCK_WORDS
    if w.buffer_used[shard, slot]:
        words = w.buffer[shard, slot]
        for i in range(len(words)):
            accumulator[i] += words[i]
            words[i] = 0
        w.buffer_used[shard, slot] = 0


@jit
def append(w: Any, shard: int, n: int) -> None:
    """Sort the `n` events of the scratch arrays into the calendar.

    Places first, then words: the address of no store depends on a load that a store may have to
    feed, so that the processor runs both loops far ahead.
    """
    pool, cursor, end = w.pool[shard], w.cursor[shard], w.end[shard]
    word, due = w.word, w.slot
    for i in range(n):
        slot = np.intp(due[i])
        at = cursor[slot]
        due[i] = _u4(at)
        at += 1
        cursor[slot] = at
        if at == end[slot]:
            w.n_free[shard] -= 1
            block = w.free[shard, w.n_free[shard]]
            w.following[shard, w.tail[shard, slot]] = block
            w.tail[shard, slot] = block
            cursor[slot] = np.int64(block) * BLOCK_WORDS
            end[slot] = cursor[slot] + BLOCK_WORDS
    for i in range(n):
        place = np.intp(due[i])
        pool[place] = word[i]
        prefetch_write(pool, place + LINE_WORDS)


@jit
def spill(w: Any, shard: int, n: int) -> None:
    """Add events straight to the dense circular buffer, for when the pool could run out."""
    for i in range(n):
        slot = np.intp(w.slot[i])
        event = w.word[i]
        w.buffer[shard, slot, event & _ACCUMULATOR_MASK] += np.int32(event >> _u4(ACCUMULATOR_BITS))
        w.buffer_used[shard, slot] = 1


@jit
def prefetch_places(w: Any, shard: int, source: Any) -> None:
    """Ask for where a shard's rows of a spike are, two spikes ahead."""
    prefetch_read(w.row_first[shard], source)
    prefetch_read(w.row_lanes[shard], source)


@jit
def prefetch_rows(w: Any, shard: int, source: Any) -> None:
    """Ask for a shard's rows of the next spike while the one before it is unrolled."""
    first, last = w.row_first[shard, source], w.row_first[shard, source + 1]
    for row in range(first, last, 16):
        prefetch_read(w.row_seed, row)
    for row in range(first, last, 32):
        prefetch_read(w.row_length, row)
        prefetch_read(w.row_block, row)


@jit
def deliver(
    w: Any, shard: int, source: Any, now: Any, slot_mask: Any, used: Any, neuron: Any, delay: Any,
    code: Any,
) -> int:  # fmt: skip
    """Unroll all rows of a spike in a shard; return the number of events."""
    first, last = w.row_first[shard, source], w.row_first[shard, source + 1]
    lanes = first + np.int64(w.row_lanes[shard, source])
    blocks = w.block_first[shard]
    block_word = w.block_word[blocks:]
    n = 0
    row = first
    while row < lanes:
        n, done = unroll_lanes(
            w.row_seed, w.row_length, w.row_block, row, lanes - row, source,
            block_word, w.weight_word, w.delay_pack, w.table_words,
            now, slot_mask, w.word, w.slot, n,
        )  # fmt: skip
        row += done
    for row in range(lanes, last):
        b = blocks + np.int64(w.row_block[row])
        count = np.int64(w.block_size[b])
        own = count
        if w.block_skip[b]:
            local = np.int64(source) - np.int64(w.block_neuron[b])
            if 0 <= local < count:
                own = local
        t = np.int64(w.block_table[b])
        end = unroll_row(
            w.block_sampler[b], count, own, w.block_key[b], source, w.row_seed[row],
            np.int64(w.row_length[row]), w.block_in_degree[b], w.block_stub_key[b],
            w.weight_H_full[t:], w.weight_own[t:], w.weight_alias[t:],
            w.delay_H_full[t:], w.delay_own[t:], w.delay_alias[t:],
            w.synapses[w.block_synapses[b]:], used, neuron, delay, code, 0,
        )  # fmt: skip
        base = w.block_target[b]
        for i in range(end):
            inhibitory = (code[i] >> _u4(7)) & _u4(0x100)
            w.word[n] = _u4(
                _u4(base + neuron[i]) | inhibitory | _u4(code[i] << _u4(ACCUMULATOR_BITS))
            )
            w.slot[n] = _u4(_u4(now + delay[i]) & slot_mask)
            n += 1
    # Every list may be about to need a block, beside those that the events fill.
    if w.n_free[shard] > w.cursor.shape[1] + n // BLOCK_WORDS:
        append(w, shard, n)
    else:
        spill(w, shard, n)
    return n


@jit
def draw_external(w: Any, k: int, table: Any, ss_ex: Any) -> None:
    """Draw the external spikes of a node and add their weight to `ss_ex`."""
    state = w.ext_state[k]
    lanes = state.shape[1]
    weight = w.node_ext_weight[k]
    size = w.node_size[k]
    if lanes % EXT_LANES == 0:
        turns = (size + lanes - 1) // lanes
        for first in range(0, lanes, EXT_LANES):
            draw_external_lanes(
                state.reshape(-1), lanes, first, turns, w.ext_packed, table * 32, weight, ss_ex
            )  # fmt: skip
        return
    for first in range(0, size, lanes):
        for lane in range(lanes):
            t = _u4(state[0, lane] ^ _u4(state[0, lane] << _LEFT))
            last = state[3, lane]
            output = _u4(_u4(last ^ (last >> _RIGHT)) ^ _u4(t ^ (t >> _MIDDLE)))
            state[0, lane] = state[1, lane]
            state[1, lane] = state[2, lane]
            state[2, lane] = last
            state[3, lane] = output
            # A lane past the last neuron draws too; its accumulator is cleared with the others.
            entry = output & _u4(31)
            packed = w.ext_packed[table * 32 + np.intp(entry)]
            spikes = entry if _u4(output | _u4(31)) < packed else packed & _u4(31)
            ss_ex[first + lane] += np.int32(spikes) * weight


@jit
def clip(ss: Any, n: int, limit: int) -> bool:
    """Saturate transferred input; return whether anything was clipped."""
    # The OR is no smaller than the largest word, and the loop over it vectorises.
    together = np.int32(0)
    for i in range(n):
        together |= ss[i]
    if together < limit:
        return False
    clipped = False
    for i in range(n):
        if ss[i] >= limit:
            ss[i] = limit - 1
            clipped = True
    return clipped


# The neuron model's update, a global of the loop below that `make_run` sets for each model.
update: Any = None


def _run(
    w: Worker,
    worker: int,
    barrier: Any,
    generation: int,
    first_step: int,
    steps: int,
    limit: int,
    exchange: Any,
    counts: Any,
    out_step: Any,
    out_source: Any,
    far: Any,
    address: int,
    rank: int,
    send: Any,
    received: Any,
    rest: Any,
) -> tuple[int, int]:
    mode = flush.enable()
    workers = exchange.shape[1]
    n_shards, n_slots = w.cursor.shape
    slot_mask = _u4(n_slots - 1)
    n_nodes = len(w.node_size)
    spiked = np.zeros(32, dtype=np.uint64)
    flags = spiked.view(np.uint8)
    used = np.zeros(256, dtype=np.uint8)
    neuron, delay, code = (
        np.zeros(65535 + SLACK, dtype=np.uint32),
        np.zeros(65535 + SLACK, dtype=np.uint32),
        np.zeros(65535 + SLACK, dtype=np.uint32),
    )
    spikes = np.zeros(w.row_first.shape[1] - 1, dtype=np.uint32)
    epoch = w.epoch_first[:n_nodes].copy()
    n_out = 0
    n_events = 0
    for offset in range(steps):
        step = first_step + offset
        slot = step & (n_slots - 1)
        parity = step & 1
        mine = exchange[parity, worker]
        n_spikes = 0
        drained = -1
        for k in range(n_nodes):
            # The nodes of a shard follow each other: its sums are still in the level-2 cache.
            if w.node_shard[k] != drained:
                drained = w.node_shard[k]
                drain(w, drained, slot)
            while epoch[k] + 1 < w.epoch_first[k + 1] and w.epoch_step[epoch[k] + 1] <= step:
                epoch[k] += 1
            size = w.node_size[k]
            base = w.node_local[k] * NODE_STRIDE
            ss = w.accumulator[w.node_shard[k], base : base + NODE_STRIDE]
            if clip(ss, NODE_STRIDE, limit):
                w.saturated[k] = 1
            table = w.epoch_table[epoch[k]]
            if table != _NO_TABLE:
                draw_external(w, k, np.intp(table), ss)
            constants = w.constants_f[k]
            constants[w.dc_constant] = w.epoch_dc[epoch[k]]
            update(
                w.state[k], w.refractory[k], ss[:256], ss[256:], constants,
                w.constants_i[k], flags, size,
            )  # fmt: skip
            for i in range(32):
                if spiked[i] != 0:
                    for j in range(8 * i, min(8 * i + 8, size)):
                        if flags[j]:
                            mine[n_spikes] = w.node_neuron[k] + _u4(j)
                            n_spikes += 1
                    spiked[i] = 0
            for r in range(len(w.record_node)):
                if w.record_node[r] == k:
                    i = w.record_neuron[r]
                    words = w.state[k].view(np.uint32)
                    n_state = words.shape[0]
                    for s in range(n_state):
                        w.traces[offset, s, r] = words[s, i]
                    w.traces[offset, n_state, r] = _u4(ss[i])
                    w.traces[offset, n_state + 1, r] = _u4(ss[256 + i])
            ss[:] = 0
        counts[parity, worker] = n_spikes
        for i in range(n_spikes):
            out_step[n_out] = step
            out_source[n_out] = mine[i]
            n_out += 1
        generation += 1
        wait(barrier, workers, generation)
        if address != 0:
            # Behind the workers' own spikes stand those of other ranks.
            if worker == 0:
                flush.restore(mode)
                counts[parity, workers] = exchange_spikes(
                    address, rank, send, received, rest, exchange[parity], counts[parity],
                    workers, far[parity],
                )  # fmt: skip
                mode = flush.enable()
            generation += 1
            wait(barrier, workers, generation)
            if counts[parity, workers] < 0:
                break
        now = _u4(step + 1)
        n_due: Any = 0
        for other in range(workers + 1):
            sources = exchange[parity, other] if other < workers else far[parity]
            for i in range(counts[parity, other]):
                spikes[n_due] = sources[i]
                n_due += 1
        # A shard takes all spikes before the next one does: ends of its lists stay in the level-1
        # cache.
        for shard in range(n_shards):
            for i in range(n_due):
                source = spikes[i]
                if i + 2 < n_due:
                    prefetch_places(w, shard, spikes[i + 2])
                if i + 1 < n_due:
                    prefetch_rows(w, shard, spikes[i + 1])
                # On many ranks, most spikes of others have no row here.
                if w.row_first[shard, source] < w.row_first[shard, source + 1]:
                    n_events += deliver(w, shard, source, now, slot_mask, used, neuron, delay, code)
    flush.restore(mode)
    return n_out, n_events


def make_run(name: str, update: Any, digest: str) -> Any:
    """Return the compiled step loop around the update of a neuron model.

    The loop is one function with another global `update` for every model. Name and digest enter the
    compiled function's name, so that each model has a place of its own in Numba's cache on disk.

    Parameters
    ----------
    name : str
        Name of the model.
    update : callable
        `update(state, refractory, ss_ex, ss_in, constants_f, constants_i, spiked, count)`.
    digest : str
        Hash of the model's graph.
    """
    loop = FunctionType(_run.__code__, {**globals(), "update": update}, f"run_{name}")
    loop.__qualname__ = f"run_{name}_{digest[:16]}"
    loop.__module__ = __name__
    return jit(loop)
