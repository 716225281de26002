"""The multi-timescale adaptive threshold neuron with two time constants.

    V' = -(V - E_L) / tau_m + I / C        theta_i' = -theta_i / tau_i
    V >= omega + theta_1 + theta_2, not refractory:  theta_i <- theta_i + alpha_i; V goes on

References
----------
Kobayashi, Tsubo & Shinomoto (2009) Front. Comput. Neurosci. 3:9; NEST `mat2_psc_exp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from csnn.neurons.description import Constants, Firing, NeuronDescription
from csnn.neurons.equations import Constant, Expression, Variable
from csnn.neurons.graph import Value
from csnn.neurons.models.leaky import leaky, leaky_constants
from csnn.spec.neuron import Neuron


@dataclass(frozen=True, kw_only=True)
class Mat2Neuron(Neuron):
    """Parameters, with NEST's defaults."""

    model: ClassVar[str] = "mat2"
    synonyms: ClassVar[Mapping[str, str]] = {"V_th_mV": "omega_mV"}
    comments: ClassVar[Mapping[str, str]] = {
        "C_m_pF": "membrane capacitance",
        "tau_m_ms": "membrane time constant",
        "E_L_mV": "resting potential",
        "omega_mV": "threshold at rest",
        "tau_1_ms": "decay of the threshold's first part",
        "tau_2_ms": "decay of the threshold's second part",
        "alpha_1_mV": "what a spike adds to the first part",
        "alpha_2_mV": "what a spike adds to the second part",
    }

    C_m_pF: float = 100.0
    tau_m_ms: float = 5.0
    E_L_mV: float = -70.0
    omega_mV: float = -51.0
    tau_1_ms: float = 10.0
    tau_2_ms: float = 200.0
    alpha_1_mV: float = 37.0
    alpha_2_mV: float = 2.0


class Mat2(NeuronDescription):
    """MAT2."""

    parameters = Mat2Neuron
    is_held = False

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand sides of V and of both parts of the threshold."""
        return {
            "V": leaky(drive),
            "th_1": Constant("decay_1") * Variable("th_1"),
            "th_2": Constant("decay_2") * Variable("th_2"),
        }

    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Compare V with the threshold, which a spike raises."""
        threshold = constants["omega"] + (after["th_1"] + after["th_2"])
        return Firing(
            spike=after["V"] >= threshold,
            reset={name: after[name] + constants[f"alpha{name[-2:]}"] for name in ("th_1", "th_2")},
        )

    def constants(self, neuron: Mat2Neuron, h_ms: float) -> dict[str, float]:
        """Return the constants of the equations."""
        return {
            **leaky_constants(neuron.tau_m_ms, neuron.C_m_pF, h_ms),
            "decay_1": -h_ms / neuron.tau_1_ms,
            "decay_2": -h_ms / neuron.tau_2_ms,
            "omega": neuron.omega_mV - neuron.E_L_mV,
            "alpha_1": neuron.alpha_1_mV,
            "alpha_2": neuron.alpha_2_mV,
        }
