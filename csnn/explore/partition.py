"""The same work on other nodes, without generating the network anew.

Nodes that lie side by side become one: its rows are as long as theirs together, which is what a
network generated for such nodes has in distribution. A router of several lanes divides each row
among them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.perf.rows import row_words
from csnn.perf.workload import Workload
from csnn.spec import checks

I64 = npt.NDArray[np.int64]


def even_groups(sizes: I64, count: int) -> I64:
    """Return for each node the group it goes to: neighbours together, of much the same size.

    Parameters
    ----------
    sizes : ndarray of int64, shape (nodes,)
    count : int
        Groups, at most as many as nodes; none is empty.

    Returns
    -------
    ndarray of int64, shape (nodes,)
    """
    nodes = len(sizes)
    checks.integer("partition", "count", count, 1, nodes)
    middles = np.cumsum(sizes) - sizes / 2
    groups = (middles * count / sizes.sum()).astype(np.int64)
    # Each group keeps one node at least.
    for number in range(nodes):
        lowest = groups[number - 1] if number else 0
        groups[number] = min(max(groups[number], lowest), lowest + 1 if number else 0)
        groups[number] = max(groups[number], count - (nodes - number))
    return np.asarray(groups, np.int64)


def merge_nodes(workload: Workload, groups: I64) -> Workload:
    """Return the work of groups of neighbouring nodes.

    Parameters
    ----------
    workload : Workload
    groups : ndarray of int64, shape (nodes,)
        Ascending, without gaps.
    """
    count = int(groups[-1]) + 1
    starts = np.searchsorted(groups, np.arange(count))
    offsets = np.cumsum(workload.sizes) - workload.sizes
    offsets -= offsets[starts][groups]
    lengths = np.add.reduceat(workload.lengths.sum(axis=0, dtype=np.int64), starts, axis=1)
    counts = np.add.reduceat(workload.counts, starts, axis=1)
    node_of_spike = np.repeat(
        np.tile(np.arange(workload.nodes), workload.steps), workload.counts.reshape(-1)
    )
    return Workload(
        steps=workload.steps,
        sizes=np.add.reduceat(workload.sizes, starts),
        source=workload.source,
        local=workload.local + offsets[node_of_spike],
        first=np.concatenate([[0], np.cumsum(counts.reshape(-1))]).astype(np.int64),
        rows=row_words(lengths)[np.newaxis],
    )


def divide_rows(workload: Workload, lanes: int) -> Workload:
    """Return work whose rows are unrolled by so many lanes at a time, in even parts."""
    checks.integer("partition", "lanes", lanes, 1, 64)
    if lanes == 1:
        return workload
    kinds = workload.rows & 3
    lengths = -(-workload.lengths.astype(np.int64) // lanes)
    return Workload(
        steps=workload.steps,
        sizes=workload.sizes,
        source=workload.source,
        local=workload.local,
        first=workload.first,
        rows=(lengths.astype(np.uint32) << 2 | kinds.astype(np.uint32)).astype(np.uint32),
    )
