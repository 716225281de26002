"""Row samplers against slow scalar references, and the statistics that their rules promise."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from csnn import rows, rows_compiled
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
    n_stubs: int = 0,
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
        n_stubs=n_stubs,
        stub_key=stub_key,
        synapses=np.asarray(synapses, dtype=np.uint32),
    )


def scalar_permutation(position: int, n_stubs: int, key: int) -> int:
    """Permute one stub with Python integers, from the description in the format document."""
    bits = 2
    while 2**bits < n_stubs:
        bits += 2
    half = bits // 2
    while True:
        left, right = position // 2**half, position % 2**half
        for i, multiplier in enumerate((0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)):
            mixed = (right + key + i * 0x9E3779B9) % 2**32 * multiplier % 2**32
            mixed ^= mixed >> 15
            left, right = right, left ^ (mixed >> 8) % 2**half
        position = left * 2**half + right
        if position < n_stubs:
            return position


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
            stub = scalar_permutation((seed + i) % 2**32, block.n_stubs, block.stub_key)
            neuron = stub % block.n_neurons
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
    if sampler in (Sampler.STUBS, Sampler.STORED):
        row_seed = position.astype(np.uint32)
    words = rows.synapse_word(
        rng.integers(0, n_neurons, total),
        rng.integers(0, 64, total),
        rows.weight_code(rng.integers(-32767, 32768, total)),
    )
    block = make_block(
        sampler, n_neurons, skip_self=skip_self, n_stubs=max(total, 1), synapses=words
    )
    return block, source, row_seed, length


# Permuted and stored rows have no self to step over: an image never sets the flag for them.
CASES = [(sampler, False) for sampler in SAMPLERS] + [(sampler, True) for sampler in SAMPLERS[:2]]


@pytest.mark.parametrize("n_neurons", [2, 3, 64, 213, 255, 256])
@pytest.mark.parametrize(("sampler", "skip_self"), CASES)
def test_samplers_equal_the_scalar_reference(
    sampler: Sampler, n_neurons: int, skip_self: bool
) -> None:
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
    block = make_block(sampler, 10, n_stubs=1)
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


SIZES = sorted({1, 2, 3, 5, 6, 7, *(2**k + d for k in range(2, 15) for d in (-1, 0, 1)), 30000})


@pytest.mark.parametrize("key", [0, 1, 0xDEADBEEF, 0xFFFFFFFF])
@pytest.mark.parametrize("n_stubs", SIZES)
def test_stub_permutation_is_a_bijection(n_stubs: int, key: int) -> None:
    position = np.arange(n_stubs, dtype=np.uint32)
    image = rows.permute_stubs(position, n_stubs, key)
    assert np.array_equal(np.sort(image), position)
    assert np.array_equal(position, np.arange(n_stubs))  # the argument is untouched
    for p in position[:: max(1, n_stubs // 20)].tolist():
        assert scalar_permutation(p, n_stubs, key) == image[p]


def test_stub_permutation_of_a_large_domain() -> None:
    n_stubs = 300_017
    image = rows.permute_stubs(np.arange(n_stubs, dtype=np.uint32), n_stubs, 12345)
    assert len(np.unique(image)) == n_stubs
    assert image.max() == n_stubs - 1
    # Neighbouring positions are unrelated, keys matter, and few stubs stay where they are.
    assert abs(np.corrcoef(image[:-1], image[1:])[0, 1]) < 0.01
    other = rows.permute_stubs(np.arange(n_stubs, dtype=np.uint32), n_stubs, 12346)
    assert (image == other).mean() < 1e-4
    assert (image == np.arange(n_stubs)).mean() < 1e-4


def test_stub_bits() -> None:
    cases = {0: 2, 1: 2, 2: 2, 4: 2, 5: 4, 16: 4, 17: 6, 2**20: 20, 2**20 + 1: 22, 2**32: 32}
    assert {n: rows.stub_bits(n) for n in cases} == cases


@pytest.mark.parametrize(("n_neurons", "indegree"), [(3, 1), (10, 7), (256, 40)])
def test_stub_rows_give_every_neuron_the_same_indegree(n_neurons: int, indegree: int) -> None:
    stubs = n_neurons * indegree
    length = np.random.default_rng(4).multinomial(stubs, np.full(25, 1 / 25)).astype(np.uint16)
    position = (np.cumsum(length, dtype=np.int64) - length).astype(np.uint32)
    block = make_block(Sampler.STUBS, n_neurons, n_stubs=stubs)
    source = np.arange(25, dtype=np.uint32)
    for unroll in (rows.unroll, rows_compiled.unroll):
        counts = np.bincount(unroll(block, source, position, length).neuron, minlength=n_neurons)
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
