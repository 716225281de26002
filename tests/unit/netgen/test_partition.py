"""Partition: every neuron once, sizes, and the optimality of the balanced strategy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.spec.distributions import Constant
from csnn.spec.machine import Machine
from csnn.spec.network import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    Network,
    OneToOne,
    PairwiseBernoulli,
    Population,
    Projection,
)
from csnn.spec.pd14 import MEAN_RATES_HZ, SIZES, pd14, synapse_counts
from netgen.partition import (
    NodePlan,
    expected_indegree,
    incoming_events_hz,
    node_loads_hz,
    partition,
)


def _network(sizes: list[int], indegrees: list[int] | None = None) -> Network:
    """Build populations P0, P1, ... each driven by P0 (1 spike/s) with the given in-degree."""
    return Network(
        name="test",
        populations=tuple(Population(name=f"P{i}", size=n) for i, n in enumerate(sizes)),
        projections=tuple(
            Projection(
                source="P0",
                target=f"P{i}",
                rule=FixedIndegree(indegree=k),
                weight=Constant(value=1.0),
                delay_ms=Constant(value=1.0),
            )
            for i, k in enumerate(indegrees or [])
        ),
    )


def _check(network: Network, machine: Machine, plans: tuple[NodePlan, ...]) -> None:
    """Raise AssertionError unless the plan is a valid partition."""
    assert [plan.index for plan in plans] == list(range(len(plans)))
    covered = [range(plan.first_neuron, plan.first_neuron + plan.size) for plan in plans]
    assert list(itertools.chain(*covered)) == list(range(network.size))
    for population in network.populations:
        own = [plan for plan in plans if plan.population == population.name]
        sizes = [plan.size for plan in own]
        assert own[0].first_neuron == network.first_ids[population.name]
        assert sum(sizes) == population.size
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 1
        assert max(sizes) <= machine.neurons_per_node


def test_pd14_needs_305_nodes() -> None:
    network, machine = pd14(), Machine()
    plans = partition(network, machine)
    _check(network, machine, plans)
    assert len(plans) == 305
    assert (min(p.size for p in plans), max(p.size for p in plans)) == (213, 256)
    loads = node_loads_hz(network, plans)
    events = (synapse_counts() @ MEAN_RATES_HZ).sum()
    assert loads.sum() == pytest.approx(events, rel=1e-12)
    assert len(loads) == 305
    each = incoming_events_hz(network)
    assert each == pytest.approx(np.repeat(synapse_counts() @ MEAN_RATES_HZ / SIZES, SIZES))


def test_any_sizes_are_covered_once() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 900, size=rng.integers(1, 6)).tolist()
        limit = int(rng.integers(1, 257))
        network = _network(sizes, rng.integers(0, 50, size=len(sizes)).tolist())
        machine = Machine(neurons_per_node=limit)
        plans = partition(network, machine)
        _check(network, machine, plans)
        assert len(plans) == sum(-(-n // limit) for n in sizes)
        spare = int(rng.integers(0, 20))
        machine = Machine(neurons_per_node=limit, partition="load", n_nodes=len(plans) + spare)
        balanced = partition(network, machine)
        _check(network, machine, balanced)
        assert len(plans) <= len(balanced) <= len(plans) + spare
        largest = node_loads_hz(network, balanced).max()
        assert largest <= node_loads_hz(network, plans).max()


def test_the_checker_sees_faults() -> None:
    network, machine = _network([300, 40]), Machine()
    a, b, c = partition(network, machine)
    _check(network, machine, (a, b, c))
    shifted = NodePlan(index=1, population="P0", first_neuron=151, size=150)
    uneven = (
        NodePlan(index=0, population="P0", first_neuron=0, size=152),
        NodePlan(index=1, population="P0", first_neuron=152, size=148),
        c,
    )
    for fault in ((a, shifted, c), (a, b), (b, a, c), uneven):
        with pytest.raises(AssertionError):
            _check(network, machine, fault)


def test_load_is_optimal() -> None:
    """Exhaustive search over the nodes per population finds nothing better."""
    improved = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 60, size=3).tolist()
        rates = rng.integers(0, 40, size=3).tolist()
        network = _network(sizes, rates)
        limit, extra = int(rng.integers(5, 30)), int(rng.integers(0, 6))
        fewest = [-(-n // limit) for n in sizes]
        n_nodes = sum(fewest) + extra
        plans = partition(
            network, Machine(neurons_per_node=limit, partition="load", n_nodes=n_nodes)
        )
        assert len(plans) <= n_nodes
        best = min(
            max(-(-n // m) * r for n, m, r in zip(sizes, numbers, rates, strict=True))
            for numbers in itertools.product(
                *(range(f, min(f + extra, n) + 1) for f, n in zip(fewest, sizes, strict=True))
            )
            if sum(numbers) <= n_nodes
        )
        assert node_loads_hz(network, plans).max() == best
        equal = partition(network, Machine(neurons_per_node=limit))
        improved += node_loads_hz(network, equal).max() > best
    assert improved > 10


def test_load_without_slack_equals_equal() -> None:
    network = pd14()
    assert partition(network, Machine(partition="load")) == partition(network, Machine())


def test_load_with_spare_nodes_lowers_the_largest_load() -> None:
    network = pd14()
    equal = node_loads_hz(network, partition(network, Machine())).max()
    plans = partition(network, Machine(partition="load", n_nodes=330))
    assert len(plans) == 330
    assert node_loads_hz(network, plans).max() < 0.8 * equal


def test_edge_list_load_is_seen() -> None:
    network = _network([100, 100])
    machine = Machine(neurons_per_node=50, partition="load", n_nodes=6)
    assert len(partition(network, machine)) == 4  # no load, nothing to spread
    events = np.repeat([0.0, 10.0], 100)
    plans = partition(network, machine, edge_events_hz=events)
    assert [p.population for p in plans] == ["P0"] * 2 + ["P1"] * 4
    assert node_loads_hz(network, plans, edge_events_hz=events).max() == 250.0


def test_neurons_of_unequal_load_are_cut_optimally() -> None:
    """Exhaustive search over all cuts of both populations finds no smaller largest load."""
    improved = unequal = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 8, size=2).tolist()
        events = rng.integers(0, 6, size=sum(sizes)) * rng.choice([0.1, 1.0, 7.0], size=sum(sizes))
        network = _network(sizes, rng.integers(0, 3, size=2).tolist())
        limit, extra = int(rng.integers(2, 6)), int(rng.integers(0, 3))
        n_nodes = sum(-(-n // limit) for n in sizes) + extra
        machine = Machine(neurons_per_node=limit, partition="load", n_nodes=n_nodes)
        plans = partition(network, machine, edge_events_hz=events)
        covered = [range(p.first_neuron, p.first_neuron + p.size) for p in plans]
        assert list(itertools.chain(*covered)) == list(range(network.size))
        assert max(p.size for p in plans) <= limit
        assert len(plans) <= n_nodes
        each = incoming_events_hz(network, edge_events_hz=events)
        best = np.inf
        for cuts in itertools.product([False, True], repeat=network.size - 1):
            inner = [i + 1 for i, cut in enumerate(cuts) if cut]
            bounds = [0, *inner, network.size]
            if sizes[0] in bounds and len(bounds) - 1 <= n_nodes:
                parts = list(itertools.pairwise(bounds))
                if max(stop - start for start, stop in parts) <= limit:
                    best = min(best, max(each[start:stop].sum() for start, stop in parts))
        found = node_loads_hz(network, plans, edge_events_hz=events)
        assert found.max() == pytest.approx(best, rel=1e-9)
        assert found.tolist() == pytest.approx(
            [each[p.first_neuron : p.first_neuron + p.size].sum() for p in plans]
        )
        equal = partition(network, Machine(neurons_per_node=limit))
        improved += node_loads_hz(network, equal, edge_events_hz=events).max() > best * 1.001
        unequal += any(abs(a.size - b.size) > 1 for a, b in itertools.pairwise(plans))
    assert improved > 10
    assert unequal > 10


@pytest.mark.parametrize(
    ("rule", "autapses", "expected"),
    [
        (FixedTotalNumber(count=50), True, 5.0),
        (FixedIndegree(indegree=4), True, 4.0),
        (FixedOutdegree(outdegree=3), True, 3.0),
        (PairwiseBernoulli(p=0.5), True, 5.0),
        (PairwiseBernoulli(p=0.5), False, 4.5),
        (AllToAll(), True, 10.0),
        (AllToAll(), False, 9.0),
        (OneToOne(), True, 1.0),
    ],
)
def test_expected_indegree_within_a_population(
    rule: FixedTotalNumber, autapses: bool, expected: float
) -> None:
    one = Constant(value=1.0)
    projection = Projection(
        source="P0",
        target="P0",
        rule=rule,
        weight=one,
        delay_ms=one,
        allow_autapses=autapses,
    )
    assert expected_indegree(_network([10]), projection) == expected


def test_outdegree_between_different_sizes() -> None:
    one = Constant(value=1.0)
    rule = FixedOutdegree(outdegree=3)
    projection = Projection(source="P0", target="P1", rule=rule, weight=one, delay_ms=one)
    assert expected_indegree(_network([10, 40]), projection) == 0.75


def test_refusals() -> None:
    with pytest.raises(InvalidInputError, match=r"machine\.n_nodes = 304: must be >= 305"):
        partition(pd14(), Machine(partition="load", n_nodes=304))
    with pytest.raises(InvalidInputError, match="65536 nodes, more than 65535"):
        partition(_network([65536]), Machine(neurons_per_node=1))
    assert len(partition(_network([65535]), Machine(neurons_per_node=1))) == 65535
