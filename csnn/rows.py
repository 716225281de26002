"""Rows of synapses: how a (seed, L) pair unrolls into targets, delays and weights.

This is the definition that the simulators, the generator and the hardware share. A *block* is the
part of a projection that ends in one node: a range of sources with common tables and one sampler.

Samplers
--------
INDEPENDENT
    Each target is drawn uniformly from the node's neurons (multapses allowed).
DISTINCT
    Floyd's sampling with a used-map: L different targets (no multapses).
STUBS
    Target of the i-th synapse is stub `seed + i` under a keyed permutation of the node's stubs,
    stub s belonging to neuron s mod n: the in-degree of every neuron is fixed. The generator starts
    from `row_seed`, a hash of the position.
STORED
    `seed` is the position of the first of L explicit synapse words.

With `skip_self` a row of a source that lives in the node draws from n - 1 targets and steps over
its own number (no autapses).

Bit fields of a draw (words A, B of the row generator)
------------------------------------------------------
A[31:12] target (multiply-and-shift), A[11:6] delay index, A[5:0] weight index,
B[31:16] weight fraction, B[15:0] delay fraction.

References
----------
Heittmann et al. (2022), "Spike-Distribution, Generation, and Synapse-Parameter Look-Up".
Bentley, J. & Floyd, R. (1987) A sample of brilliance. Commun. ACM 30:754.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from csnn.prng import row_draw, row_start

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

TARGET_BITS = 20
TARGET_SHIFT = 12
DELAY_INDEX_SHIFT = 6
INDEX_MASK = 63
FRACTION_BITS = 16
FRACTION_MASK = 0xFFFF

# Stored synapse word: neuron [7:0], delay_steps - 1 [13:8], weight code [29:14].
WORD_DELAY_SHIFT = 8
WORD_WEIGHT_SHIFT = 14

# Weight code: magnitude in grid units [14:0], inhibitory [15].
INHIBITORY = 0x8000
MAGNITUDE_MASK = 0x7FFF

ROW_POSITION_MULTIPLIER = 0xC2B2AE35
STUB_ROUNDS = 4
STUB_MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)


class Sampler(IntEnum):
    """How a block chooses targets."""

    INDEPENDENT = 0
    DISTINCT = 1
    STUBS = 2
    STORED = 3


def weight_code(units: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """Encode signed weights in grid units (|J| <= 32767) as sign and magnitude."""
    signed = np.asarray(units, dtype=np.int64)
    if np.abs(signed).max(initial=0) > MAGNITUDE_MASK:
        raise ValueError("a weight needs more than 15 bits")
    return (np.abs(signed) | np.where(signed < 0, INHIBITORY, 0)).astype(np.uint16)


def weight_units(code: npt.NDArray[np.integer]) -> I64:
    """Decode weight codes to signed grid units."""
    magnitude = (code & MAGNITUDE_MASK).astype(np.int64)
    return np.where(code & INHIBITORY, -magnitude, magnitude)


def synapse_word(neuron: npt.ArrayLike, delay: npt.ArrayLike, code: npt.ArrayLike) -> U32:
    """Build stored synapse words from local neuron, delay_steps - 1 and weight code."""
    word = (
        np.asarray(neuron, dtype=np.uint32)
        | np.asarray(delay, dtype=np.uint32) << WORD_DELAY_SHIFT
        | np.asarray(code, dtype=np.uint32) << WORD_WEIGHT_SHIFT
    )
    return word.astype(np.uint32)


def row_seed(position: U32) -> U32:
    """Return the generator seed of a STUBS row from its first stub position (never zero)."""
    seed = (position + np.uint32(1)) * np.uint32(ROW_POSITION_MULTIPLIER)
    return np.where(seed == 0, np.uint32(1), seed)


def stub_bits(n_stubs: int) -> int:
    """Return the even number of bits of the Feistel domain that covers `n_stubs` stubs."""
    bits = max((max(n_stubs, 2) - 1).bit_length(), 2)
    return bits + (bits & 1)


def permute_stubs(position: U32, n_stubs: int, key: int) -> U32:
    """Apply the keyed permutation of [0, n_stubs).

    A balanced Feistel network on `stub_bits` bits; positions that leave the range are sent through
    it again (cycle walking), which keeps it a bijection of the range.

    Parameters
    ----------
    position : ndarray of uint32, shape (n,)
        Positions below `n_stubs`.
    n_stubs : int
        Number of stubs.
    key : int
        32-bit key of the block.

    Returns
    -------
    ndarray of uint32, shape (n,)
    """
    half = stub_bits(n_stubs) // 2
    mask = np.uint32((1 << half) - 1)
    value = position.astype(np.uint32)
    outside = np.ones(value.shape, dtype=bool)
    while outside.any():
        current = value[outside]
        left, right = current >> np.uint32(half), current & mask
        for i in range(STUB_ROUNDS):
            mixed = (right + np.uint32((key + i * 0x9E3779B9) & 0xFFFFFFFF)) * np.uint32(
                STUB_MULTIPLIERS[i]
            )
            mixed ^= mixed >> np.uint32(15)
            left, right = right, left ^ ((mixed >> np.uint32(8)) & mask)
        value[outside] = left << np.uint32(half) | right
        outside = value >= n_stubs
    return value


@dataclass(frozen=True, kw_only=True)
class Block:
    """What all rows of a block share, tables included.

    Attributes
    ----------
    sampler : Sampler
    n_neurons : int
        Number of neurons of the node.
    skip_self : bool
        Whether a local source is stepped over.
    first_neuron : int
        Global number of the node's neuron 0.
    node_key : int
        Enters the row generators.
    weight_H, weight_own, weight_alias : ndarray of uint32 / uint16 / uint16, shape (64,)
        Alias table of weight codes.
    delay_H, delay_own, delay_alias : ndarray of uint32 / uint8 / uint8, shape (64,)
        Alias table of delay_steps - 1.
    n_stubs, stub_key : int
        Size and key of the stub permutation (STUBS only).
    synapses : ndarray of uint32
        Synapse memory of the node (STORED only).
    """

    sampler: Sampler
    n_neurons: int
    skip_self: bool
    first_neuron: int
    node_key: int
    weight_H: U32
    weight_own: npt.NDArray[np.uint16]
    weight_alias: npt.NDArray[np.uint16]
    delay_H: U32
    delay_own: npt.NDArray[np.uint8]
    delay_alias: npt.NDArray[np.uint8]
    n_stubs: int
    stub_key: int
    synapses: U32


@dataclass(frozen=True)
class Synapses:
    """Unrolled synapses, one entry each.

    Attributes
    ----------
    row : ndarray of int64
        Index of the row that the synapse belongs to.
    neuron : ndarray of uint32
        Local target.
    delay : ndarray of uint32
        delay_steps - 1.
    code : ndarray of uint32
        Weight code.
    """

    row: I64
    neuron: U32
    delay: U32
    code: U32


def unroll(block: Block, source: U32, seed: U32, length: npt.NDArray[np.integer]) -> Synapses:
    """Unroll rows of one block.

    Parameters
    ----------
    block : Block
    source : ndarray of uint32, shape (n,)
        Global source numbers.
    seed : ndarray of uint32, shape (n,)
        Stored seeds (positions for STUBS and STORED).
    length : ndarray of int, shape (n,)
        Number of synapses of each row.

    Returns
    -------
    Synapses
        Ordered by draw; every synapse of every row is present.
    """
    rows = np.flatnonzero(length > 0)
    if block.sampler is Sampler.STORED:
        lengths = length[rows].astype(np.int64)
        row = np.repeat(rows, lengths)
        within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        word = block.synapses[seed[row].astype(np.int64) + within]
        return Synapses(
            row,
            word & np.uint32(0xFF),
            word >> np.uint32(WORD_DELAY_SHIFT) & np.uint32(63),
            word >> np.uint32(WORD_WEIGHT_SHIFT) & np.uint32(0xFFFF),
        )
    # Longest first: the rows that still draw are the first ones.
    rows = rows[np.argsort(length[rows])[::-1]]
    lengths = length[rows].astype(np.int64)
    drawing = np.searchsorted(-lengths, -np.arange(lengths.max(initial=0))).tolist()
    start = row_seed(seed[rows]) if block.sampler is Sampler.STUBS else seed[rows]
    x, y = row_start(start, source[rows], block.node_key)
    words = [(x[:0], y[:0])]
    for count in drawing:
        x, y, a, b = row_draw(x[:count], y[:count])
        words.append((a, b))
    a, b = (np.concatenate(word) for word in zip(*words, strict=True))
    draw = np.repeat(np.arange(len(drawing)), drawing)
    place = np.concatenate([rows[:0], *(np.arange(count) for count in drawing)])
    row = rows[place]
    own, available = _candidates(block, source[row])
    if block.sampler is Sampler.STUBS:
        stub = permute_stubs(seed[row] + draw.astype(np.uint32), block.n_stubs, block.stub_key)
        target = (stub % np.uint32(block.n_neurons)).astype(np.int64)
    elif block.sampler is Sampler.DISTINCT:
        target = _floyd(a, available - lengths[place] + draw, drawing, block.n_neurons)
    else:
        target = _scale(a, available)
    target = target + (target >= own)
    return Synapses(row, target.astype(np.uint32), *_parameters(block, a, b))


def _candidates(block: Block, source: U32) -> tuple[I64, I64]:
    # `own` is the number to step over; a value no target reaches where nothing is skipped.
    local = source.astype(np.int64) - block.first_neuron
    inside = (local >= 0) & (local < block.n_neurons) & block.skip_self
    own = np.where(inside, local, block.n_neurons)
    return own, block.n_neurons - inside.astype(np.int64)


def _scale(a: U32, count: I64) -> I64:
    return (a >> np.uint32(TARGET_SHIFT)).astype(np.int64) * count >> TARGET_BITS


def _floyd(a: U32, last: I64, drawing: list[int], n_neurons: int) -> I64:
    # Floyd: draw from 0..last; a value that was used before stands for `last`, which was not.
    target = _scale(a, last + 1)
    used = np.zeros((max(drawing, default=0), n_neurons), dtype=bool)
    first = 0
    for count in drawing:
        part, row = slice(first, first + count), np.arange(count)
        target[part] = np.where(used[row, target[part]], last[part], target[part])
        used[row, target[part]] = True
        first += count
    return target


def _parameters(block: Block, a: U32, b: U32) -> tuple[U32, U32]:
    k = (a & np.uint32(INDEX_MASK)).astype(np.intp)
    keep = b >> np.uint32(FRACTION_BITS) < block.weight_H[k] >> np.uint32(FRACTION_BITS)
    code = np.where(keep, block.weight_own[k], block.weight_alias[k]).astype(np.uint32)
    k = (a >> np.uint32(DELAY_INDEX_SHIFT) & np.uint32(INDEX_MASK)).astype(np.intp)
    keep = b & np.uint32(FRACTION_MASK) < block.delay_H[k] >> np.uint32(FRACTION_BITS)
    delay = np.where(keep, block.delay_own[k], block.delay_alias[k]).astype(np.uint32)
    return delay, code
