"""One step of a neuron, composed of its description, its synapses and a solver.

The order of a step is NEST's: the state variables advance from their old values; V stays while the
neuron is refractory; what arrived in the step is added; then threshold, reset and refractory count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from csnn.neurons.description import Constants, NeuronDescription
from csnn.neurons.equations import ONE, Expression, Rate, Variable, evaluate
from csnn.neurons.graph import (
    Graph,
    Kind,
    Trace,
    Value,
    decrement,
    exponential,
    is_zero,
    select,
    to_f32,
)
from csnn.neurons.solvers import (
    DRIVEN,
    OFFSET,
    Problem,
    has_offset,
    propagator,
    reached,
    refusal,
    solve,
)
from csnn.neurons.synapses import SIDES, Synapses

T = TypeVar("T")
BIAS, DIRECT_CURRENT = "bias", "C_dc"
REF_STEPS, REFRACTORY = "ref_steps", "refractory"


class _GraphConstants(Constants):
    """Constants of a trace, declared when they are first named."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._values: dict[str, Value] = {}
        # What each is: the name that the description gives it, and a number.
        self.sources: dict[str, tuple[str, Fraction]] = {}

    def scaled(self, name: str, scale: Fraction) -> Value:
        shown = DIRECT_CURRENT if name in (BIAS, OFFSET) else name or "number"
        if scale != ONE or not name:
            shown += f"_{scale.numerator}" + (
                "" if scale.denominator == 1 else f"_{scale.denominator}"
            )
        if shown not in self._values:
            self._values[shown] = self._trace.constant(shown)
            self.sources[shown] = name, scale
        elif self.sources[shown] != (name, scale):
            # A multiple of one constant would be mistaken for another constant.
            raise ValueError(f"constant {shown}: the name is taken by a multiple of a constant")
        return self._values[shown]

    def __getitem__(self, name: str) -> Value:
        return self.scaled(name, ONE)


class _GraphArithmetic:
    """Evaluates expressions as operations of a trace."""

    def __init__(self, constants: _GraphConstants) -> None:
        self._constants = constants

    def constant(self, name: str, scale: Fraction) -> Value:
        if name == BIAS and scale != ONE:
            # It changes during a run, so that there must be one word of it.
            return self._constants.scaled("", scale) * self._constants[BIAS]
        return self._constants.scaled(name, scale)

    def add(self, a: Value, b: Value) -> Value:
        return a + b

    def subtract(self, a: Value, b: Value) -> Value:
        return a - b

    def multiply(self, a: Value, b: Value) -> Value:
        return a * b

    def exponential(self, a: Value) -> Value:
        return exponential(a)


class _NumberArithmetic:
    """Evaluates expressions in float64."""

    def __init__(self, constants: Mapping[str, float]) -> None:
        self._constants = constants

    def constant(self, name: str, scale: Fraction) -> Any:
        return self._constants[name] * float(scale) if name else float(scale)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def subtract(self, a: Any, b: Any) -> Any:
        return a - b

    def multiply(self, a: Any, b: Any) -> Any:
        return a * b

    def exponential(self, a: Any) -> Any:
        return np.exp(a)


