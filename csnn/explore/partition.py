"""The same work on other nodes, without generating the network anew.

The neurons of all nodes stand in one line; new nodes are cuts of it. Of a row whose node is divided
each part gets a binomial share, as a network generated for such nodes has in distribution; rows of
nodes that become one are added up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.perf.rows import KIND_BITS, KIND_MASK, row_words
from csnn.perf.workload import Workload
from csnn.spec import checks

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def spiking_only(workload: Workload) -> Workload:
    """Return the work with the rows of those sources alone that spike in it."""
    sources, number = np.unique(workload.source, return_inverse=True)
    if not len(sources):
        sources = np.zeros(1, np.int64)
    rows = np.ascontiguousarray(workload.rows[:, sources])
    return replace(workload, source=number.astype(np.int64), rows=rows)


def first_steps(workload: Workload, steps: int) -> Workload:
    """Return the work of the first steps."""
    checks.integer("partition", "steps", steps, 1, workload.steps)
    first = workload.first[: steps * workload.nodes + 1]
    spikes = int(first[-1])
    return replace(
        workload,
        steps=steps,
        first=first,
        source=workload.source[:spikes],
        local=workload.local[:spikes],
    )


def node_bounds(workload: Workload) -> I64:
    """Return where nodes begin and the last one ends, shape (nodes + 1,)."""
    return np.concatenate([[0], np.cumsum(workload.sizes)]).astype(np.int64)


def equal_bounds(neurons: int, nodes: int) -> I64:
    """Return the bounds of nodes of much the same size."""
    checks.integer("partition", "nodes", nodes, 1, neurons)
    return np.arange(nodes + 1, dtype=np.int64) * neurons // nodes


def balanced_bounds(
    workload: Workload, nodes: int, most: int, *, pipelines: int, lanes: int
) -> I64:
    """Return the bounds of nodes that have much the same to do: rows and neurons.

    Parameters
    ----------
    workload : Workload
        Tells how many synaptic events the neurons of each node get.
    nodes : int
    most : int
        Neurons that a node can hold.
    pipelines, lanes : int
        Of a node: neurons, and synaptic events, that it does in a cycle.
    """
    neurons = int(workload.sizes.sum())
    checks.integer("partition", "nodes", nodes, 1, neurons)
    if nodes * most < neurons:
        raise reject("partition.most", most, f"{nodes} nodes cannot hold {neurons} neurons")
    events = workload.unroll_cycles().mean(axis=0) / workload.sizes
    load = np.repeat(events / lanes + 1 / pipelines, workload.sizes)
    # A neuron counts at least as much as one of a full node: else nodes would be too large.
    for _ in range(64):
        load = np.maximum(load, load.sum() / nodes / most)
    middles = np.cumsum(load) - load / 2
    ends = np.searchsorted(middles, load.sum() * np.arange(1, nodes) / nodes)
    bounds = np.concatenate([[0], ends, [neurons]]).astype(np.int64)
    for number in range(1, nodes):
        low = max(bounds[number - 1] + 1, neurons - (nodes - number) * most)
        high = min(bounds[number - 1] + most, neurons - (nodes - number))
        bounds[number] = min(max(bounds[number], low), high)
    return bounds


def cut(workload: Workload, bounds: I64, seed: int) -> Workload:
    """Return the work of nodes with other bounds.

    Parameters
    ----------
    workload : Workload
    bounds : ndarray of int64, shape (nodes + 1,)
        Of the new nodes in the line of neurons: ascending, from 0 to their number.
    seed : int
        Of the shares of rows that are divided.
    """
    old = node_bounds(workload)
    if bounds[0] != 0 or bounds[-1] != old[-1] or (np.diff(bounds) < 1).any():
        raise reject("partition.bounds", bounds.tolist()[:8], f"must ascend from 0 to {old[-1]}")
    lengths = workload.lengths.sum(axis=0, dtype=np.int64)
    pieces = np.union1d(old, bounds)
    node = np.searchsorted(old, pieces[:-1], side="right") - 1
    parts = _divide(lengths, node, np.diff(pieces), seed)
    starts = np.searchsorted(pieces, bounds[:-1])
    nodes = len(bounds) - 1
    numbers = np.arange(workload.steps * workload.nodes)
    counts = np.diff(workload.first)
    step, of_node = np.repeat(numbers, counts) // workload.nodes, np.repeat(numbers, counts)
    position = old[of_node % workload.nodes] + workload.local
    place = np.searchsorted(bounds, position, side="right") - 1
    per_node = np.bincount(step * nodes + place, minlength=workload.steps * nodes)
    return Workload(
        steps=workload.steps,
        sizes=np.diff(bounds),
        source=workload.source,
        local=position - bounds[place],
        first=np.concatenate([[0], np.cumsum(per_node)]).astype(np.int64),
        rows=row_words(np.add.reduceat(parts, starts, axis=1))[np.newaxis],
    )


def share_among_lanes(workload: Workload, lanes: int, seed: int) -> Workload:
    """Return work whose rows are unrolled by several lanes, each for neurons of its own.

    A row takes as long as the longest of its parts: lanes begin a row together.
    """
    checks.integer("partition", "lanes", lanes, 1, 64)
    if lanes == 1:
        return workload
    kinds = workload.rows & KIND_MASK
    left = workload.lengths.astype(np.int64)
    longest = np.zeros_like(left)
    rng = np.random.default_rng([seed, lanes])
    for lane in range(lanes):
        part = rng.binomial(left, 1 / (lanes - lane))
        left = left - part
        longest = np.maximum(longest, part)
    rows = longest.astype(np.uint32) << KIND_BITS | kinds.astype(np.uint32)
    return replace(workload, rows=rows.astype(np.uint32))


def rows_in_use(lengths: I64, sizes: I64, bounds: I64, lanes: int, seed: int) -> F64:
    """Return in what share of the sources each new node's lane has a row.

    Parameters
    ----------
    lengths : ndarray of int64, shape (sources, nodes)
        Of any sample of sources.
    sizes : ndarray of int64, shape (nodes,)
    bounds : ndarray of int64, shape (new nodes + 1,)
    lanes : int
    seed : int
    """
    old = np.concatenate([[0], np.cumsum(sizes)])
    pieces = np.union1d(old, bounds)
    node = np.searchsorted(old, pieces[:-1], side="right") - 1
    parts = _divide(lengths, node, np.diff(pieces), seed)
    merged = np.add.reduceat(parts, np.searchsorted(pieces, bounds[:-1]), axis=1)
    if lanes > 1:
        merged = np.random.default_rng([seed, lanes]).binomial(merged, 1 / lanes)
    return np.asarray((merged > 0).mean(axis=0), np.float64)


def _divide(lengths: I64, node: I64, sizes: I64, seed: int) -> I64:
    """Return the shares that pieces of nodes get of rows, shape (sources, pieces)."""
    rng = np.random.default_rng(seed)
    parts = np.empty((len(lengths), len(node)), np.int64)
    left, room = lengths.copy(), np.bincount(node, sizes).astype(np.int64)
    for piece, (owner, size) in enumerate(zip(node.tolist(), sizes.tolist(), strict=True)):
        if size == room[owner]:
            parts[:, piece] = left[:, owner]
        else:
            parts[:, piece] = rng.binomial(left[:, owner], size / room[owner])
        left[:, owner] -= parts[:, piece]
        room[owner] -= size
    return parts
