"""Probability tables of synaptic weights, from distributions and from samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec.distributions import Constant, Distribution
from csnn.spec.machine import MAX_WEIGHT_UNITS, RTR_OUTCOMES
from csnn.spec.neuron import grid_key, with_unit
from netgen import alias, moments

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Pmf = tuple[I64, F64]

MOMENT_TOLERANCE = 1e-3
# Probability that may lie beyond the largest weight.
TAIL_MASS = 1e-6
# Spreads relative to the mean that are taken for noise.
_SPREAD_NOISE = 1e-6
# Quantiles beyond which weights are not looked at before mean and variance are restored.
_QUANTILE = 1e-9
# Outcomes of fewer counts than this are rare: rounding moves their probability by 1e-3 or more.
_RARE_COUNTS = 1000


def weight_pmf(
    distribution: Distribution,
    grid: float,
    n_outcomes: int = RTR_OUTCOMES,
    *,
    field: str = "weight",
    unit: str = "1",
) -> Pmf:
    """Discretise a weight distribution.

    Parameters
    ----------
    distribution : Distribution
        Weights.
    grid : float
        Unit of the result.
    n_outcomes : int
        Number of table entries, a power of two.
    field : str
        Name used in errors, for example "projection E->I.weight_nS".
    unit : str
        Unit of weights, for errors.

    Returns
    -------
    values : int64 array, shape (n,), grid units
        Outcomes in ascending order, all within the support of the distribution: no sign changes,
        and zero appears only if the distribution reaches it.
    probabilities : float64 array, shape (n,)
        Multiples of 2**-16 / n_outcomes. The mean is that of the distribution within 1e-3 of the
        larger of |mean| and sd, the variance within 1e-3 (typically 1e-8).

    Raises
    ------
    InvalidInputError
        If the weight rounds to zero, exceeds 32767 units, or the grid is too coarse to keep mean
        and variance.
    """
    if isinstance(distribution, Constant):
        return _constant_weight(distribution.value, grid, field, unit)
    mean, sd = distribution.mean() / grid, distribution.sd() / grid
    if sd <= _SPREAD_NOISE * abs(mean) < np.inf:
        return _constant_weight(mean * grid, grid, field, unit)
    low, high = (bound / grid for bound in distribution.support())
    if (low >= 0 or high <= 0) and abs(mean) < 0.5:
        raise _rounds_to_zero(field, mean * grid, grid, unit)
    limit = (MAX_WEIGHT_UNITS + 0.5) * grid
    below, upto = distribution.cdf(np.array([-limit, limit]))
    if not upto - below >= 1.0 - TAIL_MASS:
        raise _overflows(field, distribution, grid, unit)
    tails = distribution.ppf(np.array([_QUANTILE, 1.0 - _QUANTILE])) / grid
    first = int(max(np.ceil(low), np.floor(tails[0]), -MAX_WEIGHT_UNITS))
    last = int(min(np.floor(high), np.ceil(tails[1]), MAX_WEIGHT_UNITS))
    if last < first:
        raise _not_kept(field, distribution, grid, unit)
    lattice = np.arange(first, last + 1)
    boundaries = np.asarray((lattice[:-1] + 0.5) * grid, dtype=np.float64)
    masses = np.diff(distribution.cdf(boundaries), prepend=0.0, append=1.0)
    values, probabilities = _fit(lattice, masses, mean, sd, n_outcomes)
    if not _keeps(values, probabilities, mean, sd):
        raise _not_kept(field, distribution, grid, unit)
    return values, probabilities


def fit_weight_pmf(
    samples: npt.ArrayLike,
    grid: float,
    n_outcomes: int = RTR_OUTCOMES,
    *,
    field: str = "edges.weight",
    unit: str = "1",
) -> Pmf:
    """Fit a weight table to the weights of an edge list.

    Parameters
    ----------
    samples : array_like of int or float, shape (m,)
        Weights; all of the same or of both signs.
    grid : float
        Unit of the result.
    n_outcomes : int
        Number of table entries, a power of two.
    field : str
        Name used in errors.
    unit : str
        Unit of weights, for errors.

    Returns
    -------
    values : int64 array, shape (n,), grid units
    probabilities : float64 array, shape (n,)
        The distribution of the samples itself if they are on the grid and take at most `n_outcomes`
        values; else clusters of them, with mean and variance kept as in `weight_pmf`. A sample that
        is not zero never becomes zero or changes its sign.

    Raises
    ------
    InvalidInputError
        As `weight_pmf`, and if there is no sample or one is not finite.
    """
    units = finite_samples(samples, field) / grid
    mean, sd = float(units.mean()), float(units.std())
    if sd <= _SPREAD_NOISE * abs(mean):
        return _constant_weight(mean * grid, grid, field, unit)
    largest = float(np.abs(units).max())
    if largest < 0.5:
        raise _rounds_to_zero(field, largest * grid, grid, unit)
    rounded = _away_from_zero(np.rint(units), units)
    if largest > MAX_WEIGHT_UNITS + 0.5 or np.abs(rounded).max() > MAX_WEIGHT_UNITS:
        raise _overflows(field, largest * grid, grid, unit)
    values, masses = np.unique(rounded.astype(np.int64), return_counts=True)
    result = _fit(values, masses / len(units), mean, sd, n_outcomes)
    if not _keeps(*result, mean, sd):
        # Few values off the grid: let each share its mass between the two integers beside it.
        floor = _away_from_zero(np.floor(units), units)
        ceiling = _away_from_zero(np.ceil(units), units)
        part = np.clip(units - floor, 0.0, 1.0)
        values, inverse = np.unique(
            np.concatenate([floor, ceiling]).astype(np.int64), return_inverse=True
        )
        shares = np.bincount(inverse, weights=np.concatenate([1.0 - part, part]))
        result = _fit(values, shares / len(units), mean, sd, n_outcomes)
    if not _keeps(*result, mean, sd) or np.abs(result[0]).max() > MAX_WEIGHT_UNITS:
        raise _not_kept(field, f"{mean * grid:.6g} +- {sd * grid:.3g}", grid, unit)
    return result


def _fit(values: I64, masses: F64, mean: float, sd: float, n_outcomes: int) -> Pmf:
    """Reduce to `n_outcomes`, restore the moments, round to what a table holds."""
    total = n_outcomes << alias.RTR_COMPARE_BITS
    points, probabilities = moments.reduce(values, masses, n_outcomes)
    probabilities = moments.match(points, probabilities, mean, sd)
    result = alias.representable(points, probabilities, total)
    if _keeps(*result, mean, sd):
        return result
    # Rare outcomes of a few counts carry much of the variance, and their rounding spoils it: round
    # them first and let the others make up for it.
    counts = np.rint(probabilities * total)
    common = counts > _RARE_COUNTS
    fixed, z = np.where(common, 0.0, counts / total), points - mean
    left = 1.0 - fixed.sum()
    shift = -float(fixed @ z) / left
    variance = (sd**2 - float(fixed @ z**2)) / left - shift**2
    if variance <= 0.0 or not common.any():
        return result
    others = probabilities[common] / probabilities[common].sum()
    fixed[common] = left * moments.match(points[common], others, mean + shift, variance**0.5)
    return alias.representable(points, fixed, total)


def _keeps(values: I64, probabilities: F64, mean: float, sd: float) -> bool:
    has_mean = float(values @ probabilities)
    has_variance = float((values - has_mean) ** 2 @ probabilities)
    close = abs(has_mean - mean) <= MOMENT_TOLERANCE * max(abs(mean), sd)
    return close and abs(has_variance / sd**2 - 1.0) <= MOMENT_TOLERANCE


def _constant_weight(value: float, grid: float, field: str, unit: str) -> Pmf:
    units = value / grid
    whole = round(units)
    if value != 0.0 and whole == 0:
        raise _rounds_to_zero(field, value, grid, unit)
    if abs(whole) > MAX_WEIGHT_UNITS:
        raise _overflows(field, value, grid, unit)
    if abs(whole - units) > MOMENT_TOLERANCE * abs(units):
        raise _not_kept(field, value, grid, unit)
    return np.array([whole]), np.array([1.0])


def finite_samples(samples: npt.ArrayLike, field: str) -> F64:
    """Return the samples of an edge list, at least one and all finite."""
    array = np.asarray(samples, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0:
        raise reject(field, array.shape, "must be a list of at least one value")
    if not np.all(np.isfinite(array)):
        raise reject(field, float(array[~np.isfinite(array)][0]), "must be finite")
    return array


def _away_from_zero(rounded: F64, units: F64) -> F64:
    """Keep what is not zero from rounding to zero."""
    return np.where((rounded == 0) & (units != 0), np.sign(units), rounded)


def _on_grid(grid: float, unit: str) -> str:
    """Tell of the grid, which is the finest that holds the sums unless it is given."""
    size = with_unit(grid, unit)
    choice = f"set by the largest weights and sums unless machine.{grid_key(unit)} is given"
    return f"on the grid of {size}, {choice}"


def _rounds_to_zero(field: str, value: float, grid: float, unit: str) -> Exception:
    return reject(field, value, f"rounds to zero {_on_grid(grid, unit)}")


def _overflows(field: str, value: object, grid: float, unit: str) -> Exception:
    size, limit = with_unit(grid, unit), with_unit(MAX_WEIGHT_UNITS * grid, unit)
    rule = f"exceeds {MAX_WEIGHT_UNITS} units of {size} = {limit}; use a coarser grid"
    return reject(field, value, rule)


def _not_kept(field: str, value: object, grid: float, unit: str) -> Exception:
    rule = f"the table does not keep mean and variance to {MOMENT_TOLERANCE:g}"
    return reject(field, value, f"{rule} {_on_grid(grid, unit)}")
