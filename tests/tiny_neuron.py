"""A neuron model without binary32 sums and products, for benches of the units around the pipelines.

Refractory time, threshold, reset and spike are those of the LIF neuron; binary32 units, whose
faults show in few operands only, have benches of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from csnn.hardware.config import NodeConfig
from csnn.neurons.graph import Graph, Kind, Trace, decrement, is_zero, select, to_f32
from csnn.neurons.model import NeuronModel
from csnn.spec.network import LifNeuron


def _graph() -> Graph:
    trace = Trace()
    ss_ex, ss_in = trace.input("ss_ex", Kind.I32), trace.input("ss_in", Kind.I32)
    V, I_ex, I_in = trace.state("V"), trace.state("I_ex"), trace.state("I_in")
    refractory = trace.state("refractory", Kind.I32)
    C_dc, theta, V_reset = (trace.constant(name) for name in ("C_dc", "theta", "V_reset"))
    ref_steps = trace.constant("ref_steps", Kind.I32)
    is_free = is_zero(refractory)
    V_free = select(is_free, I_ex, V)
    spike = V_free >= theta
    return trace.build(
        next_state={
            "V": select(spike, V_reset, V_free),
            "I_ex": to_f32(ss_ex + select(is_free, ref_steps, ss_in)),
            "I_in": select(is_zero(ss_in), C_dc, I_in),
            "refractory": select(spike, ref_steps, decrement(refractory)),
        },
        outputs={"spike": spike},
    )


def _no_rule(neuron: Any, *, dt_ms: float, weight_grid: float, dc_pA: float) -> dict[str, float]:
    raise NotImplementedError("nothing describes such a neuron")


TINY = NeuronModel(name="tiny", neuron_type=LifNeuron, graph=_graph(), rule=_no_rule)


@dataclass(frozen=True, kw_only=True)
class TinyConfig(NodeConfig):
    """A node with such neurons."""

    @property
    def neuron_model(self) -> NeuronModel:
        """The neuron model."""
        return TINY
