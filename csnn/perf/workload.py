"""What a machine has to do: the spikes of each step, and how long the rows are that they unroll."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.perf.rows import KIND_BITS, Rows

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """Spikes by step, and rows.

    Attributes
    ----------
    steps : int
    sizes : ndarray of int64, shape (nodes,)
        Neurons of each node.
    source : ndarray of int64, shape (spikes,)
        Global numbers, by step, then node, then neuron.
    local : ndarray of int64, shape (spikes,)
        Number of the neuron in its node.
    first : ndarray of int64, shape (steps * nodes + 1,)
        Where the spikes of a step and node begin.
    rows : ndarray, shape (rows, sources, nodes)
        What a source has in a node, as `csnn.perf.rows` puts it.
    """

    steps: int
    sizes: I64
    source: I64
    local: I64
    first: I64
    rows: Rows

    @cached_property
    def lengths(self) -> Rows:
        """Synapses of the rows that a source has in a node, shape of `rows`."""
        return np.asarray(self.rows >> KIND_BITS, self.rows.dtype)

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.sizes)

    @property
    def counts(self) -> I64:
        """Spikes of each node in each step, shape (steps, nodes)."""
        return np.diff(self.first).reshape(self.steps, self.nodes)

    def unroll_cycles(self) -> I64:
        """Return the synapses that each node unrolls in each step, shape (steps, nodes)."""
        per_source = self.lengths.sum(axis=0, dtype=np.uint32)
        ends = self.first[:: self.nodes]
        totals = np.zeros((self.steps, self.nodes), np.int64)
        for step in range(self.steps):
            part = self.source[ends[step] : ends[step + 1]]
            totals[step] = per_source[part].sum(axis=0, dtype=np.int64)
        return totals


def make_workload(
    image: Image, step: U32, source: U32, first_step: int, steps: int, rows: Rows
) -> Workload:
    """Return the work of so many steps.

    Parameters
    ----------
    image : Image
    step, source : ndarray of uint32, shape (n,)
        Spikes, in the order of their steps; those of other steps are left out.
    first_step, steps : int
    rows : ndarray
        As `csnn.perf.rows.read_rows` returns.

    Raises
    ------
    InvalidInputError
        If a source is not one of the image's neurons.
    """
    nodes = image.nodes
    node_of = np.full(rows.shape[1], -1, np.int64)
    local_of = np.zeros(rows.shape[1], np.int64)
    for number, node in enumerate(nodes):
        node_of[node.source_ids] = number
        local_of[node.source_ids] = np.arange(node.n_neurons)
    chosen = (step >= first_step) & (step < first_step + steps)
    at = step[chosen].astype(np.int64) - first_step
    sources = source[chosen].astype(np.int64)
    if len(sources) and (sources.max() >= len(node_of) or (node_of[sources] < 0).any()):
        bad = sources[
            (sources >= len(node_of)) | (node_of[np.minimum(sources, len(node_of) - 1)] < 0)
        ]
        raise InvalidInputError(f"spikes: source = {bad[0]}: must be a neuron of {image.path}")
    place = at * len(nodes) + node_of[sources]
    order = np.lexsort((local_of[sources], place))
    counts = np.bincount(place, minlength=steps * len(nodes))
    return Workload(
        steps=steps,
        sizes=np.array([node.n_neurons for node in nodes], np.int64),
        source=sources[order],
        local=local_of[sources][order],
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows=rows,
    )


def silent_workload(sizes: I64, steps: int) -> Workload:
    """Return steps without a spike: what is left is synchronisation."""
    none = np.zeros(0, np.int64)
    return Workload(
        steps=steps,
        sizes=sizes,
        source=none,
        local=none,
        first=np.zeros(steps * len(sizes) + 1, np.int64),
        rows=np.zeros((1, 1, len(sizes)), np.uint16),
    )
