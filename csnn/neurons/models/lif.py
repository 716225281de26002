"""The leaky integrate-and-fire neuron.

    V' = -(V - E_L) / tau_m + I / C
    V >= V_th:  V <- V_reset, held for t_ref

References
----------
Rotter & Diesmann (1999) Biol. Cybern. 81:381 (exact integration); NEST `iaf_psc_exp`.
"""

from __future__ import annotations

from collections.abc import Mapping

from csnn.neurons.description import Constants, Firing, NeuronDescription
from csnn.neurons.equations import Expression
from csnn.neurons.graph import Value
from csnn.neurons.models.leaky import leaky, leaky_constants
from csnn.spec.neuron import LifNeuron


class Lif(NeuronDescription):
    """LIF."""

    parameters = LifNeuron

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand side of V."""
        return {"V": leaky(drive)}

    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Compare V with the threshold."""
        return Firing(spike=after["V"] >= constants["theta"], reset={"V": constants["V_reset"]})

    def constants(self, neuron: LifNeuron, h_ms: float) -> dict[str, float]:
        """Return the constants of the equations."""
        return {
            **leaky_constants(neuron.tau_m_ms, neuron.C_m_pF, h_ms),
            "theta": neuron.V_th_mV - neuron.E_L_mV,
            "V_reset": neuron.V_reset_mV - neuron.E_L_mV,
        }
