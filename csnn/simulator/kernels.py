"""Compiled loops of the fast simulator.

A *shard* is up to 160 nodes owned by one worker. Synaptic events wait in a calendar: one list per
slot of the circular buffer, each event one word (weight magnitude << 17 | accumulator), where the
accumulator is node << 9 | inhibitory << 8 | neuron. A step drains one list into the shard's
accumulators, which fit the level-2 cache. Sums of integers do not depend on the order, so the
result is the plain simulator's bit for bit. A list is a chain of blocks of a pool that the shards
of a worker share; the block freed last is used first, so that what is written is in the cache.

A step takes one shard after the other: the spikes of the step before are delivered, what is due is
drained, its nodes are updated. Large networks do not fit any cache; what a shard needs next is
asked for while it computes.

`Worker` says how arrays lie.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from csnn._numba import inlined, jit, loop
from csnn.neurons import flush
from csnn.prng import EXT_SHIFTS
from csnn.rows_compiled import unroll_row
from csnn.simulator.atomics import (
    prefetch_read,
    prefetch_read_level2,
    prefetch_write,
    wait,
)
from csnn.simulator.exchange import exchange_spikes
from csnn.simulator.lanes import EXT_LANES, NODE_SHIFT, draw_external_lanes, unroll_lanes

ACCUMULATOR_BITS = 17
# At most 256, which event words can tell apart. 320 kB leave room in a level-2 cache of 512 kB.
NODES_PER_SHARD = 160
NODE_STRIDE = 1 << NODE_SHIFT
# Of a place of rows: how many run in vector lanes; `layout` allows 65,536 blocks in a shard, each
# with one row of a source.
LANE_ROWS_BITS = 17
LINE_WORDS = 16
# An odd number of cache lines: ends of lists spread over the sets of the level-1 cache.
BLOCK_WORDS = 63 * LINE_WORDS
# So far ahead of draining a list is asked for.
AHEAD = 24 * LINE_WORDS
# So many spikes ahead rows are asked for, and where they are. Of a large network most spikes have
# no row in a shard and are over at once.
ROWS_AHEAD = 4
PLACES_AHEAD = 16

_u4 = np.uint32
_ACCUMULATOR_MASK = np.uint32((1 << ACCUMULATOR_BITS) - 1)
_LEFT, _MIDDLE, _RIGHT = (np.uint32(s) for s in EXT_SHIFTS)
_LANE_ROWS_MASK = (1 << LANE_ROWS_BITS) - 1
_NO_TABLE = np.uint32(0xFFFFFFFF)

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


class Worker(NamedTuple):
    """Everything one worker thread reads and writes.

    With n shards, rows of shard h and source s are those from `row_place[s n + h] >> 17` to
    `row_place[s n + h + 1] >> 17`; of these the first, as many as the lowest 17 bits say, are
    INDEPENDENT, without self-avoidance, sorted for `lanes`. Node arrays are indexed by the worker's
    node k, which has accumulators of shard `node_shard[k]`. Blocks of the pool are the worker's,
    the heads and tails of lists are indexed by shard and slot.
    """

    row_place: I64
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
    shard_first: I64
    epoch: I64
    spiked: U64
    spikes: U32
    used: npt.NDArray[np.uint8]
    neuron: U32
    delay: U32
    code: U32


@inlined
def drain(w: Any, shard: int, slot: int) -> None:
    """Add what is due in `slot` to the accumulators of a shard and empty the slot."""
    accumulator, pool = w.accumulator[shard], w.pool
    block, last = np.int64(w.head[shard, slot]), np.int64(w.tail[shard, slot])
    for i in range(block * BLOCK_WORDS, block * BLOCK_WORDS + AHEAD, LINE_WORDS):
        prefetch_read(pool, i)
    while True:
        first = block * BLOCK_WORDS
        end = first + BLOCK_WORDS
        # From the end of a block to the one that follows it.
        jump: Any = np.int64(w.following[block]) * BLOCK_WORDS - end
        stop: Any = w.cursor[shard, slot] if block == last else end
        lines = first + (stop - first) // LINE_WORDS * LINE_WORDS
        for line in range(first, lines, LINE_WORDS):
            ahead = line + AHEAD
            if ahead >= end:
                ahead += jump
            prefetch_read(pool, ahead)
            for i in range(LINE_WORDS):
                event = pool[line + i]
                accumulator[event & _ACCUMULATOR_MASK] += np.int32(event >> _u4(ACCUMULATOR_BITS))
        for i in range(lines, stop):
            event = pool[i]
            accumulator[event & _ACCUMULATOR_MASK] += np.int32(event >> _u4(ACCUMULATOR_BITS))
        if block == last:
            break
        w.free[w.n_free[0]] = block
        w.n_free[0] += 1
        block = np.int64(w.following[block])
    w.head[shard, slot] = last
    w.cursor[shard, slot] = last * BLOCK_WORDS
    if w.buffer_used[shard, slot]:
        words = w.buffer[shard, slot]
        for i in range(len(words)):
            accumulator[i] += words[i]
            words[i] = 0
        w.buffer_used[shard, slot] = 0


@inlined
def append(w: Any, shard: int, n: int) -> None:
    """Sort the `n` events of the scratch arrays into the calendar.

    Places first, then words: the address of no store depends on a load that a store may have to
    feed, so that the processor runs both loops far ahead.
    """
    pool, cursor, end = w.pool, w.cursor[shard], w.end[shard]
    word, due = w.word, w.slot
    for i in range(n):
        slot = np.intp(due[i])
        at = cursor[slot]
        due[i] = _u4(at)
        at += 1
        cursor[slot] = at
        if at == end[slot]:
            w.n_free[0] -= 1
            block = w.free[w.n_free[0]]
            w.following[w.tail[shard, slot]] = block
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


@inlined
def prefetch_rows(w: Any, place: Any) -> None:
    """Ask for the rows of a spike in a shard."""
    first, last = w.row_place[place] >> LANE_ROWS_BITS, w.row_place[place + 1] >> LANE_ROWS_BITS
    for row in range(first // 16 * 16, last, 16):
        prefetch_read(w.row_seed, row)
    for row in range(first // 32 * 32, last, 32):
        prefetch_read(w.row_length, row)
        prefetch_read(w.row_block, row)


@inlined
def deliver(w: Any, shard: int, source: Any, place: Any, now: Any, slot_mask: Any) -> int:
    """Unroll all rows of a spike in a shard; return the number of events."""
    first, last = w.row_place[place] >> LANE_ROWS_BITS, w.row_place[place + 1] >> LANE_ROWS_BITS
    lanes = first + (w.row_place[place] & _LANE_ROWS_MASK)
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
            w.synapses[w.block_synapses[b]:], w.used, w.neuron, w.delay, w.code, 0,
        )  # fmt: skip
        base = w.block_target[b]
        for i in range(end):
            code = w.code[i]
            inhibitory = (code >> _u4(7)) & _u4(0x100)
            w.word[n] = _u4(
                _u4(base + w.neuron[i]) | inhibitory | _u4(code << _u4(ACCUMULATOR_BITS))
            )
            w.slot[n] = _u4(_u4(now + w.delay[i]) & slot_mask)
            n += 1
    # Every list may be about to need a block, beside those that the events fill.
    if w.n_free[0] > w.cursor.shape[1] + n // BLOCK_WORDS:
        append(w, shard, n)
    else:
        spill(w, shard, n)
    return n


@inlined
def deliver_all(w: Any, shard: int, n_spikes: int, now: Any) -> int:
    """Deliver all spikes of the step before to a shard; return the number of events."""
    n_shards, n_slots = w.cursor.shape
    pool = w.pool
    slot = np.int64(now) & (n_slots - 1)
    # Ends of the lists were last written a step ago.
    for i in range(n_slots):
        prefetch_write(pool, w.cursor[shard, i])
    # As many events are due now as are delivered, on average: they are asked for meanwhile.
    block = np.int64(w.head[shard, slot])
    ahead = block * BLOCK_WORDS
    end = ahead + BLOCK_WORDS
    n_events = 0
    for i in range(n_spikes):
        if i + PLACES_AHEAD < n_spikes:
            prefetch_read(w.row_place, np.int64(w.spikes[i + PLACES_AHEAD]) * n_shards + shard)
        if i + ROWS_AHEAD < n_spikes:
            prefetch_rows(w, np.int64(w.spikes[i + ROWS_AHEAD]) * n_shards + shard)
        source = w.spikes[i]
        place = np.int64(source) * n_shards + shard
        if w.row_place[place] >> LANE_ROWS_BITS == w.row_place[place + 1] >> LANE_ROWS_BITS:
            continue
        n = deliver(w, shard, source, place, now, _u4(n_slots - 1))
        n_events += n
        for _ in range(n // LINE_WORDS):
            prefetch_read_level2(pool, ahead)
            ahead += LINE_WORDS
            if ahead == end:
                if block == w.tail[shard, slot]:
                    ahead -= LINE_WORDS
                else:
                    block = np.int64(w.following[block])
                    ahead = block * BLOCK_WORDS
                    end = ahead + BLOCK_WORDS
    return n_events


@inlined
def draw_external(w: Any, k: int, flat: Any, table: Any, ss_ex: Any) -> None:
    """Draw the external spikes of a node and add their weight to `ss_ex`.

    `flat` is `w.ext_state` in one dimension.
    """
    state = w.ext_state[k]
    lanes = state.shape[1]
    weight = w.node_ext_weight[k]
    size = w.node_size[k]
    if lanes % EXT_LANES == 0:
        turns = (size + lanes - 1) // lanes
        for first in range(0, lanes, EXT_LANES):
            draw_external_lanes(
                flat[4 * lanes * k :], lanes, first, turns, w.ext_packed, table * 32, weight, ss_ex
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


@inlined
def prefetch_node(w: Any, k: int, states: Any, refractory: Any) -> None:
    """Ask for the states of node `k`; hardware does not look ahead into another page."""
    words = w.state.shape[1] * 256
    for i in range(words * k, words * (k + 1), LINE_WORDS):
        prefetch_read(states, i)
    for i in range(256 * k, 256 * (k + 1), LINE_WORDS):
        prefetch_read(refractory, i)


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
    n_nodes = len(w.node_size)
    flags = w.spiked.view(np.uint8)
    for k in range(n_nodes):
        w.epoch[k] = w.epoch_first[k]
    states, refractory = w.state.reshape(-1), w.refractory.reshape(-1)
    ext_states = w.ext_state.reshape(-1)
    n_out = 0
    n_events = 0
    n_due: Any = 0
    # After the last step its spikes are delivered, no more.
    for offset in range(steps + 1):
        step = first_step + offset
        slot = step & (n_slots - 1)
        parity = step & 1
        mine = exchange[parity, worker]
        n_spikes = 0
        for shard in range(n_shards):
            n_events += deliver_all(w, shard, n_due, _u4(step))
            if offset == steps:
                continue
            drain(w, shard, slot)
            for k in range(w.shard_first[shard], w.shard_first[shard + 1]):
                prefetch_node(w, k + 1, states, refractory)
                while (
                    w.epoch[k] + 1 < w.epoch_first[k + 1] and w.epoch_step[w.epoch[k] + 1] <= step
                ):
                    w.epoch[k] += 1
                size = w.node_size[k]
                base = w.node_local[k] * NODE_STRIDE
                ss = w.accumulator[shard, base : base + NODE_STRIDE]
                if clip(ss, NODE_STRIDE, limit):
                    w.saturated[k] = 1
                table = w.epoch_table[w.epoch[k]]
                if table != _NO_TABLE:
                    draw_external(w, k, ext_states, np.intp(table), ss)
                constants = w.constants_f[k]
                constants[w.dc_constant] = w.epoch_dc[w.epoch[k]]
                update(
                    w.state[k], w.refractory[k], ss[:256], ss[256:], constants,
                    w.constants_i[k], flags, size,
                )  # fmt: skip
                for i in range(32):
                    if w.spiked[i] != 0:
                        for j in range(8 * i, min(8 * i + 8, size)):
                            if flags[j]:
                                mine[n_spikes] = w.node_neuron[k] + _u4(j)
                                n_spikes += 1
                        w.spiked[i] = 0
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
        if offset == steps:
            break
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
        n_due = 0
        for other in range(workers + 1):
            sources = exchange[parity, other] if other < workers else far[parity]
            for i in range(counts[parity, other]):
                w.spikes[n_due] = sources[i]
                n_due += 1
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
    run = FunctionType(_run.__code__, {**globals(), "update": update}, f"run_{name}")
    run.__qualname__ = f"run_{name}_{digest[:16]}"
    run.__module__ = __name__
    return loop(run)
