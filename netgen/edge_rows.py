"""Rows of an explicit edge list: stored word by word, or fitted by tables per sub-network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from csnn.edges import Edges
from csnn.errors import reject
from csnn.rows import Sampler, synapse_word, weight_code
from csnn.spec.machine import MAX_WEIGHT_UNITS
from csnn.spec.network import Network
from csnn.spec.neuron import weight_key, with_unit
from netgen.connectivity import NodeRows
from netgen.discretise import Pmf, fit_delay_pmf, fit_weight_pmf
from netgen.fidelity import compare_pmf
from netgen.grid import LARGEST_WEIGHT
from netgen.partition import NodePlan

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
_STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LocalEdges:
    """Edges of one source population in one node, with numbers local to both; delays in steps."""

    source: I64
    neuron: I64
    weight: F64
    delay: I64


def joined(parts: Sequence[LocalEdges]) -> LocalEdges:
    """Return the edges of all parts."""
    return LocalEdges(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(LocalEdges))
    )


@dataclass(frozen=True)
class FittedRows:
    """Rows of one source population and sign in one node, their tables, and the edges fitted.

    Attributes
    ----------
    population : str
        Source population.
    source_first : int
        Global number of its first neuron.
    rows : NodeRows
    weight, delay : Pmf
        In grid units and steps.
    listed : LocalEdges
    """

    population: str
    source_first: int
    rows: NodeRows
    weight: Pmf
    delay: Pmf
    listed: LocalEdges


class EdgeRows:
    """An edge list in the machine's units, sorted by target.

    Parameters
    ----------
    edges : Edges
    network : Network
    slots : int
        Largest delay in steps.

    Raises
    ------
    InvalidInputError
        If a delay is not a multiple of dt within range, or a weight beyond every grid.
    """

    def __init__(self, edges: Edges, network: Network, slots: int) -> None:
        self.path = network.edges.path if network.edges else "edges"
        self.network = network
        self.unit = network.weight_unit
        self.weight_key = weight_key(self.unit)
        # One step too many is as wrong as very many, which could not be divided by dt.
        steps = np.minimum(edges.delay_ms, (slots + 1) * network.dt_ms) / network.dt_ms
        whole = np.rint(steps)
        wrong = (np.abs(steps - whole) > _STEP_TOLERANCE) | (whole < 1) | (whole > slots)
        if wrong.any():
            row = int(wrong.argmax())
            raise reject(
                f"{self.path}: row {row + 1}: delay_ms",
                float(edges.delay_ms[row]),
                f"must be a multiple of dt_ms = {network.dt_ms:g} from {network.dt_ms:g} to "
                f"{slots * network.dt_ms:g} ms (1 to {slots} steps)",
            )
        wrong = np.abs(edges.weight) > LARGEST_WEIGHT
        if wrong.any():
            row = int(wrong.argmax())
            raise reject(
                f"{self.path}: row {row + 1}: {self.weight_key}",
                float(edges.weight[row]),
                f"must be at most {with_unit(LARGEST_WEIGHT, self.unit)} in magnitude",
            )
        order = np.lexsort((edges.source, edges.target))
        self.source = edges.source[order]
        self.target = edges.target[order]
        self.weight = edges.weight[order]
        self.delay = whole[order].astype(np.int64)
        self.rates_hz = np.concatenate(
            [np.full(p.size, p.expected_rate_hz) for p in network.populations]
        )

    def largest(self) -> float:
        """Return the largest weight magnitude."""
        return float(np.abs(self.weight).max(initial=0.0))

    def sums(self) -> dict[str, float]:
        """Return each population's largest sum of |weight| over one neuron's edges of one type."""
        sums = {}
        for name, first in self.network.first_ids.items():
            size = self.network.population(name).size
            part = slice(*np.searchsorted(self.target, [first, first + size]))
            index = self.target[part].astype(np.int64) - first
            weight = self.weight[part]
            sums[name] = max(
                float(np.bincount(index, np.maximum(sign * weight, 0.0), size).max())
                for sign in (1.0, -1.0)
            )
        return sums

    def events_hz(self) -> F64:
        """Return the expected incoming events per second of each neuron, shape (n_neurons,)."""
        rate = self.rates_hz[self.source]
        return np.bincount(self.target, rate, self.network.size).astype(np.float64)

    def strength(self, node: NodePlan) -> tuple[F64, F64]:
        """Return a node's sum of |weight|, and of |weight| times the expected rate of the source.

        Returns
        -------
        total, driven : ndarray of float64, shape (2,)
            Excitatory and inhibitory, in the unit of weights and in it per second.
        """
        part, _ = self._of(node)
        magnitude = np.abs(self.weight[part])
        kind = (self.weight[part] < 0.0).astype(np.intp)
        rate = self.rates_hz[self.source[part]]
        return (
            np.asarray(np.bincount(kind, magnitude, 2), dtype=np.float64),
            np.asarray(np.bincount(kind, magnitude * rate, 2), dtype=np.float64),
        )

    def rounding(self, grid: float) -> dict[str, float]:
        """Return what rounding the weights to the grid changes, for stored rows.

        Returns
        -------
        dict
            `largest_weight_error`; `largest_relative_error`, of a single weight that is not zero;
            and `mean_error` and `variance_error` as in `netgen.fidelity.Fidelity`.
        """
        rounded = np.rint(self.weight / grid) * grid
        same = np.full(len(rounded), 1.0 / max(len(rounded), 1))
        fit = compare_pmf(rounded, same, self.weight, same)
        error = np.abs(rounded - self.weight)
        heavy = self.weight != 0.0
        relative = error[heavy] / np.abs(self.weight[heavy])
        return {
            "largest_weight_error": float(error.max(initial=0.0)),
            "largest_relative_error": float(relative.max(initial=0.0)),
            "mean_error": fit.mean_error,
            "variance_error": fit.variance_error,
        }

    def _of(self, node: NodePlan) -> tuple[slice, I64]:
        bounds = np.searchsorted(self.target, [node.first_neuron, node.first_neuron + node.size])
        part = slice(int(bounds[0]), int(bounds[1]))
        # Stable: edges of one source keep the order of their targets.
        return part, np.argsort(self.source[part], kind="stable")

    def stored(self, node: NodePlan, grid: float) -> tuple[NodeRows, U32]:
        """Return the rows of a node and their synapse words, in row order."""
        part, order = self._of(node)
        weight = self.weight[part][order]
        units = np.rint(weight / grid).astype(np.int64)
        bad = ((units == 0) & (weight != 0.0)) | (np.abs(units) > MAX_WEIGHT_UNITS)
        if bad.any():
            value = float(weight[int(bad.argmax())])
            raise reject(
                f"{self.path}: {self.weight_key}",
                value,
                f"must round to 1 to {MAX_WEIGHT_UNITS} units of the weight grid "
                f"{with_unit(grid, self.unit)}",
            )
        neuron = self.target[part][order].astype(np.int64) - node.first_neuron
        words = synapse_word(neuron, self.delay[part][order] - 1, weight_code(units))
        length = np.bincount(self.source[part], minlength=self.network.size)
        rows = NodeRows(sampler=Sampler.STORED, skip_self=False, length=length)
        return rows, words

    def fitted(self, node: NodePlan, grid: float) -> Iterator[FittedRows]:
        """Yield rows and tables of each source population with edges into a node, sign by sign.

        Excitatory and inhibitory edges get rows and tables of their own, so that every source keeps
        its number of either. Rows have no autapses, and no multapses, where the list has none.
        """
        part, order = self._of(node)
        source = self.source[part][order]
        weight = self.weight[part][order]
        delay = self.delay[part][order]
        neuron = self.target[part][order].astype(np.int64) - node.first_neuron
        inhibitory = weight < 0.0
        for name, first in self.network.first_ids.items():
            size = self.network.population(name).size
            of_source = np.zeros(len(source), dtype=bool)
            of_source[slice(*np.searchsorted(source, [first, first + size]))] = True
            for of in (of_source & ~inhibitory, of_source & inhibitory):
                if not of.any():
                    continue
                local = source[of].astype(np.int64) - first
                pairs = local * node.size + neuron[of]
                repeated = len(np.unique(pairs)) < len(pairs)
                autapses = (local + first == neuron[of] + node.first_neuron).any()
                field = f"{self.path}: edges {name}->node {node.index}.{self.weight_key}"
                yield FittedRows(
                    name,
                    first,
                    NodeRows(
                        sampler=Sampler.INDEPENDENT if repeated else Sampler.DISTINCT,
                        skip_self=not autapses,
                        length=np.bincount(local, minlength=size),
                    ),
                    fit_weight_pmf(weight[of], grid, field=field, unit=self.unit),
                    fit_delay_pmf(delay[of]),
                    LocalEdges(local, neuron[of], weight[of], delay[of]),
                )
