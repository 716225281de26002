"""NEST's models of our neurons: names, parameters, what to record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from csnn.errors import reject
from csnn.spec.neuron import Neuron

# Keeps a neuron from firing before its initial state is set.
HIGH_MV = 1e6
_NAMES = {
    ("lif", "exp", "cuba"): "iaf_psc_exp",
    ("lif", "alpha", "cuba"): "iaf_psc_alpha",
    ("lif", "delta", "cuba"): "iaf_psc_delta",
    ("lif", "exp", "coba"): "iaf_cond_exp",
    ("lif", "alpha", "coba"): "iaf_cond_alpha",
    ("lif", "beta", "coba"): "iaf_cond_beta",
    ("mat2", "exp", "cuba"): "mat2_psc_exp",
    ("amat2", "exp", "cuba"): "amat2_psc_exp",
    ("izhikevich", "delta", "cuba"): "izhikevich",
    ("adex", "exp", "cuba"): "aeif_psc_exp",
    ("adex", "alpha", "cuba"): "aeif_psc_alpha",
    ("adex", "delta", "cuba"): "aeif_psc_delta",
    ("adex", "exp", "coba"): "aeif_cond_exp",
    ("adex", "alpha", "coba"): "aeif_cond_alpha",
    ("adex", "beta", "coba"): "aeif_cond_beta_multisynapse",
}
COMBINATIONS = tuple(_NAMES)


@dataclass(frozen=True, kw_only=True)
class NestModel:
    """A model of NEST and how it is used.

    Attributes
    ----------
    name : str
    parameters : mapping of str
        For its creation; its threshold is out of reach where it has one.
    thresholds : mapping of str to float
        To set when the initial state is.
    recorded, settable : mapping of str to str
        NEST's names of state variables by ours.
    ports : mapping of str to int
        Receptors of both sides; a side that is missing is told by the sign of its weights.
    """

    name: str
    parameters: Mapping[str, Any]
    thresholds: Mapping[str, float]
    recorded: Mapping[str, str]
    settable: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)


def nest_model(neuron: Neuron) -> NestModel:
    """Return NEST's model of a neuron; InvalidInputError if it has none."""
    key = neuron.model, neuron.kernel, neuron.coupling
    if key not in _NAMES:
        found = f"{neuron.model} with {neuron.kernel} kernels, {neuron.coupling}"
        raise reject("neuron", found, "NEST has no such model")
    n: Any = neuron
    recorded = {"V": "V_m"}
    settable = {"V": "V_m"}
    thresholds: dict[str, float] = {}
    ports: dict[str, int] = {}
    match neuron.model:
        case "lif":
            parameters = {"C_m": n.C_m_pF, "E_L": n.E_L_mV, "V_m": n.E_L_mV, "t_ref": n.t_ref_ms}
            parameters |= {"V_reset": n.V_reset_mV, "V_th": HIGH_MV}
            thresholds["V_th"] = n.V_th_mV
            if n.coupling == "cuba":
                parameters["tau_m"] = n.tau_m_ms
            else:
                parameters["g_L"] = n.C_m_pF / n.tau_m_ms
        case "mat2" | "amat2":
            parameters = {
                "C_m": n.C_m_pF, "tau_m": n.tau_m_ms, "E_L": n.E_L_mV, "V_m": n.E_L_mV,
                "t_ref": n.t_ref_ms, "tau_1": n.tau_1_ms, "tau_2": n.tau_2_ms,
                "alpha_1": n.alpha_1_mV, "alpha_2": n.alpha_2_mV, "omega": HIGH_MV,
            }  # fmt: skip
            thresholds["omega"] = n.omega_mV
            recorded["threshold"] = "V_th"
            if neuron.model == "amat2":
                parameters |= {"tau_v": n.tau_V_ms, "beta": n.beta_per_ms}
                recorded["th_V"] = "V_th_v"
        case "izhikevich":
            parameters = {"a": n.a_per_ms, "b": n.b, "c": n.c_mV, "d": n.d_mV, "V_th": n.V_th_mV}
            parameters["consistent_integration"] = True
            recorded["u"] = settable["u"] = "U_m"
        case _:
            parameters = {
                "C_m": n.C_m_pF, "g_L": n.g_L_nS, "E_L": n.E_L_mV, "V_m": n.E_L_mV,
                "V_th": n.V_T_mV, "Delta_T": n.Delta_T_mV, "a": n.a_nS, "b": n.b_pA,
                "tau_w": n.tau_w_ms, "V_peak": n.V_peak_mV, "V_reset": n.V_reset_mV,
                "t_ref": n.t_ref_ms,
            }  # fmt: skip
            recorded["w"] = settable["w"] = "w"
    if key == ("adex", "beta", "coba"):
        sides = ("ex", "in")
        parameters |= {
            "E_rev": [n.E_ex_mV, n.E_in_mV],
            "tau_rise": [getattr(n, f"tau_rise_{side}_ms") for side in sides],
            "tau_decay": [getattr(n, f"tau_syn_{side}_ms") for side in sides],
        }
        ports = {"ex": 1, "inh": 2}
        recorded |= {"ex": "g_1", "inh": "g_2"}
    elif neuron.kernel != "delta":
        decay = "decay" if neuron.kernel == "beta" else "syn"
        parameters |= {f"tau_{decay}_ex": n.tau_syn_ex_ms, f"tau_{decay}_in": n.tau_syn_in_ms}
        if neuron.kernel == "beta":
            parameters |= {"tau_rise_ex": n.tau_rise_ex_ms, "tau_rise_in": n.tau_rise_in_ms}
        if neuron.coupling == "coba":
            parameters |= {"E_ex": n.E_ex_mV, "E_in": n.E_in_mV}
            recorded |= {"ex": "g_ex", "inh": "g_in"}
        elif neuron.model != "mat2":
            recorded |= {"ex": "I_syn_ex", "inh": "I_syn_in"}
    return NestModel(
        name=_NAMES[key],
        parameters=parameters,
        thresholds=thresholds,
        recorded=recorded,
        settable=settable,
        ports=ports,
    )
