"""Whether a solver's step is short enough for the decays in a neuron's equations.

An explicit solver multiplies the solution of x' = -x / tau by R(-h / tau). Where |R| > 1 it grows
without bound: instead of a decay there are NaNs before long. Where |R| = 1 it never decays, and
what it drives with the same time constant (an alpha function, a part of AMAT2's threshold) grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from csnn.neurons.composition import Step
from csnn.neurons.equations import Constant, Difference, Expression, Product, Sum, Variable
from csnn.neurons.solvers import stability_limit
from csnn.spec.neuron import MAX_SUBSTEPS

# Constants are rounded to binary32, to one part in 2^24: what is that close is at the limit.
_ROUNDING = 2.0**-20


def decays(step: Step) -> dict[str, tuple[str, ...]]:
    """Return the constants that state variables are multiplied with in their own rates.

    Only terms of the form `constant * variable` are meant: how fast anything else decays depends on
    the state.
    """
    found = {name: tuple(_own(rate, name)) for name, rate in step.rates.items()}
    return {name: constants for name, constants in found.items() if constants}


def _own(rate: Expression, name: str) -> Iterator[str]:
    match rate:
        case Sum(terms):
            for term in terms:
                yield from _own(term, name)
        case Difference(a, _):
            yield from _own(a, name)
        case Product(Constant(constant), Variable(variable)) if variable == name:
            yield constant
        case Product(Variable(variable), Constant(constant)) if variable == name:
            yield constant


def lengths(step: Step, base: Mapping[str, float]) -> dict[str, float]:
    """Return the length of a part of a step in time constants, by the constant of each decay.

    Parameters
    ----------
    step : Step
    base : mapping of str to float
        The constants of neuron and synapses, per part of a step.
    """
    found: dict[str, float] = {}
    for constants in decays(step).values():
        length = -sum(base[constant] for constant in constants)
        fastest = min(constants, key=base.__getitem__)
        found[fastest] = max(length, found.get(fastest, 0.0))
    return found


def bound(solver: str) -> float:
    """Return what the length of a part of a step must be below, in time constants."""
    return stability_limit(solver) * (1.0 - _ROUNDING)


def is_stable(solver: str, length: float) -> bool:
    """Return whether what decays does so in a step of `length` time constants."""
    return length < bound(solver)


def enough_substeps(solver: str, whole: float) -> int | None:
    """Return the least number of substeps that is stable; None if none is.

    Parameters
    ----------
    solver : str
    whole : float
        Length of a step, all parts of it together, in time constants.
    """
    # A part's own length may differ by a rounding from what the division gives.
    parts = range(1, MAX_SUBSTEPS + 1)
    return next((n for n in parts if is_stable(solver, whole / n * (1.0 + _ROUNDING))), None)
