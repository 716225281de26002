"""How well fitted tables stand for an edge list: weights, delays, degrees, multiplicity, identity.

A fit keeps what the tables and row lengths say: the weight and delay distributions and how many
edges each source has in each node. Which neurons are joined is drawn anew, so the identity of the
edges is lost; the report says what that changes and what is recovered by chance.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from netgen.discretise import Pmf
from netgen.edge_rows import Listed
from netgen.fidelity import Fidelity, compare_pmf
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
    listed : Listed
        The edges of the list; neurons are numbered from 0 in population and node.
    drawn_source, drawn_neuron : ndarray of int64, shape (n,)
        What the rows unroll to.
    weight, delay : Pmf
        The fitted tables, in pA and steps.
    """

    n_sources: int
    n_neurons: int
    listed: Listed
    drawn_source: I64
    drawn_neuron: I64
    weight: tuple[F64, F64]
    delay: Pmf


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
    listed_in: I64
    drawn_in: I64
    out_degree_difference: int
    listed_repeats: int
    drawn_repeats: int
    recovered: int


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
        self._summaries: dict[tuple[str, str, int], _Summary] = {}

    def add(self, source: str, target: str, node: int, fit: NodeFit) -> None:
        """Add the edges from population `source` to a node of population `target`."""
        summary = _summarise(fit)
        with self._lock:
            self._summaries[target, source, node] = summary

    def to_dict(self) -> dict[str, Any]:
        """Return the report for the manifest: `overall`, and `pairs` of populations."""
        ordered = {key: self._summaries[key] for key in sorted(self._summaries)}
        pairs = []
        for target in self._sizes:
            for source in self._sizes:
                of = [s for key, s in ordered.items() if key[:2] == (target, source)]
                if of:
                    degrees = [(s.listed_in, s.drawn_in) for s in of]
                    pairs.append(
                        {
                            "source": source,
                            "target": target,
                            **_report(of, degrees, self._sizes[target]),
                        }
                    )
        return {
            "representation": "fitted",
            "overall": _report(
                list(ordered.values()), self._total_degrees(ordered), sum(self._sizes.values())
            ),
            "pairs": pairs,
        }

    @staticmethod
    def _total_degrees(ordered: dict[tuple[str, str, int], _Summary]) -> list[tuple[I64, I64]]:
        totals: dict[int, tuple[I64, I64]] = {}
        for (_, _, node), summary in ordered.items():
            listed, drawn = totals.get(node, (np.int64(0), np.int64(0)))
            totals[node] = (listed + summary.listed_in, drawn + summary.drawn_in)
        return [totals[node] for node in sorted(totals)]


def check_moments(report: dict[str, Any], path: str, grid_pA: float) -> None:
    """Require that mean and variance of the weights are kept, pair by pair and overall.

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
                f"{path}: {place}: weight_pA = {weight['listed_mean_pA']:.6g} +- "
                f"{weight['listed_sd_pA']:.3g}: fitted tables on the grid of {grid_pA:g} pA change "
                f"the mean by {weight['mean_error']:.2g} and the variance by "
                f"{weight['variance_error']:.2g}; at most {MOMENT_TOLERANCE:g} is allowed, use "
                'representation = "stored"'
            )


def _summarise(fit: NodeFit) -> _Summary:
    listed = fit.listed
    n = len(listed.source)
    weights, weight_counts = np.unique(listed.weight_pA, return_counts=True)
    delays, delay_counts = np.unique(listed.delay, return_counts=True)
    moments = compare_pmf(*fit.weight, weights, weight_counts / n)
    pairs, numbers = _pair_counts(listed.source, listed.neuron, fit.n_neurons)
    drawn_pairs, drawn_numbers = _pair_counts(fit.drawn_source, fit.drawn_neuron, fit.n_neurons)
    _, here, there = np.intersect1d(pairs, drawn_pairs, assume_unique=True, return_indices=True)
    out_degrees = np.bincount(listed.source, minlength=fit.n_sources)
    drawn_out = np.bincount(fit.drawn_source, minlength=fit.n_sources)
    return _Summary(
        edges=n,
        listed_weight=(weights, weight_counts.astype(np.float64)),
        table_weight=(fit.weight[0], fit.weight[1] * n),
        listed_delay=(delays.astype(np.float64), delay_counts.astype(np.float64)),
        table_delay=(fit.delay[0].astype(np.float64), fit.delay[1] * n),
        worst_mean_error=moments.mean_error,
        worst_variance_error=moments.variance_error,
        listed_in=np.bincount(listed.neuron, minlength=fit.n_neurons),
        drawn_in=np.bincount(fit.drawn_neuron, minlength=fit.n_neurons),
        out_degree_difference=int(np.abs(out_degrees - drawn_out).max(initial=0)),
        listed_repeats=n - len(pairs),
        drawn_repeats=len(fit.drawn_source) - len(drawn_pairs),
        recovered=int(np.minimum(numbers[here], drawn_numbers[there]).sum()),
    )


def _pair_counts(source: I64, neuron: I64, n_neurons: int) -> tuple[I64, I64]:
    pairs, counts = np.unique(source * n_neurons + neuron, return_counts=True)
    return pairs, counts.astype(np.int64)


def _report(
    parts: list[_Summary], degrees: list[tuple[I64, I64]], n_neurons: int
) -> dict[str, Any]:
    edges = sum(part.edges for part in parts)
    weight = _compare((p.table_weight for p in parts), (p.listed_weight for p in parts))
    delay = _compare((p.table_delay for p in parts), (p.listed_delay for p in parts))
    listed_in, drawn_in = (np.concatenate(column) for column in zip(*degrees, strict=True))
    # Nodes without such edges hold neurons of degree zero, in the list as in the image.
    zeros = np.zeros(n_neurons - len(listed_in), dtype=np.int64)
    listed_in, drawn_in = np.append(listed_in, zeros), np.append(drawn_in, zeros)
    share = 1.0 / max(edges, 1)
    return {
        "edges": edges,
        "weight": {
            "listed_mean_pA": weight.target_mean,
            "listed_sd_pA": weight.target_sd,
            "mean_error": weight.mean_error,
            "variance_error": weight.variance_error,
            "worst_node_mean_error": max(p.worst_mean_error for p in parts),
            "worst_node_variance_error": max(p.worst_variance_error for p in parts),
            "ks_distance": weight.ks_distance,
        },
        "delay": {"mean_error": delay.mean_error, "ks_distance": delay.ks_distance},
        "out_degree_difference": max(p.out_degree_difference for p in parts),
        "in_degree": {
            "listed_mean": float(listed_in.mean()),
            "drawn_mean": float(drawn_in.mean()),
            "listed_sd": float(listed_in.std()),
            "drawn_sd": float(drawn_in.std()),
            "ks_distance": _sample_distance(listed_in, drawn_in),
        },
        "multapse_share": {
            "listed": sum(p.listed_repeats for p in parts) * share,
            "drawn": sum(p.drawn_repeats for p in parts) * share,
        },
        "recovered_share": sum(p.recovered for p in parts) * share,
    }


def _compare(table: Iterable[tuple[F64, F64]], listed: Iterable[tuple[F64, F64]]) -> Fidelity:
    values, numbers = _mixture(table)
    return compare_pmf(values, numbers, *_mixture(listed))


def _mixture(parts: Iterable[tuple[F64, F64]]) -> tuple[F64, F64]:
    values, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    return values, numbers / numbers.sum()


def _sample_distance(a: I64, b: I64) -> float:
    same = np.full(len(a), 1.0 / len(a))
    return compare_pmf(a, same, b, same).ks_distance
