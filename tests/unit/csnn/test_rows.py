"""Row samplers against slow scalar references, and the statistics that their rules promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from csnn import rows, rows_compiled
from csnn.image.documentation import STUB_VECTORS
from csnn.prng import node_key
from csnn.rows import Block, Sampler

NODE = 5
SAMPLERS = list(Sampler)


def make_block(
    sampler: Sampler,
    n_neurons: int,
    *,
    skip_self: bool = False,
    first_neuron: int = 1000,
    in_degree: int = 0,
    stub_key: int = 0xC0FFEE11,
    synapses: Any = (),
) -> Block:
    """Build a block with tables of random outcomes, fractions 0 and all-ones among them."""
    rng = np.random.default_rng(99)
    H = [rng.integers(0, 2**16, 64).astype(np.uint32) << np.uint32(16) for _ in range(2)]
    for h in H:
        h[:4] = 0, 0xFFFF0000, 0x00010000, 0xFFFE0000
    units = rng.integers(-32767, 32768, (2, 64))
    delays = rng.integers(0, 64, (2, 64)).astype(np.uint8)
    return Block(
        sampler=sampler,
        n_neurons=n_neurons,
        skip_self=skip_self,
        first_neuron=first_neuron,
        node_key=node_key(NODE),
        weight_H=H[0],
        weight_own=rows.weight_code(units[0]),
        weight_alias=rows.weight_code(units[1]),
        delay_H=H[1],
        delay_own=delays[0],
        delay_alias=delays[1],
        in_degree=in_degree,
        stub_key=stub_key,
        synapses=np.asarray(synapses, dtype=np.uint32),
    )


def scalar_permutation(left: int, right: int, k: int, n: int, key: int) -> tuple[int, int]:
    """Permute one stub with Python integers, from the description in the format document."""

    def fold(h: int) -> int:
        return (h ^ h // 2**4 ^ h // 2**9 ^ h // 2**16) % 2**16

    multipliers = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35)
    for i in range(6):
        rotated = key * 2 ** (6 * i) % 2**32 + key // 2 ** (32 - 6 * i)
        round_key = rotated ^ i * 0x9E3779B9 % 2**32
        multiplier = multipliers[i // 2]
        if i % 2 == 0:
            h = (right ^ round_key % 2**17) * (multiplier % 2**24 ^ right * 2**15)
            left = (left + fold(h) * k // 2**16) % k
        else:
            h = (left ^ round_key % 2**24) * (multiplier % 2**17 ^ left % 2**8 * 2**9)
            right = (right + fold(h) * n // 2**16) % n
    return left, right


def scalar_unroll(block: Block, source: int, seed: int, length: int) -> list[tuple[int, int, int]]:
    """Unroll one row with Python integers: (neuron, delay - 1, weight code) of each synapse."""
    if block.sampler is Sampler.STORED:
        words = [int(w) for w in block.synapses[seed : seed + length]]
        return [(w % 256, w // 256 % 64, w // 2**14 % 2**16) for w in words]
    start = seed
    if block.sampler is Sampler.STUBS:
        start = (seed + 1) * 0xC2B2AE35 % 2**32 or 1
    x, y = start, (start ^ source ^ block.node_key) * 0x85EBCA6B % 2**32

    def step(x: int, y: int) -> tuple[int, int]:
        t = x ^ x << 10 & 0xFFFFFFFF
        return y, y ^ y >> 10 ^ t ^ t >> 13

    for _ in range(4):
        x, y = step(x, y)
    targets = [
        n
        for n in range(block.n_neurons)
        if not (block.skip_self and source == block.first_neuron + n)
    ]
    chosen: set[int] = set()
    synapses = []
    for i in range(length):
        x, y = step(x, y)
        a = (x + y) % 2**32
        x, y = step(x, y)
        b = (x + y) % 2**32
        if block.sampler is Sampler.STUBS:
            n = block.n_neurons
            left, right = divmod(seed // 256 * n + seed % 256 + i, n)
            neuron = scalar_permutation(left, right, block.in_degree, n, block.stub_key)[1]
        elif block.sampler is Sampler.DISTINCT:
            last = len(targets) - length + i
            candidate = (a >> 12) * (last + 1) // 2**20
            place = last if candidate in chosen else candidate
            chosen.add(place)
            neuron = targets[place]
        else:
            neuron = targets[(a >> 12) * len(targets) // 2**20]
        entry = a % 64
        own = b // 2**16 < int(block.weight_H[entry]) // 2**16
        code = int((block.weight_own if own else block.weight_alias)[entry])
        entry = a // 64 % 64
        own = b % 2**16 < int(block.delay_H[entry]) // 2**16
        synapses.append((neuron, int((block.delay_own if own else block.delay_alias)[entry]), code))
    return synapses


def by_row(synapses: rows.Synapses, n_rows: int) -> list[list[tuple[int, int, int]]]:
    """Return the synapses of each row, in the order of its draws."""
    order = np.argsort(synapses.row, kind="stable")
    triples = np.stack([synapses.neuron, synapses.delay, synapses.code], axis=1)[order].tolist()
    bounds = np.searchsorted(synapses.row[order], np.arange(n_rows + 1))
    return [[tuple(triple) for triple in triples[bounds[i] : bounds[i + 1]]] for i in range(n_rows)]


def make_rows(
    sampler: Sampler, n_neurons: int, skip_self: bool, n_rows: int, seed: int
) -> tuple[Block, Any, Any, Any]:
    """Return a block and rows of length 0, 1, the longest possible, and random ones."""
    rng = np.random.default_rng(seed)
    # Sources begin before the node's own neurons and end behind them.
    source = (1000 - 3 + np.arange(n_rows)).astype(np.uint32)
    longest = n_neurons if sampler is Sampler.DISTINCT else 700
    length = rng.integers(0, longest + 1, n_rows).astype(np.uint16)
    length[:3] = 0, 1, longest
    if sampler is Sampler.DISTINCT and skip_self:
        inside = (source >= 1000) & (source < 1000 + n_neurons)
        length = np.minimum(length, n_neurons - inside).astype(np.uint16)
    position = np.cumsum(length, dtype=np.int64) - length
    total = int(length.sum(dtype=np.int64))
    row_seed = rng.integers(1, 2**32, n_rows, dtype=np.uint32)
    if sampler is Sampler.STUBS:
        row_seed = rows.stub_word(position, n_neurons)
    elif sampler is Sampler.STORED:
        row_seed = position.astype(np.uint32)
    words = rows.synapse_word(
        rng.integers(0, n_neurons, total),
        rng.integers(0, 64, total),
        rows.weight_code(rng.integers(-32767, 32768, total)),
    )
    block = make_block(
        sampler,
        n_neurons,
        skip_self=skip_self,
        in_degree=-(-total // n_neurons),
        synapses=words,
    )
    return block, source, row_seed, length


# Permuted and stored rows have no self to step over: an image never sets the flag for them.
CASES = [(sampler, False) for sampler in SAMPLERS] + [(sampler, True) for sampler in SAMPLERS[:2]]


@pytest.mark.parametrize("n_neurons", [2, 3, 64, 213, 255, 256])
@pytest.mark.parametrize(("sampler", "skip_self"), CASES)
def test_samplers_equal_the_scalar_reference(
    sampler: Sampler, n_neurons: int, skip_self: bool
) -> None:
    if sampler is Sampler.STUBS:
        n_neurons = max(n_neurons, rows.MIN_STUB_NEURONS)
    block, source, seed, length = make_rows(sampler, n_neurons, skip_self, 12, n_neurons)
    expected = [
        scalar_unroll(block, int(s), int(r), int(n))
        for s, r, n in zip(source, seed, length, strict=True)
    ]
    assert by_row(rows.unroll(block, source, seed, length), len(source)) == expected
    assert by_row(rows_compiled.unroll(block, source, seed, length), len(source)) == expected


@pytest.mark.parametrize("skip_self", [False, True])
@pytest.mark.parametrize("sampler", SAMPLERS[:2])
def test_compiled_rows_equal_the_numpy_rows(sampler: Sampler, skip_self: bool) -> None:
    block, source, seed, length = make_rows(sampler, 241, skip_self, 600, 3)
    plain = by_row(rows.unroll(block, source, seed, length), len(source))
    assert by_row(rows_compiled.unroll(block, source, seed, length), len(source)) == plain
    assert [len(row) for row in plain] == length.tolist()
    sums = np.zeros((2, 241), dtype=np.int64)
    rows_compiled.sum_weights(block, source, seed, length, sums)
    expected = np.zeros_like(sums)
    for neuron, _, code in (synapse for row in plain for synapse in row):
        expected[code >> 15, neuron] += code & 0x7FFF
    assert np.array_equal(sums, expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_empty_rows_unroll_to_nothing(sampler: Sampler) -> None:
    block = make_block(sampler, 10, in_degree=1)
    source, seed = np.arange(5, dtype=np.uint32), np.ones(5, dtype=np.uint32)
    for length in (np.zeros(5, np.uint8), np.zeros(0, np.uint8)):
        n = len(length)
        for unroll in (rows.unroll, rows_compiled.unroll):
            synapses = unroll(block, source[:n], seed[:n], length)
            assert len(synapses.row) == len(synapses.neuron) == 0
            assert len(synapses.delay) == len(synapses.code) == 0


def test_distinct_rows_reach_all_256_of_256() -> None:
    block = make_block(Sampler.DISTINCT, 256)
    source, seed = np.arange(20, dtype=np.uint32), np.arange(1, 21, dtype=np.uint32)
    length = np.full(20, 256, dtype=np.uint16)
    for row in by_row(rows.unroll(block, source, seed, length), 20):
        assert sorted(neuron for neuron, _, _ in row) == list(range(256))


@pytest.mark.parametrize("length", [1, 2, 100, 254, 255])
def test_distinct_rows_never_repeat(length: int) -> None:
    block = make_block(Sampler.DISTINCT, 256, skip_self=True)
    source = np.arange(1000, 1200, dtype=np.uint32)
    seed = np.random.default_rng(length).integers(1, 2**32, 200, dtype=np.uint32)
    unrolled = rows.unroll(block, source, seed, np.full(200, length, dtype=np.uint8))
    for i, row in enumerate(by_row(unrolled, 200)):
        neurons = [neuron for neuron, _, _ in row]
        assert len(set(neurons)) == length
        assert i not in neurons


def unrolled_sets(block: Block, length: int, n_rows: int, seed: int) -> Counter:
    rng = np.random.default_rng(seed)
    row_seed = rng.integers(1, 2**32, n_rows, dtype=np.uint32)
    source = np.zeros(n_rows, dtype=np.uint32) + np.uint32(1002)
    synapses = rows_compiled.unroll(block, source, row_seed, np.full(n_rows, length, np.uint8))
    chosen = np.sort(synapses.neuron.reshape(n_rows, length), axis=1)
    return Counter(tuple(row) for row in chosen.tolist())


@pytest.mark.parametrize(("n", "length"), [(5, 2), (6, 3), (8, 4), (9, 8), (7, 1)])
@pytest.mark.parametrize("skip_self", [False, True])
def test_distinct_subsets_are_uniform(n: int, length: int, skip_self: bool) -> None:
    block = make_block(Sampler.DISTINCT, n, skip_self=skip_self)
    pool = [i for i in range(n) if not (skip_self and i == 2)]
    subsets = list(combinations(pool, length))
    counts = unrolled_sets(block, length, 500 * len(subsets), 31 * n + length)
    assert set(counts) <= set(subsets)
    if len(subsets) > 1:
        assert stats.chisquare([counts[s] for s in subsets]).pvalue > 1e-3


def test_subset_check_sees_sampling_without_floyds_replacement() -> None:
    # Negative control: stepping to the next free target instead favours runs of neighbours.
    rng = np.random.default_rng(7)
    subsets = list(combinations(range(6), 3))
    counts: Counter = Counter()
    for _ in range(500 * len(subsets)):
        chosen: list[int] = []
        for _ in range(3):
            target = int(rng.integers(6))
            while target in chosen:
                target = (target + 1) % 6
            chosen.append(target)
        counts[tuple(sorted(chosen))] += 1
    assert stats.chisquare([counts[s] for s in subsets]).pvalue < 1e-6


@pytest.mark.parametrize("sampler", SAMPLERS[:2])
def test_skip_self_is_uniform_over_the_others(sampler: Sampler) -> None:
    n, own, draws = 37, 11, 60000
    block = make_block(sampler, n, skip_self=True)
    seed = np.random.default_rng(8).integers(1, 2**32, draws, dtype=np.uint32)
    length = np.ones(draws, dtype=np.uint8)
    for source, avoided in ((1000 + own, own), (999, None), (1000 + n, None)):
        sources = np.full(draws, source, dtype=np.uint32)
        counts = np.bincount(rows.unroll(block, sources, seed, length).neuron, minlength=n)
        if avoided is not None:
            assert counts[avoided] == 0
            counts = np.delete(counts, avoided)
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("own", [0, 36])
def test_skip_self_at_the_edges_of_the_node(own: int) -> None:
    block = make_block(Sampler.DISTINCT, 37, skip_self=True)
    source = np.array([1000 + own], dtype=np.uint32)
    row = rows.unroll(block, source, np.array([5], np.uint32), np.array([36], np.uint8))
    assert sorted(row.neuron.tolist()) == [i for i in range(37) if i != own]


def test_targets_are_scaled_and_never_masked() -> None:
    # Every target of a node of 213 has 2^20 / 213 of the 2^20 drawn numbers, give or take one.
    a = np.arange(2**20, dtype=np.uint32) << np.uint32(rows.TARGET_SHIFT)
    counts = np.bincount(rows._scale(a, np.full(2**20, 213)), minlength=213)
    assert len(counts) == 213
    assert set(counts.tolist()) == {2**20 // 213, 2**20 // 213 + 1}


KEYS = [0, 1, 0xDEADBEEF, 0xFFFFFFFF]
STUB_CASES = [(1, 1), (1, 7), (5, 1), (16, 16), (16, 17), (17, 16), (17, 255), (16, 256), (99, 213)]


def all_stubs(k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return l and r of all stubs, in the order in which rows take them."""
    return np.divmod(np.arange(k * n), n)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("k", "n"), [*STUB_CASES, (3000, 100), (4096, 256), (65537, 16)])
