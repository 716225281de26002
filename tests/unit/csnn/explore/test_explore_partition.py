"""Merging nodes and dividing rows keep the work as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.explore.partition import divide_rows, even_groups, merge_nodes
from csnn.perf.rows import row_words
from csnn.perf.workload import Workload

NODES, STEPS, SOURCES = 12, 9, 60


@pytest.fixture
def work() -> Workload:
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 3, size=(STEPS, NODES))
    first = np.concatenate([[0], np.cumsum(counts.reshape(-1))]).astype(np.int64)
    local = np.concatenate([np.arange(n) for n in counts.reshape(-1)]).astype(np.int64)
    node = np.repeat(np.tile(np.arange(NODES), STEPS), counts.reshape(-1))
    return Workload(
        steps=STEPS,
        sizes=np.full(NODES, 5, np.int64),
        source=(5 * node + local).astype(np.int64),
        local=local,
        first=first,
        rows=row_words(rng.integers(0, 9, size=(2, SOURCES, NODES))),
    )


@pytest.mark.parametrize("count", [1, 2, 5, 11, 12])
def test_groups_are_even_and_in_order(count: int) -> None:
    sizes = np.random.default_rng(2).integers(1, 9, size=NODES)
    groups = even_groups(sizes, count)
    assert groups[0] == 0
    assert set(np.diff(groups).tolist()) <= {0, 1}
    assert groups[-1] == count - 1


def test_more_groups_than_nodes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"partition.count = 13: must be"):
        even_groups(np.ones(NODES, np.int64), 13)


@pytest.mark.parametrize("count", [1, 5, 12])
def test_merged_nodes_do_the_same_work(work: Workload, count: int) -> None:
    groups = even_groups(work.sizes, count)
    merged = merge_nodes(work, groups)
    assert merged.nodes == count
    assert merged.sizes.sum() == work.sizes.sum()
    assert (merged.source == work.source).all()
    # Of a spike: its group, and its neuron there.
    global_number = np.cumsum(merged.sizes) - merged.sizes
    node = np.repeat(np.tile(np.arange(count), STEPS), merged.counts.reshape(-1))
    assert (global_number[node] + merged.local == merged.source).all()
    before, after = work.unroll_cycles(), merged.unroll_cycles()
    for group in range(count):
        assert (before[:, groups == group].sum(axis=1) == after[:, group]).all()


def test_lanes_share_rows(work: Workload) -> None:
    divided = divide_rows(work, 3)
    assert (divided.lengths == (work.lengths.astype(np.int64) + 2) // 3).all()
    assert ((divided.rows & 3) == (work.rows & 3)).all()
    assert divide_rows(work, 1) is work
