"""Targets of permuted stubs look like those of a random assignment, over many keys.

The law is exact: stubs drawn without replacement, K of each of n neurons. Pairs of stubs include
those that a Feistel network of few rounds relates: neighbours share l, stubs n places apart share
r. Whole blocks are compared with blocks that a generator shuffled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy import stats

from csnn import rows

LEVEL = 1e-4
N_KEYS, PER_KEY = 40_000, 16
CASES = [(33, 41), *((k, n) for k in (32, 100, 1000) for n in (16, 213, 256))]
# Number of rounds; whether the hash is as it should be, or by one constant factor and folded once.
CHOSEN = (rows.STUB_ROUNDS, True)
_MULTIPLIERS = np.array(rows.STUB_MULTIPLIERS, dtype=np.uint32)
_u4 = np.uint32


@njit
def image(position: Any, k: Any, n: Any, keys: Any, rounds: Any, strong: Any) -> Any:
    """Return the target of a stub, with any number of rounds and with a hash that may be weak."""
    left, right = _u4(position // n), _u4(position % n)
    for i in range(rounds):
        factor = _MULTIPLIERS[i // 2 if strong else 0]
        if i % 2 == 0:
            one, other = _u4(right ^ keys[i]), _u4(factor & _u4(0xFFFFFF))
            if strong:
                other = _u4(other ^ _u4(right << _u4(15)))
        else:
            one, other = _u4(left ^ keys[i]), _u4(factor & _u4(0x1FFFF))
            if strong:
                other = _u4(other ^ _u4(_u4(left & _u4(0xFF)) << _u4(9)))
        h = _u4(one * other)
        if strong:
            h ^= (h >> _u4(16)) ^ (h >> _u4(9)) ^ (h >> _u4(4))
        else:
            h ^= h >> _u4(16)
        h = np.int64(h & _u4(0xFFFF))
        if i % 2 == 0:
            left = _u4((left + ((h * k) >> 16)) % k)
        else:
            right = _u4((right + ((h * n) >> 16)) % n)
    return np.int64(right)


@njit
def pair_table(k: Any, n: Any, keys: Any, other: Any, lag: Any, how: Any) -> Any:
    """Count targets of stub i under `keys` and of stub i + lag under `other`."""
    table = np.zeros((n, n), dtype=np.int64)
    for j in range(len(keys)):
        for part in range(PER_KEY):
            first = (part * (k * n // PER_KEY) + 7919 * j) % (k * n)
            one = image(first, k, n, keys[j], *how)
            two = image((first + lag) % (k * n), k, n, other[j], *how)
            table[one, two] += 1
    return table


@njit
def block_targets(k: Any, n: Any, keys: Any, how: Any) -> Any:
    """Return the targets of all stubs of a block."""
    target = np.empty(k * n, dtype=np.int64)
    for position in range(k * n):
        target[position] = image(position, k, n, keys, *how)
    return target


@njit
def block_counts(target: Any, first: Any, n: Any) -> Any:
    """Count multapses, common targets of neighbouring sources, and autapses of sources 0 to n."""
    multapses = common = autapses = 0
    before, here = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for source in range(len(first) - 1):
        here[:] = 0
        for position in range(first[source], first[source + 1]):
            neuron = target[position]
            multapses += here[neuron]
            here[neuron] += 1
            autapses += neuron == source
        common += (here * before).sum()
        before, here = here, before
    return multapses, common, autapses


def round_keys(key: np.ndarray) -> np.ndarray:
    """Return the round keys of many keys, as `rows.round_keys`."""
    return np.array([rows.round_keys(int(k)) for k in key], dtype=np.uint32)


def random_keys(*seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, N_KEYS, dtype=np.uint32)


def distances(table: np.ndarray) -> np.ndarray:
    """Add up a table of pairs by the distance of the two targets, modulo n."""
    n = len(table)
    place = (np.arange(n)[None, :] - np.arange(n)[:, None]) % n
    return np.bincount(place.ravel(), table.ravel(), minlength=n)


def pair_p_values(k: int, n: int, keys: np.ndarray, lag: int, how: Any = CHOSEN) -> list[float]:
    table = pair_table(k, n, keys, keys, lag, how)
    law = np.full((n, n), k / (n * (k * n - 1))) - np.eye(n) / (n * (k * n - 1))
    found, expected = distances(table), distances(law) * table.sum()
    # The distance that the two had before the first round has a test of its own.
    at = lag % n
    return [
        float(stats.chisquare(table.ravel(), law.ravel() * table.sum()).pvalue),
        float(stats.chisquare(found, expected).pvalue),
        float(stats.binomtest(int(found[at]), int(table.sum()), law.sum() / n).pvalue)
        if at
        else 1.0,
    ]


def test_the_counted_permutation_is_that_of_the_rows() -> None:
    for k, n in CASES:
        left, right = np.divmod(np.arange(k * n), n)
        keys = np.array(rows.round_keys(0xC0FFEE11), dtype=np.uint32)
        found = rows.permute_stubs(left, right, k, n, 0xC0FFEE11)[1]
        assert np.array_equal(block_targets(k, n, keys, CHOSEN), found)


@pytest.mark.parametrize(("k", "n"), CASES)
def test_pairs_of_stubs(k: int, n: int) -> None:
    keys = round_keys(random_keys(1, k, n))
    for lag in (1, 2, n - 1, n, n + 1, 17 * n + 5):
        assert min(pair_p_values(k, n, keys, lag)) > LEVEL


@pytest.mark.parametrize(("k", "n"), CASES)
def test_blocks_of_different_keys_are_independent(k: int, n: int) -> None:
    key = random_keys(2, k, n)
    # Keys that have nothing in common, and those that differ by one or in one bit.
    others = [np.roll(key, 1), key + np.uint32(1), ~key]
    others += [key ^ np.uint32(1 << bit) for bit in (0, 16, 31)]
    for other in others:
        for lag in (0, 1):
            table = pair_table(k, n, round_keys(key), round_keys(other), lag, CHOSEN)
            assert stats.chisquare(table.ravel()).pvalue > LEVEL
            assert stats.chisquare(distances(table)).pvalue > LEVEL


@pytest.mark.parametrize("length", [8, 30, 100])
@pytest.mark.parametrize(("k", "n"), CASES)
def test_blocks_look_shuffled(k: int, n: int, length: int) -> None:
    rng = np.random.default_rng([k, n, length])
    sources = max(k * n // length, 2)
    found: list[Any] = []
    shuffled: list[Any] = []
    stubs = np.repeat(np.arange(n), k)
    for keys in round_keys(random_keys(3, k, n)[: max(60, min(400, 4_000_000 // (k * n)))]):
        lengths = rng.multinomial(k * n, np.full(sources, 1 / sources))
        first = np.concatenate([[0], np.cumsum(lengths)])
        found.append(block_counts(block_targets(k, n, keys, CHOSEN), first, n))
        shuffled.append(block_counts(rng.permutation(stubs), first, n))
    for one, other in zip(np.transpose(found), np.transpose(shuffled), strict=True):
        assert stats.ks_2samp(one, other).pvalue > LEVEL
        assert stats.ttest_ind(one, other).pvalue > LEVEL


def within_block(k: int, n: int, lag: int, how: Any, n_keys: int = 100) -> float:
    """Return the p-value of the distances within single blocks, added up over blocks."""
    statistic = 0.0
    law = np.full(n, k * k * n / (k * n - 1))
    law[0] = (k - 1) * k * n / (k * n - 1)
    for keys in round_keys(random_keys(4, k, n)[:n_keys]):
        target = block_targets(k, n, keys, how)
        found = np.bincount((np.roll(target, -lag) - target) % n, minlength=n)
        statistic += float(((found - law) ** 2 / law).sum())
    return float(stats.chi2.sf(statistic, n_keys * (n - 1)))


@pytest.mark.parametrize(("k", "n"), CASES)
def test_distances_within_a_block(k: int, n: int) -> None:
    for lag in (1, 2, n - 1, n, n + 1):
        assert within_block(k, n, lag, CHOSEN) > LEVEL


@pytest.mark.parametrize(
    ("k", "n", "how"),
    [(32, 213, (4, True)), (32, 16, (6, False))],
    ids=["4 rounds", "weak hash"],
)
def test_weaker_permutations_are_rejected(k: int, n: int, how: Any) -> None:
    keys = round_keys(random_keys(5))
    p = [min(pair_p_values(k, n, keys, lag, how)) for lag in (1, n)]
    p += [within_block(k, n, lag, how) for lag in (1, n)]
    assert min(p) < 1e-12


def test_equal_keys_are_rejected() -> None:
    keys = round_keys(random_keys(6))
    other = np.roll(keys, 1, axis=0)
    other[::50] = keys[::50]
    table = pair_table(1000, 213, keys, other, 0, CHOSEN)
    assert stats.chisquare(distances(table)).pvalue < 1e-12
