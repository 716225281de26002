"""The quadratic integrate-and-fire neuron.

    C V' = g_L (V - E_L) (V - V_c) / (V_c - E_L) + I
    V >= V_peak:  V <- V_reset, held for t_ref

Near E_L it leaks like LIF; beyond V_c it goes on to a spike by itself.

References
----------
Ermentrout & Kopell (1986) SIAM J. Appl. Math. 46:233; Latham, Richmond, Nelson & Nirenberg (2000)
J. Neurophysiol. 83:808.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from csnn.neurons.description import Constants, Firing, NeuronDescription
from csnn.neurons.equations import Constant, Expression, Sum, Variable
from csnn.neurons.graph import Value
from csnn.spec.neuron import Neuron


@dataclass(frozen=True, kw_only=True)
class QifNeuron(Neuron):
    """Parameters; as they stand a current of 37.5 pA makes the neuron fire."""

    model: ClassVar[str] = "qif"
    positive: ClassVar[tuple[str, ...]] = ("C_m_pF", "g_L_nS")
    comments: ClassVar[Mapping[str, str]] = {
        "C_m_pF": "membrane capacitance",
        "g_L_nS": "leak conductance at rest",
        "E_L_mV": "resting potential",
        "V_c_mV": "potential from which a spike comes by itself",
        "V_peak_mV": "where a spike is detected",
        "V_reset_mV": "potential after a spike",
    }

    solver: str = "rk4"
    C_m_pF: float = 200.0
    g_L_nS: float = 10.0
    E_L_mV: float = -65.0
    V_c_mV: float = -50.0
    V_peak_mV: float = 20.0
    V_reset_mV: float = -60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._below("E_L_mV", "V_c_mV")
        self._below("V_c_mV", "V_peak_mV")
        self._below("V_reset_mV", "V_peak_mV")


class Qif(NeuronDescription):
    """QIF."""

    parameters = QifNeuron
    bounds: ClassVar[Mapping[str, str]] = {"V": "theta"}

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand side of V, which is relative to E_L."""
        V = Variable("V")
        terms = [Constant("square") * (V * V), Constant("leak") * V, Constant("bias")]
        if drive is not None:
            terms.append(drive)
        return {"V": Sum(tuple(terms))}

    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Compare V with the peak; what is no number fires, too."""
        return Firing(spike=~(after["V"] < constants["theta"]), reset={"V": constants["V_reset"]})

    def constants(self, neuron: QifNeuron, h_ms: float) -> dict[str, float]:
        """Return the constants of the equations."""
        per_pA = h_ms / neuron.C_m_pF
        return {
            "square": per_pA * neuron.g_L_nS / (neuron.V_c_mV - neuron.E_L_mV),
            "leak": -per_pA * neuron.g_L_nS,
            "bias": 0.0,
            "drive": per_pA,
            "input": per_pA,
            "theta": neuron.V_peak_mV - neuron.E_L_mV,
            "V_reset": neuron.V_reset_mV - neuron.E_L_mV,
        }
