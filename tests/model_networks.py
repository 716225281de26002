"""Small networks of every neuron model: two populations, drive that changes, recurrent synapses."""

from __future__ import annotations

from pathlib import Path

from combination_cases import DRIVES, Case

from csnn.image.store import Image
from csnn.spec.description import Description
from csnn.spec.distributions import Constant, Uniform
from csnn.spec.machine import Machine
from csnn.spec.network import (
    DcInput,
    FixedIndegree,
    Network,
    PoissonInput,
    Population,
    Projection,
)
from csnn.spec.toml import dumps, loads
from netgen.build import generate

E_SIZE, I_SIZE = 60, 20


def describe(case: Case, *, ext_lanes: int = 8) -> Description:
    """Return a network of a model; in its fifth millisecond the direct current grows by half."""
    dc_pA, weights = DRIVES[case.combination.neuron]
    weight = weights[case.neuron.weight_unit]
    low = -65.0 if case.combination.neuron == "izhikevich" else case.neuron.E_L_mV  # type: ignore[attr-defined]
    populations = tuple(
        Population(
            name=name,
            size=size,
            neuron=case.neuron,
            V_init_mV=Uniform(low=low, high=low + 12.0),
            poisson=PoissonInput(rate_hz=1000.0, weight=weight),
            dc=DcInput(current_pA=dc_pA, changes=((4.0, 1.5 * dc_pA),)),
        )
        for name, size in (("E", E_SIZE), ("I", I_SIZE))
    )
    projections = tuple(
        Projection(
            source=source,
            target=target,
            rule=FixedIndegree(indegree=8),
            weight=Constant(value=sign * weight / 2),
            delay_ms=Uniform(low=0.3, high=1.5),
        )
        for source, sign in (("E", 1.0), ("I", -1.0))
        for target in ("E", "I")
    )
    return Description(
        network=Network(name="models", populations=populations, projections=projections),
        machine=Machine(neurons_per_node=32, ext_lanes=ext_lanes),
    )


def build(case: Case, folder: Path, *, ext_lanes: int = 8) -> Image:
    """Return an image of the network as it is after it was written as TOML and read back."""
    description = describe(case, ext_lanes=ext_lanes)
    again = loads(dumps(description))
    assert again == description
    return generate(again, 1, folder)
