"""What a neuron's description declares, checked when it is registered.

A mistake here would else be a wrong result without a word, or a KeyError in the middle of a run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from csnn.neurons.composition import BIAS, DIRECT_CURRENT, REF_STEPS, REFRACTORY
from csnn.neurons.description import Constants, NeuronDescription
from csnn.neurons.equations import Constant, Difference, Expression, Rate, Sum, Variable
from csnn.neurons.graph import Trace, Value
from csnn.neurons.synapses import SIDES
from csnn.spec.neuron import Neuron, listed

# Constants that composition takes from every neuron.
REQUIRED = (BIAS, "drive", "input")
# Names of arrays in the traces of a run, beside those of state variables.
_TRACES = ("step", "neuron", "words", "V_mV")
# Endings and beginnings of the names that synapses and solvers give, and the names of a step.
_TAKEN_ENDINGS = tuple(f"_{side}" for side in SIDES)
_TAKEN_BEGINNINGS = ("P_",)
_TAKEN = (DIRECT_CURRENT, REF_STEPS, REFRACTORY)
# What back ends make names of their own of.
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# What stands for the drive of the synapses.
_DRIVE = Constant("drive") * Variable("I_ex")


def check(neuron: NeuronDescription) -> None:
    """Require that names are free, and that what is named is declared.

    Raises
    ------
    ValueError
        With the name and the place.
    """
    declared = neuron.constants(neuron.parameters(), 1.0)
    for name in REQUIRED:
        if name not in declared:
            raise ValueError(f"constants() must give {name}")
    for name, value in declared.items():
        if not math.isfinite(value):
            raise ValueError(f"constant {name} = {value}: must be finite with the defaults")
    _check_given_names(neuron)
    plain, series = (_check_rates(neuron, declared, is_series) for is_series in (False, True))
    _check_series_variables(neuron, declared, plain, series)
    states = [name for name in series if name not in neuron.series_variables()]
    for known in (plain, states):
        _check_firing(neuron, declared, known)
    _check_own_names(declared, {*plain, *series})
    all_states = list(dict.fromkeys((*plain, *states)))
    if neuron.bounds and "V" not in neuron.bounds:
        raise ValueError("bounds: V must have one if others do")
    for name, bound in neuron.bounds.items():
        _require(name, all_states, "bounds: state variable")
        _require(bound, declared, "bounds: constant")
    for name in neuron.initial(neuron.parameters(), 0.0):
        _require(name, all_states, "initial(): state variable")


def _check_given_names(neuron: NeuronDescription) -> None:
    """Require names that every back end can use, and that composition does not give.

    Raises
    ------
    ValueError
        If a parameter of its own, a state variable or a constant has another one.
    """
    shared = {field.name for field in fields(Neuron)}
    declared = {
        "parameter": [f.name for f in fields(neuron.parameters) if f.name not in shared],
        "state variable": [n for s in (False, True) for n in neuron.rates(None, is_series=s)],
        "constant": list(neuron.constants(neuron.parameters(), 1.0)),
    }
    for kind, names in declared.items():
        for name in names:
            if not _NAME.fullmatch(name):
                rule = "must be of ASCII letters, digits and _, no digit first"
                raise ValueError(f"{kind} {name!r}: {rule}")
            is_taken = name.endswith(_TAKEN_ENDINGS) or name.startswith(_TAKEN_BEGINNINGS)
            if is_taken or name in _TAKEN:
                raise ValueError(
                    f"{kind} {name}: the name is taken; choose one that does not end in "
                    f"{listed(_TAKEN_ENDINGS)}, begin with {listed(_TAKEN_BEGINNINGS)}, or equal "
                    f"{listed(_TAKEN)}"
                )


def _require(name: str, known: Iterable[str], what: str) -> None:
    if name not in known:
        raise ValueError(f"{what} {name} is unknown; known are {', '.join(known)}")


def _check_rates(
    neuron: NeuronDescription, declared: Mapping[str, float], is_series: bool
) -> list[str]:
    """Check the right-hand sides, and return the names of the state variables."""
    rates = neuron.rates(_DRIVE, is_series=is_series)
    states = list(rates)
    if states[:1] != ["V"]:
        raise ValueError(f"rates() must begin with V, not with {', '.join(states)}")
    if states != list(neuron.rates(None, is_series=is_series)):
        raise ValueError("rates() must have the same state variables with and without a drive")
    for position, (name, rate) in enumerate(rates.items()):
        for part in _without_drive(rate):
            where = f"rate of {name}:"
            if isinstance(part, Constant):
                _require(part.name, declared, f"{where} constant")
            elif isinstance(part, Variable | Rate):
                _require(part.name, states, f"{where} state variable")
            if isinstance(part, Rate):
                _check_rate(where, part, states[:position], is_series)
    if Constant(BIAS) not in _terms(rates["V"]):
        raise ValueError(f"rate of V: {BIAS} must be a term of its own")
    if _DRIVE not in rates["V"].walk():
        raise ValueError("rate of V: the drive must be part of it")
    return states


def _check_rate(where: str, rate: Rate, earlier: list[str], is_series: bool) -> None:
    if not is_series:
        raise ValueError(f"{where} Rate({rate.name}): a Rate is for series only")
    if rate.name not in earlier:
        raise ValueError(f"{where} Rate({rate.name}): must be that of an earlier variable")


def _check_series_variables(
    neuron: NeuronDescription,
    declared: Mapping[str, float],
    states: list[str],
    variables: list[str],
) -> None:
    for name, function in neuron.series_variables().items():
        _require(name, variables, "series_variables(): variable of a series")
        for part in function.walk():
            if isinstance(part, Constant):
                _require(part.name, declared, f"series_variables(): {name}: constant")
            elif isinstance(part, Variable):
                _require(part.name, states, f"series_variables(): {name}: state variable")
            elif isinstance(part, Rate):
                raise ValueError(f"series_variables(): {name}: must not name Rate({part.name})")


def _without_drive(expression: Expression) -> Iterable[Expression]:
    """Yield the parts of an expression but for what synapses add to it."""
    if expression == _DRIVE:
        return
    yield expression
    for part in expression.parts():
        yield from _without_drive(part)


def _terms(expression: Expression) -> Iterable[Expression]:
    if isinstance(expression, Sum):
        for term in expression.terms:
            yield from _terms(term)
    elif isinstance(expression, Difference):
        yield from _terms(expression.a)
    else:
        yield expression


class _Known(dict[str, Value]):
    """State variables of a trace."""

    def __init__(self, where: str, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._where = where

    def __missing__(self, name: str) -> Value:
        _require(name, self, f"{self._where}: state variable")
        raise KeyError(name)


class _DeclaredConstants(Constants):
    """Constants of a trace, those of a neuron and no others."""

    def __init__(self, where: str, trace: Trace, declared: Mapping[str, float]) -> None:
        self._where, self._trace, self._declared = where, trace, declared
        self._values: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        _require(name, self._declared, f"{self._where}: constant")
        if name not in self._values:
            self._values[name] = self._trace.constant(f"constant_{name}")
        return self._values[name]


def _check_firing(
    neuron: NeuronDescription, declared: Mapping[str, float], states: list[str]
) -> None:
    def parts(where: str) -> tuple[Value, Mapping[str, Value], Constants]:
        trace = Trace()
        values = {name: trace.state(f"state_{name}") for name in states}
        change = trace.state("change")
        return change, _Known(where, values), _DeclaredConstants(where, trace, declared)

    _, values, constants = parts("fire()")
    changed: dict[str, Any] = {"fire()": neuron.fire(values, values, constants).reset}
    change, values, constants = parts("jumped()")
    changed["jumped()"] = neuron.jumped(change, values, constants)
    for where, names in changed.items():
        for name in names:
            _require(name, states, f"{where}: state variable")


def _check_own_names(declared: Mapping[str, float], states: set[str]) -> None:
    """Require that constants and state variables differ from each other and from multiples.

    Half of the constant `leak`, which RK2 takes, is called `leak_1_2`, and twice it `leak_2`.
    """
    for kind, names in (("constant", [*declared]), ("state variable", sorted(states))):
        for name in names:
            for base in _bases(name):
                if base in declared or base == "number" or base.endswith(_TAKEN_ENDINGS):
                    taken = "a number" if base == "number" else f"a multiple of {base}"
                    raise ValueError(f"{kind} {name}: the name is taken by {taken}")
    if "number" in declared:
        raise ValueError("constant number: the name is taken, multiples of it are numbers")
    for name in sorted(states):
        if name in declared:
            raise ValueError(f"state variable {name}: the name is taken by a constant")
        if name in _TRACES:
            raise ValueError(f"state variable {name}: the name is taken by an array of traces")


def _bases(name: str) -> set[str]:
    """Return the constants of which a name could be a multiple."""
    return {
        match[1]
        for pattern in (r"(.+)_\d+", r"(.+)_\d+_\d+")
        if (match := re.fullmatch(pattern, name))
    }
