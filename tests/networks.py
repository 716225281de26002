"""Small lively networks, and images of them, for tests of generator and simulators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from csnn import edges as edge_files
from csnn.edges import Edges
from csnn.image.store import Image
from csnn.spec.description import Description
from csnn.spec.distributions import Distribution, Normal, Uniform
from csnn.spec.machine import Machine
from csnn.spec.network import (
    AllToAll,
    DcInput,
    EdgeList,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    OneToOne,
    PairwiseBernoulli,
    PoissonInput,
    Population,
    Projection,
    Rule,
)
from netgen.build import generate

E_SIZE, I_SIZE = 61, 22
EXCITATORY = Normal(mu=90.0, sigma=20.0, minimum=0.0)
INHIBITORY = Normal(mu=-300.0, sigma=40.0, maximum=0.0)
DELAYS = Normal(mu=0.8, sigma=0.3, minimum=0.1, maximum=1.5)

# Rules for the projection of E (61 neurons) onto itself; counts that every switch permits.
RULES: dict[str, Rule] = {
    "fixed_total_number": FixedTotalNumber(count=900),
    "fixed_indegree": FixedIndegree(indegree=33),
    "fixed_outdegree": FixedOutdegree(outdegree=17),
    "pairwise_bernoulli": PairwiseBernoulli(p=0.2),
    "all_to_all": AllToAll(),
    "one_to_one": OneToOne(),
}


def rule_cases() -> list[tuple[str, bool, bool]]:
    """Return every rule with every setting of (autapses, multapses) that it permits."""
    return [
        (name, autapses, multapses)
        for name in RULES
        for autapses in (True, False)
        for multapses in (True, False)
        if autapses or name != "one_to_one"
    ]


def population(name: str, size: int, **changes: Any) -> Population:
    """Return a population that spikes about every 3 ms from the first steps on."""
    settings: dict[str, Any] = {
        "neuron": LifNeuron(t_ref_ms=0.5),
        "V_init_mV": Uniform(low=-66.0, high=-49.0),
        "I_ex_init_pA": Uniform(low=0.0, high=500.0),
        "I_in_init_pA": Uniform(low=-200.0, high=0.0),
        "poisson": PoissonInput(rate_hz=15000.0, weight=150.0),
        "expected_rate_hz": 200.0,
    }
    return Population(name=name, size=size, **{**settings, **changes})


def projection(
    source: str,
    target: str,
    rule: Rule,
    *,
    weight: Distribution | None = None,
    delay: Distribution = DELAYS,
    autapses: bool = True,
    multapses: bool = True,
) -> Projection:
    """Return a projection; without a weight, sources whose name begins with I inhibit."""
    usual = INHIBITORY if source.startswith("I") else EXCITATORY
    return Projection(
        source=source,
        target=target,
        rule=rule,
        weight=usual if weight is None else weight,
        delay_ms=delay,
        allow_autapses=autapses,
        allow_multapses=multapses,
    )


def network(
    *projections: Projection,
    populations: tuple[Population, ...] | None = None,
    edges: EdgeList | None = None,
    dt_ms: float = 0.1,
) -> Network:
    """Return a network of E and I (or `populations`) with these projections."""
    usual = (population("E", E_SIZE), population("I", I_SIZE))
    return Network(
        name="small",
        populations=populations or usual,
        projections=projections,
        edges=edges,
        dt_ms=dt_ms,
    )


def rule_network(name: str, autapses: bool, multapses: bool) -> Network:
    """Return E and I with one rule from E to E, and feedback through I."""
    return network(
        projection("E", "E", RULES[name], autapses=autapses, multapses=multapses),
        projection("E", "I", FixedIndegree(indegree=6)),
        projection("I", "E", FixedTotalNumber(count=150)),
    )


def random_edges(n: int, seed: int, *, n_neurons: int = E_SIZE + I_SIZE) -> Edges:
    """Return `n` random edges; the last `I_SIZE` neurons inhibit. Weights lie on a grid of 1/8."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, n_neurons, n, dtype=np.uint32)
    weight = np.round(8.0 * np.abs(rng.normal(90.0, 20.0, n))) / 8.0 + 0.125
    return Edges(
        source=source,
        target=rng.integers(0, n_neurons, n, dtype=np.uint32),
        weight=np.where(source >= n_neurons - I_SIZE, -3.0 * weight, weight),
        delay_ms=np.round(0.1 * rng.integers(1, 16, n), 1),
    )


def edge_network(folder: Path, representation: str, edges: Edges | None = None) -> Network:
    """Write an edge list to `folder` and return E and I connected by it."""
    path = folder / "edges.npz"
    edge_files.write(path, random_edges(1500, 5) if edges is None else edges)
    return network(edges=EdgeList(path=str(path), representation=representation))


def driven(size: int, **changes: Any) -> Network:
    """Return one population of `size` neurons without synapses."""
    return network(populations=(population("E", size, **changes),))


def changing_inputs() -> Network:
    """Return E and I whose Poisson and direct currents change at odd times."""
    return network(
        projection("E", "I", RULES["pairwise_bernoulli"]),
        populations=(
            population(
                "E",
                E_SIZE,
                poisson=PoissonInput(
                    rate_hz=15000.0,
                    weight=150.0,
                    changes=((1.0, 0.0), (2.45, 20000.0), (3.0, 15000.0)),
                ),
                dc=DcInput(current_pA=100.0, changes=((0.3, -200.0), (2.45, 400.0))),
            ),
            population("I", I_SIZE, poisson=None, dc=DcInput(changes=((1.5, 900.0),))),
        ),
    )


def image(network: Network, out: Path, *, seed: int = 1, threads: int = 1, **machine: Any) -> Image:
    """Generate an image; nodes hold at most 23 neurons unless `machine` says otherwise."""
    settings = Machine(**{"neurons_per_node": 23, **machine})
    return generate(Description(network=network, machine=settings), seed, out, threads=threads)
