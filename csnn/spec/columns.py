"""Several cortical microcircuits side by side, with lateral projections between neighbours.

A step from one column towards the multi-area model of Schmidt et al. (2018) PLoS Comput. Biol.
14:e1006359: there, too, synapses from other columns take the place of a part of the background.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from csnn.spec import checks
from csnn.spec.distributions import Normal
from csnn.spec.network import FixedTotalNumber, Network, Population, Projection
from csnn.spec.pd14 import (
    DT_MS,
    EXTERNAL_INDEGREES,
    MEAN_RATES_HZ,
    POPULATIONS,
    WEIGHT_SD,
    pd14,
)

MAX_COLUMNS = 256
# Horizontal axons of pyramidal cells stay in their layer: layers 2/3 and 5 have most of them.
LATERAL = (("L23E", "L23E"), ("L23E", "L23I"), ("L5E", "L5E"), ("L5E", "L5I"))
# A synapse within the column, and 1 mm of axon at 0.5 m/s.
LATERAL_DELAY_MS = 1.5 + 2.0
LATERAL_DELAY_SD_MS = 0.75
# The circular buffer of 64 steps holds no longer ones.
_MAX_DELAY_MS = 6.4


def column_population(column: int, population: str) -> str:
    """Return the name of a population of the microcircuit in column `column`, from 1."""
    return f"C{column}_{population}"


def has_columns(names: tuple[str, ...]) -> bool:
    """Return whether these are the names of the populations of `columns`, in order."""
    return len(names) >= 2 * len(POPULATIONS) and names == tuple(
        column_population(column, population)
        for column in range(1, len(names) // len(POPULATIONS) + 1)
        for population in POPULATIONS
    )


def columns(*, columns: int = 4, lateral: float = 0.05, **microcircuit: Any) -> Network:
    """Build microcircuits on a ring, each with lateral projections to both neighbours.

    Parameters
    ----------
    columns : int
        Number of microcircuits, 2 to 256.
    lateral : float
        Lateral synapses per neuron of layers 2/3 and 5, from 0 to 1, as a part of the background
        synapses that `pd14` gives it. The Poisson input loses as many spikes as these synapses are
        expected to bring, so that the mean input stays as it is.
    **microcircuit
        Options of `csnn.spec.pd14.pd14`, but for `external_indegrees`.

    Returns
    -------
    Network
        Populations C1_L23E, C1_L23I, ..., C2_L23E, ...; 308,676 neurons and 1.2 billion synapses
        for four columns at full scale.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """
    checks.integer("columns", "columns", columns, 2, MAX_COLUMNS)
    checks.real("columns", "lateral", lateral, "must be from 0 to 1", lambda part: 0 <= part <= 1)
    single = pd14(**microcircuit)
    k_scale = float(microcircuit.get("k_scale", 1.0))
    populations: list[Population] = []
    projections: list[Projection] = []
    for column in range(1, columns + 1):
        between = _lateral(single, column, columns, lateral * k_scale)
        projections += [
            replace(
                projection,
                source=column_population(column, projection.source),
                target=column_population(column, projection.target),
            )
            for projection in single.projections
        ]
        projections += between
        populations += [
            _in_column(population, column, between) for population in single.populations
        ]
    return Network(
        name="columns",
        populations=tuple(populations),
        projections=tuple(projections),
        dt_ms=DT_MS,
        notes=single.notes,
    )


def _neighbours(column: int, columns: int) -> list[int]:
    """Return the columns beside `column` on a ring; with two there is only the other one."""
    return sorted({(column - 2) % columns + 1, column % columns + 1})


def _lateral(single: Network, column: int, columns: int, part: float) -> list[Projection]:
    """Return the projections into a column from its neighbours."""
    neighbours = _neighbours(column, columns)
    weight = single.populations[0].poisson.weight if single.populations[0].poisson else 0.0
    found = []
    for source, target in LATERAL:
        size = single.population(target).size
        indegree = part * float(EXTERNAL_INDEGREES[POPULATIONS.index(target)])
        count = round(indegree * size / len(neighbours))
        found += [
            Projection(
                source=column_population(neighbour, source),
                target=column_population(column, target),
                rule=FixedTotalNumber(count=count),
                weight=Normal(mu=weight, sigma=WEIGHT_SD * weight, minimum=0.0),
                delay_ms=Normal(
                    mu=LATERAL_DELAY_MS,
                    sigma=LATERAL_DELAY_SD_MS,
                    minimum=DT_MS / 2,
                    maximum=_MAX_DELAY_MS,
                ),
            )
            for neighbour in neighbours
            if count
        ]
    return found


def _in_column(population: Population, column: int, lateral: list[Projection]) -> Population:
    """Return the population in a column, its background less by what `lateral` ones bring."""
    name = column_population(column, population.name)
    lost_hz = sum(
        projection.rule.count / population.size * _rate_hz(projection.source)
        for projection in lateral
        if projection.target == name and isinstance(projection.rule, FixedTotalNumber)
    )
    poisson = population.poisson
    if poisson is not None:
        poisson = replace(poisson, rate_hz=poisson.rate_hz - lost_hz)
    return replace(population, name=name, poisson=poisson)


def _rate_hz(name: str) -> float:
    return float(MEAN_RATES_HZ[POPULATIONS.index(name.split("_", 1)[1])])
