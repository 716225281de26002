"""One neuron of any model under explicit input, integrated to 1e-12 (`csnn.oracle.textbook`).

The order of a step is NEST's: the state variables advance, what arrives is added, then threshold,
reset and refractory count. Where V runs to infinity (AdEx, Izhikevich) it stops at its peak for the
rest of the step, or, by choice, the neuron is reset at the very time, as NEST's `aeif` models are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.oracle.experiment import F64, U32
from csnn.oracle.textbook import Equations
from csnn.spec import checks
from csnn.spec.neuron import Neuron

TOLERANCE = 1e-12
Method = Literal["DOP853", "LSODA"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """What one neuron is given.

    Attributes
    ----------
    dt_ms : float
        Step.
    ex, inh : ndarray of float64, shape (steps,)
        Summed magnitudes of the weights that arrive at the end of each step, in the unit of the
        neuron's weights.
    dc_pA : ndarray of float64, shape (steps,)
        Direct current during each step.
    initial : mapping of str to float
        State variables before step 1 by name, V in mV; zero if left out.

    Raises
    ------
    InvalidInputError
        If shapes differ, a weight is negative, or V is missing.
    """

    dt_ms: float
    ex: npt.NDArray[np.float64]
    inh: npt.NDArray[np.float64]
    dc_pA: npt.NDArray[np.float64]
    initial: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.positive("stimulus", "dt_ms", self.dt_ms)
        for name in ("ex", "inh", "dc_pA"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != np.shape(self.ex) or values.ndim != 1:
                raise reject(f"stimulus.{name}", values.shape, "must have the shape (steps,)")
            if not np.isfinite(values).all() or (name != "dc_pA" and (values < 0.0).any()):
                raise reject(f"stimulus.{name}", "array", "must be finite, weights not negative")
        if "V" not in self.initial:
            raise reject("stimulus.initial", sorted(self.initial), "must have V")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.ex)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What one neuron did.

    Attributes
    ----------
    spikes : ndarray of uint32
        Steps, from 1, at which it fired.
    states : dict of str to ndarray of float64, shape (steps,)
        After each step, by names: `V` in mV, `w` and `u`, `threshold` in mV, `ex` and `inh`
        (synaptic currents in pA or conductances in nS, magnitudes). Not each reference has all.
    """

    spikes: U32
    states: dict[str, F64]


def integrate(
    changes: Callable[[F64], F64],
    state: F64,
    duration_ms: float,
    *,
    method: Method = "DOP853",
    peak_mV: float | None = None,
) -> tuple[float, F64]:
    """Integrate to the end, or to where V reaches its peak.

    Parameters
    ----------
    changes : callable
        Returns the change of each state variable per ms.
    state : ndarray of float64, shape (n,)
        V is the first.
    duration_ms : float
    method : {"DOP853", "LSODA"}
        Of `scipy.integrate.solve_ivp`.
    peak_mV : float, optional

    Returns
    -------
    elapsed_ms : float
        Equal to `duration_ms` if V has not reached its peak.
    state : ndarray of float64, shape (n,)
    """
    from scipy.integrate import solve_ivp

    events: list[Any] = []
    bound = np.inf
    if peak_mV is not None:
        bound = peak_mV

        def crossing(_: float, y: F64) -> float:
            return float(y[0] - bound)

        crossing.terminal, crossing.direction = True, 1.0  # type: ignore[attr-defined]
        events.append(crossing)

    def bounded(_: float, y: F64) -> F64:
        # A trial beyond the peak must not overflow; the solution ends there anyway.
        return changes(np.concatenate([[min(float(y[0]), bound + 2.0)], y[1:]]))

    found = solve_ivp(
        bounded, (0.0, duration_ms), state, method=method, rtol=TOLERANCE, atol=TOLERANCE,
        events=events,
    )  # fmt: skip
    if not found.success:
        raise ArithmeticError(found.message)
    return float(found.t[-1]), np.asarray(found.y[:, -1], dtype=np.float64)


def simulate(
    neuron: Neuron, stimulus: Stimulus, *, resets_in_step: bool = False, method: Method = "DOP853"
) -> Trace:
    """Integrate one neuron.

    Parameters
    ----------
    neuron : Neuron
        Parameters; solver and substeps have no meaning here.
    stimulus : Stimulus
    resets_in_step : bool
        Whether a neuron whose V runs to infinity is reset where V reaches its peak rather than at
        the end of the step.
    method : {"DOP853", "LSODA"}
        Of `scipy.integrate.solve_ivp`.

    Returns
    -------
    Trace

    Raises
    ------
    InvalidInputError
        If there are no equations of the neuron, or an initial value is of no state variable.
    """
    equations = Equations(neuron)
    state = equations.start(stimulus.initial)
    ref_steps = round(neuron.t_ref_ms / stimulus.dt_ms)
    remaining = 0
    spikes: list[int] = []
    rows = np.empty((stimulus.steps, len(equations.names)))
    for number in range(stimulus.steps):
        dc_pA = float(stimulus.dc_pA[number])
        held = equations.holds and remaining > 0
        left_ms, fired = stimulus.dt_ms, False
        while left_ms > 0.0:
            # Below this nothing changes any more, and a solver finds no first step.
            if left_ms < 1e-13:
                break
            elapsed_ms, state = integrate(
                partial(equations.changes, dc_pA=dc_pA, is_held=held),
                state,
                left_ms,
                method=method,
                peak_mV=None if held else equations.peak_mV,
            )
            left_ms -= elapsed_ms
            if left_ms <= 0.0:
                break
            # The event is located to a few units in the last place.
            state[0] = equations.peak_mV
            if resets_in_step:
                state, fired = equations.reset(state), True
                held = equations.holds and ref_steps > 0
            else:
                held = True
        is_free = remaining == 0
        V = state[0]
        state = equations.arrive(state, float(stimulus.ex[number]), float(stimulus.inh[number]))
        if equations.holds and (not is_free or (fired and ref_steps > 0)):
            state[0] = V
        remaining = max(remaining - 1, 0)
        if is_free and state[0] >= equations.threshold_mV(state):
            state, fired = equations.reset(state), True
        if fired:
            spikes.append(number + 1)
            remaining = ref_steps
        rows[number] = state
    states = {"V": rows[:, 0].copy()}
    for name in ("w", "u", "th_1", "th_2", "th_V", "x"):
        if name in equations.index:
            states[name] = rows[:, equations.index[name]].copy()
    if "th_1" in equations.index:
        states["threshold"] = np.asarray(equations.threshold_mV(rows.T))
    if neuron.kernel != "delta":
        states["ex"], states["inh"] = (np.asarray(x) for x in equations.synaptic(rows.T))
    return Trace(spikes=np.array(spikes, dtype=np.uint32), states=states)
