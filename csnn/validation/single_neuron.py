"""One neuron of any model under explicit input: what the machine does, in binary32.

The counterpart of `csnn.oracle.single` and of `csnn.oracle.nest.run_neurons`; it evaluates the
graph of the model (`csnn.neurons.evaluate`), which is the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.binary32 import round_to_binary32
from csnn.errors import reject
from csnn.neurons.evaluate import evaluate
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import model_of, rest_mV
from csnn.oracle.single import Stimulus, Trace
from csnn.spec.neuron import Neuron

F64 = npt.NDArray[np.float64]
_SYNAPTIC = {"ex": ("I_ex", "g_ex"), "inh": ("I_in", "g_in")}


def grid_units(values: npt.ArrayLike, grid: float) -> npt.NDArray[np.int32]:
    """Return weights in units of the grid; InvalidInputError if one is between two units."""
    units = np.asarray(values, dtype=np.float64) / grid
    if (units != np.rint(units)).any() or (np.abs(units) >= 2**24).any():
        raise reject("weights", "array", f"must be multiples of {grid} below 2^24 of them")
    return units.astype(np.int32)


def run(lanes: Sequence[tuple[Neuron, Stimulus]], *, grid: float) -> list[Trace]:
    """Run neurons of one model side by side, each under its own input.

    Parameters
    ----------
    lanes : sequence of (Neuron, Stimulus)
        Of one model (neuron, kernel, coupling, solver, substeps) and one number of steps; steps may
        be of different lengths.
    grid : float
        Unit of weights; a power of two of which every weight is a multiple.

    Returns
    -------
    list of Trace

    Raises
    ------
    InvalidInputError
        If lanes differ in what they must share, or a weight is off the grid.
    """
    models = {model_of(neuron).name for neuron, _ in lanes}
    steps = {stimulus.steps for _, stimulus in lanes}
    if len(models) != 1 or len(steps) != 1:
        raise reject("lanes", f"{sorted(models)}, {sorted(steps)} steps", "must be of one kind")
    model = model_of(lanes[0][0])
    arrivals = {
        name: np.stack([grid_units(getattr(s, side), grid) for _, s in lanes], axis=1)
        for name, side in (("ss_ex", "ex"), ("ss_in", "inh"))
    }
    state = _initial(model, lanes)
    rows: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in (*state, "spike")}
    direct = np.stack([stimulus.dc_pA for _, stimulus in lanes], axis=1)
    for number in range(steps.pop()):
        if number == 0 or (direct[number] != direct[number - 1]).any():
            constants = _constants(model, lanes, direct[number], grid)
        inputs = {name: values[number] for name, values in arrivals.items()}
        state, outputs = evaluate(model.graph, state=state, inputs=inputs, constants=constants)
        for name, values in {**state, **outputs}.items():
            rows[name].append(values)
    columns = {name: np.stack(values).astype(np.float64) for name, values in rows.items()}
    return [
        _trace(neuron, {name: values[:, lane] for name, values in columns.items()}, grid)
        for lane, (neuron, _) in enumerate(lanes)
    ]


def _initial(
    model: NeuronModel, lanes: Sequence[tuple[Neuron, Stimulus]]
) -> dict[str, npt.NDArray[Any]]:
    columns: dict[str, list[float]] = {name: [] for name in model.float_states}
    for neuron, stimulus in lanes:
        given = dict(stimulus.initial)
        V = float(round_to_binary32(given.pop("V") - rest_mV(neuron)))
        unknown = set(given) - set(columns)
        if unknown:
            raise reject("initial", sorted(unknown), f"must be of {', '.join(columns)}")
        values = {**model.initial(neuron, V_mV=V), "V": V, **given}
        for name, column in columns.items():
            column.append(values.get(name, 0.0))
    state: dict[str, npt.NDArray[Any]] = {
        name: round_to_binary32(np.array(column)) for name, column in columns.items()
    }
    for name in model.int_states:
        state[name] = np.zeros(len(lanes), dtype=np.int32)
    return state


def _constants(
    model: NeuronModel, lanes: Sequence[tuple[Neuron, Stimulus]], dc_pA: F64, grid: float
) -> dict[str, npt.NDArray[Any]]:
    found = [
        model.constants(neuron, dt_ms=stimulus.dt_ms, weight_grid=grid, dc_pA=float(dc))
        for (neuron, stimulus), dc in zip(lanes, dc_pA, strict=True)
    ]
    return {name: np.array([constants[name] for constants in found]) for name in found[0]}


def _trace(neuron: Any, values: dict[str, F64], grid: float) -> Trace:
    states = {"V": values["V"] + rest_mV(neuron)}
    for name in ("w", "u", "th_1", "th_2", "th_V", "x"):
        if name in values:
            states[name] = values[name]
    if "th_1" in values:
        parts = values["th_1"] + values["th_2"] + values.get("th_V", 0.0)
        states["threshold"] = neuron.omega_mV + parts
    for name, candidates in _SYNAPTIC.items():
        for candidate in candidates:
            if candidate in values:
                states[name] = values[candidate] * grid
    return Trace(
        spikes=(np.flatnonzero(values["spike"]) + 1).astype(np.uint32),
        states=states,
    )
