"""Connection rules: how many synapses each source has in each node, and who draws the targets.

Every rule is exact. What rows of a sampler express (multapses with L from a multinomial, distinct
targets, fixed in-degree by permuted stubs where there are enough of them) stays procedural; the
rest becomes stored rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from csnn.errors import reject
from csnn.rows import MAX_INDEGREE, MIN_STUB_INDEGREE, MIN_STUB_NEURONS, Sampler
from csnn.spec.network import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    OneToOne,
    PairwiseBernoulli,
    Projection,
)
from netgen.partition import NodePlan

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
# NumPy's multivariate hypergeometric is defined below this number of items.
_HYPERGEOMETRIC_LIMIT = 10**9


@dataclass(frozen=True, kw_only=True)
class NodeRows:
    """Rows of one projection in one node.

    Attributes
    ----------
    sampler : Sampler
    skip_self : bool
    length : ndarray of int64, shape (n_sources,)
        Synapses of each source.
    in_degree : int
        Stubs of each neuron (STUBS only).
    target : ndarray of uint32, shape (sum of length,)
        Local targets in order of their sources (STORED only).
    """

    sampler: Sampler
    skip_self: bool
    length: I64
    in_degree: int = 0
    target: U32 | None = None


def scatter(count: int, n: int, rng: np.random.Generator) -> I64:
    """Throw `count` balls into `n` equal bins: an exact multinomial draw, fast for many balls.

    Independent Poisson numbers, given their sum S, are multinomial with S balls. So: numbers whose
    sum rarely exceeds `count` (drawn as a histogram and shuffled), again if it does, and the
    missing balls one by one.

    Parameters
    ----------
    count : int
    n : int
        At least 1 unless `count` is 0.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64, shape (n,)
        Summing to `count`.
    """
    if count < 3 * n or n == 0:
        return np.bincount(rng.integers(0, max(n, 1), count), minlength=n)
    if count > 1000 * n:
        return rng.multinomial(count, np.full(n, 1.0 / n))
    mean = max(count - 3.0 * math.sqrt(count), 0.0) / n
    values = np.arange(int(mean + 12.0 * math.sqrt(mean)) + 40)
    pmf = stats.poisson.pmf(values, mean)
    pmf /= pmf.sum()
    while True:
        length = np.repeat(values, rng.multinomial(n, pmf))
        missing = count - int(length.sum())
        if missing >= 0:
            break
    rng.shuffle(length)
    return length + np.bincount(rng.integers(0, n, missing), minlength=n)


class Connector:
    """Draws the rows of one projection, node by node and in any order.

    What couples the nodes (the split of a total over them) is drawn at once; the rest comes from a
    generator of the node's own, so that nodes can be made in parallel.

    Parameters
    ----------
    projection : Projection
    n_sources, n_targets : int
        Sizes of the two populations.
    source_first : int
        Global number of the first source.
    nodes : sequence of NodePlan
        Nodes of the target population, in order.
    seed : numpy.random.SeedSequence
        Randomness of this projection.
    """

    def __init__(
        self,
        projection: Projection,
        n_sources: int,
        n_targets: int,
        source_first: int,
        nodes: Sequence[NodePlan],
        seed: np.random.SeedSequence,
    ) -> None:
        self.projection = projection
        self.n_sources = n_sources
        self.n_targets = n_targets
        self.source_first = source_first
        self.nodes = tuple(nodes)
        self._smallest = min(node.size for node in self.nodes)
        same = projection.source == projection.target
        self.skip_self = same and not projection.allow_autapses
        children = seed.spawn(len(self.nodes) + 1)
        self._node_seeds = children[1:]
        shared = np.random.default_rng(children[0])
        rule = projection.rule
        if isinstance(rule, FixedTotalNumber):
            self._totals = self._split_total(rule.count, shared)
        elif isinstance(rule, FixedOutdegree):
            self._lengths = self._split_outdegree(rule.outdegree, shared)

    def rows(self, index: int) -> NodeRows:
        """Draw the rows of node `index` of the target population."""
        rng = np.random.default_rng(self._node_seeds[index])
        rule = self.projection.rule
        node = self.nodes[index]
        if isinstance(rule, FixedTotalNumber):
            return self._total(int(self._totals[index]), self._available(node), rng)
        if isinstance(rule, FixedOutdegree):
            return self._drawn(self._lengths[index].astype(np.int64))
        if isinstance(rule, PairwiseBernoulli):
            return self._distinct(rng.binomial(self._available(node), rule.p))
        if isinstance(rule, AllToAll):
            return self._distinct(self._available(node).copy())
        if isinstance(rule, FixedIndegree):
            return self._indegree(rule.indegree, node, rng)
        if isinstance(rule, OneToOne):
            return self._one_to_one(node)
        raise TypeError(f"no connector for {type(rule).__name__}")

    def _available(self, node: NodePlan) -> I64:
        """Targets each source may have in a node: all of them, or all but itself."""
        available = np.full(self.n_sources, node.size, dtype=np.int64)
        if self.skip_self:
            first = node.first_neuron - self.source_first
            available[first : first + node.size] -= 1
        return available

    def _distinct(self, length: I64) -> NodeRows:
        return NodeRows(sampler=Sampler.DISTINCT, skip_self=self.skip_self, length=length)

    def _drawn(self, length: I64) -> NodeRows:
        independent = self.projection.allow_multapses
        sampler = Sampler.INDEPENDENT if independent else Sampler.DISTINCT
        return NodeRows(sampler=sampler, skip_self=self.skip_self, length=length)

    def _split_total(self, count: int, rng: np.random.Generator) -> I64:
        pairs = np.array([self._available(node).sum() for node in self.nodes])
        if count == 0:
            return np.zeros_like(pairs)
        if self.projection.allow_multapses:
            return rng.multinomial(count, pairs / pairs.sum())
        if pairs.sum() >= _HYPERGEOMETRIC_LIMIT:
            raise reject(
                f"projection {self.projection.label}.allow_multapses",
                False,
                "fixed_total_number without multapses needs fewer than 1e9 pairs, "
                f"not {pairs.sum()}",
            )
        return rng.multivariate_hypergeometric(pairs, count)

    def _total(self, count: int, available: I64, rng: np.random.Generator) -> NodeRows:
        if not self.projection.allow_multapses:
            return self._drawn(rng.multivariate_hypergeometric(available, count))
        length = np.empty(self.n_sources, dtype=np.int64)
        # At most two kinds of sources: those of the node, which may lack one target, and others.
        fewer = available < available.max()
        share = available[fewer].sum() / max(available.sum(), 1)
        inside = int(rng.binomial(count, share))
        length[fewer] = scatter(inside, int(fewer.sum()), rng)
        length[~fewer] = scatter(count - inside, int((~fewer).sum()), rng)
        return self._drawn(length)

    def _split_outdegree(self, outdegree: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        sizes = np.array([node.size for node in self.nodes])
        lengths = np.zeros((len(self.nodes), self.n_sources), dtype=np.uint16)
        if outdegree == 0:
            return lengths
        groups: list[tuple[slice, I64]] = [(slice(0, self.n_sources), sizes)]
        if self.skip_self:
            groups = []
            for index, node in enumerate(self.nodes):
                first = node.first_neuron - self.source_first
                without = sizes.copy()
                without[index] -= 1
                groups.append((slice(first, first + node.size), without))
        for sources, capacity in groups:
            n = sources.stop - sources.start
            for start in range(0, n, 4096):
                part = min(4096, n - start)
                if self.projection.allow_multapses:
                    draw = rng.multinomial(outdegree, capacity / capacity.sum(), size=part)
                else:
                    draw = rng.multivariate_hypergeometric(capacity, outdegree, size=part)
                if draw.max(initial=0) > 65535:
                    raise reject(
                        f"projection {self.projection.label}.rule",
                        outdegree,
                        "gives a row of more than 65,535 synapses",
                    )
                begin = sources.start + start
                lengths[:, begin : begin + part] = draw.T
        return lengths

    def _indegree(self, indegree: int, node: NodePlan, rng: np.random.Generator) -> NodeRows:
        if self.projection.allow_multapses and not self.skip_self:
            length = scatter(node.size * indegree, self.n_sources, rng)
            enough = MIN_STUB_INDEGREE <= indegree <= MAX_INDEGREE
            if enough and self._smallest >= MIN_STUB_NEURONS:
                return NodeRows(
                    sampler=Sampler.STUBS, skip_self=False, length=length, in_degree=indegree
                )
            target = np.repeat(np.arange(node.size, dtype=np.uint32), indegree)
            rng.shuffle(target)
            return self._stored(length, target)
        # Without multapses or autapses the choices of one target depend on each other: stored rows.
        sources = np.empty((node.size, indegree), dtype=np.int64)
        for neuron in range(node.size):
            own = node.first_neuron - self.source_first + neuron if self.skip_self else None
            pool = self.n_sources - (own is not None)
            if self.projection.allow_multapses:
                chosen = rng.integers(0, pool, indegree)
            else:
                chosen = rng.choice(pool, indegree, replace=False, shuffle=False)
            sources[neuron] = chosen if own is None else chosen + (chosen >= own)
        target = np.repeat(np.arange(node.size, dtype=np.uint32), indegree)
        flat = sources.ravel()
        order = np.argsort(flat, kind="stable")
        return self._stored(np.bincount(flat, minlength=self.n_sources), target[order])

    def _one_to_one(self, node: NodePlan) -> NodeRows:
        length = np.zeros(self.n_sources, dtype=np.int64)
        first = node.first_neuron - self.nodes[0].first_neuron
        length[first : first + node.size] = 1
        return self._stored(length, np.arange(node.size, dtype=np.uint32))

    def _stored(self, length: I64, target: U32) -> NodeRows:
        return NodeRows(sampler=Sampler.STORED, skip_self=False, length=length, target=target)
