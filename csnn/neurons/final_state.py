"""What the state words at the end of a run tell of it: whether it may be wrong.

A decay with a constant of the parameters is checked before a run (`csnn.neurons.stability`). What
conductances add to the membrane's depends on the state, and too fast a decay seldom leaves words
that are no numbers: V overshoots the threshold, and the reset puts it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from csnn.binary32 import F32
from csnn.neurons.composed import base_constants
from csnn.neurons.composition import Step
from csnn.neurons.registry import Combination, model_of, resting_state
from csnn.neurons.solvers import stability_limit
from csnn.neurons.stability import bound, enough_substeps
from csnn.spec.network import Population
from csnn.spec.neuron import Neuron

# The imaginary part of f(x + i d) / d is f'(x), exactly for so small a d.
_STEP = 1e-30


def warnings_of(
    populations: Sequence[Population], state: F32, *, dt_ms: float, weight_grid: float, step: int
) -> list[str]:
    """Return what a user should know of the state words after the last step of a run.

    Parameters
    ----------
    populations : sequence of Population
        All of one model.
    state : ndarray of float32, shape (n_states, n_neurons)
        In the order of the model and of the populations.
    dt_ms, weight_grid : float
        Step in ms, and the unit of synaptic input.
    step : int
        Number of the last step.

    Returns
    -------
    list of str
        One line for each finding and population.
    """
    found, first = [], 0
    for population in populations:
        part = state[:, first : first + population.size]
        first += population.size
        for finding in (
            *_not_finite(population.neuron, part, step),
            *_too_fast(population.neuron, part, step, dt_ms, weight_grid),
        ):
            found.append(f"population {population.name}: {finding}")
    return found


def _not_finite(neuron: Neuron, state: F32, last: int) -> Iterator[str]:
    is_wrong = ~np.isfinite(state)
    if is_wrong.any():
        names = model_of(neuron).float_states
        words = ", ".join(n for n, row in zip(names, is_wrong, strict=True) if row.any())
        yield (
            f"state of {_share(np.any(is_wrong, axis=0))} is no finite number after step {last} "
            f"({words}); a smaller dt_ms or more substeps may help"
        )


def _too_fast(
    neuron: Neuron, state: F32, last: int, dt_ms: float, weight_grid: float
) -> Iterator[str]:
    step = Combination.of(neuron).step
    if neuron.coupling != "coba" or not step.synapses.states:
        return
    lengths = membrane_lengths(step, neuron, state, dt_ms=dt_ms, weight_grid=weight_grid)
    is_unstable = lengths >= bound(step.solver)
    if not is_unstable.any():
        return
    longest = float(lengths[is_unstable].max())
    enough = enough_substeps(step.solver, step.substeps * longest)
    what = "dt_ms" if step.substeps == 1 else f"dt_ms / {step.substeps}"
    yield (
        f"conductances make V of {_share(is_unstable)} decay too fast for {step.solver} after step "
        f"{last}: {what} is up to {longest:.4g} time constants, and must be shorter than "
        f"{stability_limit(step.solver):.4g}; spikes may come of that alone; "
        + ("dt_ms must be smaller" if enough is None else f"substeps = {enough} would do")
    )


def membrane_lengths(
    step: Step, neuron: Neuron, state: F32, *, dt_ms: float, weight_grid: float
) -> npt.NDArray[np.float64]:
    """Return the length of a part of a step in time constants of the membrane, by neuron.

    The time constant is that of a small change of V about the neuron's resting potential: of its
    leak and of the conductances that it has.

    Parameters
    ----------
    step : Step
    neuron : Neuron
    state : ndarray of float32, shape (n_states, n_neurons)
    dt_ms, weight_grid : float

    Returns
    -------
    ndarray of float64, shape (n_neurons,)
    """
    base = base_constants(step, neuron, dt_ms=dt_ms, weight_grid=weight_grid, dc_pA=0.0)
    # Further variables of a series are functions of V, so the other form has all of its effect.
    plain = replace(step, solver="euler")
    names = model_of(neuron).float_states
    values = dict(zip(names, state.astype(np.complex128), strict=True))
    values["V"] = np.full(state.shape[1], resting_state(neuron)["V"] + 1j * _STEP)
    # The words of a run that went wrong are anything.
    with np.errstate(all="ignore"):
        rate = plain.derivatives(base, values)["V"]
    return np.asarray(-rate.imag / _STEP, np.float64)


def _share(is_meant: npt.NDArray[np.bool_]) -> str:
    return f"{int(is_meant.sum()):,} of {is_meant.size:,} neurons"
