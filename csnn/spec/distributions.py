"""Probability distributions of weights, delays and initial values.

A distribution carries no unit; the field that holds it does (`delay_ms`), or the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec import checks

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same value every time."""

    value: float

    def __post_init__(self) -> None:
        checks.real("constant", "value", self.value)

    def mean(self) -> float:
        """Return the expectation."""
        return float(self.value)

    def sd(self) -> float:
        """Return the standard deviation, zero."""
        return 0.0

    def support(self) -> tuple[float, float]:
        """Return the smallest and largest possible value."""
        return float(self.value), float(self.value)

    def cdf(self, x: F64) -> F64:
        """Return P(X <= x) for each `x`."""
        return np.where(np.asarray(x) >= self.value, 1.0, 0.0)

    def ppf(self, q: F64) -> F64:
        """Return the quantile of each probability `q`."""
        return np.full(np.shape(q), float(self.value))


class _Scipy:
    """Distributions that scipy knows, truncated ones included."""

    @cached_property
    def _frozen(self) -> Any:
        raise TypeError(f"{type(self).__name__} names no scipy distribution")

    def mean(self) -> float:
        """Return the expectation (after truncation, if any)."""
        return float(self._frozen.mean())

    def sd(self) -> float:
        """Return the standard deviation (after truncation, if any)."""
        return float(self._frozen.std())

    def support(self) -> tuple[float, float]:
        """Return the smallest and largest possible value; may be infinite."""
        low, high = self._frozen.support()
        return float(low), float(high)

    def cdf(self, x: F64) -> F64:
        """Return P(X <= x) for each `x`."""
        return np.asarray(self._frozen.cdf(x), dtype=np.float64)

    def ppf(self, q: F64) -> F64:
        """Return the quantile of each probability `q`."""
        return np.asarray(self._frozen.ppf(q), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Normal(_Scipy):
    """A normal distribution whose values outside [minimum, maximum] are drawn again.

    `mu` and `sigma` belong to the distribution before truncation, as NEST's `redraw` has it.
    """

    mu: float
    sigma: float
    minimum: float = -math.inf
    maximum: float = math.inf

    def __post_init__(self) -> None:
        checks.real("normal", "mu", self.mu)
        checks.positive("normal", "sigma", self.sigma)
        for field in ("minimum", "maximum"):
            value = getattr(self, field)
            if value not in (-math.inf, math.inf):
                checks.real("normal", field, value, "must be a number (inf allowed)")
        if not self.minimum < self.maximum:
            raise reject("normal.minimum", self.minimum, f"must be < maximum = {self.maximum!r}")
        if self._mass() < 1e-6:
            raise reject("normal.minimum", self.minimum, "leaves under 1e-6 of the probability")

    def _bounds(self) -> tuple[float, float]:
        return (self.minimum - self.mu) / self.sigma, (self.maximum - self.mu) / self.sigma

    def _mass(self) -> float:
        from scipy import stats

        low, high = self._bounds()
        return float(stats.norm.cdf(high) - stats.norm.cdf(low))

    @cached_property
    def _frozen(self) -> Any:
        from scipy import stats

        low, high = self._bounds()
        return stats.truncnorm(low, high, loc=self.mu, scale=self.sigma)


@dataclass(frozen=True, kw_only=True)
class Lognormal(_Scipy):
    """exp(Z) with Z normal of mean `mu_log` and standard deviation `sigma_log`."""

    mu_log: float
    sigma_log: float

    def __post_init__(self) -> None:
        checks.real("lognormal", "mu_log", self.mu_log)
        checks.positive("lognormal", "sigma_log", self.sigma_log)
        if not -300 <= self.mu_log <= 300:
            raise reject("lognormal.mu_log", self.mu_log, "must be in [-300, 300]")
        if self.sigma_log > 10:
            raise reject("lognormal.sigma_log", self.sigma_log, "must be <= 10")

    @cached_property
    def _frozen(self) -> Any:
        from scipy import stats

        return stats.lognorm(self.sigma_log, scale=math.exp(self.mu_log))


@dataclass(frozen=True, kw_only=True)
class Uniform(_Scipy):
    """A uniform distribution on [low, high)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        checks.real("uniform", "low", self.low)
        checks.real("uniform", "high", self.high)
        if not self.low < self.high:
            raise reject("uniform.low", self.low, f"must be < high = {self.high!r}")
        if math.isinf(float(self.high) - float(self.low)):
            raise reject("uniform.high", self.high, "must leave high - low finite")

    @cached_property
    def _frozen(self) -> Any:
        from scipy import stats

        return stats.uniform(self.low, self.high - self.low)


Distribution = Constant | Normal | Lognormal | Uniform
DISTRIBUTIONS: dict[str, type[Constant] | type[Normal] | type[Lognormal] | type[Uniform]] = {
    "constant": Constant,
    "normal": Normal,
    "lognormal": Lognormal,
    "uniform": Uniform,
}
