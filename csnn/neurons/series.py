"""Coefficients of power series: what the Parker-Sochacki method computes, order by order.

References
----------
Parker & Sochacki (1996) Neural Parallel Sci. Comput. 4:97; Stewart & Bair (2009) J. Comput.
Neurosci. 27:115 (spiking neurons).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Generic, TypeVar

from csnn.neurons.equations import (
    ONE,
    Arithmetic,
    Constant,
    Difference,
    Expression,
    Product,
    Rate,
    Sum,
    Variable,
    absorbs,
    is_constant,
)

T = TypeVar("T")
# A value and whether it counts negative: signs choose between sum and difference.
Signed = tuple[T, bool]


class Series(Generic[T]):
    """The solution of a system as a power series about the beginning of the step.

    Parameters
    ----------
    rates : mapping of str to Expression
        Right-hand sides, polynomials in the variables and rates.
    values : mapping of str to value
        The variables at the beginning.
    arithmetic : Arithmetic
    hold : callable
        Returns a coefficient of a variable, or zero where the variable does not change.

    Raises
    ------
    TypeError
        If a right-hand side is no polynomial.
    """

    def __init__(
        self,
        rates: Mapping[str, Expression],
        values: Mapping[str, T],
        arithmetic: Arithmetic[T],
        hold: Callable[[str, T], T],
    ) -> None:
        self._rates, self._arithmetic, self._hold = rates, arithmetic, hold
        # A variable may stand still, by a rate that has no coefficient of an order.
        self.coefficients: dict[str, list[Signed[T] | None]] = {
            name: [(value, False)] for name, value in values.items()
        }
        self._rated = {
            part.name for rate in rates.values() for part in rate.walk() if isinstance(part, Rate)
        }
        self._derivatives: dict[str, list[Signed[T] | None]] = {name: [] for name in self._rated}

    def extend(self) -> None:
        """Find the coefficients of one more order."""
        order = len(next(iter(self.coefficients.values())))
        part = Fraction(1, order)
        found: dict[str, Signed[T] | None] = {}
        # Rates that others use come first.
        for name in sorted(self._rates, key=lambda name: name not in self._rated):
            if name in self._rated:
                rate = self._held(name, self._coefficient(self._rates[name], order - 1, ONE))
                self._derivatives[name].append(rate)
                found[name] = self._times(part, rate)
            else:
                found[name] = self._held(
                    name, self._coefficient(self._rates[name], order - 1, part)
                )
        for name, value in found.items():
            self.coefficients[name].append(value)

    def _held(self, name: str, value: Signed[T] | None) -> Signed[T] | None:
        return None if value is None else (self._hold(name, value[0]), value[1])

    def _times(self, scale: Fraction, value: Signed[T] | None) -> Signed[T] | None:
        if value is None or scale == ONE:
            return value
        factor = self._arithmetic.constant("", scale)
        return self._arithmetic.multiply(factor, value[0]), value[1]

    def sum(self, terms: list[Signed[T] | None]) -> Signed[T] | None:
        """Add signed values in pairs, neighbours first; None counts as nothing."""
        level = [term for term in terms if term is not None]
        while len(level) > 1:
            pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
            level = [self._pair(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return level[0] if level else None

    def _pair(self, a: Signed[T], b: Signed[T]) -> Signed[T]:
        if a[1] == b[1]:
            return self._arithmetic.add(a[0], b[0]), a[1]
        return self._arithmetic.subtract(a[0], b[0]), a[1]

    def _coefficient(self, part: Expression, k: int, scale: Fraction) -> Signed[T] | None:
        if isinstance(part, Constant):
            return (self._arithmetic.constant(part.name, scale), False) if k == 0 else None
        if scale != ONE and not absorbs(part):
            return self._times(scale, self._coefficient(part, k, ONE))
        match part:
            case Variable(name):
                return self.coefficients[name][k]
            case Rate(name):
                return self._derivatives[name][k]
            case Sum(terms):
                return self.sum([self._coefficient(term, k, scale) for term in terms])
            case Difference(a, b):
                minuend = self._coefficient(a, k, scale)
                subtrahend = self._coefficient(b, k, scale)
                if subtrahend is not None:
                    subtrahend = subtrahend[0], not subtrahend[1]
                return self.sum([minuend, subtrahend])
            case Product(a, b):
                return self._product(a, b, k, scale)
        raise TypeError(f"{part} is no polynomial")

    def _product(self, a: Expression, b: Expression, k: int, scale: Fraction) -> Signed[T] | None:
        first, second = (scale, ONE) if absorbs(a) else (ONE, scale)
        if is_constant(a):
            orders = range(1)
        elif is_constant(b):
            orders = range(k, k + 1)
        else:
            orders = range(k + 1)
        return self.sum(
            [
                self._signed_product(
                    self._coefficient(a, j, first), self._coefficient(b, k - j, second)
                )
                for j in orders
            ]
        )

    def _signed_product(self, a: Signed[T] | None, b: Signed[T] | None) -> Signed[T] | None:
        if a is None or b is None:
            return None
        return self._arithmetic.multiply(a[0], b[0]), a[1] != b[1]
