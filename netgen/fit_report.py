"""How well fitted tables stand for an edge list: weights, delays, degrees, multiplicity, identity.

A fit keeps what the tables and row lengths say: the weight and delay distributions and how many
excitatory and inhibitory edges each source has in each node. Which neurons are joined is drawn
anew, and weights independently of delays, so the identity of the edges is lost; the report says
what that changes and what is recovered by chance.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.image.node import NodeImage
from csnn.rows import weight_code, weight_units
from csnn.spec.neuron import weight_key, with_unit
from netgen.edge_rows import FittedRows, LocalEdges, joined
from netgen.fidelity import Fidelity, compare_pmf
from netgen.unrolling import unroll
from netgen.weights import MOMENT_TOLERANCE

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NodeFit:
    """Edges of one source population in one node, listed and drawn.

    Attributes
    ----------
    n_sources, n_neurons : int
        Sizes of the source population and of the node.
    first_neuron : int
        Number of the node's first neuron, counted from the first source (negative if before it).
    grid : float
        Unit of the weights drawn.
    listed : LocalEdges
        The edges of the list; neurons are numbered from 0 in population and node.
    drawn : LocalEdges
        What the rows unroll to.
    weight, delay : (values, probabilities)
        The fitted tables, in the unit of weights and in steps.
    """

    n_sources: int
    n_neurons: int
    first_neuron: int
    grid: float
    listed: LocalEdges
    drawn: LocalEdges
    weight: tuple[F64, F64]
    delay: tuple[F64, F64]


@dataclass(frozen=True)
class _Traits:
    """What is counted alike in the list and in the rows drawn.

    `repeats` are edges beyond the first of a pair; `moments` the sums of 1, w, d, w^2, d^2 and wd;
    `excites` and `inhibits` the sources with such an edge, packed to bits.
    """

    in_degree: I64
    out_degree: I64
    repeats: int
    autapses: int
    moments: F64
    excites: npt.NDArray[np.uint8]
    inhibits: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Summary:
    """What is kept of a `NodeFit`; weights and delays as (values, numbers of edges)."""

    edges: int
    listed_weight: tuple[F64, F64]
    table_weight: tuple[F64, F64]
    listed_delay: tuple[F64, F64]
    table_delay: tuple[F64, F64]
    worst_mean_error: float
    worst_variance_error: float
    listed: _Traits
    drawn: _Traits
    recovered: int
    recovered_pairs: int


# What was measured, by target and source population and node.
FitParts = dict[tuple[str, str, int], _Summary]

_BOTH = ("listed", "drawn")


class FitReport:
    """Collects the fits of all nodes, in any order and from any thread.

    Parameters
    ----------
    populations : list of (str, int)
        Name and size of each population.
    """

    def __init__(self, populations: list[tuple[str, int]]) -> None:
        self._sizes = dict(populations)
        self._lock = threading.Lock()
        self._summaries: FitParts = {}

    def add(self, source: str, target: str, node: int, fit: NodeFit) -> None:
        """Add the edges from population `source` to a node of population `target`."""
        summary = _summarise(fit)
        with self._lock:
            self._summaries[target, source, node] = summary

    def measure(self, node: NodeImage, target: str, fitted: Sequence[FittedRows]) -> None:
        """Add what the rows of a finished node, of population `target`, unroll to.

        `fitted` are the last blocks of the node, in the order in which they were added.
        """
        for source_first, group in groupby(fitted, lambda fit: fit.source_first):
            parts = list(group)
            # Blocks are sorted by their first source; those of one keep their order.
            indices = np.flatnonzero(node.blocks["source_first"] == source_first)[-len(parts) :]
            drawn = joined([_drawn(node, index, source_first) for index in indices.tolist()])
            numbers = [len(part.listed.source) for part in parts]
            weight, delay = (
                _mixture(
                    (pmf[0].astype(np.float64), pmf[1] * n)
                    for pmf, n in zip(pmfs, numbers, strict=True)
                )
                for pmfs in ([part.weight for part in parts], [part.delay for part in parts])
            )
            grid = 2.0**node.grid_exponent
            fit = NodeFit(
                n_sources=self._sizes[parts[0].population],
                n_neurons=node.n_neurons,
                first_neuron=node.first_neuron - source_first,
                grid=grid,
                listed=joined([part.listed for part in parts]),
                drawn=drawn,
                weight=(weight[0] * grid, weight[1]),
                delay=delay,
            )
            self.add(parts[0].population, target, node.node, fit)

    def parts(self) -> FitParts:
        """Return what was measured, for `include` in another report."""
        return self._summaries

    def include(self, parts: FitParts) -> None:
        """Add what was measured elsewhere, of other nodes."""
        self._summaries.update(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the report for the manifest: `overall`, and `pairs` of populations."""
        pairs = []
        by_source: dict[str, list[_Summary]] = {}
        by_node: dict[int, list[_Summary]] = {}
        for target in self._sizes:
            for source in self._sizes:
                of = {
                    key[2]: s for key, s in self._summaries.items() if key[:2] == (target, source)
                }
                if not of:
                    continue
                nodes = [[of[node]] for node in sorted(of)]
                parts = [summary for (summary,) in nodes]
                entry = _report([parts], nodes, self._sizes[target])
                pairs.append({"source": source, "target": target, **entry})
                by_source.setdefault(source, []).extend(parts)
                for node, summary in of.items():
                    by_node.setdefault(node, []).append(summary)
        nodes = [by_node[node] for node in sorted(by_node)]
        overall = _report(list(by_source.values()), nodes, sum(self._sizes.values()))
        return {"representation": "fitted", "overall": overall, "pairs": pairs}


