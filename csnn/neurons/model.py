"""What a neuron model is: its graph, and how its constants follow from physical parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from csnn.binary32 import F32, I32, round_to_binary32
from csnn.errors import InvalidInputError, reject
from csnn.neurons.graph import Graph, Kind
from csnn.spec import checks

INPUTS = {"ss_ex": Kind.I32, "ss_in": Kind.I32}
INT_STATES = ("refractory",)
OUTPUTS = ("spike",)
_INT32_LIMIT = 2**31
# What the header of a node file holds.
MAX_NAME = 32


class ConstantsRule(Protocol):
    """Computes a model's constants from the description of a neuron."""

    def __call__(
        self, neuron: Any, *, dt_ms: float, weight_grid: float, dc_pA: float
    ) -> Mapping[str, float | int]:
        """Return each constant of the graph, in float64 or int."""


class InitialRule(Protocol):
    """Computes initial values of state variables."""

    def __call__(self, neuron: Any, *, V_mV: Any) -> Mapping[str, Any]:
        """Return those of state variables other than V and those of synapses, in float64."""


def parameters_of(
    neuron: Any, constant: str, constants: Callable[[Any], Mapping[str, float]]
) -> list[str]:
    """Return the numbers of a neuron that one of its constants depends on.

    Parameters
    ----------
    neuron : object
        Description, a dataclass.
    constant : str
    constants : callable
        Makes the constants from a description.

    Returns
    -------
    list of str
        Names of fields; the one whose value is farthest from its default first.
    """
    value = constants(neuron)[constant]
    found: dict[str, float] = {}
    for field in fields(neuron):
        if checks.annotation(field) != "float":
            continue
        given = float(getattr(neuron, field.name))
        # Not `replace`: what only shows that something depends on it need not be legal.
        other = copy.copy(neuron)
        object.__setattr__(other, field.name, given / 2.0 or 1.0)
        try:
            with np.errstate(all="ignore"):
                changed = constants(other)[constant]
        except (InvalidInputError, ArithmeticError):
            continue
        if changed != value:
            found[field.name] = _distance(given, field.default)
    return sorted(found, key=found.__getitem__, reverse=True)


def reject_constant(
    neuron: Any,
    constant: str,
    value: float,
    rule: str,
    constants: Callable[[Any], Mapping[str, float]],
) -> InvalidInputError:
    """Return the error for a constant, with the parameter that is to blame if one has been set."""
    place = f"neuron constant {constant}"
    usual = {field.name: field.default for field in fields(neuron)}
    for name in parameters_of(neuron, constant, constants):
        if getattr(neuron, name) != usual[name]:
            return reject(f"neuron.{name}", getattr(neuron, name), f"{place} = {value:g} {rule}")
    return reject(place, value, rule)


def _distance(value: float, default: Any) -> float:
    """Return by what power a value differs from its default."""
    if value == default or not isinstance(default, int | float):
        return 0.0
    return abs(math.log(abs(value)) - math.log(abs(default))) if value and default else math.inf


def _no_others(neuron: Any, *, V_mV: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class NeuronModel:
    """A neuron model.

    Attributes
    ----------
    name : str
        Key in the registry; an identifier.
    neuron_type : type
        Class of the parameters of such a neuron, a subclass of `csnn.spec.neuron.Neuron`.
    graph : Graph
        One step. Inputs are `ss_ex` and `ss_in` (i32, summed weights of the step in grid units),
        the output is `spike`, i32 state is at most the counter `refractory`.
    rule : callable
        Makes the constants.
    initial : callable
        Makes initial values from those of V, in mV relative to the rest; zero where it has none.
    """

    name: str
    neuron_type: type
    graph: Graph
    rule: ConstantsRule
    initial: InitialRule = _no_others

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name of a model must be an identifier: {self.name!r}")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"name of a model is longer than {MAX_NAME}: {self.name}")
        if self.graph.inputs != INPUTS:
            raise ValueError(f"model {self.name}: inputs must be {', '.join(INPUTS)}, both i32")
        if tuple(name for name, _ in self.graph.outputs) != OUTPUTS:
            raise ValueError(f"model {self.name}: the output must be spike")
        if self.graph.nodes[self.graph.outputs[0][1]].kind is not Kind.BOOL:
            raise TypeError(f"model {self.name}: spike must be bool")
        if self.int_states not in ((), INT_STATES) or Kind.BOOL in self.graph.states.values():
            raise ValueError(f"model {self.name}: states are f32, or i32 called refractory")

    @property
    def float_states(self) -> tuple[str, ...]:
        """Names of the f32 states: the rows of a state array, in order."""
        return _of_kind(self.graph.states, Kind.F32)

    @property
    def int_states(self) -> tuple[str, ...]:
        """Names of the i32 states."""
        return _of_kind(self.graph.states, Kind.I32)

    @property
    def float_constants(self) -> tuple[str, ...]:
        """Names of the f32 constants: the entries of `constants_f`, in order."""
        return _of_kind(self.graph.constants, Kind.F32)

    @property
    def int_constants(self) -> tuple[str, ...]:
        """Names of the i32 constants: the entries of `constants_i`, in order."""
        return _of_kind(self.graph.constants, Kind.I32)

    def constants(
        self, neuron: Any, *, dt_ms: float, weight_grid: float, dc_pA: float = 0.0
    ) -> dict[str, np.float32 | np.int32]:
        """Compute the constants of a neuron, rounded to their types.

        Parameters
        ----------
        neuron : object
            Description, an instance of `neuron_type`.
        dt_ms : float
            Step in ms.
        weight_grid : float
            One unit of synaptic input, in the unit of the neuron's weights; a power of two.
        dc_pA : float
            Direct current in pA.

        Returns
        -------
        dict of str to numpy.float32 or numpy.int32
            In the order of the graph.

        Raises
        ------
        InvalidInputError
            If a parameter breaks a rule of the model or a constant leaves the range of its type.
        """
        if not isinstance(neuron, self.neuron_type):
            raise reject("neuron", neuron, f"must be a {self.neuron_type.__name__}")

        def computed(neuron: Any) -> Mapping[str, float | int]:
            return self.rule(neuron, dt_ms=dt_ms, weight_grid=weight_grid, dc_pA=dc_pA)

        values = computed(neuron)
        rounded: dict[str, np.float32 | np.int32] = {}
        for name, kind in self.graph.constants.items():
            value = values[name]
            if kind is Kind.F32:
                word = np.float32(round_to_binary32(np.float64(value)))
                if not np.isfinite(word):
                    rule = "leaves the range of binary32"
                    raise reject_constant(neuron, name, value, rule, computed)
                rounded[name] = word
            else:
                if not -_INT32_LIMIT <= value < _INT32_LIMIT:
                    rule = "leaves the range of int32"
                    raise reject_constant(neuron, name, value, rule, computed)
                rounded[name] = np.int32(value)
        return rounded

    def pack(self, constants: Mapping[str, np.float32 | np.int32]) -> tuple[F32, I32]:
        """Return constants as the arrays (constants_f, constants_i) of the compiled update."""
        return (
            np.array([constants[name] for name in self.float_constants], dtype=np.float32),
            np.array([constants[name] for name in self.int_constants], dtype=np.int32),
        )


def _of_kind(kinds: Mapping[str, Kind], wanted: Kind) -> tuple[str, ...]:
    return tuple(name for name, kind in kinds.items() if kind is wanted)
