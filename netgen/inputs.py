"""What a node starts from and is driven by: EXT tables, input schedule, state, delay buffer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from csnn.binary32 import round_to_binary32
from csnn.errors import reject
from csnn.image import layout
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import rest_mV
from csnn.spec.distributions import Constant
from csnn.spec.machine import EXT_OUTCOMES
from csnn.spec.network import Population
from netgen.common_model import named
from netgen.discretise import poisson_pmf
from netgen.tables import ext_table

U32 = npt.NDArray[np.uint32]
Record = npt.NDArray[np.void]
DC_CONSTANT = "C_dc"


def bits(values: npt.ArrayLike) -> U32:
    """Return the words of binary32 or int32 values."""
    array = np.ascontiguousarray(values)
    return array.view(np.uint32)


def model_constants(model: NeuronModel, population: Population, dt_ms: float, grid: float) -> U32:
    """Return the constant words of a population: f32 constants, then i32 ones, in model order."""
    with named(population):
        constants = model.constants(
            population.neuron,
            dt_ms=dt_ms,
            weight_grid=grid,
            dc_pA=population.dc.current_pA,
        )
        floats, integers = model.pack(constants)
    return np.concatenate([bits(floats), bits(integers)])


def schedule(
    model: NeuronModel, population: Population, dt_ms: float, grid: float
) -> tuple[Record, Record]:
    """Return the input epochs and the EXT tables of a population.

    A change at time T takes effect in the first step that begins at T or later.

    Returns
    -------
    epochs : ndarray of EPOCH, shape (e,)
    tables : ndarray of EXT_TABLE, shape (t, 32)
    """
    poisson, dc = population.poisson, population.dc
    rates = {1: poisson.rate_hz} if poisson else {}
    currents = {1: dc.current_pA}
    for time_ms, rate in poisson.changes if poisson else ():
        rates[_first_step(time_ms, dt_ms)] = rate
    for time_ms, current in dc.changes:
        currents[_first_step(time_ms, dt_ms)] = current
    tables: list[Record] = []
    places: dict[float, int] = {}
    steps = sorted({*rates, *currents})
    epochs = np.zeros(len(steps), dtype=layout.EPOCH)
    rate, current = 0.0, 0.0
    for epoch, step in zip(epochs, steps, strict=True):
        rate, current = rates.get(step, rate), currents.get(step, current)
        epoch["first_step"], epoch["ext_table"] = step, layout.NO_EXT_TABLE
        if rate > 0.0:
            if rate not in places:
                field = f"population {population.name}.poisson.rate_hz"
                pmf = poisson_pmf(rate * dt_ms * 1e-3, field=field, value=rate)
                places[rate] = len(tables)
                tables.append(ext_table(pmf))
            epoch["ext_table"] = places[rate]
        with named(population):
            constants = model.constants(
                population.neuron, dt_ms=dt_ms, weight_grid=grid, dc_pA=current
            )
        epoch["dc"] = constants[DC_CONSTANT]
    if not tables:
        return epochs, np.zeros((0, EXT_OUTCOMES), dtype=layout.EXT_TABLE)
    return epochs, np.stack(tables)


def _first_step(time_ms: float, dt_ms: float) -> int:
    # Nearest multiple first, so that 0.3 / 0.1 does not fall one step late.
    steps = time_ms / dt_ms
    whole = round(steps)
    return (whole if math.isclose(steps, whole, abs_tol=1e-6) else math.ceil(steps)) + 1


def initial_state(
    model: NeuronModel,
    population: Population,
    n: int,
    grid: float,
    rng: np.random.Generator,
) -> U32:
    """Draw the initial state words of `n` neurons, shape (float states, n).

    Raises
    ------
    InvalidInputError
        If a value leaves the range of binary32, naming population and field.
    """
    neuron = population.neuron
    V = population.V_init_mV.ppf(rng.random(n)) - rest_mV(neuron)
    # What leaves the range is refused with its field; NumPy need not warn of it.
    with np.errstate(over="ignore", invalid="ignore"):
        others = model.initial(neuron, V_mV=V)
    values = {
        "V": V,
        "I_ex": population.I_ex_init_pA.ppf(rng.random(n)) / grid,
        "I_in": -population.I_in_init_pA.ppf(rng.random(n)) / grid,
        **others,
    }
    rows = [round_to_binary32(values.get(name, np.zeros(n))) for name in model.float_states]
    states = np.stack(rows) + np.float32(0.0)
    for name, row in zip(model.float_states, states, strict=True):
        if not np.isfinite(row).all():
            field = f"{name}_init_pA" if name in ("I_ex", "I_in") else "V_init_mV"
            found = getattr(population, field)
            what = "values" if name in ("V", "I_ex", "I_in") else f"values of the state {name}"
            rule = f"gives {what} that leave the range of binary32"
            shown = found.value if isinstance(found, Constant) else found
            raise reject(f"population {population.name}.{field}", shown, rule)
    return bits(states)


def delay_buffer(
    sums: npt.NDArray[np.int64],
    events_per_step: Sequence[float],
    slots: int,
    n: int,
    rng: np.random.Generator,
) -> U32:
    """Draw a random initial circular buffer as if the network had run at its expected rates.

    Parameters
    ----------
    sums : ndarray of int64, shape (2, n)
        Sum of |J| over each neuron's synapses by type.
    events_per_step : sequence of 2 float
        Share of its synapses of each type that a neuron receives a spike through in a step.
    slots : int
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of uint32, shape (slots, 2, n)
        Each entry is binomial in quanta of 1/4096 of the neuron's sum, never above it.
    """
    quanta = 4096
    p = np.clip(np.asarray(events_per_step, dtype=np.float64), 0.0, 1.0)
    draws = rng.binomial(quanta, p[None, :, None], size=(slots, 2, n))
    return (draws * sums[None] // quanta).astype(np.uint32)