def check_moments(report: dict[str, Any], path: str, grid: float, unit: str = "1") -> None:
    """Require that mean and variance of the weights are kept, pair by pair and overall.

    `path`, `grid` and `unit` of weights are for errors.

    Raises
    ------
    InvalidInputError
        Naming the populations and the errors.
    """
    places = [(f"{pair['source']}->{pair['target']}", pair) for pair in report["pairs"]]
    for place, entry in [*places, ("all edges", report["overall"])]:
        weight = entry["weight"]
        if max(weight["mean_error"], weight["variance_error"]) > MOMENT_TOLERANCE:
            raise InvalidInputError(
                f"{path}: {place}: {weight_key(unit)} = {weight['listed_mean']:.6g} +- "
                f"{weight['listed_sd']:.3g}: fitted tables on the grid of "
                f"{with_unit(grid, unit)} change the mean by {weight['mean_error']:.2g} and the "
                f"variance by {weight['variance_error']:.2g}; at most {MOMENT_TOLERANCE:g} is "
                'allowed, use representation = "stored"'
            )


def _drawn(node: NodeImage, index: int, source_first: int) -> LocalEdges:
    """Return the edges of a block."""
    source, seed, length = node.rows(index)
    synapses = unroll(node.block(index), source, seed, length)
    return LocalEdges(
        source[synapses.row].astype(np.int64) - source_first,
        synapses.neuron.astype(np.int64),
        weight_units(synapses.code).astype(np.float64) * 2.0**node.grid_exponent,
        synapses.delay.astype(np.int64) + 1,
    )


def _summarise(fit: NodeFit) -> _Summary:
    listed, drawn = fit.listed, fit.drawn
    n = len(listed.source)
    weights, weight_counts = np.unique(listed.weight, return_counts=True)
    delays, delay_counts = np.unique(listed.delay, return_counts=True)
    moments = compare_pmf(*fit.weight, weights, weight_counts / n)
    return _Summary(
        edges=n,
        listed_weight=(weights, weight_counts.astype(np.float64)),
        table_weight=(fit.weight[0], fit.weight[1] * n),
        listed_delay=(delays.astype(np.float64), delay_counts.astype(np.float64)),
        table_delay=(fit.delay[0], fit.delay[1] * n),
        worst_mean_error=moments.mean_error,
        worst_variance_error=moments.variance_error,
        listed=_traits(fit, listed),
        drawn=_traits(fit, drawn),
        recovered=_in_common(_words(fit, listed), _words(fit, drawn)),
        recovered_pairs=_in_common(_pairs(fit, listed), _pairs(fit, drawn)),
    )


def _pairs(fit: NodeFit, edges: LocalEdges) -> I64:
    """Return a number per (source, target)."""
    return edges.source * fit.n_neurons + edges.neuron


def _words(fit: NodeFit, edges: LocalEdges) -> I64:
    """Return a number per (source, target, delay, weight on the grid)."""
    code = weight_code(np.rint(edges.weight / fit.grid)).astype(np.int64)
    return (_pairs(fit, edges) << 22) | (edges.delay - 1) << 16 | code


def _in_common(a: I64, b: I64) -> int:
    """Return how many elements two multisets share."""
    values, counts = np.unique(a, return_counts=True)
    others, other_counts = np.unique(b, return_counts=True)
    _, here, there = np.intersect1d(values, others, assume_unique=True, return_indices=True)
    return int(np.minimum(counts[here], other_counts[there]).sum())


