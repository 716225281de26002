"""Cutting a network into micro-clusters: neurons of one population on one compute node.

The neurons of a node are consecutive, and so are the nodes of a population.

"equal" uses the fewest nodes: ceil(N / neurons_per_node) per population, whose sizes differ by at
most one. "load" may use more (up to `machine.n_nodes`) and minimises the largest expected load of a
node, the sum of the expected incoming synaptic events per second of its neurons. Where all neurons
of a population expect the same load, its nodes are of equal size, too; an edge list tells neurons
apart, and then sizes differ. Nodes beyond the fewest are the only slack there is for equal neurons,
since populations do not share nodes: with the number that "equal" needs, both strategies give the
same result for a network without edge list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec.machine import Machine
from csnn.spec.network import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    Network,
    OneToOne,
    PairwiseBernoulli,
    Projection,
)

F64 = npt.NDArray[np.float64]
MAX_NODES = 2**16 - 1
# Relative width at which the search for the smallest load ends, and the noise of sums of loads.
_PRECISION = 1e-12
_ABOVE = 1.0 + 1e-11


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """The neurons first_neuron to first_neuron + size - 1 of one population, on one node."""

    index: int
    population: str
    first_neuron: int
    size: int


def partition(
    network: Network, machine: Machine, *, edge_events_hz: F64 | None = None
) -> tuple[NodePlan, ...]:
    """Assign neurons to compute nodes.

    Parameters
    ----------
    network : Network
    machine : Machine
        Its `neurons_per_node`, `partition` and `n_nodes` are used.
    edge_events_hz : ndarray of float64, shape (n_neurons,), optional
        Incoming events per second that the network's edge list adds to each neuron; "load" would
        not see them otherwise.

    Returns
    -------
    tuple of NodePlan
        In order of neuron numbers; `index` counts from 0.

    Raises
    ------
    InvalidInputError
        If more than 65,535 nodes are needed, or more than `machine.n_nodes`.
    """
    limit = machine.neurons_per_node
    sizes = [population.size for population in network.populations]
    numbers = [_ceil_div(size, limit) for size in sizes]
    fewest = sum(numbers)
    if fewest > MAX_NODES:
        rule = f"{network.size} neurons need {fewest} nodes, more than {MAX_NODES}"
        raise reject("machine.neurons_per_node", limit, rule)
    if machine.partition == "load":
        available = fewest if machine.n_nodes is None else machine.n_nodes
        if available < fewest:
            rule = f"must be >= {fewest}, what {limit} neurons per node need"
            raise reject("machine.n_nodes", available, rule)
        events = incoming_events_hz(network, edge_events_hz=edge_events_hz)
        loads = np.split(events, np.cumsum(sizes)[:-1])
        parts = _balanced([_Loads(each, limit) for each in loads], available)
    else:
        parts = [_equal(size, number) for size, number in zip(sizes, numbers, strict=True)]
    plans: list[NodePlan] = []
    first = 0
    for population, of in zip(network.populations, parts, strict=True):
        for size in of:
            plans.append(
                NodePlan(
                    index=len(plans), population=population.name, first_neuron=first, size=size
                )
            )
            first += size
    return tuple(plans)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _equal(size: int, number: int) -> list[int]:
    """Return `number` sizes that differ by at most one, the larger first."""
    base, larger = divmod(size, number)
    return [base + (i < larger) for i in range(number)]


class _Loads:
    """Expected loads of a population's neurons, and how few nodes a largest load per node allows.

    Parameters
    ----------
    each : ndarray of float64, shape (n,)
        Load of each neuron.
    limit : int
        Most neurons of a node.
    """

    def __init__(self, each: F64, limit: int) -> None:
        self.size = len(each)
        self.limit = limit
        self.heaviest = float(each.max())
        self.uniform = float(each.min()) == self.heaviest
        self.sums = np.concatenate([[0.0], np.cumsum(each)])

    def cut(self, largest: float) -> list[int]:
        """Return the sizes of the fewest nodes whose load does not exceed `largest`."""
        if self.uniform:
            fitting = self.size if self.heaviest == 0.0 else int(largest / self.heaviest * _ABOVE)
            return _equal(self.size, _ceil_div(self.size, max(1, min(self.limit, fitting))))
        sizes = []
        first = 0
        while first < self.size:
            bound = (self.sums[first] + largest) * _ABOVE
            last = int(np.searchsorted(self.sums, bound, side="right")) - 1
            sizes.append(max(1, min(last - first, self.limit)))
            first += sizes[-1]
        return sizes


def _balanced(loads: Sequence[_Loads], available: int) -> list[list[int]]:
    """Return the sizes of each population's nodes for the smallest largest load, by bisection."""

    def needed(largest: float) -> int:
        return sum(len(of.cut(largest)) for of in loads)

    # No node carries less than its heaviest neuron; any load is allowed where only sizes count.
    low, high = max(of.heaviest for of in loads), max(float(of.sums[-1]) for of in loads)
    if needed(low) <= available:
        high = low
    while high - low > _PRECISION * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if needed(middle) <= available else (middle, high)
    return [of.cut(high) for of in loads]


def expected_indegree(network: Network, projection: Projection) -> float:
    """Return the mean number of synapses that a target neuron receives from `projection`."""
    source = network.population(projection.source).size
    target = network.population(projection.target).size
    no_self = projection.source == projection.target and not projection.allow_autapses
    partners = source - 1 if no_self else source
    rule = projection.rule
    match rule:
        case FixedTotalNumber():
            return rule.count / target
        case FixedIndegree():
            return float(rule.indegree)
        case FixedOutdegree():
            return rule.outdegree * source / target
        case PairwiseBernoulli():
            return rule.p * partners
        case AllToAll():
            return float(partners)
        case OneToOne():
            return 1.0


def incoming_events_hz(network: Network, *, edge_events_hz: F64 | None = None) -> F64:
    """Return the expected incoming synaptic events per second of each neuron.

    Returns
    -------
    float64 array, shape (n_neurons,), Hz
        Sum of in-degree times expected rate of the source over the projections (external input is
        drawn by every neuron in every step and adds no event), plus `edge_events_hz`.
    """
    events = {population.name: 0.0 for population in network.populations}
    for projection in network.projections:
        rate_hz = network.population(projection.source).expected_rate_hz
        events[projection.target] += expected_indegree(network, projection) * rate_hz
    sizes = [population.size for population in network.populations]
    each = np.repeat(list(events.values()), sizes)
    return each if edge_events_hz is None else each + edge_events_hz


def node_loads_hz(
    network: Network, plans: Sequence[NodePlan], *, edge_events_hz: F64 | None = None
) -> F64:
    """Return the expected synaptic events per second of each node, shape (len(plans),)."""
    each = incoming_events_hz(network, edge_events_hz=edge_events_hz)
    return np.add.reduceat(each, [plan.first_neuron for plan in plans])
