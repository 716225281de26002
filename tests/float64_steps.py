"""Steps of AdEx and Izhikevich's neuron in float64, twice: by the graph, and written again.

The second shares nothing with the first: potentials are absolute, time is in ms, and a solver is
applied to power series of which a number is the first coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.neurons.composed import base_constants
from csnn.neurons.graph import Op
from csnn.neurons.registry import Combination, rest_mV
from csnn.spec.neuron import Neuron

F64 = npt.NDArray[np.float64]
Values = dict[str, Any]

DT_MS = 0.1
_RULES: dict[Op, Callable[..., Any]] = {
    Op.FADD: lambda a, b: a + b,
    Op.FSUB: lambda a, b: a - b,
    Op.FMUL: lambda a, b: a * b,
    Op.FEXP: np.exp,
    Op.FGE: lambda a, b: a >= b,
    Op.FLT: lambda a, b: a < b,
    Op.ITOF: np.float64,
    Op.IZERO: lambda a: a == 0,
    Op.IDEC: lambda a: max(a - 1, 0),
    Op.AND: lambda a, b: a and b,
    Op.NOT: lambda a: not a,
    Op.SELECT: lambda condition, a, b: a if condition else b,
}


def by_graph(
    neuron: Neuron, initial: Mapping[str, float], arrivals: Any, *, dc_pA: float, grid: float
) -> dict[str, F64]:
    """Evaluate a step's graph in float64.

    Parameters
    ----------
    neuron : Neuron
    initial : mapping of str to float
        V in mV, and other state variables that do not begin with zero.
    arrivals : ndarray of int, shape (steps, 2)
        Units of the grid on both sides.
    dc_pA, grid : float

    Returns
    -------
    dict of str to ndarray of float64, shape (steps,)
        Every state variable after each step, V in mV, and `spike`.
    """
    step, rest = Combination.of(neuron).step, rest_mV(neuron)
    base = base_constants(step, neuron, dt_ms=DT_MS, weight_grid=grid, dc_pA=dc_pA)
    constants = {**step.numbers(base), "ref_steps": round(neuron.t_ref_ms / DT_MS)}
    state: Values = dict.fromkeys(step.graph.states, np.float64(0.0))
    state |= {name: np.float64(value) for name, value in initial.items()} | {"refractory": 0}
    state["V"] -= rest
    rows: list[Values] = []
    for ex, inh in arrivals:
        leaves = {**state, **constants, "ss_ex": ex, "ss_in": inh}
        found: list[Any] = []
        for node in step.graph.nodes:
            rule = _RULES.get(node.op)
            operands = (found[i] for i in node.operands)
            found.append(rule(*operands) if rule else leaves[node.name])
        state = {name: found[i] for name, i in step.graph.next_state}
        rows.append({**state, "V": state["V"] + rest, "spike": found[step.graph.outputs[0][1]]})
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}


def _times(a: F64, b: F64) -> F64:
    return np.convolve(a, b)[: len(a)]


def _exp(a: F64) -> F64:
    """Return exp of a series: k e_k = sum of j a_j e_(k - j)."""
    found = [np.exp(a[0])]
    for k in range(1, len(a)):
        found.append(sum(j * a[j] * found[k - j] for j in range(1, k + 1)) / k)
    return np.array(found)


class Written:
    """One neuron with `delta` or `exp` synapses.

    Parameters
    ----------
    neuron : AdexNeuron or IzhikevichNeuron
    dc_pA, grid : float
    fault : str
        What is done wrongly, for tests of tests: V is not held within the solver (`stage`) or
        after a part (`part`), not bounded there (`bound`, `part bound`); a series is taken beyond
        the peak (`first order`); what a spike adds (`reset`) or what arrives (`jump`) is left out;
        what arrives moves a V that is held (`held jump`).
    """

    def __init__(self, neuron: Any, *, dc_pA: float, grid: float, fault: str = "") -> None:
        self.neuron, self.dc_pA, self.grid, self.fault = neuron, dc_pA, grid, fault
        self.is_adex = neuron.model == "adex"
        self.peak = neuron.V_peak_mV if self.is_adex else neuron.V_th_mV
        self.own = "w" if self.is_adex else "u"
        symbol = "I" if neuron.coupling == "cuba" else "g"
        self.synapses = [f"{symbol}_{s}" for s in ("ex", "in")] if neuron.kernel == "exp" else []
        self.names = ["V", self.own, *self.synapses]

    def rates(self, y: Mapping[str, F64], is_held: bool) -> dict[str, F64]:
        """Return right-hand sides per ms, as series."""
        neuron, V, own = self.neuron, y["V"], y[self.own]
        one = np.eye(1, len(V))[0]
        current = self.dc_pA * one
        found = {}
        for name, sign, reversal, tau in zip(
            self.synapses, (1.0, -1.0), (neuron.E_ex_mV, neuron.E_in_mV),
            (neuron.tau_syn_ex_ms, neuron.tau_syn_in_ms), strict=False,
        ):  # fmt: skip
            acting = self.grid * y[name]
            is_current = neuron.coupling == "cuba"
            current = current + (
                sign * acting if is_current else _times(acting, reversal * one - V)
            )
            found[name] = -y[name] / tau
        if self.is_adex:
            onset = _exp((V - neuron.V_T_mV * one) / neuron.Delta_T_mV)
            leak = -neuron.g_L_nS * (V - neuron.E_L_mV * one)
            growth = neuron.g_L_nS * neuron.Delta_T_mV * onset
            found["V"] = (leak + growth - own + current) / neuron.C_m_pF
            found["w"] = (neuron.a_nS * (V - neuron.E_L_mV * one) - own) / neuron.tau_w_ms
        else:
            found["V"] = 0.04 * _times(V, V) + 5.0 * V + 140.0 * one - own + current
            found["u"] = neuron.a_per_ms * (neuron.b * V - own)
        if is_held and self.fault != "stage":
            found["V"] = 0.0 * V
        return found

    def at_stage(self, y: Values, slopes: Values, h_ms: float) -> Values:
        """Return the variables of a Runge-Kutta stage."""
        found = {name: y[name] + h_ms * slopes[name] for name in self.names}
        if self.fault != "bound" and not found["V"] < self.peak:
            found["V"] = self.peak
        return found

    def slopes(self, y: Values, is_held: bool) -> Values:
        """Return right-hand sides as numbers."""
        series = {name: np.array([y[name]]) for name in self.names}
        return {name: rate[0] for name, rate in self.rates(series, is_held).items()}

    def part(self, y: Values, h_ms: float, is_held: bool) -> Values:
        """Return what the solver makes of a part of a step."""
        solver, first = self.neuron.solver, self.slopes(y, is_held)
        euler = {name: y[name] + h_ms * first[name] for name in self.names}
        if solver in ("euler", "ps1"):
            return euler
        if solver.startswith("ps"):
            series = {name: np.array([y[name]]) for name in self.names}
            for k in range(1, int(solver[2:]) + 1):
                rates = self.rates(series, is_held)
                series = {n: np.append(series[n], rates[n][-1] / k) for n in self.names}
            found = {n: np.polyval(series[n][::-1], h_ms) for n in self.names}
            if not found["V"] < self.peak and self.fault != "first order":
                found[self.own] = euler[self.own]
            return found
        middle = self.slopes(self.at_stage(y, first, h_ms / 2), is_held)
        if solver == "rk2":
            return {name: y[name] + h_ms * middle[name] for name in self.names}
        third = self.slopes(self.at_stage(y, middle, h_ms / 2), is_held)
        last = self.slopes(self.at_stage(y, third, h_ms), is_held)
        return {
            n: y[n] + h_ms * (first[n] + 2 * middle[n] + 2 * third[n] + last[n]) / 6
            for n in self.names
        }

    def arrive(self, y: Values, ex: float, inh: float) -> None:
        """Add what arrives."""
        for name, weight in zip(self.synapses, (ex, inh), strict=False):
            y[name] += weight
        if not self.synapses and self.fault != "jump":
            V, ex, inh = y["V"], ex * self.grid, inh * self.grid
            if self.neuron.coupling == "cuba":
                y["V"] = V + ex - inh
            else:
                y["V"] = V + ex * (self.neuron.E_ex_mV - V) + inh * (self.neuron.E_in_mV - V)

    def run(self, initial: Mapping[str, float], arrivals: Any) -> dict[str, F64]:
        """Return what `by_graph` does."""
        neuron = self.neuron
        y: Values = dict.fromkeys(self.names, 0.0) | dict(initial)
        remaining, rows = 0, []
        for ex, inh in arrivals:
            is_held, before = remaining > 0, y["V"]
            for part in range(neuron.substeps):
                start, h_ms = y, DT_MS / neuron.substeps
                y = self.part(start, h_ms, is_held)
                if part < neuron.substeps - 1:
                    if self.fault == "part":
                        y["V"] = self.part(start, h_ms, False)["V"]
                    if not y["V"] < self.peak and self.fault != "part bound":
                        y["V"] = self.peak
            self.arrive(y, ex, inh)
            if is_held and self.fault != "held jump":
                y["V"] = before
            remaining = max(remaining - 1, 0)
            spike = not y["V"] < self.peak
            if spike:
                y["V"] = neuron.V_reset_mV if self.is_adex else neuron.c_mV
                if self.fault != "reset":
                    y[self.own] += neuron.b_pA if self.is_adex else neuron.d_mV
                remaining = round(neuron.t_ref_ms / DT_MS)
            rows.append({**y, "refractory": remaining, "spike": spike})
        return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
