"""Generators: published sequences, full period, jump-ahead, and the machine's own vectors."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import pytest

from csnn import prng

M32 = 2**32 - 1
# Prime factors of 2^64 - 1 and 2^128 - 1.
FACTORS_64 = (3, 5, 17, 257, 641, 65537, 6700417)
FACTORS_128 = (*FACTORS_64, 274177, 67280421310721)

# (seed, source, node) and the words A, B of the first three draws.
ROW_VECTORS = (
    (
        (0x00000001, 0, 0),
        ((0x597F4F1C, 0x82350860), (0x23CC89E7, 0x35BF38B8), (0x43CF8B69, 0x08A47E27)),
    ),
    (
        (0xDEADBEEF, 77168, 304),
        ((0x5F41F132, 0xD47C2935), (0x669B9975, 0x827DFE67), (0xCAD4C074, 0x702C7FF1)),
    ),
    (
        (0xFFFFFFFF, 131071, 65534),
        ((0x3AA4B1B1, 0xBE67F2A6), (0xF67309B4, 0x99509439), (0x77077362, 0xA170750E)),
    ),
    (
        (0x9E3779B1, 0, 0),  # seed equals the node's key: the second word starts at zero
        ((0x7CF67AD0, 0xF6C54DAE), (0x4B61EE42, 0xBA845876), (0x67621AAE, 0xDB1B9EED)),
    ),
)


def scalar_row(seed: int, source: int, node: int) -> Iterator[tuple[int, int]]:
    """Yield the draws of a row from the two-word recurrence, one Python integer at a time."""
    key = (node + 1) * 0x9E3779B1 % 2**32
    words = [seed, (seed ^ source ^ key) * 0x85EBCA6B % 2**32]
    number = 0
    while True:
        t = words[-2] ^ (words[-2] << 10) % 2**32
        words.append(words[-1] ^ words[-1] >> 10 ^ t ^ t >> 13)
        number += 1
        if number % 2 == 0 and number > 4:  # two draws of two words are the warm-up
            yield (words[-2] + words[-3]) % 2**32, (words[-1] + words[-2]) % 2**32


def scalar_xor128(words: list[int]) -> Iterator[int]:
    """Yield Marsaglia's xor128 as printed in his section 4."""
    x, y, z, w = words
    while True:
        t = (x ^ (x << 11)) & M32
        x, y, z = y, z, w
        w = (w ^ (w >> 19)) ^ (t ^ (t >> 8))
        yield w


def take(sequence: Iterator, count: int) -> list:
    return [next(sequence) for _ in range(count)]


def test_xorshift32_gives_the_published_sequence() -> None:
    state, out = 2463534242, []
    for _ in range(5):
        state = prng.xorshift32(state)
        out.append(state)
    assert out == [723471715, 2497366906, 2064144800, 2008045182, 3532304609]


def test_xorshift64_gives_the_published_sequence() -> None:
    state, out = 88172645463325252, []
    for _ in range(5):
        state = prng.xorshift64(state)
        out.append(state)
    assert out == [
        8748534153485358512,
        3040900993826735515,
        3453997556048239312,
        16431732851926010853,
        8204724074003728306,
    ]


def test_xorshift64_equals_its_formula_in_64_bit_arithmetic() -> None:
    state = 88172645463325252
    word = np.array([state], dtype=np.uint64)
    for _ in range(1000):
        state = prng.xorshift64(state)
        word ^= word << np.uint64(13)
        word ^= word >> np.uint64(7)
        word ^= word << np.uint64(17)
        assert int(word[0]) == state


def test_xor128_gives_the_published_sequence() -> None:
    state, out = (123456789, 362436069, 521288629, 88675123), []
    for _ in range(5):
        state = prng.xorshift_words(state, prng.EXT_SHIFTS)
        out.append(state[-1])
    assert out == [3701687786, 458299110, 2500872618, 3633119408, 516391518]


