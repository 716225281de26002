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
    Every neuron has K stubs, its in-degree; stub (l, r), l < K, is one of neuron r. `seed` is the
    first stub of the row, r in [7:0] and l in [31:8]; the others follow it, r first, with a carry
    into l at n. Targets are the r of their images under a keyed permutation of the node's stubs:
    the in-degree of every neuron is exact. The generator starts from `row_seed`, a hash of `seed`.
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
# Stub word: r in [7:0], l in [31:8].
STUB_R_BITS = 8
STUB_R_MASK = 0xFF
MAX_INDEGREE = 1 << 24
# Below these the permutation mixes too little; the generator stores such rows.
MIN_STUB_INDEGREE, MIN_STUB_NEURONS = 32, 16
# A turn of l, then one of r, with each multiplier.
STUB_MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35)
STUB_ROUNDS = 2 * len(STUB_MULTIPLIERS)
STUB_KEY_ROTATION = 6
STUB_KEY_INCREMENT = 0x9E3779B9
# A hash multiplies a factor of 17 bits by one of 24, what a DSP48E1 takes; l has up to 24 bits.
STUB_SHORT_MASK, STUB_LONG_MASK = 0x1FFFF, 0xFFFFFF
STUB_R_SHIFT, STUB_L_SHIFT = 15, 9
STUB_FOLDS = (16, 9, 4)
STUB_SCALE_BITS = 16


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


def row_seed(word: U32) -> U32:
    """Return the generator seed of a STUBS row from its first stub word (never zero)."""
    seed = (word + np.uint32(1)) * np.uint32(ROW_POSITION_MULTIPLIER)
    return np.where(seed == 0, np.uint32(1), seed)


def stub_word(position: npt.ArrayLike, n_neurons: int) -> U32:
    """Return the stub words of positions l n + r below 2^24 n."""
    left, right = np.divmod(np.asarray(position, dtype=np.int64), n_neurons)
    return (left << STUB_R_BITS | right).astype(np.uint32)


def stub_position(word: U32, n_neurons: int) -> I64:
    """Return the positions l n + r of stub words."""
    left, right = word >> np.uint32(STUB_R_BITS), word & np.uint32(STUB_R_MASK)
    return left.astype(np.int64) * n_neurons + right


def round_keys(key: int) -> list[int]:
    """Return the keys of the rounds: rotations of the block's key, constants exclusive-ored in.

    Rotated, neighbouring keys have distant round keys; mere sums with constants would give blocks
    of neighbouring keys permutations that are shifts of each other. Turns of l take 17 bits of
    their key, turns of r 24.
    """
    keys = []
    for i in range(STUB_ROUNDS):
        turn = i * STUB_KEY_ROTATION
        rotated = (key << turn | key >> (32 - turn)) & 0xFFFFFFFF
        mask = STUB_LONG_MASK if i % 2 else STUB_SHORT_MASK
        keys.append((rotated ^ i * STUB_KEY_INCREMENT) & mask)
    return keys


def permute_stubs(
    left: npt.NDArray[np.integer], right: npt.NDArray[np.integer], in_degree: int, n: int, key: int
) -> tuple[I64, I64]:
    """Apply the keyed permutation of the stubs (l, r), 0 <= l < K, 0 <= r < n.

    A mixed-radix Feistel network, modulo 2^32, with the keys k of `round_keys`. Three times, with
    another multiplier M, a hash of r is added to l modulo K, then one of l to r modulo n:

        l = l + (fold((r ^ k) * (M[23:0] ^ r << 15)) K >> 16), less K if that is K or more
        r = r + (fold((l ^ k) * (M[16:0] ^ l[7:0] << 9)) n >> 16), less n if that is n or more
        fold(h) = h[31:16] ^ h[24:9] ^ h[19:4] ^ h[15:0]

    Factors are of 17 and 24 bits or fewer. Every pass takes the same time: nothing is divided, and
    no image leaves the range.

    Parameters
    ----------
    left, right : ndarray of int, shape (m,)
        l and r of the stubs.
    in_degree, n : int
        K, up to 2^24, and number of neurons, up to 256.
    key : int
        32-bit key of the block.

    Returns
    -------
    left, right : ndarray of int64, shape (m,)
        Those of their images; r is the target.
    """
    left_image, right_image = left.astype(np.int64), right.astype(np.int64)
    for i, round_key in enumerate(round_keys(key)):
        multiplier = STUB_MULTIPLIERS[i // 2]
        if i % 2 == 0:
            other = multiplier & STUB_LONG_MASK ^ right_image << STUB_R_SHIFT
            left_image += _stub_hash(right_image ^ round_key, other) * in_degree >> STUB_SCALE_BITS
            left_image -= np.where(left_image >= in_degree, in_degree, 0)
        else:
            other = (multiplier ^ left_image << STUB_L_SHIFT) & STUB_SHORT_MASK
            right_image += _stub_hash(left_image ^ round_key, other) * n >> STUB_SCALE_BITS
            right_image -= np.where(right_image >= n, n, 0)
    return left_image, right_image


def _stub_hash(one: I64, other: I64) -> I64:
    product = one * other
    folded = product.copy()
    for shift in STUB_FOLDS:
        folded ^= product >> shift
    return folded & ((1 << STUB_SCALE_BITS) - 1)


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
    in_degree, stub_key : int
        Stubs of each neuron and key of their permutation (STUBS only).
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
    in_degree: int
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
        Stored seeds (stub words for STUBS, positions for STORED).
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
        position = stub_position(seed[row], block.n_neurons) + draw
        left, right = np.divmod(position, block.n_neurons)
        target = permute_stubs(left, right, block.in_degree, block.n_neurons, block.stub_key)[1]
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
