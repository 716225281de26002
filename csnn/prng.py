"""Xorshift generators: the published ones, and the two that the machine uses.

The recurrences are linear over GF(2): one step multiplies the state, a bit vector, by a fixed
matrix. `transition_matrix` gives that matrix, from which full period and jump-ahead are computed
rather than believed.

* Row generator (spike router): Marsaglia's recurrence on two 32-bit words, shifts (10, 13, 10),
  period 2^64 - 1; two steps per synapse. Its outputs are sums of two successive words, as in
  Vigna's xorshift+: the carries break the linear relations that tie successive words together.
* EXT generator: Marsaglia's `xor128` on four 32-bit words, shifts (11, 8, 19), period 2^128 - 1;
  one stream per lane, 2^64 steps apart.

References
----------
Marsaglia, G. (2003) Xorshift RNGs. J. Stat. Softw. 8(14).
Vigna, S. (2017) Further scramblings of Marsaglia's xorshift generators. J. Comput. Appl. Math. 315.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]
Word = int
State = tuple[Word, ...]

ROW_SHIFTS = (10, 13, 10)
ROW_WARMUP_DRAWS = 2
ROW_SEED_MULTIPLIER = 0x85EBCA6B
EXT_SHIFTS = (11, 8, 19)
EXT_STREAM_SPACING_LOG2 = 64
NODE_KEY_MULTIPLIER = 0x9E3779B1

_ROW_SHIFTS = tuple(np.uint32(shift) for shift in ROW_SHIFTS)
_EXT_SHIFTS = tuple(np.uint32(shift) for shift in EXT_SHIFTS)
_M32 = 0xFFFFFFFF
_M64 = 0xFFFFFFFFFFFFFFFF


def xorshift32(state: Word, shifts: tuple[int, int, int] = (13, 17, 5)) -> Word:
    """Return the next state (and output) of a 32-bit xorshift generator."""
    a, b, c = shifts
    state ^= (state << a) & _M32
    state ^= state >> b
    return state ^ ((state << c) & _M32)


def xorshift64(state: Word, shifts: tuple[int, int, int] = (13, 7, 17)) -> Word:
    """Return the next state (and output) of a 64-bit xorshift generator."""
    a, b, c = shifts
    state ^= (state << a) & _M64
    state ^= state >> b
    return state ^ ((state << c) & _M64)


def xorshift_words(state: State, shifts: tuple[int, int, int]) -> State:
    """Advance a generator of several 32-bit words by one step; the last word is the output.

    t = w0 ^ (w0 << a); w0, w1, ... = w1, ...; last = last ^ (last >> c) ^ t ^ (t >> b).
    """
    a, b, c = shifts
    t = state[0] ^ ((state[0] << a) & _M32)
    last = state[-1]
    return (*state[1:], last ^ (last >> c) ^ t ^ (t >> b))


def transition_matrix(step: Callable[[int], int], bits: int) -> list[int]:
    """Return the matrix of a GF(2)-linear `step` as the images of the `bits` unit vectors."""
    return [step(1 << i) for i in range(bits)]


def matrix_apply(matrix: Sequence[int], vector: int) -> int:
    """Multiply a matrix (images of the unit vectors) with a bit vector."""
    image = 0
    for i, column in enumerate(matrix):
        if vector >> i & 1:
            image ^= column
    return image


def matrix_multiply(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Return the matrix of "first `right`, then `left`"."""
    return [matrix_apply(left, column) for column in right]


def matrix_power(matrix: Sequence[int], exponent: int) -> list[int]:
    """Return `matrix` to the power `exponent` >= 0."""
    result = [1 << i for i in range(len(matrix))]
    square = list(matrix)
    while exponent:
        if exponent & 1:
            result = matrix_multiply(square, result)
        square = matrix_multiply(square, square)
        exponent >>= 1
    return result


def rank(vectors: Sequence[int]) -> int:
    """Return the rank over GF(2) of a set of bit vectors."""
    basis: dict[int, int] = {}
    for vector in vectors:
        while vector:
            top = vector.bit_length()
            if top not in basis:
                basis[top] = vector
                break
            vector ^= basis[top]
    return len(basis)


def pack(state: State) -> int:
    """Join 32-bit words into one bit vector, word 0 lowest."""
    return sum(word << (32 * i) for i, word in enumerate(state))


