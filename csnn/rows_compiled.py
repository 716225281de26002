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
_STUB_INCREMENT = np.uint32(rows.STUB_KEY_INCREMENT)
_STUB_ROTATION = np.uint32(rows.STUB_KEY_ROTATION)
_STUB_SHORT, _STUB_LONG = np.uint32(rows.STUB_SHORT_MASK), np.uint32(rows.STUB_LONG_MASK)
_STUB_R_SHIFT, _STUB_L_SHIFT = np.uint32(rows.STUB_R_SHIFT), np.uint32(rows.STUB_L_SHIFT)
_STUB_HALF, _STUB_LOW = np.uint32(rows.STUB_SCALE_BITS), np.uint32(0xFFFF)
_FOLD_A, _FOLD_B, _FOLD_C = (np.uint32(shift) for shift in rows.STUB_FOLDS)
_STUB_TO_L = tuple(np.uint32(m & rows.STUB_LONG_MASK) for m in rows.STUB_MULTIPLIERS)
_STUB_TO_R = tuple(np.uint32(m & rows.STUB_SHORT_MASK) for m in rows.STUB_MULTIPLIERS)
_STUB_R_BITS, _STUB_R_MASK = np.uint32(rows.STUB_R_BITS), np.uint32(rows.STUB_R_MASK)
_TARGET_SHIFT, _TARGET_BITS = np.uint32(rows.TARGET_SHIFT), np.uint32(rows.TARGET_BITS)
_INDEX_MASK, _FRACTION_MASK = np.uint32(rows.INDEX_MASK), np.uint32(rows.FRACTION_MASK)
_DELAY_INDEX_SHIFT, _FRACTION_BITS = np.uint32(rows.DELAY_INDEX_SHIFT), np.uint32(16)
_WORD_DELAY_SHIFT = np.uint32(rows.WORD_DELAY_SHIFT)
_WORD_WEIGHT_SHIFT = np.uint32(rows.WORD_WEIGHT_SHIFT)
# Stubs permuted together; vector code may write as many entries behind the last synapse of a row.
SLACK = 32
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


@njit(nogil=True, cache=True, inline="always")
def round_key(key: Any, i: Any, mask: Any) -> Any:
    """Return the key of round `i`, as `rows.round_keys`."""
    turn = _u4(_u4(i) * _STUB_ROTATION)
    rotated = _u4(_u4(key << turn) | (key >> ((_u4(32) - turn) & _u4(31))))
    return _u4(_u4(rotated ^ _u4(_u4(i) * _STUB_INCREMENT)) & mask)


@njit(nogil=True, cache=True, inline="always")
def _hash(one: Any, other: Any) -> Any:
    h = _u4(one * other)
    return _u4(_u4(_u4(h ^ (h >> _FOLD_A)) ^ _u4((h >> _FOLD_B) ^ (h >> _FOLD_C))) & _STUB_LOW)


@njit(nogil=True, cache=True, inline="always")
def _turn_left(
    left: Any, right: Any, high: Any, low: Any, k: Any, key: Any, multiplier: Any
) -> Any:
    h = _hash(_u4(right ^ key), _u4(multiplier ^ _u4(right << _STUB_R_SHIFT)))
    # h K >> 16 without 64 bits.
    left = _u4(left + _u4(_u4(h * high) + (_u4(h * low) >> _STUB_HALF)))
    # Less K where it is K or more: below K the difference wraps around to a large number.
    return min(left, _u4(left - k))


@njit(nogil=True, cache=True, inline="always")
def _turn_right(left: Any, right: Any, n: Any, key: Any, multiplier: Any) -> Any:
    other = _u4(multiplier ^ _u4(_u4(left << _STUB_L_SHIFT) & _STUB_SHORT))
    right = _u4(right + (_u4(_hash(_u4(left ^ key), other) * n) >> _STUB_HALF))
    return min(right, _u4(right - n))


@njit(nogil=True, cache=True, inline="always")
def _stub_targets(
    word: Any, n: Any, k: Any, high: Any, key: Any, length: Any, target: Any, first: Any
) -> None:
    low, twice = k & _STUB_LOW, _u4(n + n)
    k0, k1 = round_key(key, 0, _STUB_SHORT), round_key(key, 1, _STUB_LONG)
    k2, k3 = round_key(key, 2, _STUB_SHORT), round_key(key, 3, _STUB_LONG)
    k4, k5 = round_key(key, 4, _STUB_SHORT), round_key(key, 5, _STUB_LONG)
    left, right = word >> _STUB_R_BITS, word & _STUB_R_MASK
    # Vector code needs unsigned places, which cannot count from the end.
    place = np.uint64(first)
    for _ in range(0, length, SLACK):
        for i in range(SLACK):
            b = _u4(right + _u4(i))
            # At most two carries: n is half of SLACK or more.
            a = _u4(left + _u4(_u4(b >= n) + _u4(b >= twice)))
            b = min(b, _u4(b - n))
            b = min(b, _u4(b - n))
            a = _turn_left(a, b, high, low, k, k0, _STUB_TO_L[0])
            b = _turn_right(a, b, n, k1, _STUB_TO_R[0])
            a = _turn_left(a, b, high, low, k, k2, _STUB_TO_L[1])
            b = _turn_right(a, b, n, k3, _STUB_TO_R[1])
            a = _turn_left(a, b, high, low, k, k4, _STUB_TO_L[2])
            target[place + np.uint64(i)] = _turn_right(a, b, n, k5, _STUB_TO_R[2])
        right = _u4(right + _u4(SLACK))
        while right >= n:
            left, right = _u4(left + _u4(1)), _u4(right - n)
        place += np.uint64(SLACK)


