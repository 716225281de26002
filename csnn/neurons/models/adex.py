"""The adaptive exponential integrate-and-fire neuron.

    C V' = -g_L (V - E_L) + g_L Delta_T exp((V - V_T) / Delta_T) - w + I
    tau_w w' = a (V - E_L) - w
    V >= V_peak:  V <- V_reset, w <- w + b

For series the exponential is a variable of its own, E in mV per step, with E' = E V' / Delta_T.
It is no state of the neuron: each part of a step begins with the E that belongs to V.

The reset is at the end of a step, that of NEST's `aeif` within it: with t_ref = 0 each spike loses
half a step on average ([accuracy.md](accuracy.md)).

References
----------
Brette & Gerstner (2005) J. Neurophysiol. 94:3637; NEST `aeif_psc_exp`, `aeif_cond_exp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from csnn.errors import reject
from csnn.neurons.description import Constants, Firing, NeuronDescription
from csnn.neurons.equations import Constant, Exponential, Expression, Rate, Sum, Variable
from csnn.neurons.graph import Value
from csnn.spec.neuron import Neuron

# The upstroke must stay within binary32.
_MAX_EXPONENT = 60.0


@dataclass(frozen=True, kw_only=True)
class AdexNeuron(Neuron):
    """Parameters, with NEST's defaults."""

    model: ClassVar[str] = "adex"
    positive: ClassVar[tuple[str, ...]] = ("C_m_pF", "g_L_nS", "Delta_T_mV")
    comments: ClassVar[Mapping[str, str]] = {
        "C_m_pF": "membrane capacitance",
        "g_L_nS": "leak conductance",
        "E_L_mV": "resting potential",
        "V_T_mV": "potential at which a spike sets in",
        "Delta_T_mV": "sharpness of its onset",
        "a_nS": "adaptation below threshold",
        "b_pA": "adaptation by each spike",
        "tau_w_ms": "decay of the adaptation",
        "V_peak_mV": "where a spike is detected",
        "V_reset_mV": "potential after a spike",
    }

    solver: str = "rk4"
    C_m_pF: float = 281.0
    g_L_nS: float = 30.0
    E_L_mV: float = -70.6
    V_T_mV: float = -50.4
    Delta_T_mV: float = 2.0
    a_nS: float = 4.0
    b_pA: float = 80.5
    tau_w_ms: float = 144.0
    V_peak_mV: float = 0.0
    V_reset_mV: float = -60.0
    t_ref_ms: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._below("V_reset_mV", "V_peak_mV")
        if self.V_peak_mV < self.V_T_mV:
            raise reject("neuron.V_peak_mV", self.V_peak_mV, "must be >= V_T_mV, as in NEST")
        exponent = (self.V_peak_mV - self.V_T_mV) / self.Delta_T_mV
        if exponent > _MAX_EXPONENT:
            rule = f"(V_peak_mV - V_T_mV) / Delta_T_mV = {exponent:g} must be <= {_MAX_EXPONENT:g}"
            raise reject("neuron.V_peak_mV", self.V_peak_mV, rule)


class Adex(NeuronDescription):
    """AdEx."""

    parameters = AdexNeuron
    bounds: ClassVar[Mapping[str, str]] = {"V": "theta"}

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand sides of V, w and, for series, E."""
        V, w, E = Variable("V"), Variable("w"), Variable("E")
        terms = [
            Constant("leak") * V,
            E if is_series else self._growth(),
            Constant("w_on_V") * w,
            Constant("bias"),
        ]
        if drive is not None:
            terms.append(drive)
        found: dict[str, Expression] = {
            "V": Sum(tuple(terms)),
            "w": Constant("V_on_w") * V + Constant("w_on_w") * w,
        }
        if is_series:
            found["E"] = Constant("slope") * (E * Rate("V"))
        return found

    def series_variables(self) -> dict[str, Expression]:
        """Return the exponential."""
        return {"E": self._growth()}

    def _growth(self) -> Expression:
        onset = Constant("slope") * (Variable("V") - Constant("V_T"))
        return Constant("sharpness") * Exponential(onset)

    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Compare V with the peak; what is no number fires, too."""
        return Firing(
            spike=~(after["V"] < constants["theta"]),
            reset={"V": constants["V_reset"], "w": after["w"] + constants["b"]},
        )

    def constants(self, neuron: AdexNeuron, h_ms: float) -> dict[str, float]:
        """Return the constants of the equations."""
        per_pA = h_ms / neuron.C_m_pF
        return {
            "leak": -per_pA * neuron.g_L_nS,
            "sharpness": per_pA * neuron.g_L_nS * neuron.Delta_T_mV,
            "slope": 1.0 / neuron.Delta_T_mV,
            "V_T": neuron.V_T_mV - neuron.E_L_mV,
            "w_on_V": -per_pA,
            "V_on_w": neuron.a_nS * h_ms / neuron.tau_w_ms,
            "w_on_w": -h_ms / neuron.tau_w_ms,
            "drive": per_pA,
            "input": per_pA,
            "bias": 0.0,
            "theta": neuron.V_peak_mV - neuron.E_L_mV,
            "V_reset": neuron.V_reset_mV - neuron.E_L_mV,
            "b": neuron.b_pA,
        }
