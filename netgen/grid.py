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
from csnn.spec.neuron import grid_key, weight_key, with_unit
from netgen.partition import expected_indegree

_QUANTILES = np.array([1e-9, 1.0 - 1e-9])
_SIGMAS = 8.0
_EXPONENTS = range(MIN_GRID_EXPONENT, MAX_GRID_EXPONENT + 1)
# Weights beyond it fit no grid.
LARGEST_WEIGHT = MAX_WEIGHT_UNITS * 2.0**MAX_GRID_EXPONENT


class GridTooFineError(InvalidInputError):
    """A neuron's synapses may sum to 2^24 grid units or more."""


def choose_exponent(
    network: Network,
    largest_edge: float = 0.0,
    edge_sums: Mapping[str, float] | None = None,
) -> int:
    """Return the exponent of the finest grid 2^e that weights and expected sums permit.

    Parameters
    ----------
    network : Network
    largest_edge : float
        Largest weight magnitude of the edge list.
    edge_sums : mapping of population to float
        Largest sum of |weight| over one neuron's edges of one type.

    Raises
    ------
    InvalidInputError
        If there is no such grid between 2^-60 and 2^60.
    """
    largest = largest_edge
    mean = {(p.name, kind): 0.0 for p in network.populations for kind in "ei"}
    variance = dict.fromkeys(mean, 0.0)
    for projection in network.projections:
        low, high = projection.weight.ppf(_QUANTILES)
        largest = max(largest, abs(low), abs(high))
        indegree = expected_indegree(network, projection)
        weight, sd = projection.weight.mean(), projection.weight.sd()
        kinds = [kind for kind, used in (("e", high > 0), ("i", low < 0)) if used]
        for kind in kinds:
            mean[projection.target, kind] += indegree * (abs(weight) if len(kinds) == 1 else sd)
            variance[projection.target, kind] += indegree * (weight**2 + sd**2)
    sums = [0.0]
    for population in network.populations:
        for kind in "ei":
            key = (population.name, kind)
            total = mean[key] + _SIGMAS * math.sqrt(variance[key])
            total += (edge_sums or {}).get(population.name, 0.0)
            if kind == "e" and population.poisson is not None:
                total += (EXT_OUTCOMES - 1) * population.poisson.weight
                largest = max(largest, population.poisson.weight)
            sums.append(total)
    for exponent in _EXPONENTS:
        grid = 2.0**exponent
        if largest / grid <= MAX_WEIGHT_UNITS and max(sums) / grid < SUM_LIMIT_UNITS:
            return exponent
    unit = "" if network.weight_unit == "1" else f" {network.weight_unit}"
    kind = f"a sum of weights{unit and f' in{unit}'}"
    rule = f"{kind}, must be below 2^24 units of the coarsest grid, 2^60{unit}"
    raise reject("network.projections", max(sums), rule)


def check_magnitudes(network: Network) -> None:
    """Refuse weights beyond every grid; nothing that is computed of the others can overflow.

    Raises
    ------
    InvalidInputError
        Naming the projection or population.
    """
    found: list[tuple[str, float, str]] = []
    units = {p.name: p.neuron.weight_unit for p in network.populations}
    for population in network.populations:
        if population.poisson is not None:
            unit = units[population.name]
            field = f"population {population.name}.poisson.{weight_key(unit)}"
            found.append((field, population.poisson.weight, unit))
    for projection in network.projections:
        weight = projection.weight
        with np.errstate(all="ignore"):
            numbers = (*weight.ppf(_QUANTILES).tolist(), weight.mean(), weight.sd())
        unit = units[projection.target]
        field = f"projection {projection.label}.{weight_key(unit)}"
        found += [(field, abs(number), unit) for number in numbers]
    for field, magnitude, unit in found:
        if not magnitude <= LARGEST_WEIGHT:
            limit = with_unit(LARGEST_WEIGHT, unit)
            raise reject(field, magnitude, f"must be at most {limit} in magnitude")


def ext_weight_units(weight: float, grid: float, field: str, unit: str = "1") -> int:
    """Return the weight of an external spike in grid units, within 1e-3 of `weight`.

    `field` and `unit` of weights are for errors.
    """
    units, size = round(weight / grid), with_unit(grid, unit)
    if units == 0:
        raise reject(field, weight, f"rounds to zero on the weight grid of {size}")
    if units > MAX_WEIGHT_UNITS:
        raise reject(field, weight, f"must be <= {MAX_WEIGHT_UNITS} units of {size}")
    if abs(units * grid / weight - 1.0) > 1e-3:
        raise reject(field, weight, f"is not kept to 1e-3 on the weight grid of {size}")
    return units


def prove_sums(
    sums: npt.NDArray[np.int64],
    ext_weight: int,
    grid: float,
    population: str,
    first: int,
    unit: str = "1",
) -> None:
    """Refuse the grid if a neuron's synapses can sum to 2^24 units.

    Parameters
    ----------
    sums : ndarray of int64, shape (2, n)
        Sum of |J| over each neuron's excitatory and inhibitory synapses, delay buffer included.
    ext_weight : int
        Weight of an external spike, grid units.
    grid : float
    population : str
    first : int
        Global number of the first neuron.
    unit : str
        Unit of weights, for errors.

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
                f"machine.{grid_key(unit)} = {grid:g}: the {kind} synapses of neuron "
                f"{first + worst} ({population}) sum to {int(total[worst])} units; "
                f"must be < 2^24 = {SUM_LIMIT_UNITS}"
            )
