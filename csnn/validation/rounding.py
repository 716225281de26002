"""How far binary32 can carry a neuron model from its exact solution.

`RunningBound` interprets a model's graph on pairs (value, error): the value is what exact
arithmetic with exact constants gives (in float64, whose own rounding is accounted for), the error
bounds the distance of the machine's word from it. A machine word x' of a value x with error e has
|x'| <= |x| + e, so its rounding costs at most half a unit in the last place of |x| + e:

- constant: e is its actual error, known exactly;
- sum: e = e_a + e_b + half_ulp(|a + b| + e_a + e_b);
- product: p = |a| e_b + |b| e_a + e_a e_b, e = p + half_ulp(|a b| + p);
- exponential: p = exp(a + e_a) - exp(a), e = p + 2 half_ulp(exp(a) + p): it is not rounded
  correctly, but to less than a unit in the last place (`csnn.exponential`);
- comparison: decided if the operands are further apart than their errors, undecided otherwise;
- selection: the error of what is selected. A reset therefore sets the error of V to that of the
  constant V_reset.

The bound holds as long as the machine decides as the values do, which it must in every step that
is not undecided. `lif_worst_case` is the closed form for given maxima of potential and currents.

References
----------
Higham (2002) Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.binary32 import F32, round_to_binary32
from csnn.neurons.graph import Graph, Kind, Op
from csnn.neurons.model import NeuronModel

F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]
# Value and error; integers and decisions carry none.
Pair = tuple[Array, Any]

# A result or operand below 2^-126 may be flushed to zero.
_FLUSH = 2.0**-126
# The rounding of a float64 value, at most 2^-53 |x|, is below 2^-28 of its half ulp in binary32.
_HALF = 0.5 * (1.0 + 2.0**-23)


def half_ulp(magnitude: npt.ArrayLike) -> F32:
    """Bound the rounding error of a result whose exact value is at most `magnitude` (>= 0).

    Half a unit in the last place of binary32, what a flush may take, and the rounding of the
    float64 value that stands for the exact one.
    """
    # The conversion can only round up to the next binade, never down to the one below.
    spacing = np.spacing(np.asarray(magnitude).astype(np.float32))
    bound: F32 = spacing * np.float32(_HALF) + np.float32(_FLUSH)
    return bound


def spike_comparison(graph: Graph) -> tuple[int, int]:
    """Return the positions of the operands (left, right) of the graph's only comparison."""
    found = [node.operands for node in graph.nodes if node.op in (Op.FGE, Op.FLT)]
    if len(found) != 1:
        raise ValueError(f"the bound needs a graph with one comparison, not {len(found)}")
    return found[0][0], found[0][1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """The spike decisions of one step.

    Attributes
    ----------
    spike : ndarray of bool, shape (n,)
        Whether exact arithmetic spikes.
    margin : ndarray of float64, shape (n,)
        Left minus right operand of the comparison: potential before a reset, minus threshold.
    error : ndarray of float64, shape (n,)
        Bound on the machine's distance from `margin`.
    """

    spike: Bool
    margin: F64
    error: F64

    @property
    def undecided(self) -> Bool:
        """Where rounding may decide, shape (n,)."""
        return np.abs(self.margin) <= self.error


class RunningBound:
    """Exact values and error bounds of `n` neurons, advanced step by step.

    Parameters
    ----------
    model : NeuronModel
        Its graph must hold one comparison.
    constants : mapping of str to array_like, shape (n,) or scalar
        Constants before rounding, as the model's `rule` gives them.
    state : mapping of str to array_like, shape (n,)
        State words of the machine at the start (float32 and int32); exact by definition.

    Attributes
    ----------
    value : dict of str to ndarray, shape (n,)
        State in exact arithmetic, float64 or int32.
    error : dict of str to ndarray of float64, shape (n,)
        Bound on |machine - value| of each f32 state.
    """

    def __init__(
        self,
        model: NeuronModel,
        *,
        constants: Mapping[str, npt.ArrayLike],
        state: Mapping[str, npt.ArrayLike],
    ) -> None:
        self.graph = model.graph
        self._operands = spike_comparison(model.graph)
        self._constants = {
            name: self._constant(kind, constants[name])
            for name, kind in model.graph.constants.items()
        }
        self.value: dict[str, Array] = {}
        self.error: dict[str, F64] = {}
        for name, kind in model.graph.states.items():
            if kind is Kind.F32:
                self.value[name] = np.asarray(state[name], dtype=np.float32).astype(np.float64)
                self.error[name] = np.zeros(self.value[name].shape)
            else:
                self.value[name] = np.asarray(state[name], dtype=np.int32)

    @staticmethod
    def _constant(kind: Kind, value: npt.ArrayLike) -> Pair:
        if kind is not Kind.F32:
            return np.asarray(value, dtype=np.int32), 0.0
        exact = np.asarray(value, dtype=np.float64)
        return exact, np.abs(round_to_binary32(exact).astype(np.float64) - exact)

    def advance(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        constants: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Decision:
        """Advance by one step.

        Parameters
        ----------
        inputs : mapping of str to array_like of int, shape (n,)
            The machine's summed input of this step, grid units.
        constants : mapping of str to array_like, optional
            Exact f32 constants that change with this step.

        Returns
        -------
        Decision
        """
        for name, value in (constants or {}).items():
            self._constants[name] = self._constant(self.graph.constants[name], value)
        pairs: list[Pair] = []
        for node in self.graph.nodes:
            if node.op is Op.INPUT:
                pairs.append((np.asarray(inputs[node.name], dtype=np.int32), 0.0))
            elif node.op is Op.CONSTANT:
                pairs.append(self._constants[node.name])
            elif node.op is Op.STATE:
                pairs.append((self.value[node.name], self.error.get(node.name, 0.0)))
            else:
                pairs.append(_apply(node.op, [pairs[i] for i in node.operands]))
        for name, position in self.graph.next_state:
            value, error = pairs[position]
            self.value[name] = value
            if name in self.error:
                self.error[name] = error
        (left, left_error), (right, right_error) = (pairs[i] for i in self._operands)
        (_, spike) = self.graph.outputs[0]
        return Decision(spike=pairs[spike][0], margin=left - right, error=left_error + right_error)


def _apply(op: Op, pairs: list[Pair]) -> Pair:
    a, a_error = pairs[0]
    if op is Op.SELECT:
        (x, x_error), (y, y_error) = pairs[1:]
        return np.where(a, x, y), np.where(a, x_error, y_error)
    if op is Op.IZERO:
        return a == 0, 0.0
    if op is Op.IDEC:
        return np.maximum(a, np.int32(1)) - np.int32(1), 0.0
    if op is Op.NOT:
        return ~a, 0.0
    if op is Op.ITOF:
        value = a.astype(np.float64)
        magnitude = np.abs(value)
        return value, 0.0 if magnitude.max(initial=0.0) <= 2.0**24 else half_ulp(magnitude)
    if op is Op.FEXP:
        with np.errstate(over="ignore", invalid="ignore"):
            value = np.exp(a)
            inherited = np.exp(a + a_error) - value
            error = inherited + 2.0 * half_ulp(value + inherited)
        # Beyond the range of numbers nothing is known.
        return value, np.where(np.isnan(error), np.inf, error)
    b, b_error = pairs[1]
    if op is Op.IADD:
        return a + b, 0.0
    if op is Op.AND:
        return a & b, 0.0
    if op is Op.FGE:
        return a >= b, 0.0
    if op is Op.FLT:
        return a < b, 0.0
    if op is Op.FMUL:
        value = a * b
        inherited = np.abs(a) * b_error + np.abs(b) * a_error + a_error * b_error
    elif op in (Op.FADD, Op.FSUB):
        value = a + b if op is Op.FADD else a - b
        inherited = a_error + b_error
    else:
        raise ValueError(f"no rule for {op}")
    return value, inherited + half_ulp(np.abs(value) + inherited)


def lif_worst_case(
    constants: Mapping[str, float], *, V_mV: float, I_ex: float, I_in: float
) -> dict[str, float]:
    """Bound the errors of the LIF for all time, from maxima alone.

    Parameters
    ----------
    constants : mapping of str to float
        Constants before rounding (`csnn.neurons.lif.lif_constants`).
    V_mV : float
        Largest |V - E_L| of the exact solution before a reset.
    I_ex, I_in : float
        Largest currents in grid units.

    Returns
    -------
    dict of str to float
        Bounds on the errors of V, I_ex and I_in: the fixed points of the error recursions,
        whose gain is 1 / (1 - P) with the decay P of the variable. See docs/numerics.md.
    """
    word = {
        name: float(round_to_binary32(np.float64(value)))
        for name, value in constants.items()
        if name != "ref_steps"
    }
    wrong = {name: abs(value - constants[name]) for name, value in word.items()}

    def u(magnitude: float) -> float:
        # The factor covers the roundings of what is added up.
        return float(half_ulp(magnitude * (1.0 + 2.0**-20)))

    largest = {"I_ex": I_ex, "I_in": I_in}
    error: dict[str, float] = {}
    for name, decay in (("I_ex", "P11_ex"), ("I_in", "P11_in")):
        P, peak = word[decay], largest[name]
        inherited = wrong[decay] * peak

        def current(e: float, P: float = P, peak: float = peak, old: float = inherited) -> float:
            return (old + u(P * (peak + e)) + u(peak + e)) / (1.0 - P)

        error[name] = _fixed_point(current)

    def potential(e: float) -> float:
        P = word["P22"]
        leak = P * (V_mV + e)
        ex = abs(word["P21_ex"]) * (I_ex + error["I_ex"])
        inh = abs(word["P21_in"]) * (I_in + error["I_in"])
        dc = abs(word["C_dc"])
        inherited = (
            wrong["P22"] * V_mV
            + wrong["P21_ex"] * I_ex
            + wrong["P21_in"] * I_in
            + wrong["C_dc"]
            + abs(word["P21_ex"]) * error["I_ex"]
            + abs(word["P21_in"]) * error["I_in"]
        )
        rounded = u(leak) + u(ex) + u(leak + ex) + u(inh) + u(inh + dc) + u(V_mV + e)
        return (inherited + rounded) / (1.0 - P)

    error["V"] = max(_fixed_point(potential), wrong["V_reset"])
    return error


def _fixed_point(improve: Callable[[float], float]) -> float:
    # Only the binade of a magnitude depends on the error: a few turns settle it.
    e = 0.0
    while (following := improve(e)) > e:
        e = following
    return e
