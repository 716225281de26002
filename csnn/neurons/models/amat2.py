"""The augmented MAT2 neuron, whose threshold follows the membrane potential, too.

As MAT2, with theta_V = beta times the integral of V'(t - s) s exp(-s / tau_V) over s > 0:

    theta_V' = -theta_V / tau_V + x        x' = -x / tau_V + beta V'
    V >= omega + theta_1 + theta_2 + theta_V, not refractory:  as MAT2

Some parameters in Table 1 of Yamauchi et al. are wrong, as NEST's documentation warns; Table 4 of
Heiberg et al. has the right ones.

References
----------
Yamauchi, Kim & Shinomoto (2011) Front. Comput. Neurosci. 5:42; Heiberg, Kriener, Tetzlaff, Einevoll
& Plesser (2018) J. Comput. Neurosci. 45:103; NEST `amat2_psc_exp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from csnn.neurons.description import Constants, Firing, NeuronDescription
from csnn.neurons.equations import Constant, Expression, Rate, Variable
from csnn.neurons.graph import Value
from csnn.neurons.models.leaky import leaky, leaky_constants
from csnn.spec.neuron import Neuron


@dataclass(frozen=True, kw_only=True)
class Amat2Neuron(Neuron):
    """Parameters, with NEST's defaults."""

    model: ClassVar[str] = "amat2"
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
        "tau_V_ms": "time constant of the part that follows V",
        "beta_per_ms": "strength of the part that follows V",
    }

    C_m_pF: float = 200.0
    tau_m_ms: float = 10.0
    E_L_mV: float = -70.0
    omega_mV: float = -65.0
    tau_1_ms: float = 10.0
    tau_2_ms: float = 200.0
    alpha_1_mV: float = 10.0
    alpha_2_mV: float = 0.0
    tau_V_ms: float = 5.0
    beta_per_ms: float = 0.0


class Amat2(NeuronDescription):
    """Augmented MAT2."""

    parameters = Amat2Neuron
    is_held = False

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand sides of V and of all parts of the threshold."""
        change = Rate("V") if is_series else leaky(drive)
        decay = Constant("decay_V")
        return {
            "V": leaky(drive),
            "th_1": Constant("decay_1") * Variable("th_1"),
            "th_2": Constant("decay_2") * Variable("th_2"),
            "th_V": Constant("gain_V") * Variable("x") + decay * Variable("th_V"),
            "x": decay * Variable("x") + Constant("beta") * change,
        }

    def jumped(
        self, change: Value, values: Mapping[str, Value], constants: Constants
    ) -> dict[str, Value]:
        """Let x jump, too: it follows the change of V."""
        return {"x": values["x"] + constants["beta"] * change}

    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Compare V with the threshold, which a spike raises."""
        threshold = (constants["omega"] + after["th_V"]) + (after["th_1"] + after["th_2"])
        return Firing(
            spike=after["V"] >= threshold,
            reset={name: after[name] + constants[f"alpha{name[-2:]}"] for name in ("th_1", "th_2")},
        )

    def constants(self, neuron: Amat2Neuron, h_ms: float) -> dict[str, float]:
        """Return the constants of the equations."""
        return {
            **leaky_constants(neuron.tau_m_ms, neuron.C_m_pF, h_ms),
            "decay_1": -h_ms / neuron.tau_1_ms,
            "decay_2": -h_ms / neuron.tau_2_ms,
            "decay_V": -h_ms / neuron.tau_V_ms,
            "gain_V": h_ms,
            "beta": neuron.beta_per_ms,
            "omega": neuron.omega_mV - neuron.E_L_mV,
            "alpha_1": neuron.alpha_1_mV,
            "alpha_2": neuron.alpha_2_mV,
        }