@njit(nogil=True, cache=True)
def stub_targets(
    word: Any, n_neurons: Any, in_degree: Any, key: Any, length: Any, target: Any, first: Any
) -> None:
    """Write the targets of the stubs from `word` on, as `rows.permute_stubs` gives them.

    They go to `target[first : first + length]`, and something to up to `SLACK` entries beyond:
    so many at a time, in a loop that the compiler unrolls into vector code.
    """
    n, k, key = _u4(n_neurons), _u4(in_degree), _u4(key)
    high = k >> _STUB_HALF
    # Products by a constant 0 vanish from the usual case.
    if high == 0:
        _stub_targets(word, n, k, _u4(0), key, length, target, first)
    else:
        _stub_targets(word, n, k, high, key, length, target, first)


@njit(nogil=True, cache=True, inline="always")
def _parameters(
    a: Any, b: Any, weight_H: Any, weight_own: Any, weight_alias: Any, delay_H: Any,
    delay_own: Any, delay_alias: Any,
) -> Any:  # fmt: skip
    # Both outcomes are loaded, so that no branch depends on random bits.
    k = a & _INDEX_MASK
    w, other = weight_own[k], weight_alias[k]
    w = w if (b >> _FRACTION_BITS) < (weight_H[k] >> _FRACTION_BITS) else other
    k = (a >> _DELAY_INDEX_SHIFT) & _INDEX_MASK
    d, later = delay_own[k], delay_alias[k]
    d = d if (b & _FRACTION_MASK) < (delay_H[k] >> _FRACTION_BITS) else later
    return d, w


@njit(nogil=True, cache=True, inline="always")
def unroll_row(
    sampler: Any,
    n_neurons: Any,
    own: Any,
    key: Any,
    source: Any,
    seed: Any,
    length: Any,
    in_degree: Any,
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
    The arrays reach `SLACK` entries beyond the row.
    """
    if sampler == STORED:
        for i in range(length):
            word = synapses[np.int64(seed) + i]
            neuron[position] = word & _u4(0xFF)
            delay[position] = (word >> _WORD_DELAY_SHIFT) & _u4(63)
            code[position] = (word >> _WORD_WEIGHT_SHIFT) & _u4(0xFFFF)
            position += 1
        return position
    if sampler == STUBS:
        first = _u4(_u4(_u4(seed) + _u4(1)) * _POSITION_MULTIPLIER)
        x, y = start(first if first != 0 else _u4(1), source, key)
        stub_targets(_u4(seed), n_neurons, in_degree, stub_key, length, neuron, position)
        for _ in range(length):
            before = y
            x, y = advance(x, y)
            delay[position], code[position] = _parameters(
                _u4(x + before), _u4(y + x),
                weight_H, weight_own, weight_alias, delay_H, delay_own, delay_alias,
            )  # fmt: skip
            position += 1
        return position
    available = n_neurons - (1 if own < n_neurons else 0)
    if sampler == DISTINCT:
        for i in range(n_neurons):
            used[i] = 0
    x, y = start(seed, source, key)
    for i in range(length):
        before = y
        x, y = advance(x, y)
        a, b = _u4(x + before), _u4(y + x)
        if sampler == DISTINCT:
            last = available - length + i
            target = np.int64((np.int64(a >> _TARGET_SHIFT) * (last + 1)) >> _TARGET_BITS)
            if used[target]:
                target = last
            used[target] = 1
        else:
            target = np.int64((np.int64(a >> _TARGET_SHIFT) * available) >> _TARGET_BITS)
        if target >= own:
            target += 1
        neuron[position] = target
        delay[position], code[position] = _parameters(
            a, b, weight_H, weight_own, weight_alias, delay_H, delay_own, delay_alias
        )
        position += 1
    return position


@njit(nogil=True, cache=True)
def _unroll_rows(
    sampler: Any, n_neurons: Any, skip_self: Any, first_neuron: Any, key: Any,
    source: Any, seed: Any, length: Any, in_degree: Any, stub_key: Any,
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
            sampler, n_neurons, own, key, source[i], seed[i], np.int64(length[i]), in_degree,
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
    source: Any, seed: Any, length: Any, in_degree: Any, stub_key: Any,
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
            sampler, n_neurons, own, key, source[i], seed[i], np.int64(length[i]), in_degree,
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
        np.uint32(block.in_degree),
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
    longest = int(length.max(initial=0)) + SLACK
    scratch = tuple(np.empty(longest, dtype=np.uint32) for _ in range(3))
    arguments = (*_arguments(block, source, seed, length), *scratch, sums)
    _sum_rows(*arguments)


def unroll(block: Block, source: U32, seed: U32, length: npt.NDArray[np.integer]) -> Synapses:
    """Unroll rows as `csnn.rows.unroll` does, but in order of rows, then draws."""
    n = int(length.sum(dtype=np.int64))
    row = np.empty(n, dtype=np.int64)
    neuron, delay, code = (np.empty(n + SLACK, dtype=np.uint32) for _ in range(3))
    arguments = (*_arguments(block, source, seed, length), row, neuron, delay, code)
    _unroll_rows(*arguments)
    return Synapses(row, neuron[:n], delay[:n], code[:n])
