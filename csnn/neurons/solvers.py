"""Solvers: what a step does to the state variables of a system of differential equations.

The step is the unit of time: right-hand sides are changes per step, or per part of a step where a
step is divided. With half the step the error is 2^-p of what it was, p being the order: 1 of
`euler`, 2 of `rk2` (midpoint), 4 of `rk4` (the classical one), 1 to 6 of `ps1` to `ps6` (power
series after Parker and Sochacki, for polynomials). `exact` is the matrix exponential of a linear
system.

A step of h multiplies what decays with tau by R(-h / tau), where R is the exponential series up to
the solver's order. Where that is at or beyond -1 or 1 the solver is unstable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Generic, TypeVar

import numpy as np

from csnn.neurons.equations import (
    Arithmetic,
    Constant,
    Difference,
    Expression,
    Sum,
    balanced_sum,
    evaluate,
    has_constant_term,
    is_affine,
    is_constant,
    is_polynomial,
    variables,
)
from csnn.neurons.series import Series

T = TypeVar("T")
# The only variable whose right-hand side has a constant term, and what a step adds to it by that.
# What it adds to others is in proportion, so that one constant follows the direct current.
DRIVEN, OFFSET = "V", "P_V"
BIAS = "bias"
HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
ORDERS = {"euler": 1, "rk2": 2, "rk4": 4, **{f"ps{order}": order for order in range(1, 7)}}


@cache
def stability_limit(solver: str) -> float:
    """Return how many time constants a step must be shorter than for a decay to be one.

    It is the least z > 0 with |R(-z)| = 1, R(z) being the sum of z^k / k! for k up to the order;
    infinite for `exact`.
    """
    if solver == "exact":
        return math.inf
    powers = [(-1.0) ** k / math.factorial(k) for k in range(ORDERS[solver] + 1)]
    # R(-z) = 1 has a root at 0, which the powers without the constant do not have.
    found = [np.roots(powers[:0:-1]), np.roots([*powers[:0:-1], powers[0] + 1.0])]
    roots = np.concatenate(found).astype(complex)
    real = roots.real[np.abs(roots.imag) < 1e-9]
    return float(real[real > 0.0].min())


@dataclass(frozen=True, kw_only=True)
class Problem(Generic[T]):
    """What a solver is given.

    Attributes
    ----------
    rates : mapping of str to Expression
        Right-hand sides, per step.
    arithmetic : Arithmetic
    stage : callable
        Takes the name of a variable and a value found for it within the step, and returns the value
        to go on with: that of the beginning where the variable is held, not more than its bound.
    hold : callable
        Takes the name of a variable and a coefficient of its series, and returns the coefficient or
        zero where the variable is held.
    """

    rates: Mapping[str, Expression]
    arithmetic: Arithmetic[T]
    stage: Callable[[str, T], T]
    hold: Callable[[str, T], T]

    def changes(self, values: Mapping[str, T], scale: Fraction = Fraction(1)) -> dict[str, T]:
        """Return `scale` times all right-hand sides."""
        return {
            name: evaluate(rate, values, self.arithmetic, scale)
            for name, rate in self.rates.items()
        }

    def moved(self, values: Mapping[str, T], changes: Mapping[str, T]) -> dict[str, T]:
        """Return the variables at a stage of the step, from those at its beginning."""
        return {
            name: self.stage(name, self.arithmetic.add(values[name], changes[name]))
            for name in self.rates
        }


def reached(rates: Mapping[str, Expression]) -> dict[str, set[str]]:
    """Return which variables act on each within any time, through others too; itself is one."""
    found = {name: {name} | variables(rate) for name, rate in rates.items()}
    while True:
        wider = {
            name: set().union(*(found[other] for other in set_)) for name, set_ in found.items()
        }
        if wider == found:
            return found
        found = wider


def propagator(to: str, source: str) -> str:
    """Return the name of the constant by which a variable acts on another in one step."""
    return f"P_{to}_{source}"


def has_offset(rates: Mapping[str, Expression], name: str) -> bool:
    """Return whether a step of exact integration adds a constant to a variable."""
    return any(has_constant_term(rates[other]) for other in reached(rates)[name])


def _exact(problem: Problem[T], values: Mapping[str, T]) -> dict[str, T]:
    acting = reached(problem.rates)
    arithmetic = problem.arithmetic
    one = Fraction(1)

    def advanced(name: str) -> T:
        terms = [
            arithmetic.multiply(arithmetic.constant(propagator(name, other), one), values[other])
            for other in problem.rates
            if other in acting[name]
        ]
        if has_offset(problem.rates, name):
            offset = arithmetic.constant(OFFSET, one)
            if name != DRIVEN:
                follows = arithmetic.constant(propagator(name, "dc"), one)
                offset = arithmetic.multiply(follows, offset)
            terms.append(offset)
        return balanced_sum(terms, arithmetic)

    return {name: advanced(name) for name in problem.rates}


def _euler(problem: Problem[T], values: Mapping[str, T]) -> dict[str, T]:
    changes = problem.changes(values)
    return {name: problem.arithmetic.add(values[name], changes[name]) for name in problem.rates}


def _rk2(problem: Problem[T], values: Mapping[str, T]) -> dict[str, T]:
    middle = problem.moved(values, problem.changes(values, HALF))
    changes = problem.changes(middle)
    return {name: problem.arithmetic.add(values[name], changes[name]) for name in problem.rates}


def _rk4(problem: Problem[T], values: Mapping[str, T]) -> dict[str, T]:
    # x + (k1 + 2 k2 + 2 k3 + k4) / 6 with halves of k1, k2 and k4: their constants are halved, and
    # a third of (k1/2 + 2 k2/2 + k3 + k4/2) is what is added.
    first = problem.changes(values, HALF)
    second = problem.changes(problem.moved(values, first), HALF)
    third = problem.changes(problem.moved(values, second))
    fourth = problem.changes(problem.moved(values, third), HALF)
    arithmetic = problem.arithmetic

    def advanced(name: str) -> T:
        double = arithmetic.add(second[name], second[name])
        whole = balanced_sum([first[name], double, third[name], fourth[name]], arithmetic)
        part = arithmetic.multiply(arithmetic.constant("", THIRD), whole)
        return arithmetic.add(values[name], part)

    return {name: advanced(name) for name in problem.rates}


def _parker_sochacki(problem: Problem[T], values: Mapping[str, T], order: int) -> dict[str, T]:
    series = Series(problem.rates, values, problem.arithmetic, problem.hold)
    for _ in range(order):
        series.extend()

    def advanced(name: str) -> T:
        # All that is small first, so that the value itself is rounded once.
        change = series.sum(series.coefficients[name][1:])
        if change is None:
            return values[name]
        combine = problem.arithmetic.subtract if change[1] else problem.arithmetic.add
        return combine(values[name], change[0])

    return {name: advanced(name) for name in problem.rates}


def _has_other_offset(rate: Expression) -> bool:
    """Return whether an affine right-hand side has a constant term beside the bias."""
    if isinstance(rate, Sum | Difference):
        return any(_has_other_offset(part) for part in rate.parts())
    return is_constant(rate) and rate != Constant(BIAS)


def refusal(solver: str, rates: Mapping[str, Expression]) -> str | None:
    """Return why a solver cannot take a system, None if it can."""
    if solver == "exact":
        wrong = [name for name, rate in rates.items() if not is_affine(rate)]
        if wrong:
            return f"exact integration needs a linear system; that of {', '.join(wrong)} is not"
        wrong = [name for name, rate in rates.items() if _has_other_offset(rate)]
        if wrong:
            found = ", ".join(wrong)
            return f"exact integration takes no constant term but {BIAS}; that of {found} has one"
    if solver.startswith("ps"):
        wrong = [name for name, rate in rates.items() if not is_polynomial(rate)]
        if wrong:
            return (
                f"power series need polynomials; the right-hand side of {', '.join(wrong)} is none"
            )
    return None


def solve(solver: str, problem: Problem[T], values: Mapping[str, T]) -> dict[str, T]:
    """Return the state variables after a step.

    Parameters
    ----------
    solver : str
        One of `csnn.spec.neuron.SOLVERS`, which takes the system (`refusal`).
    problem : Problem
    values : mapping of str to value
        The variables before the step.

    Returns
    -------
    dict of str to value
    """
    match solver:
        case "exact":
            return _exact(problem, values)
        case "euler":
            return _euler(problem, values)
        case "rk2":
            return _rk2(problem, values)
        case "rk4":
            return _rk4(problem, values)
    return _parker_sochacki(problem, values, ORDERS[solver])