@dataclass(frozen=True)
class Step:
    """A neuron with its synapses and its solver.

    Attributes
    ----------
    neuron : NeuronDescription
    synapses : Synapses
    solver : str
        One of `csnn.spec.neuron.SOLVERS`.
    substeps : int
        Parts into which the solver divides a step.
    """

    neuron: NeuronDescription
    synapses: Synapses
    solver: str
    substeps: int = 1

    @property
    def is_series(self) -> bool:
        """Whether the equations must be polynomials."""
        return self.solver.startswith("ps")

    @cached_property
    def rates(self) -> dict[str, Expression]:
        """The right-hand sides of all variables, in order."""
        drive = self.synapses.drive(Variable("V"))
        return {**self.neuron.rates(drive, is_series=self.is_series), **self.synapses.rates()}

    @cached_property
    def _functions(self) -> dict[str, Expression]:
        """The variables that are functions of the others where a part of a step begins."""
        return self.neuron.series_variables() if self.is_series else {}

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the state variables, in order."""
        return tuple(name for name in self.rates if name not in self._functions)

    def _solve(self, solver: str, problem: Problem[T], states: Mapping[str, T]) -> dict[str, T]:
        """Return the state variables after a part of a step."""
        functions = {
            name: evaluate(function, states, problem.arithmetic)
            for name, function in self._functions.items()
        }
        found = solve(solver, problem, {**states, **functions})
        return {name: found[name] for name in self.states}

    def refusal(self) -> str | None:
        """Return why there is no such step, None if there is."""
        return refusal(self.solver, self.rates)

    @cached_property
    def _built(self) -> tuple[Graph, dict[str, tuple[str, Fraction]]]:
        reason = self.refusal()
        if reason is not None:
            raise ValueError(reason)
        trace = Trace()
        arrived = {side: trace.input(f"ss_{side}", Kind.I32) for side in SIDES}
        before = {name: trace.state(name) for name in self.states}
        refractory = trace.state(REFRACTORY, Kind.I32)
        constants = _GraphConstants(trace)
        arithmetic = _GraphArithmetic(constants)
        is_free = is_zero(refractory)

        # V need not be held within the step where nothing else depends on it.
        others = [rate for name, rate in self.rates.items() if name != "V"]
        is_used = any(part in (Variable("V"), Rate("V")) for rate in others for part in rate.walk())
        held = self.neuron.is_held and is_used
        bounds = self.neuron.bounds

        def bounded(name: str, value: Value) -> Value:
            if name not in bounds:
                return value
            bound = constants[bounds[name]]
            return select(value < bound, value, bound)

        def hold(name: str, value: Value) -> Value:
            if name != "V" or not held:
                return value
            return select(is_free, value, constants.scaled("", Fraction(0)))

        values = before
        for part in range(self.substeps):
            start = values

            def stage(name: str, value: Value, start: Mapping[str, Value] = start) -> Value:
                value = bounded(name, value)
                return select(is_free, value, start[name]) if name == "V" and held else value

            problem = Problem(rates=self.rates, arithmetic=arithmetic, stage=stage, hold=hold)
            values = self._solve(self.solver, problem, start)
            if self.is_series and self.solver != "ps1" and bounds:
                # Beyond its bound a series tells nothing of the other variables any more: they take
                # a step of the first order.
                is_within = values["V"] < constants[bounds["V"]]
                plain = self._solve("ps1", problem, start)
                exempt = ("V", *self.synapses.states)
                values = {
                    name: value if name in exempt else select(is_within, value, plain[name])
                    for name, value in values.items()
                }
            if part < self.substeps - 1:
                values = {name: bounded(name, value) for name, value in values.items()}
                if held:
                    values["V"] = select(is_free, values["V"], start["V"])

        added = {side: to_f32(value) for side, value in arrived.items()}
        for side, name in self.synapses.arrivals.items():
            values[name] = values[name] + added[side]
        jump = self.synapses.jump(*_variables("V", *SIDES))
        if jump is not None:
            change = evaluate(jump, {"V": values["V"], **added}, arithmetic)
            for name, value in self.neuron.jumped(change, values, constants).items():
                is_kept = self.neuron.is_held
                values[name] = select(is_free, value, values[name]) if is_kept else value
            values["V"] = values["V"] + change
        if self.neuron.is_held:
            values["V"] = select(is_free, values["V"], before["V"])

        firing = self.neuron.fire(before, values, constants)
        spike = firing.spike if self.neuron.is_held else firing.spike & is_free
        for name, value in firing.reset.items():
            values[name] = select(spike, value, values[name])
        ref_steps = trace.constant(REF_STEPS, Kind.I32)
        graph = trace.build(
            next_state={
                **values,
                REFRACTORY: select(spike, ref_steps, decrement(refractory)),
            },
            outputs={"spike": spike},
        )
        return graph, constants.sources

    @property
    def graph(self) -> Graph:
        """The step as a graph; ValueError if there is none."""
        return self._built[0]

    @property
    def sources(self) -> dict[str, tuple[str, Fraction]]:
        """What the f32 constants of the graph are: a name and a number to multiply it with."""
        return self._built[1]

    def numbers(self, base: Mapping[str, float]) -> dict[str, float]:
        """Return the f32 constants of the graph in float64.

        Parameters
        ----------
        base : mapping of str to float
            The constants of neuron and synapses, per part of a step.
        """
        known = dict(base)
        if self.solver == "exact":
            known.update(self._propagators(base))
        return {
            shown: (known[name] if name else 1.0) * float(scale)
            for shown, (name, scale) in self.sources.items()
        }

    def derivatives(self, base: Mapping[str, float], values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the right-hand sides in float64; those of a neuron that is not held."""
        arithmetic = _NumberArithmetic(base)
        return {name: evaluate(rate, values, arithmetic) for name, rate in self.rates.items()}

    def advance(self, base: Mapping[str, float]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Return a function that advances state variables by one part of a step in float64.

        It is the solver and nothing else: no input, no threshold, no bound, no refractory time.

        Parameters
        ----------
        base : mapping of str to float
            The constants of neuron and synapses, per part of a step.
        """
        known = {**base, **(self._propagators(base) if self.solver == "exact" else {})}
        problem: Problem[Any] = Problem(
            rates=self.rates,
            arithmetic=_NumberArithmetic(known),
            stage=lambda _, value: value,
            hold=lambda _, value: value,
        )
        return lambda values: self._solve(self.solver, problem, values)

    def _propagators(self, base: Mapping[str, float]) -> dict[str, float]:
        from scipy.linalg import expm

        names = list(self.rates)
        zero = dict.fromkeys(names, 0.0)

        def column(bias: float, name: str | None) -> npt.NDArray[np.float64]:
            values = zero if name is None else {**zero, name: 1.0}
            return np.array(list(self.derivatives({**base, BIAS: bias}, values).values()))

        if column(0.0, None).any():
            raise ValueError(f"{self.neuron.name}: equations have constants other than the bias")
        matrix = np.zeros((len(names) + 1, len(names) + 1))
        matrix[:-1] = np.stack([column(0.0, n) for n in names] + [column(1.0, None)], axis=1)
        found: npt.NDArray[np.float64] = expm(matrix)
        acting = reached(self.rates)
        known = {
            propagator(to, source): float(found[row, names.index(source)])
            for row, to in enumerate(names)
            for source in acting[to]
        }
        # The last column is that of a bias of 1.
        unit = dict(zip(names, found[:-1, -1], strict=True))
        known[OFFSET] = float(unit[DRIVEN]) * base[BIAS]
        for name in names:
            if name != DRIVEN and has_offset(self.rates, name):
                known[propagator(name, "dc")] = float(unit[name] / unit[DRIVEN])
        return known


def _variables(*names: str) -> list[Expression]:
    return [Variable(name) for name in names]
