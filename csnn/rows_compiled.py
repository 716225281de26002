"""Compiled unrolling of rows, one synapse after the other; equal to `csnn.rows.unroll`.

Every sampler is here; the fast simulator adds vector code for the INDEPENDENT one. Importing this
module needs numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from csnn import prng, rows
from csnn.rows import Block, Sampler, Synapses

U32 = npt.NDArray[np.uint32]

_u4 = np.uint32
_A, _B, _C = (np.uint32(s) for s in prng.ROW_SHIFTS)
_SEED_MULTIPLIER = np.uint32(prng.ROW_SEED_MULTIPLIER)
_POSITION_MULTIPLIER = np.uint32(rows.ROW_POSITION_MULTIPLIER)
_WARMUP = prng.ROW_WARMUP_DRAWS
_STUB_MULTIPLIERS = np.array(rows.STUB_MULTIPLIERS, dtype=np.uint32)
_STUB_ROUNDS = rows.STUB_ROUNDS
_STUB_INCREMENT = np.uint32(0x9E3779B9)
_TARGET_SHIFT, _TARGET_BITS = np.uint32(rows.TARGET_SHIFT), np.uint32(rows.TARGET_BITS)
_INDEX_MASK, _FRACTION_MASK = np.uint32(rows.INDEX_MASK), np.uint32(rows.FRACTION_MASK)
_DELAY_INDEX_SHIFT, _FRACTION_BITS = np.uint32(rows.DELAY_INDEX_SHIFT), np.uint32(16)
_WORD_DELAY_SHIFT = np.uint32(rows.WORD_DELAY_SHIFT)
_WORD_WEIGHT_SHIFT = np.uint32(rows.WORD_WEIGHT_SHIFT)
DISTINCT, STUBS, STORED = int(Sampler.DISTINCT), int(Sampler.STUBS), int(Sampler.STORED)


@njit(nogil=True, cache=True, inline="always")
def advance(x: Any, y: Any) -> Any:
    """Return the state of a row generator two steps on, as `prng.row_advance`."""
    t = _u4(x ^ _u4(x << _A))
    x = _u4(_u4(y ^ (y >> _C)) ^ _u4(t ^ (t >> _B)))
    t = _u4(y ^ _u4(y << _A))
    return x, _u4(_u4(x ^ (x >> _C)) ^ _u4(t ^ (t >> _B)))


@njit(nogil=True, cache=True)
def start(seed: Any, source: Any, key: Any) -> Any:
    """Return a row generator ready for its first draw, as `prng.row_start`."""
    x = _u4(seed)
    y = _u4(_u4(seed ^ source ^ key) * _SEED_MULTIPLIER)
    for _ in range(_WARMUP):
        x, y = advance(x, y)
    return x, y


@njit(nogil=True, cache=True)
def permute(position: Any, n_stubs: Any, half: Any, key: Any) -> Any:
    """Apply the stub permutation to one position, as `rows.permute_stubs`."""
    mask = _u4((1 << half) - 1)
    value = _u4(position)
    while True:
        left, right = _u4(value >> half), _u4(value & mask)
        for i in range(_STUB_ROUNDS):
            mixed = _u4(
                _u4(right + _u4(key + _u4(_u4(i) * _STUB_INCREMENT))) * _STUB_MULTIPLIERS[i]
            )
            mixed = _u4(mixed ^ (mixed >> _u4(15)))
            left, right = right, _u4(left ^ _u4((mixed >> _u4(8)) & mask))
        value = _u4(_u4(left << half) | right)
        if value < n_stubs:
            return value


@njit(nogil=True, cache=True, inline="always")
def unroll_row(
    sampler: Any,
    n_neurons: Any,
    own: Any,
    key: Any,
    source: Any,
    seed: Any,
    length: Any,
    n_stubs: Any,
    half: Any,
    stub_key: Any,
    weight_H: Any,
    weight_own: Any,
    weight_alias: Any,
    delay_H: Any,
    delay_own: Any,
    delay_alias: Any,
    synapses: Any,
    used: Any,
    neuron: Any,
    delay: Any,
    code: Any,
    position: Any,
) -> Any:
    """Unroll one row into `neuron`, `delay`, `code` from `position` on; return the new position.

    `own` is the local number to step over, `n_neurons` if none; `used` is scratch for 256 flags.
    """
    if sampler == STORED:
        for i in range(length):
            word = synapses[np.int64(seed) + i]
            neuron[position] = word & _u4(0xFF)
            delay[position] = (word >> _WORD_DELAY_SHIFT) & _u4(63)
            code[position] = (word >> _WORD_WEIGHT_SHIFT) & _u4(0xFFFF)
            position += 1
        return position
    first = _u4(seed)
    if sampler == STUBS:
        first = _u4(_u4(first + _u4(1)) * _POSITION_MULTIPLIER)
        if first == 0:
            first = _u4(1)
    available = n_neurons - (1 if own < n_neurons else 0)
    if sampler == DISTINCT:
        for i in range(n_neurons):
            used[i] = 0
    x, y = start(first, source, key)
    for i in range(length):
        before = y
        x, y = advance(x, y)
        a, b = _u4(x + before), _u4(y + x)
        if sampler == STUBS:
            stub = permute(_u4(seed + _u4(i)), n_stubs, half, stub_key)
            target = np.int64(stub) % n_neurons
        elif sampler == DISTINCT:
            last = available - length + i
            target = np.int64((np.int64(a >> _TARGET_SHIFT) * (last + 1)) >> _TARGET_BITS)
            if used[target]:
                target = last
            used[target] = 1
        else:
            target = np.int64((np.int64(a >> _TARGET_SHIFT) * available) >> _TARGET_BITS)
        if target >= own:
            target += 1
        k = a & _INDEX_MASK
        w = (
            weight_own[k]
            if (b >> _FRACTION_BITS) < (weight_H[k] >> _FRACTION_BITS)
            else (weight_alias[k])
        )
        k = (a >> _DELAY_INDEX_SHIFT) & _INDEX_MASK
        d = (
            delay_own[k]
            if (b & _FRACTION_MASK) < (delay_H[k] >> _FRACTION_BITS)
            else (delay_alias[k])
        )
        neuron[position] = target
        delay[position] = d
        code[position] = w
        position += 1
    return position


@njit(nogil=True, cache=True)
def _unroll_rows(
    sampler: Any, n_neurons: Any, skip_self: Any, first_neuron: Any, key: Any,
    source: Any, seed: Any, length: Any, n_stubs: Any, half: Any, stub_key: Any,
    weight_H: Any, weight_own: Any, weight_alias: Any, delay_H: Any, delay_own: Any,
    delay_alias: Any, synapses: Any, row: Any, neuron: Any, delay: Any, code: Any,
) -> Any:  # fmt: skip
    used = np.zeros(256, dtype=np.uint8)
    position = 0
    for i in range(len(source)):
        own = n_neurons
        if skip_self:
            local = np.int64(source[i]) - first_neuron
            if 0 <= local < n_neurons:
                own = local
        end = unroll_row(
            sampler, n_neurons, own, key, source[i], seed[i], np.int64(length[i]), n_stubs, half,
            stub_key, weight_H, weight_own, weight_alias, delay_H, delay_own, delay_alias,
            synapses, used, neuron, delay, code, position,
        )  # fmt: skip
        for j in range(position, end):
            row[j] = i
        position = end
    return position


@njit(nogil=True, cache=True)
def _sum_rows(
    sampler: Any, n_neurons: Any, skip_self: Any, first_neuron: Any, key: Any,
    source: Any, seed: Any, length: Any, n_stubs: Any, half: Any, stub_key: Any,
    weight_H: Any, weight_own: Any, weight_alias: Any, delay_H: Any, delay_own: Any,
    delay_alias: Any, synapses: Any, neuron: Any, delay: Any, code: Any, sums: Any,
) -> None:  # fmt: skip
    used = np.zeros(256, dtype=np.uint8)
    for i in range(len(source)):
        own = n_neurons
        if skip_self:
            local = np.int64(source[i]) - first_neuron
            if 0 <= local < n_neurons:
                own = local
        end = unroll_row(
            sampler, n_neurons, own, key, source[i], seed[i], np.int64(length[i]), n_stubs, half,
            stub_key, weight_H, weight_own, weight_alias, delay_H, delay_own, delay_alias,
            synapses, used, neuron, delay, code, 0,
        )  # fmt: skip
        for j in range(end):
            sums[code[j] >> _u4(15), neuron[j]] += np.int64(code[j] & _u4(0x7FFF))


@njit(nogil=True, cache=True)
def _sum_independent(
    n_neurons: Any, skip_self: Any, first_neuron: Any, key: Any,
    source: Any, seed: Any, length: Any, weight_H: Any, weight_pair: Any, sums: Any,
) -> None:  # fmt: skip
    # `sums` is flat, excitatory first; no branch depends on random bits.
    for i in range(len(source)):
        available = np.int64(n_neurons)
        own = available
        if skip_self:
            local = np.int64(source[i]) - first_neuron
            if 0 <= local < n_neurons:
                own = local
                available -= 1
        x, y = start(seed[i], source[i], key)
        for _ in range(length[i]):
            before = y
            x, y = advance(x, y)
            a, b = _u4(x + before), _u4(y + x)
            target = (np.int64(a >> _TARGET_SHIFT) * available) >> np.int64(_TARGET_BITS)
            target += np.int64(target >= own)
            k = np.intp(a & _INDEX_MASK)
            other = _u4((b >> _FRACTION_BITS) >= weight_H[k])
            code = _u4(weight_pair[k] >> _u4(other << _u4(4)))
            inhibitory = np.int64((code >> _u4(15)) & _u4(1))
            sums[inhibitory * n_neurons + target] += np.int64(code & _u4(0x7FFF))


def _arguments(
    block: Block, source: U32, seed: U32, length: npt.NDArray[np.integer]
) -> tuple[Any, ...]:
    tables = (
        block.weight_H, block.weight_own, block.weight_alias,
        block.delay_H, block.delay_own, block.delay_alias, block.synapses,
    )  # fmt: skip
    return (
        int(block.sampler),
        block.n_neurons,
        block.skip_self,
        block.first_neuron,
        np.uint32(block.node_key),
        np.ascontiguousarray(source),
        np.ascontiguousarray(seed),
        np.ascontiguousarray(length, dtype=np.uint16),
        np.uint32(block.n_stubs),
        np.uint32(rows.stub_bits(block.n_stubs) // 2),
        np.uint32(block.stub_key),
        *(np.ascontiguousarray(table) for table in tables),
    )


def sum_weights(
    block: Block,
    source: U32,
    seed: U32,
    length: npt.NDArray[np.integer],
    sums: npt.NDArray[np.int64],
) -> None:
    """Add the weight magnitudes of all synapses of the rows to `sums`.

    Parameters
    ----------
    block, source, seed, length
        As for `unroll`.
    sums : ndarray of int64, shape (2, n_neurons), modified
        Excitatory and inhibitory sums in grid units.
    """
    if block.sampler is Sampler.INDEPENDENT:
        flat = np.zeros(sums.size, dtype=np.int64)
        _sum_independent(
            block.n_neurons,
            block.skip_self,
            block.first_neuron,
            np.uint32(block.node_key),
            np.ascontiguousarray(source),
            np.ascontiguousarray(seed),
            np.ascontiguousarray(length, dtype=np.uint16),
            block.weight_H >> np.uint32(rows.FRACTION_BITS),
            block.weight_own | block.weight_alias.astype(np.uint32) << np.uint32(16),
            flat,
        )
        sums += flat.reshape(sums.shape)
        return
    longest = max(int(length.max(initial=0)), 1)
    scratch = tuple(np.empty(longest, dtype=np.uint32) for _ in range(3))
    arguments = (*_arguments(block, source, seed, length), *scratch, sums)
    _sum_rows(*arguments)


def unroll(block: Block, source: U32, seed: U32, length: npt.NDArray[np.integer]) -> Synapses:
    """Unroll rows as `csnn.rows.unroll` does, but in order of rows, then draws."""
    n = int(length.sum(dtype=np.int64))
    row = np.empty(n, dtype=np.int64)
    neuron, delay, code = (np.empty(n, dtype=np.uint32) for _ in range(3))
    arguments = (*_arguments(block, source, seed, length), row, neuron, delay, code)
    _unroll_rows(*arguments)
    return Synapses(row, neuron, delay, code)
