"""Row memory: what is added comes back through the spike router's look-up, dense and sparse."""

from __future__ import annotations

import numpy as np
import pytest
from row_nodes import node_of

from csnn.image import layout
from csnn.rows import Sampler, stub_position, synapse_word
from netgen.connectivity import NodeRows
from netgen.row_memory import RowMemory

N_NEURONS = 10


def random_rows(
    rng: np.random.Generator, n: int, share: float, sampler: Sampler, longest: int = 9
) -> tuple[NodeRows, np.ndarray | None]:
    """Return rows of `n` sources of which a share is not empty, and their words if stored."""
    length = rng.integers(1, longest + 1, n) * (rng.random(n) < share)
    if share > 0:
        length[[0, n - 1]] = longest
    total = int(length.sum())
    if sampler is Sampler.STUBS and total:
        # Every stub has its row.
        length[n - 1] += -total % N_NEURONS
        total = int(length.sum())
    rows = NodeRows(sampler=sampler, skip_self=False, length=length, in_degree=total // N_NEURONS)
    if sampler is not Sampler.STORED:
        return rows, None
    return rows, synapse_word(rng.integers(0, N_NEURONS, total), 3, rng.integers(1, 99, total))


def round_trip(
    row_layout: str, sampler: Sampler, sizes: list[int], share: float, seed: int = 1
) -> None:
    """Add blocks of these numbers of sources one behind the other and read everything back."""
    rng = np.random.default_rng(seed)
    memory = RowMemory(row_layout, N_NEURONS)
    n_sources = sum(sizes) + 5
    wanted: dict[int, int] = {}
    words: dict[int, list[int]] = {}
    first = 5
    for size in sizes:
        rows, stored = random_rows(rng, size, share, sampler)
        memory.add(rows, first, 0, rng, stored)
        cursor = 0
        for offset, length in enumerate(rows.length.tolist()):
            if length:
                wanted[first + offset] = length
                if stored is not None:
                    words[first + offset] = stored[cursor : cursor + length].tolist()
            cursor += length
        first += size
    node = node_of(memory, N_NEURONS, n_sources=n_sources)
    found: dict[int, tuple[int, int]] = {}
    for index in range(len(node.blocks)):
        source, seed_words, length = node.rows(index)
        for s, w, n in zip(source.tolist(), seed_words.tolist(), length.tolist(), strict=True):
            if n:
                assert s not in found
                found[s] = (w, n)
    assert {source: n for source, (_, n) in found.items()} == wanted
    # The look-up of every source at once, in a random order, and of each alone.
    every = rng.permutation(n_sources).astype(np.uint32)
    for spikes in (every, *(np.array([s], dtype=np.uint32) for s in range(n_sources))):
        hits: dict[int, tuple[int, int]] = {}
        for index in range(len(node.blocks)):
            source, seed_words, length = node.find_rows(index, spikes)
            triples = zip(source.tolist(), seed_words.tolist(), length.tolist(), strict=True)
            hits.update({s: (w, n) for s, w, n in triples if n})
        assert hits == {s: found[s] for s in spikes.tolist() if s in found}
    if sampler is Sampler.STORED:
        for source, (position, n) in found.items():
            assert node.synapses[position : position + n].tolist() == words[source]
    elif sampler is Sampler.STUBS:
        # Rows of a block share out its stubs without gap or overlap.
        for index, entry in enumerate(node.blocks):
            _, word, length = node.rows(index)
            assert (word[length > 0] % 256 < N_NEURONS).all()
            position = stub_position(word, N_NEURONS)
            used = np.concatenate(
                [np.arange(p, p + n) for p, n in zip(position, length, strict=True)]
            )
            assert np.array_equal(np.sort(used), np.arange(entry["in_degree"] * N_NEURONS))
    else:
        assert (node.seed != 0).all()
        assert len(np.unique(node.seed)) == len(node.seed)


@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("row_layout", ["dense", "sparse", "auto"])
def test_round_trip(row_layout: str, sampler: Sampler) -> None:
    for sizes in ([1], [31], [32], [33], [64, 65], [1, 100, 2]):
        for share in (0.0, 0.1, 1.0):
            round_trip(row_layout, sampler, sizes, share)


@pytest.mark.parametrize("row_layout", ["dense", "sparse", "auto"])
def test_sections_have_the_layout(row_layout: str) -> None:
    rng = np.random.default_rng(2)
    memory = RowMemory(row_layout, N_NEURONS)
    length = np.zeros(70, dtype=np.int64)
    length[[3, 40, 69]] = 5
    rows = NodeRows(sampler=Sampler.INDEPENDENT, skip_self=True, length=length)
    memory.add(rows, 100, 7, rng)
    sections = memory.sections()
    entry = sections["blocks"][0]
    assert (entry["source_first"], entry["source_count"], entry["selector"]) == (100, 70, 7)
    assert entry["flags"] & layout.SKIP_SELF_FLAG
    if row_layout == "dense":
        assert not entry["flags"] & layout.SPARSE_FLAG
        assert (len(sections["seed"]), len(sections["presence"])) == (70, 0)
    else:
        assert entry["flags"] & layout.SPARSE_FLAG
        assert (len(sections["seed"]), len(sections["presence"])) == (3, 3)
        assert sections["presence"].tolist() == [1 << 3, 1 << 8, 1 << 5]
        assert sections["rank"].tolist() == [0, 1, 2]


def test_dense_and_sparse_hold_the_same_seeds() -> None:
    found = []
    for row_layout in ("dense", "sparse"):
        rng = np.random.default_rng(3)
        memory = RowMemory(row_layout, N_NEURONS)
        rows, _ = random_rows(np.random.default_rng(4), 90, 0.3, Sampler.INDEPENDENT)
        memory.add(rows, 0, 0, rng)
        node = node_of(memory, N_NEURONS, n_sources=90)
        source, seed, length = node.rows(0)
        keep = length > 0
        found.append((source[keep].tolist(), seed[keep].tolist(), length[keep].tolist()))
    assert found[0] == found[1]


def test_auto_takes_the_smaller() -> None:
    for share in (0.02, 0.5, 0.93, 0.97, 1.0):
        bytes_of = {}
        for row_layout in ("dense", "sparse", "auto"):
            memory = RowMemory(row_layout, N_NEURONS)
            rows, _ = random_rows(np.random.default_rng(5), 3200, share, Sampler.INDEPENDENT)
            memory.add(rows, 0, 0, np.random.default_rng(6))
            names = ("seed", "length", "presence", "rank")
            bytes_of[row_layout] = sum(memory.sections()[name].nbytes for name in names)
        assert bytes_of["auto"] == min(bytes_of["dense"], bytes_of["sparse"])


@pytest.mark.parametrize(("longest", "width"), [(255, 1), (256, 2), (65535, 2)])
def test_lengths_are_as_wide_as_needed(longest: int, width: int) -> None:
    memory = RowMemory("dense", N_NEURONS)
    rows = NodeRows(sampler=Sampler.INDEPENDENT, skip_self=False, length=np.array([1, longest, 0]))
    memory.add(rows, 0, 0, np.random.default_rng(7))
    length = memory.sections()["length"]
    assert length.dtype.itemsize == width
    assert length.tolist() == [1, longest, 0]


def test_empty_blocks_are_left_out_and_blocks_are_sorted() -> None:
    memory = RowMemory("auto", N_NEURONS)
    rng = np.random.default_rng(8)
    empty = NodeRows(sampler=Sampler.DISTINCT, skip_self=False, length=np.zeros(9, dtype=np.int64))
    memory.add(empty, 0, 0, rng)
    assert len(memory.sections()["blocks"]) == 0
    full = NodeRows(sampler=Sampler.DISTINCT, skip_self=False, length=np.ones(9, dtype=np.int64))
    for first, selector in ((20, 0), (10, 1), (20, 2), (0, 3)):
        memory.add(full, first, selector, rng)
    blocks = memory.sections()["blocks"]
    assert blocks["source_first"].tolist() == [0, 10, 20, 20]
    assert blocks["selector"].tolist() == [3, 1, 0, 2]


def test_stored_rows_need_their_words() -> None:
    rows = NodeRows(sampler=Sampler.STORED, skip_self=False, length=np.ones(3, dtype=np.int64))
    with pytest.raises(ValueError, match="words"):
        RowMemory("dense", N_NEURONS).add(rows, 0, 0, np.random.default_rng(9))
