"""Cutting nodes anew and dividing rows keep the work as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.explore.partition import (
    balanced_bounds,
    cut,
    equal_bounds,
    first_steps,
    node_bounds,
    rows_in_use,
    share_among_lanes,
    spiking_only,
)
from csnn.perf.rows import row_words
from csnn.perf.workload import Workload

NODES, STEPS, SIZE = 12, 9, 5


def make_work(*, heavy: int = 1) -> Workload:
    """Return work of which the first half of the nodes has `heavy` times as much."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 3, size=(STEPS, NODES))
    first = np.concatenate([[0], np.cumsum(counts.reshape(-1))]).astype(np.int64)
    local = np.concatenate([np.arange(n) for n in counts.reshape(-1)]).astype(np.int64)
    node = np.repeat(np.tile(np.arange(NODES), STEPS), counts.reshape(-1))
    lengths = rng.integers(0, 40, size=(2, NODES * SIZE, NODES))
    lengths[:, :, : NODES // 2] *= heavy
    return Workload(
        steps=STEPS,
        sizes=np.full(NODES, SIZE, np.int64),
        source=(SIZE * node + local).astype(np.int64),
        local=local,
        first=first,
        rows=row_words(lengths),
    )


@pytest.fixture
def work() -> Workload:
    return make_work()


@pytest.mark.parametrize("nodes", [1, 5, 12, 23, 60])
def test_cut_nodes_do_the_same_work(work: Workload, nodes: int) -> None:
    bounds = equal_bounds(NODES * SIZE, nodes)
    new = cut(work, bounds, seed=3)
    assert (node_bounds(new) == bounds).all()
    assert (new.source == work.source).all()
    # Of a spike: its node, and its neuron there; sources are numbered along the line.
    node = np.repeat(np.tile(np.arange(nodes), STEPS), new.counts.reshape(-1))
    assert (bounds[node] + new.local == new.source).all()
    assert (new.counts.sum(axis=1) == work.counts.sum(axis=1)).all()
    before, after = work.lengths.sum(axis=0), new.lengths[0]
    assert (after.sum(axis=1) == before.sum(axis=1)).all()
    # What lies between bounds that both have is what it was.
    for place in set(bounds.tolist()) & set(node_bounds(work).tolist()):
        left = before[:, : place // SIZE].sum(axis=1)
        assert (after[:, : np.searchsorted(bounds, place)].sum(axis=1) == left).all()


def test_parts_of_a_row_are_as_large_as_their_nodes() -> None:
    work = make_work(heavy=100)
    new = cut(work, np.array([0, 1, 5, 60]), seed=1)
    share = new.lengths[0, :, 0].sum() / work.lengths[:, :, 0].sum()
    assert share == pytest.approx(1 / SIZE, rel=0.05)


def test_bounds_that_are_not_those_of_the_neurons_are_refused(work: Workload) -> None:
    for bounds in ([0, 59], [1, 60], [0, 30, 30, 60]):
        with pytest.raises(InvalidInputError, match=r"partition\.bounds = .*: must ascend"):
            cut(work, np.array(bounds), seed=1)


def test_balanced_nodes_have_the_same_to_do() -> None:
    work = make_work(heavy=6)
    equal = cut(work, equal_bounds(60, 12), seed=1).unroll_cycles().sum(axis=0)
    bounds = balanced_bounds(work, 12, most=20, pipelines=8, lanes=1)
    balanced = cut(work, bounds, seed=1).unroll_cycles().sum(axis=0)
    assert np.diff(bounds).max() <= 20
    assert (np.diff(bounds) >= 1).all()
    assert balanced.max() < 0.75 * equal.max()


def test_neurons_count_as_well() -> None:
    """With one pipeline and many lanes what is left to balance is the number of neurons."""
    bounds = balanced_bounds(make_work(), 12, most=20, pipelines=1, lanes=10**6)
    assert (np.diff(bounds) == SIZE).all()


def test_no_balanced_node_is_larger_than_it_may_be() -> None:
    bounds = balanced_bounds(make_work(heavy=1000), 12, most=6, pipelines=8, lanes=1)
    assert np.diff(bounds).max() <= 6
    with pytest.raises(InvalidInputError, match=r"11 nodes cannot hold 60 neurons"):
        balanced_bounds(make_work(), 11, most=5, pipelines=8, lanes=1)


def test_lanes_share_rows(work: Workload) -> None:
    divided = share_among_lanes(work, 3, seed=2)
    assert (3 * divided.lengths.astype(np.int64) >= work.lengths).all()
    assert (divided.lengths <= work.lengths).all()
    assert divided.lengths.sum() < 0.6 * work.lengths.sum()
    assert ((divided.rows & 3) == (work.rows & 3)).all()
    assert share_among_lanes(work, 1, seed=2) is work


def test_rows_of_silent_sources_are_left_out(work: Workload) -> None:
    kept = spiking_only(work)
    assert kept.rows.shape[1] == len(np.unique(work.source)) < work.rows.shape[1]
    assert (kept.unroll_cycles() == work.unroll_cycles()).all()
    silent = spiking_only(first_steps(work, 1))
    assert (silent.unroll_cycles() == work.unroll_cycles()[:1]).all()


def test_smaller_nodes_have_fewer_rows(work: Workload) -> None:
    lengths = np.minimum(work.lengths.sum(axis=0, dtype=np.int64), 6)
    whole = rows_in_use(lengths, work.sizes, equal_bounds(60, 12), 1, seed=1)
    assert whole == pytest.approx((lengths > 0).mean(axis=0))
    parts = rows_in_use(lengths, work.sizes, equal_bounds(60, 60), 1, seed=1)
    lanes = rows_in_use(lengths, work.sizes, equal_bounds(60, 12), 4, seed=1)
    assert parts.mean() < 0.8 * whole.mean()
    assert lanes.mean() < 0.9 * whole.mean()
