"""The simple model of Izhikevich.

    V' = 0.04 V**2 + 5 V + 140 - u + I        u' = a (b V - u)
    V >= V_th:  V <- c, u <- u + d

V in mV, t in ms. As in NEST I is in pA, u and d are in mV, and 1 pA or 1 mV of them is 1 mV/ms.
A neuron begins with u = b V.

References
----------
Izhikevich (2003) IEEE Trans. Neural Netw. 14:1569; NEST `izhikevich`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from csnn.neurons.description import Constants, Firing, NeuronDescription
from csnn.neurons.equations import Constant, Expression, Sum, Variable
from csnn.neurons.graph import Value
from csnn.spec.neuron import Neuron


@dataclass(frozen=True, kw_only=True)
class IzhikevichNeuron(Neuron):
    """Parameters; the defaults are those of a regularly spiking cell."""

    model: ClassVar[str] = "izhikevich"
    positive: ClassVar[tuple[str, ...]] = ()
    comments: ClassVar[Mapping[str, str]] = {
        "a_per_ms": "rate of the recovery",
        "b": "its sensitivity to V",
        "c_mV": "potential after a spike",
        "d_mV": "what a spike adds to the recovery",
        "V_th_mV": "where a spike is detected",
    }

    solver: str = "rk4"
    t_ref_ms: float = 0.0

    a_per_ms: float = 0.02
    b: float = 0.2
    c_mV: float = -65.0
    d_mV: float = 8.0
    V_th_mV: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._below("c_mV", "V_th_mV")


class Izhikevich(NeuronDescription):
    """Izhikevich 2003."""

    parameters = IzhikevichNeuron
    bounds: ClassVar[Mapping[str, str]] = {"V": "theta"}

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand sides of V and u."""
        V, u = Variable("V"), Variable("u")
        square, linear = Constant("square"), Constant("linear")
        # As a series V * V has pairs of equal products; otherwise a product is saved.
        polynomial = square * (V * V) + linear * V if is_series else (square * V + linear) * V
        terms = [polynomial, Constant("u_on_V") * u, Constant("bias")]
        if drive is not None:
            terms.append(drive)
        recovery = Constant("V_on_u") * V + Constant("u_on_u") * u
        return {"V": Sum(tuple(terms)), "u": recovery}

    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Compare V with the threshold; what is no number fires, too."""
        return Firing(
            spike=~(after["V"] < constants["theta"]),
            reset={"V": constants["c"], "u": after["u"] + constants["d"]},
        )

    def constants(self, neuron: IzhikevichNeuron, h_ms: float) -> dict[str, float]:
        """Return the constants of the equations."""
        return {
            "square": 0.04 * h_ms,
            "linear": 5.0 * h_ms,
            "bias": 140.0 * h_ms,
            "u_on_V": -h_ms,
            "V_on_u": neuron.a_per_ms * neuron.b * h_ms,
            "u_on_u": -neuron.a_per_ms * h_ms,
            "drive": h_ms,
            "input": h_ms,
            "theta": neuron.V_th_mV,
            "c": neuron.c_mV,
            "d": neuron.d_mV,
        }

    def rest_mV(self, neuron: IzhikevichNeuron) -> float:
        """Return 0: the equations are those of the potential itself."""
        return 0.0

    def start_mV(self, neuron: IzhikevichNeuron) -> float:
        """Return the potential that NEST's `izhikevich` begins with."""
        return -65.0

    def initial(self, neuron: IzhikevichNeuron, V: Any) -> dict[str, Any]:
        """Return u where it does not change at V."""
        return {"u": neuron.b * V}