def test_stub_permutation_is_a_bijection(k: int, n: int, key: int) -> None:
    left, right = all_stubs(k, n)
    images = rows.permute_stubs(left, right, k, n, key)
    assert np.array_equal(np.sort(images[0] * n + images[1]), np.arange(k * n))
    assert np.array_equal(left * n + right, np.arange(k * n))  # the arguments are untouched
    for p in range(0, k * n, max(1, k * n // 20)):
        image = scalar_permutation(int(left[p]), int(right[p]), k, n, key)
        assert image == (images[0][p], images[1][p])


@pytest.mark.parametrize("n", [16, 23, 57, 128, 255])
def test_stub_permutation_of_every_small_in_degree(n: int) -> None:
    for k in range(1, 70):
        left, right = rows.permute_stubs(*all_stubs(k, n), k, n, 0x5EED0000 + 977 * k)
        assert left.min() >= 0
        assert right.max() < n
        assert np.array_equal(np.bincount(left * n + right, minlength=k * n), np.ones(k * n))


def undo_permutation(
    left: np.ndarray, right: np.ndarray, k: int, n: int, key: int
) -> tuple[np.ndarray, np.ndarray]:
    """Take back the rounds of a permutation, the last one first."""
    for i in reversed(range(6)):
        round_key = rows.round_keys(key)[i]
        factor = rows.STUB_MULTIPLIERS[i // 2]
        if i % 2 == 0:
            h = (right ^ round_key) * (factor % 2**24 ^ right << 15)
            left = (left - ((h >> 16 ^ h >> 9 ^ h >> 4 ^ h) % 2**16 * k >> 16)) % k
        else:
            h = (left ^ round_key) * (factor % 2**17 ^ left % 256 << 9)
            right = (right - ((h >> 16 ^ h >> 9 ^ h >> 4 ^ h) % 2**16 * n >> 16)) % n
    return left, right


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("k", "n"), [(2**20, 256), (999_983, 251), (2**24, 16)])
def test_stub_permutation_of_large_domains_can_be_undone(k: int, n: int, key: int) -> None:
    rng = np.random.default_rng(k)
    left, right = rng.integers(0, k, 100_000), rng.integers(0, n, 100_000)
    images = rows.permute_stubs(left, right, k, n, key)
    assert 0 <= images[0].min() <= images[0].max() < k
    assert 0 <= images[1].min() <= images[1].max() < n
    assert np.array_equal(undo_permutation(*images, k, n, key), (left, right))
    # Images are spread evenly.
    assert stats.chisquare(np.bincount(images[0] * 64 // k, minlength=64)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(images[1], minlength=n)).pvalue > 1e-4


def test_published_stub_vectors() -> None:
    rows_of_5 = ([15, 8, 8, 8, 13], [141, 130, 65, 195, 115], [217, 128, 133, 165, 170],
                 [91, 166, 187, 206, 77])  # fmt: skip
    for (k, n, key, word), expected in zip(STUB_VECTORS, rows_of_5, strict=True):
        block = replace(make_block(Sampler.STUBS, n, in_degree=k), stub_key=key)
        start, length = np.array([word], dtype=np.uint32), np.array([5], dtype=np.uint16)
        for unroll in (rows.unroll, rows_compiled.unroll):
            assert unroll(block, start, start, length).neuron.tolist() == expected


@pytest.mark.parametrize("key", KEYS)
def test_largest_stubs(key: int) -> None:
    # K = 2^24 and n = 256: the last row ends with the largest word there is.
    k, n, length = rows.MAX_INDEGREE, 256, 700
    position = np.array([k * n - length, 0, k * n // 2 - 5], dtype=np.int64)
    word = rows.stub_word(position, n)
    assert rows.stub_position(word, n).tolist() == position.tolist()
    assert rows.stub_word(k * n - 1, n) == 2**32 - 1
    block = replace(make_block(Sampler.STUBS, n, in_degree=k), stub_key=key)
    source = np.arange(3, dtype=np.uint32)
    expected = [scalar_unroll(block, s, int(w), length) for s, w in enumerate(word)]
    for unroll in (rows.unroll, rows_compiled.unroll):
        lengths = np.full(3, length, dtype=np.uint16)
        assert by_row(unroll(block, source, word, lengths), 3) == expected


@pytest.mark.parametrize("n", [16, 17, 212, 255, 256])
@pytest.mark.parametrize("k", [32, 1001, 70_001])
def test_stub_rows_carry(k: int, n: int) -> None:
    # Rows that begin and end anywhere, of no carry and of many, and around the vectors' width.
    rng = np.random.default_rng(n)
    most = min(k * n, 65535)
    length = np.array(
        [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, most, *rng.integers(0, most, 6)], np.uint16
    )
    word = rows.stub_word(rng.integers(0, k * n - length.astype(np.int64) + 1), n)
    block = make_block(Sampler.STUBS, n, in_degree=k)
    source = np.arange(len(length), dtype=np.uint32)
    plain = by_row(rows.unroll(block, source, word, length), len(length))
    assert by_row(rows_compiled.unroll(block, source, word, length), len(length)) == plain
    for i in (1, 4, 7):
        assert plain[i] == scalar_unroll(block, i, int(word[i]), int(length[i]))


def test_stub_permutations_of_other_keys_are_unrelated() -> None:
    left, right = all_stubs(300, 250)
    images = [rows.permute_stubs(left, right, 300, 250, key)[1] for key in (12345, 12346, 2**31)]
    for one, other in combinations([right, *images], 2):
        # Not only do few targets agree: no distance between them is frequent.
        distance = np.bincount((one - other) % 250, minlength=250)
        assert stats.chisquare(distance).pvalue > 1e-4
    shifted = rows.permute_stubs((left + 1) % 300, (right + 1) % 250, 300, 250, 12345)[1]
    assert stats.chisquare(np.bincount((shifted - images[1]) % 250)).pvalue > 1e-4


@pytest.mark.parametrize(("n_neurons", "indegree"), [(16, 1), (17, 7), (16, 16), (256, 40)])
def test_stub_rows_give_every_neuron_the_same_indegree(n_neurons: int, indegree: int) -> None:
    stubs = n_neurons * indegree
    length = np.random.default_rng(4).multinomial(stubs, np.full(25, 1 / 25)).astype(np.uint16)
    word = rows.stub_word(np.cumsum(length, dtype=np.int64) - length, n_neurons)
    block = make_block(Sampler.STUBS, n_neurons, in_degree=indegree)
    source = np.arange(25, dtype=np.uint32)
    for unroll in (rows.unroll, rows_compiled.unroll):
        counts = np.bincount(unroll(block, source, word, length).neuron, minlength=n_neurons)
        assert counts.tolist() == [indegree] * n_neurons


def test_row_seed_is_never_zero_and_keeps_positions_apart() -> None:
    position = np.arange(100000, dtype=np.uint32)
    seeds = rows.row_seed(position)
    assert len(np.unique(seeds)) == len(position)
    edge = rows.row_seed(np.array([2**32 - 1, 0], dtype=np.uint32))
    assert edge.tolist() == [1, rows.ROW_POSITION_MULTIPLIER]
    assert seeds.dtype == np.uint32


def test_stored_words_round_trip() -> None:
    rng = np.random.default_rng(2)
    neuron = np.concatenate([[0, 255, 0, 255], rng.integers(0, 256, 1000)])
    delay = np.concatenate([[0, 63, 63, 0], rng.integers(0, 64, 1000)])
    units = np.concatenate([[0, -32767, 32767, 1], rng.integers(-32767, 32768, 1000)])
    code = rows.weight_code(units)
    words = rows.synapse_word(neuron, delay, code)
    assert words.dtype == np.uint32
    assert words.max() < 2**30
    block = make_block(Sampler.STORED, 256, synapses=words)
    one = np.zeros(1, dtype=np.uint32)
    synapses = rows.unroll(block, one, one, np.array([len(words)], dtype=np.uint16))
    assert np.array_equal(synapses.neuron, neuron)
    assert np.array_equal(synapses.delay, delay)
    assert np.array_equal(rows.weight_units(synapses.code), units)


def test_weight_codes() -> None:
    assert rows.weight_code([0, 1, -1, 32767, -32767]).tolist() == [0, 1, 0x8001, 0x7FFF, 0xFFFF]
    units = np.arange(-32767, 32768)
    assert np.array_equal(rows.weight_units(rows.weight_code(units)), units)
    for wide in (32768, -32768):
        with pytest.raises(ValueError, match="15 bits"):
            rows.weight_code([wide])
