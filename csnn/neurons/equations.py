"""Right-hand sides of differential equations, as expressions that every solver reads.

An expression is made of `Constant`, `Variable` and `Rate` with `+ - *` and `Exponential`. What its
values are is left to an `Arithmetic`: operations of a graph, or numbers.

A factor, such as a part of the step, moves into the constants that it meets (`evaluate`, `scale`):
`scale * (c * x)` takes one multiplication by the constant `c * scale`, computed beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeVar

T = TypeVar("T")
ONE = Fraction(1)


class Arithmetic(Protocol[T]):
    """What expressions are evaluated with."""

    def constant(self, name: str, scale: Fraction) -> T:
        """Return a constant times a number; without a name, the number."""

    def add(self, a: T, b: T) -> T:
        """Return a + b."""

    def subtract(self, a: T, b: T) -> T:
        """Return a - b."""

    def multiply(self, a: T, b: T) -> T:
        """Return a * b."""

    def exponential(self, a: T) -> T:
        """Return exp(a)."""


class Expression:
    """A right-hand side, or a part of one."""

    def __add__(self, other: Expression) -> Expression:
        return Sum((*_terms(self), *_terms(other)))

    def __sub__(self, other: Expression) -> Expression:
        return Difference(self, other)

    def __mul__(self, other: Expression) -> Expression:
        return Product(self, other)

    def parts(self) -> tuple[Expression, ...]:
        """Return the expressions that this one is made of."""
        return ()

    def walk(self) -> Iterator[Expression]:
        """Yield this expression and all that it is made of."""
        yield self
        for part in self.parts():
            yield from part.walk()


@dataclass(frozen=True)
class Constant(Expression):
    """A number that follows from a neuron's parameters and the step."""

    name: str


@dataclass(frozen=True)
class Variable(Expression):
    """A state variable."""

    name: str


@dataclass(frozen=True)
class Rate(Expression):
    """The right-hand side of a state variable."""

    name: str


@dataclass(frozen=True)
class Sum(Expression):
    """Terms that are added in pairs, neighbours first."""

    terms: tuple[Expression, ...]

    def parts(self) -> tuple[Expression, ...]:
        """Return the terms."""
        return self.terms


@dataclass(frozen=True)
class Difference(Expression):
    """a - b."""

    a: Expression
    b: Expression

    def parts(self) -> tuple[Expression, ...]:
        """Return both sides."""
        return self.a, self.b


@dataclass(frozen=True)
class Product(Expression):
    """a * b."""

    a: Expression
    b: Expression

    def parts(self) -> tuple[Expression, ...]:
        """Return both factors."""
        return self.a, self.b


@dataclass(frozen=True)
class Exponential(Expression):
    """exp(argument)."""

    argument: Expression

    def parts(self) -> tuple[Expression, ...]:
        """Return the argument."""
        return (self.argument,)


def _terms(expression: Expression) -> tuple[Expression, ...]:
    return expression.terms if isinstance(expression, Sum) else (expression,)


def variables(expression: Expression) -> set[str]:
    """Return the names of the state variables that an expression depends on, rates not followed."""
    return {part.name for part in expression.walk() if isinstance(part, Variable)}


def is_constant(expression: Expression) -> bool:
    """Return whether no state variable has to do with an expression."""
    return not any(isinstance(part, Variable | Rate) for part in expression.walk())


def is_affine(expression: Expression) -> bool:
    """Return whether an expression is linear in the state variables, but for a constant."""
    if isinstance(expression, Product):
        if not (is_constant(expression.a) or is_constant(expression.b)):
            return False
    elif isinstance(expression, Exponential | Rate):
        return False
    return all(is_affine(part) for part in expression.parts())


def is_polynomial(expression: Expression) -> bool:
    """Return whether an expression is a polynomial in state variables and rates."""
    return not any(isinstance(part, Exponential) for part in expression.walk())


def has_constant_term(expression: Expression) -> bool:
    """Return whether an affine expression has a part without state variables."""
    if isinstance(expression, Product):
        return all(has_constant_term(part) for part in expression.parts())
    if isinstance(expression, Constant):
        return True
    return any(has_constant_term(part) for part in expression.parts())


def absorbs(expression: Expression) -> bool:
    """Return whether a factor moves into the constants of an expression without an operation."""
    if isinstance(expression, Constant):
        return True
    if isinstance(expression, Product):
        return any(absorbs(part) for part in expression.parts())
    if isinstance(expression, Sum | Difference):
        return all(absorbs(part) for part in expression.parts())
    return False


def balanced_sum(terms: list[T], arithmetic: Arithmetic[T]) -> T:
    """Add neighbours in pairs until one value is left."""
    while len(terms) > 1:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [arithmetic.add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return terms[0]


def evaluate(
    expression: Expression,
    values: Mapping[str, T],
    arithmetic: Arithmetic[T],
    scale: Fraction = ONE,
) -> T:
    """Return `scale` times an expression.

    Parameters
    ----------
    expression : Expression
        Without rates.
    values : mapping of str to value
        The state variables.
    arithmetic : Arithmetic
    scale : Fraction

    Returns
    -------
    value
    """

    def visit(part: Expression, scale: Fraction) -> T:
        if isinstance(part, Constant):
            return arithmetic.constant(part.name, scale)
        if scale != ONE and not absorbs(part):
            return arithmetic.multiply(arithmetic.constant("", scale), visit(part, ONE))
        match part:
            case Variable(name):
                return values[name]
            case Sum(terms):
                return balanced_sum([visit(term, scale) for term in terms], arithmetic)
            case Difference(a, b):
                return arithmetic.subtract(visit(a, scale), visit(b, scale))
            case Product(a, b):
                first, second = (scale, ONE) if absorbs(a) else (ONE, scale)
                return arithmetic.multiply(visit(a, first), visit(b, second))
            case Exponential(argument):
                return arithmetic.exponential(visit(argument, ONE))
        raise TypeError(f"{part} has no value here")

    return visit(expression, scale)