def is_prime(n: int) -> bool:
    """Miller-Rabin with the first 13 primes, which decides every n < 3.3e24."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 43:
        return n in bases
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        x = pow(base, odd, n)
        powers = [x := x * x % n if i else x for i in range(twos)]
        if powers[0] != 1 and n - 1 not in powers:
            return False
    return True


def test_factorisations_are_complete() -> None:
    assert prod(FACTORS_64) == 2**64 - 1
    assert prod(FACTORS_128) == 2**128 - 1
    assert all(is_prime(p) for p in FACTORS_128)
    assert not is_prime(2**32 + 1)


def has_full_period(words: int, shifts: tuple[int, int, int], factors: tuple[int, ...]) -> bool:
    matrix = prng.words_matrix(words, shifts)
    identity = [1 << i for i in range(32 * words)]
    period = 2 ** (32 * words) - 1
    return prng.matrix_power(matrix, period) == identity and all(
        prng.matrix_power(matrix, period // factor) != identity for factor in factors
    )


def test_generators_have_full_period() -> None:
    assert has_full_period(2, prng.ROW_SHIFTS, FACTORS_64)
    assert has_full_period(4, prng.EXT_SHIFTS, FACTORS_128)


def test_two_steps_per_draw_keep_the_period() -> None:
    # A draw is two steps; 2 does not divide the odd period, so draws visit every state as well.
    assert (2**64 - 1) % 2 == 1


@pytest.mark.parametrize("shifts", [(10, 13, 11), (9, 13, 10), (10, 12, 10)])
def test_other_shifts_fail_the_period_test(shifts: tuple[int, int, int]) -> None:
    assert not has_full_period(2, shifts, FACTORS_64)


def test_rank_and_matrix_algebra() -> None:
    rng = np.random.default_rng(5)
    left, right = ([int(v) for v in rng.integers(0, 2**16, 16)] for _ in range(2))
    product = prng.matrix_multiply(left, right)
    for vector in rng.integers(0, 2**16, 50):
        both = prng.matrix_apply(left, prng.matrix_apply(right, int(vector)))
        assert prng.matrix_apply(product, int(vector)) == both
    assert prng.rank([0b001, 0b010, 0b011]) == 2
    assert prng.rank([0, 0]) == 0
    assert prng.rank(prng.words_matrix(2, prng.ROW_SHIFTS)) == 64


@pytest.mark.parametrize("words", [2, 4])
@pytest.mark.parametrize("steps", [0, 1, 2, 37, 1000])
def test_matrix_powers_equal_stepping(words: int, steps: int) -> None:
    shifts = {2: prng.ROW_SHIFTS, 4: prng.EXT_SHIFTS}[words]
    state = tuple(int(w) for w in np.random.default_rng(words).integers(1, 2**32, words))
    jump = prng.matrix_power(prng.words_matrix(words, shifts), steps)
    stepped = state
    for _ in range(steps):
        stepped = prng.xorshift_words(stepped, shifts)
    assert prng.unpack(prng.matrix_apply(jump, prng.pack(state)), words) == stepped


@pytest.mark.parametrize("spacing_log2", [0, 3, 9])
def test_ext_streams_start_at_their_spacing(
    spacing_log2: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prng, "EXT_STREAM_SPACING_LOG2", spacing_log2)
    first = (123456789, 362436069, 521288629, 88675123)
    streams = prng.ext_streams(first, 4)
    outputs = take(scalar_xor128(list(first)), 3 * 2**spacing_log2 + 5)
    for index, stream in enumerate(streams.astype(int).tolist()):
        begin = index << spacing_log2
        assert take(scalar_xor128(stream), 5) == outputs[begin : begin + 5]


def test_ext_streams_are_2_to_the_64_apart() -> None:
    first = (1, 2, 3, 4)
    streams = prng.ext_streams(first, 3)
    # 2^64 = 64 squarings of the step, done here on the matrix itself.
    jump = prng.words_matrix(4, prng.EXT_SHIFTS)
    for _ in range(64):
        jump = prng.matrix_multiply(jump, jump)
    vectors = [prng.pack(tuple(s)) for s in streams.astype(int).tolist()]
    assert vectors[0] == prng.pack(first)
    assert prng.matrix_apply(jump, vectors[0]) == vectors[1]
    assert prng.matrix_apply(jump, vectors[1]) == vectors[2]


def test_node_keys() -> None:
    assert prng.node_key(0) == 0x9E3779B1
    assert prng.node_key(1) == 2 * 0x9E3779B1 % 2**32
    keys = {prng.node_key(node) for node in range(2**16)}
    assert len(keys) == 2**16
    assert 0 not in keys


@pytest.mark.parametrize(("row", "draws"), ROW_VECTORS)
def test_published_row_vectors(
    row: tuple[int, int, int], draws: tuple[tuple[int, int], ...]
) -> None:
    assert tuple(take(scalar_row(*row), len(draws))) == draws
    seed, source, node = row
    x, y = prng.row_start(
        np.array([seed], np.uint32), np.array([source], np.uint32), prng.node_key(node)
    )
    for expected in draws:
        x, y, a, b = prng.row_draw(x, y)
        assert (int(a[0]), int(b[0])) == expected


def test_row_generators_equal_the_scalar_ones() -> None:
    rng = np.random.default_rng(11)
    seed = rng.integers(1, 2**32, 100, dtype=np.uint32)
    source = rng.integers(0, 2**32, 100, dtype=np.uint32)
    node = 304
    x, y = prng.row_start(seed, source, prng.node_key(node))
    draws = []
    for _ in range(50):
        x, y, a, b = prng.row_draw(x, y)
        draws.append(np.stack([a, b], axis=1))
    for i in range(100):
        expected = take(scalar_row(int(seed[i]), int(source[i]), node), 50)
        assert [tuple(pair) for pair in np.stack(draws, axis=1)[i].tolist()] == expected


def test_a_row_never_starts_from_zero() -> None:
    # The second word is zero exactly where seed = source ^ key; the first one, the seed, is not.
    key = prng.node_key(7)
    source = np.arange(1000, dtype=np.uint32)
    x, y = prng.row_start(source ^ np.uint32(key), source, key)
    assert ((x != 0) | (y != 0)).all()


def test_ext_draw_equals_the_scalar_generator() -> None:
    rng = np.random.default_rng(12)
    state = rng.integers(1, 2**32, (3, 5, 4), dtype=np.uint32)
    scalars = [scalar_xor128(words) for words in state.reshape(-1, 4).astype(int).tolist()]
    for _ in range(40):
        out = prng.ext_draw(state)
        assert out.shape == (3, 5)
        assert out.ravel().tolist() == [next(scalar) for scalar in scalars]
    # The state moved on in place: its last word is the output.
    assert np.array_equal(state[..., 3], out)
