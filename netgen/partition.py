"""Cutting a network into micro-clusters: neurons of one population on one compute node.

The neurons of a node are consecutive, and so are the nodes of a population. Within a population the
node sizes differ by at most one, because its neurons expect the same load.

"equal" uses the fewest nodes: ceil(N / neurons_per_node) per population. "load" may use more (up to
`machine.n_nodes`) and minimises the largest expected synaptic load of a node,

    neurons of the node x expected incoming synaptic events per second and neuron,

by giving one node after the other to the population whose nodes carry the most. The load of a node
falls when its population gets more nodes and does not depend on the others, so this greedy choice
is optimal. Nodes beyond the fewest are the only slack there is, since populations do not share
nodes: with the default number, the one "equal" needs, both strategies give the same result.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
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

MAX_NODES = 2**16 - 1


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """The neurons first_neuron to first_neuron + size - 1 of one population, on one node."""

    index: int
    population: str
    first_neuron: int
    size: int


def partition(
    network: Network, machine: Machine, *, edge_events_hz: Mapping[str, float] | None = None
) -> tuple[NodePlan, ...]:
    """Assign neurons to compute nodes.

    Parameters
    ----------
    network : Network
    machine : Machine
        Its `neurons_per_node`, `partition` and `n_nodes` are used.
    edge_events_hz : mapping of population name to float, optional
        Mean incoming events per second and neuron that the network's edge list adds; "load" would
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
        rates = incoming_events_hz(network, edge_events_hz=edge_events_hz)
        numbers = _balance(sizes, numbers, rates, available)
    plans: list[NodePlan] = []
    first = 0
    for population, number in zip(network.populations, numbers, strict=True):
        base, larger = divmod(population.size, number)
        for i in range(number):
            size = base + (i < larger)
            plans.append(
                NodePlan(
                    index=len(plans), population=population.name, first_neuron=first, size=size
                )
            )
            first += size
    return tuple(plans)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _balance(
    sizes: Sequence[int], fewest: Sequence[int], rates_hz: npt.NDArray[np.float64], available: int
) -> list[int]:
    """Give the spare nodes, one by one, to the population with the largest load per node."""
    numbers = list(fewest)

    def entry(i: int) -> tuple[float, int]:
        return -_ceil_div(sizes[i], numbers[i]) * float(rates_hz[i]), i

    heap = [entry(i) for i in range(len(sizes))]
    heapq.heapify(heap)
    for _ in range(available - sum(fewest)):
        load, worst = heap[0]
        if load == 0.0 or numbers[worst] == sizes[worst]:
            break  # the largest load cannot fall further
        numbers[worst] += 1
        heapq.heapreplace(heap, entry(worst))
    return numbers


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


def incoming_events_hz(
    network: Network, *, edge_events_hz: Mapping[str, float] | None = None
) -> npt.NDArray[np.float64]:
    """Return the expected synaptic events per second and neuron of each population.

    Returns
    -------
    float64 array, shape (populations,), Hz
        Sum of in-degree times expected rate of the source over the projections (external input is
        drawn by every neuron in every step and adds no event), plus `edge_events_hz`.
    """
    added = edge_events_hz or {}
    events = {
        population.name: added.get(population.name, 0.0) for population in network.populations
    }
    for projection in network.projections:
        rate_hz = network.population(projection.source).expected_rate_hz
        events[projection.target] += expected_indegree(network, projection) * rate_hz
    return np.array([events[population.name] for population in network.populations])


def node_loads_hz(
    network: Network,
    plans: Sequence[NodePlan],
    *,
    edge_events_hz: Mapping[str, float] | None = None,
) -> npt.NDArray[np.float64]:
    """Return the expected synaptic events per second of each node, shape (len(plans),)."""
    rates = incoming_events_hz(network, edge_events_hz=edge_events_hz)
    by_name = dict(zip((p.name for p in network.populations), rates, strict=True))
    return np.array([plan.size * by_name[plan.population] for plan in plans])