def unpack(vector: int, words: int) -> State:
    """Split a bit vector into 32-bit words, word 0 lowest."""
    return tuple(vector >> (32 * i) & _M32 for i in range(words))


def words_matrix(words: int, shifts: tuple[int, int, int]) -> list[int]:
    """Return the transition matrix of `xorshift_words` on `words` words."""
    return transition_matrix(
        lambda vector: pack(xorshift_words(unpack(vector, words), shifts)), 32 * words
    )


def ext_streams(first: State, count: int) -> U32:
    """Return the initial states of `count` EXT streams, each 2^64 steps after the one before.

    Parameters
    ----------
    first : tuple of 4 int
        State of stream 0, not all zero.
    count : int
        Number of streams.

    Returns
    -------
    ndarray of uint32, shape (count, 4)
    """
    tables = _stream_jump(EXT_STREAM_SPACING_LOG2)
    streams = np.empty((count, 4), dtype=np.uint32)
    vector = pack(first)
    for i in range(count):
        streams[i] = unpack(vector, 4)
        image = 0
        for position, table in enumerate(tables):
            image ^= table[vector >> (8 * position) & 0xFF]
        vector = image
    return streams


@cache
def _stream_jump(spacing_log2: int) -> list[list[int]]:
    return _byte_tables(matrix_power(words_matrix(4, EXT_SHIFTS), 1 << spacing_log2))


def _byte_tables(matrix: Sequence[int]) -> list[list[int]]:
    # One look-up per byte of the state makes a jump 16 look-ups instead of 128 columns.
    return [
        [matrix_apply(matrix[8 * i : 8 * i + 8], byte) for byte in range(256)]
        for i in range(len(matrix) // 8)
    ]


def node_key(node: int) -> int:
    """Return the 32-bit constant that enters the row generators of node number `node`."""
    return (node + 1) * NODE_KEY_MULTIPLIER & _M32


def row_advance(x: U32, y: U32) -> tuple[U32, U32]:
    """Return the states of row generators two steps on.

    Parameters
    ----------
    x, y : ndarray of uint32, shape (n,)
        States.
    """
    a, b, c = _ROW_SHIFTS
    t = x ^ (x << a)
    x = y ^ (y >> c) ^ t ^ (t >> b)
    t = y ^ (y << a)
    return x, x ^ (x >> c) ^ t ^ (t >> b)


def row_draw(x: U32, y: U32) -> tuple[U32, U32, U32, U32]:
    """Advance row generators by one draw (two steps).

    Parameters
    ----------
    x, y : ndarray of uint32, shape (n,)
        States.

    Returns
    -------
    x, y : ndarray of uint32, shape (n,)
        New states.
    a, b : ndarray of uint32, shape (n,)
        The words of the draw: sums mod 2^32 of each new word of the sequence and the one before.
    """
    new_x, new_y = row_advance(x, y)
    return new_x, new_y, new_x + y, new_y + new_x


def row_start(seed: U32, source: U32, key: int) -> tuple[U32, U32]:
    """Return row generators ready for their first draw.

    The state is (seed, (seed ^ source ^ key) * m mod 2^32), then the warm-up follows. The
    product is not linear over GF(2), so no linear relation ties the fields of one row together
    although only 32 bits are stored. A seed is never zero, hence neither is the state.

    Parameters
    ----------
    seed, source : ndarray of uint32, shape (n,)
        Stored seed and global source number of each row.
    key : int
        `node_key` of the node.
    """
    x = seed
    y = (seed ^ source ^ np.uint32(key)) * np.uint32(ROW_SEED_MULTIPLIER)
    for _ in range(ROW_WARMUP_DRAWS):
        x, y = row_advance(x, y)
    return x, y


def ext_draw(state: U32) -> U32:
    """Advance EXT generators in place by one step and return their outputs.

    Parameters
    ----------
    state : ndarray of uint32, shape (..., 4)
        Words 0 to 3 of each lane.

    Returns
    -------
    ndarray of uint32, shape (...)
    """
    a, b, c = _EXT_SHIFTS
    t = state[..., 0] ^ (state[..., 0] << a)
    last = state[..., 3]
    output: U32 = last ^ (last >> c) ^ t ^ (t >> b)
    state[..., :3] = state[..., 1:]
    state[..., 3] = output
    return output