def _traits(fit: NodeFit, edges: LocalEdges) -> _Traits:
    w, d = edges.weight, edges.delay.astype(np.float64)
    excites, inhibits = (
        np.packbits(np.bincount(edges.source[of], minlength=fit.n_sources) > 0)
        for of in (w > 0.0, w < 0.0)
    )
    return _Traits(
        in_degree=np.bincount(edges.neuron, minlength=fit.n_neurons),
        out_degree=np.bincount(edges.source, minlength=fit.n_sources),
        repeats=len(edges.source) - len(np.unique(_pairs(fit, edges))),
        autapses=int(np.count_nonzero(edges.source == edges.neuron + fit.first_neuron)),
        moments=np.array([len(w), w.sum(), d.sum(), w @ w, d @ d, w @ d]),
        excites=excites,
        inhibits=inhibits,
    )


def _report(
    by_source: list[list[_Summary]], by_node: list[list[_Summary]], n_neurons: int
) -> dict[str, Any]:
    """Return the entry for sub-networks, given by source population as well as by node."""
    parts = [summary for of_source in by_source for summary in of_source]
    edges = sum(part.edges for part in parts)
    weight = _compare((p.table_weight for p in parts), (p.listed_weight for p in parts))
    delay = _compare((p.table_delay for p in parts), (p.listed_delay for p in parts))
    in_degree = {
        kind: np.concatenate([sum(getattr(s, kind).in_degree for s in of) for of in by_node])
        for kind in _BOTH
    }
    # Nodes without such edges hold neurons of degree zero, in the list as in the image.
    for kind, degrees in in_degree.items():
        in_degree[kind] = np.append(degrees, np.zeros(n_neurons - len(degrees), dtype=np.int64))
    share = 1.0 / max(edges, 1)
    return {
        "edges": edges,
        "weight": {
            "listed_mean": weight.target_mean,
            "listed_sd": weight.target_sd,
            "mean_error": weight.mean_error,
            "variance_error": weight.variance_error,
            "worst_node_mean_error": max(p.worst_mean_error for p in parts),
            "worst_node_variance_error": max(p.worst_variance_error for p in parts),
            "ks_distance": weight.ks_distance,
        },
        "delay": {"mean_error": delay.mean_error, "ks_distance": delay.ks_distance},
        "weight_delay_correlation": {
            kind: _correlation(sum(getattr(p, kind).moments for p in parts)) for kind in _BOTH
        },
        "out_degree_difference": max(
            int(np.abs(p.listed.out_degree - p.drawn.out_degree).max(initial=0)) for p in parts
        ),
        "in_degree": {
            **{f"{kind}_mean": float(in_degree[kind].mean()) for kind in _BOTH},
            **{f"{kind}_sd": float(in_degree[kind].std()) for kind in _BOTH},
            "ks_distance": _sample_distance(in_degree["listed"], in_degree["drawn"]),
        },
        "sources_of_both_signs": {
            kind: sum(_of_both_signs([getattr(p, kind) for p in of]) for of in by_source)
            for kind in _BOTH
        },
        "multapse_share": {
            kind: sum(getattr(p, kind).repeats for p in parts) * share for kind in _BOTH
        },
        "autapse_share": {
            kind: sum(getattr(p, kind).autapses for p in parts) * share for kind in _BOTH
        },
        "recovered_share": sum(p.recovered for p in parts) * share,
        "recovered_pair_share": sum(p.recovered_pairs for p in parts) * share,
    }


def _of_both_signs(traits: list[_Traits]) -> int:
    """Return how many sources of one population have excitatory as well as inhibitory edges."""
    excites = np.bitwise_or.reduce([t.excites for t in traits])
    inhibits = np.bitwise_or.reduce([t.inhibits for t in traits])
    return int(np.bitwise_count(excites & inhibits).sum())


def _correlation(moments: F64) -> float:
    """Return Pearson's coefficient; 0 if either quantity is constant but for rounding."""
    n, w, d, ww, dd, wd = moments.tolist()
    w_variance, d_variance = ww / n - (w / n) ** 2, dd / n - (d / n) ** 2
    if w_variance <= 1e-12 * ww / n or d_variance <= 1e-12 * dd / n:
        return 0.0
    return float((wd / n - w * d / n**2) / np.sqrt(w_variance * d_variance))


def _compare(table: Iterable[tuple[F64, F64]], listed: Iterable[tuple[F64, F64]]) -> Fidelity:
    values, numbers = _mixture(table)
    return compare_pmf(values, numbers, *_mixture(listed))


def _mixture(parts: Iterable[tuple[F64, F64]]) -> tuple[F64, F64]:
    values, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    return values, numbers / numbers.sum()


def _sample_distance(a: I64, b: I64) -> float:
    same = np.full(len(a), 1.0 / len(a))
    return compare_pmf(a, same, b, same).ks_distance
