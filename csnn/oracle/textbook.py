"""The equations of all neurons with their synapses as textbooks have them, in float64.

Units are mV, ms, pA, nS and pF; potentials are absolute and inhibition is a magnitude. Written from
the literature: nothing here is shared with the neuron models, which count in steps and in units of
a grid, relative to the resting potential.

References
----------
Rotter & Diesmann (1999) Biol. Cybern. 81:381 (LIF, alpha); Roth & van Rossum (2009) in
Computational Modeling Methods for Neuroscientists, ch. 6 (beta); Kobayashi, Tsubo & Shinomoto
(2009) Front. Comput. Neurosci. 3:9 (MAT2); Yamauchi, Kim & Shinomoto (2011) ibid. 5:42 (AMAT2);
Izhikevich (2003) IEEE Trans. Neural Netw. 14:1569; Brette & Gerstner (2005) J. Neurophysiol.
94:3637 (AdEx).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec.neuron import Neuron

F64 = npt.NDArray[np.float64]
SIDES = ("ex", "in")
_OWN = {
    "lif": ("V",),
    "mat2": ("V", "th_1", "th_2"),
    "amat2": ("V", "th_1", "th_2", "th_V", "x"),
    "izhikevich": ("V", "u"),
    "adex": ("V", "w"),
}
# Two state variables of the synapses of each side, one for `exp`.
_SYNAPTIC = {"delta": (), "exp": ("y",), "alpha": ("y", "z"), "beta": ("decaying", "rising")}


class Equations:
    """The system of one neuron.

    Parameters
    ----------
    neuron : Neuron
        Its parameters, of any model that has a file in `csnn.neurons.models`.

    Raises
    ------
    InvalidInputError
        If there are no equations of such a neuron here.
    """

    def __init__(self, neuron: Neuron) -> None:
        if neuron.model not in _OWN:
            raise reject("neuron.model", neuron.model, "the oracle has no equations of it")
        # The fields depend on the model.
        self.neuron: Any = neuron
        synaptic = [f"{name}_{side}" for side in SIDES for name in _SYNAPTIC[neuron.kernel]]
        self.names = (*_OWN[neuron.model], *synaptic)
        self.index = {name: number for number, name in enumerate(self.names)}
        self._peak = {side: self._beta_peak(side) for side in SIDES}

    def _beta_peak(self, side: str) -> float:
        """Return the largest value of exp(-t / decay) - exp(-t / rise)."""
        decay = getattr(self.neuron, f"tau_syn_{side}_ms")
        rise = getattr(self.neuron, f"tau_rise_{side}_ms")
        if self.neuron.kernel != "beta" or decay == rise:
            return 1.0
        peak_ms = math.log(decay / rise) * rise * decay / (decay - rise)
        return math.exp(-peak_ms / decay) - math.exp(-peak_ms / rise)

    def start(self, initial: Mapping[str, float]) -> F64:
        """Return the state that has these values and is zero elsewhere."""
        unknown = set(initial) - set(self.names)
        if unknown:
            raise reject("initial", sorted(unknown), f"must be of {', '.join(self.names)}")
        return np.array([initial.get(name, 0.0) for name in self.names], dtype=np.float64)

    def arrive(self, state: F64, ex: float, inh: float) -> F64:
        """Return the state after spikes of these summed weights have arrived."""
        state = state.copy()
        kernel, neuron = self.neuron.kernel, self.neuron
        for side, weight in zip(SIDES, (ex, inh), strict=True):
            if kernel == "exp":
                state[self.index[f"y_{side}"]] += weight
            elif kernel == "alpha":
                tau_ms = getattr(neuron, f"tau_syn_{side}_ms")
                state[self.index[f"z_{side}"]] += weight * math.e / tau_ms
            elif kernel == "beta":
                for name in _SYNAPTIC["beta"]:
                    state[self.index[f"{name}_{side}"]] += weight / self._peak[side]
        if kernel == "delta":
            V = state[0]
            if neuron.coupling == "cuba":
                state[0] = V + ex - inh
            else:
                state[0] = V + ex * (neuron.E_ex_mV - V) + inh * (neuron.E_in_mV - V)
            if "x" in self.index:
                # x' contains beta V', and V' a pulse of the height of the jump.
                state[self.index["x"]] += neuron.beta_per_ms * (state[0] - V)
        return state

    def synaptic(self, state: F64) -> tuple[Any, Any]:
        """Return what acts of both sides: currents in pA or conductances in nS."""
        found = []
        for side in SIDES:
            if self.neuron.kernel == "delta":
                found.append(0.0)
            elif self.neuron.kernel == "beta":
                found.append(
                    state[self.index[f"decaying_{side}"]] - state[self.index[f"rising_{side}"]]
                )
            else:
                found.append(state[self.index[f"y_{side}"]])
        return found[0], found[1]

    def _current(self, state: F64, V: float) -> float:
        """Return the synaptic current in pA."""
        ex, inh = self.synaptic(state)
        if self.neuron.coupling == "cuba":
            return float(ex - inh)
        return float(ex * (self.neuron.E_ex_mV - V) + inh * (self.neuron.E_in_mV - V))

    def _synaptic_changes(self, state: F64, change: F64) -> None:
        for side in SIDES:
            tau_ms = getattr(self.neuron, f"tau_syn_{side}_ms")
            if self.neuron.kernel == "beta":
                decaying, rising = (self.index[f"{n}_{side}"] for n in _SYNAPTIC["beta"])
                change[decaying] = -state[decaying] / tau_ms
                change[rising] = -state[rising] / getattr(self.neuron, f"tau_rise_{side}_ms")
            elif self.neuron.kernel != "delta":
                y = self.index[f"y_{side}"]
                change[y] = -state[y] / tau_ms
                if self.neuron.kernel == "alpha":
                    z = self.index[f"z_{side}"]
                    change[y] += state[z]
                    change[z] = -state[z] / tau_ms

    def changes(self, state: F64, dc_pA: float, is_held: bool = False) -> F64:
        """Return the change of each state variable per ms.

        Parameters
        ----------
        state : ndarray of float64, shape (len(names),)
        dc_pA : float
            Direct current.
        is_held : bool
            Whether V stands still.
        """
        neuron = self.neuron
        change = np.zeros_like(state)
        V = float(state[0])
        current = self._current(state, V) + dc_pA
        match neuron.model:
            case "lif" | "mat2" | "amat2":
                change[0] = -(V - neuron.E_L_mV) / neuron.tau_m_ms + current / neuron.C_m_pF
            case "izhikevich":
                u = float(state[1])
                change[0] = 0.04 * V**2 + 5.0 * V + 140.0 - u + current
                change[1] = neuron.a_per_ms * (neuron.b * V - u)
            case "adex":
                w = float(state[1])
                leak = -neuron.g_L_nS * (V - neuron.E_L_mV)
                onset = math.exp((V - neuron.V_T_mV) / neuron.Delta_T_mV)
                spike = neuron.g_L_nS * neuron.Delta_T_mV * onset
                change[0] = (leak + spike - w + current) / neuron.C_m_pF
                change[1] = (neuron.a_nS * (V - neuron.E_L_mV) - w) / neuron.tau_w_ms
        if is_held:
            change[0] = 0.0
        if "th_1" in self.index:
            for name in ("1", "2"):
                at = self.index[f"th_{name}"]
                change[at] = -state[at] / getattr(neuron, f"tau_{name}_ms")
        if "x" in self.index:
            th_V, x = self.index["th_V"], self.index["x"]
            change[th_V] = state[x] - state[th_V] / neuron.tau_V_ms
            change[x] = neuron.beta_per_ms * change[0] - state[x] / neuron.tau_V_ms
        self._synaptic_changes(state, change)
        return change

    @property
    def peak_mV(self) -> float | None:
        """Where V is cut off on its way to infinity; None if it has no such way."""
        if self.neuron.model == "adex":
            return float(self.neuron.V_peak_mV)
        return float(self.neuron.V_th_mV) if self.neuron.model == "izhikevich" else None

    @property
    def holds(self) -> bool:
        """Whether V stands still while the neuron is refractory."""
        return self.neuron.model in ("lif", "adex")

    def threshold_mV(self, state: F64) -> Any:
        """Return what V is compared with."""
        neuron = self.neuron
        if neuron.model in ("mat2", "amat2"):
            parts = [state[self.index[name]] for name in self.names if name.startswith("th_")]
            return neuron.omega_mV + sum(parts)
        return neuron.V_th_mV if neuron.model == "lif" else self.peak_mV

    def reset(self, state: F64) -> F64:
        """Return the state after a spike."""
        state = state.copy()
        neuron = self.neuron
        match neuron.model:
            case "lif":
                state[0] = neuron.V_reset_mV
            case "mat2" | "amat2":
                state[self.index["th_1"]] += neuron.alpha_1_mV
                state[self.index["th_2"]] += neuron.alpha_2_mV
            case "izhikevich":
                state[0] = neuron.c_mV
                state[1] += neuron.d_mV
            case "adex":
                state[0] = neuron.V_reset_mV
                state[1] += neuron.b_pA
        return state
