"""Leaky integrate-and-fire neuron with exponential synaptic currents, integrated exactly.

State: V (mV relative to E_L), I_ex and I_in (synaptic currents in units of the weight grid; I_in is
the magnitude of an inhibitory current), refractory (steps left). The order of a step is that of
NEST's `iaf_psc_exp`: V from the old currents, unless refractory; the currents decay and take the
step's input; then threshold, reset and refractory count.

References
----------
Rotter & Diesmann (1999) Biol. Cybern. 81:381 (exact integration).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from csnn.binary32 import round_to_binary32
from csnn.errors import reject
from csnn.neurons.graph import Graph, Kind, Trace, decrement, is_zero, select, to_f32
from csnn.neurons.model import NeuronModel, reject_constant
from csnn.spec import checks
from csnn.spec.network import LifNeuron

_MAX_REF_STEPS = 65535


@dataclass(frozen=True, kw_only=True)
class Propagators:
    """One step of the linear system in float64: V <- P22 V + P21_ex I_ex + P21_in I_in + P20 I.

    P21 and P20 are in mV/pA (P21_in > 0 acts on a signed current); the others have no unit.
    """

    P22: float
    P21_ex: float
    P21_in: float
    P20: float
    P11_ex: float
    P11_in: float


def _current_to_potential(tau_m_ms: float, tau_syn_ms: float, C_m_pF: float, dt_ms: float) -> float:
    # (exp(-dt/tau_m) - exp(-dt/tau_syn)) tau_m tau_syn / (C (tau_m - tau_syn)), written so that
    # neither the differences nor equal time constants lose digits.
    slower = max(tau_m_ms, tau_syn_ms)
    x = -dt_ms * (abs(tau_m_ms - tau_syn_ms) / (tau_m_ms * tau_syn_ms))
    mean_decay = math.expm1(x) / x if x != 0.0 else 1.0
    return dt_ms / C_m_pF * math.exp(-dt_ms / slower) * mean_decay


def propagators(neuron: LifNeuron, dt_ms: float) -> Propagators:
    """Compute the exact propagators of a neuron over `dt_ms`, to a few units in the last place."""
    checks.positive("neuron", "dt_ms", dt_ms)
    tau_m, c_m = neuron.tau_m_ms, neuron.C_m_pF
    return Propagators(
        P22=math.exp(-dt_ms / tau_m),
        P21_ex=_current_to_potential(tau_m, neuron.tau_syn_ex_ms, c_m, dt_ms),
        P21_in=_current_to_potential(tau_m, neuron.tau_syn_in_ms, c_m, dt_ms),
        P20=-tau_m / c_m * math.expm1(-dt_ms / tau_m),
        P11_ex=math.exp(-dt_ms / neuron.tau_syn_ex_ms),
        P11_in=math.exp(-dt_ms / neuron.tau_syn_in_ms),
    )


def refractory_steps(neuron: LifNeuron, dt_ms: float) -> int:
    """Return t_ref in steps; InvalidInputError if it is no multiple of `dt_ms`."""
    steps = neuron.t_ref_ms / dt_ms
    if steps > _MAX_REF_STEPS or not math.isclose(steps, round(steps), abs_tol=1e-6):
        rule = f"must be a multiple of dt_ms = {dt_ms} of at most {_MAX_REF_STEPS} steps"
        raise reject("neuron.t_ref_ms", neuron.t_ref_ms, rule)
    return round(steps)


def lif_constants(
    neuron: LifNeuron, *, dt_ms: float, weight_grid: float, dc_pA: float = 0.0
) -> dict[str, float | int]:
    """Compute the constants of the LIF graph in float64 (see `NeuronModel.constants`)."""
    checks.positive("machine", "weight_grid", weight_grid)
    if math.frexp(weight_grid)[0] != 0.5:
        raise reject("machine.weight_grid", weight_grid, "must be a power of two")
    checks.real("dc", "current_pA", dc_pA)

    def values(neuron: LifNeuron) -> dict[str, float | int]:
        return _values(neuron, dt_ms, weight_grid, dc_pA)

    constants = values(neuron)
    rounded = {name: float(round_to_binary32(float(x))) for name, x in constants.items()}
    for name in ("P21_ex", "P21_in"):
        if rounded[name] == 0.0:
            rule = "underflows binary32: synaptic input would have no effect"
            raise reject_constant(neuron, name, constants[name], rule, values)
    if rounded["V_reset"] >= rounded["theta"]:
        raise reject("neuron.V_reset_mV", neuron.V_reset_mV, "must be < V_th_mV in binary32")
    return constants


def _values(
    neuron: LifNeuron, dt_ms: float, weight_grid: float, dc_pA: float
) -> dict[str, float | int]:
    exact = propagators(neuron, dt_ms)
    return {
        "P22": exact.P22,
        "P21_ex": exact.P21_ex * weight_grid,
        "P21_in": -exact.P21_in * weight_grid,
        "P11_ex": exact.P11_ex,
        "P11_in": exact.P11_in,
        "C_dc": exact.P20 * dc_pA,
        "theta": neuron.V_th_mV - neuron.E_L_mV,
        "V_reset": neuron.V_reset_mV - neuron.E_L_mV,
        "ref_steps": refractory_steps(neuron, dt_ms),
    }


def lif_graph() -> Graph:
    """Trace one step of the LIF neuron."""
    trace = Trace()
    ss_ex, ss_in = trace.input("ss_ex", Kind.I32), trace.input("ss_in", Kind.I32)
    V, I_ex, I_in = trace.state("V"), trace.state("I_ex"), trace.state("I_in")
    refractory = trace.state("refractory", Kind.I32)
    P22, P21_ex, P21_in = (trace.constant(name) for name in ("P22", "P21_ex", "P21_in"))
    P11_ex, P11_in = trace.constant("P11_ex"), trace.constant("P11_in")
    C_dc, theta, V_reset = (trace.constant(name) for name in ("C_dc", "theta", "V_reset"))
    ref_steps = trace.constant("ref_steps", Kind.I32)

    # Summed in pairs: one multiplication and two additions deep.
    driven = (P22 * V + P21_ex * I_ex) + (P21_in * I_in + C_dc)
    V_free = select(is_zero(refractory), driven, V)
    spike = V_free >= theta
    return trace.build(
        next_state={
            "V": select(spike, V_reset, V_free),
            "I_ex": P11_ex * I_ex + to_f32(ss_ex),
            "I_in": P11_in * I_in + to_f32(ss_in),
            "refractory": select(spike, ref_steps, decrement(refractory)),
        },
        outputs={"spike": spike},
    )


LIF = NeuronModel(name="lif", neuron_type=LifNeuron, graph=lif_graph(), rule=lif_constants)
