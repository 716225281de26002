"""The weight grid: choosing it, and proving that no synaptic sum can leave its range.

With the sum of |J| over a neuron's synapses of one type, plus 31 external spikes, below 2^24 grid
units, every partial sum of the circular buffer is an integer that binary32 holds exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError, reject
from csnn.spec.machine import (
    EXT_OUTCOMES,
    MAX_GRID_EXPONENT,
    MAX_WEIGHT_UNITS,
    MIN_GRID_EXPONENT,
    SUM_LIMIT_UNITS,
)
from csnn.spec.network import Network
from netgen.partition import expected_indegree

_QUANTILES = np.array([1e-9, 1.0 - 1e-9])
_SIGMAS = 8.0
_EXPONENTS = range(MIN_GRID_EXPONENT, MAX_GRID_EXPONENT + 1)
# Weights beyond it fit no grid.
LARGEST_PA = MAX_WEIGHT_UNITS * 2.0**MAX_GRID_EXPONENT


class GridTooFineError(InvalidInputError):
    """A neuron's synapses may sum to 2^24 grid units or more."""


def choose_exponent(
    network: Network,
    largest_edge_pA: float = 0.0,
    edge_sums_pA: Mapping[str, float] | None = None,
) -> int:
    """Return the exponent of the finest grid 2^e pA that weights and expected sums permit.

    Parameters
    ----------
    network : Network
    largest_edge_pA : float
        Largest weight magnitude of the edge list.
    edge_sums_pA : mapping of population to float
        Largest sum of |weight| over one neuron's edges of one type.

    Raises
    ------
    InvalidInputError
        If there is no such grid between 2^-60 and 2^60 pA.
    """
    largest = largest_edge_pA
    mean = {(p.name, kind): 0.0 for p in network.populations for kind in "ei"}
    variance = dict.fromkeys(mean, 0.0)
    for projection in network.projections:
        low, high = projection.weight_pA.ppf(_QUANTILES)
        largest = max(largest, abs(low), abs(high))
        indegree = expected_indegree(network, projection)
        weight, sd = projection.weight_pA.mean(), projection.weight_pA.sd()
        kinds = [kind for kind, used in (("e", high > 0), ("i", low < 0)) if used]
        for kind in kinds:
            mean[projection.target, kind] += indegree * (abs(weight) if len(kinds) == 1 else sd)
            variance[projection.target, kind] += indegree * (weight**2 + sd**2)
    sums = [0.0]
    for population in network.populations:
        for kind in "ei":
            key = (population.name, kind)
            total = mean[key] + _SIGMAS * math.sqrt(variance[key])
            total += (edge_sums_pA or {}).get(population.name, 0.0)
            if kind == "e" and population.poisson is not None:
                total += (EXT_OUTCOMES - 1) * population.poisson.weight_pA
                largest = max(largest, population.poisson.weight_pA)
            sums.append(total)
    for exponent in _EXPONENTS:
        grid = 2.0**exponent
        if largest / grid <= MAX_WEIGHT_UNITS and max(sums) / grid < SUM_LIMIT_UNITS:
            return exponent
    rule = "a sum of weights in pA, must be below 2^24 units of the coarsest grid, 2^60 pA"
    raise reject("network.projections", max(sums), rule)


def check_magnitudes(network: Network) -> None:
    """Refuse weights beyond every grid; nothing that is computed of the others can overflow.

    Raises
    ------
    InvalidInputError
        Naming the projection or population.
    """
    found: list[tuple[str, float]] = []
    for population in network.populations:
        if population.poisson is not None:
            field = f"population {population.name}.poisson.weight_pA"
            found.append((field, population.poisson.weight_pA))
    for projection in network.projections:
        weight = projection.weight_pA
        with np.errstate(all="ignore"):
            numbers = (*weight.ppf(_QUANTILES).tolist(), weight.mean(), weight.sd())
        field = f"projection {projection.label}.weight_pA"
        found += [(field, abs(number)) for number in numbers]
    for field, magnitude in found:
        if not magnitude <= LARGEST_PA:
            raise reject(field, magnitude, f"must be at most {LARGEST_PA:g} in magnitude")


def ext_weight_units(weight_pA: float, grid_pA: float, field: str) -> int:
    """Return the weight of an external spike in grid units, within 1e-3 of `weight_pA`."""
    units = round(weight_pA / grid_pA)
    if units == 0:
        raise reject(field, weight_pA, f"rounds to zero on the weight grid of {grid_pA:g} pA")
    if units > MAX_WEIGHT_UNITS:
        raise reject(field, weight_pA, f"must be <= {MAX_WEIGHT_UNITS} units of {grid_pA:g} pA")
    if abs(units * grid_pA / weight_pA - 1.0) > 1e-3:
        raise reject(field, weight_pA, f"is not kept to 1e-3 on the weight grid of {grid_pA:g} pA")
    return units


def prove_sums(
    sums: npt.NDArray[np.int64], ext_weight: int, grid_pA: float, population: str, first: int
) -> None:
    """Refuse the grid if a neuron's synapses can sum to 2^24 units.

    Parameters
    ----------
    sums : ndarray of int64, shape (2, n)
        Sum of |J| over each neuron's excitatory and inhibitory synapses, delay buffer included.
    ext_weight : int
        Weight of an external spike, grid units.
    grid_pA : float
    population : str
    first : int
        Global number of the first neuron.

    Raises
    ------
    GridTooFineError
        Naming the neuron and the rule.
    """
    totals: Sequence[npt.NDArray[np.int64]] = (
        sums[0] + (EXT_OUTCOMES - 1) * ext_weight,
        sums[1],
    )
    for kind, total in zip(("excitatory", "inhibitory"), totals, strict=True):
        worst = int(total.argmax())
        if total[worst] >= SUM_LIMIT_UNITS:
            raise GridTooFineError(
                f"machine.weight_grid_pA = {grid_pA:g}: the {kind} synapses of neuron "
                f"{first + worst} ({population}) sum to {int(total[worst])} units; "
                f"must be < 2^24 = {SUM_LIMIT_UNITS}"
            )
