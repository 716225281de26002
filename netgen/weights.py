"""Probability tables of synaptic weights, from distributions and from samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec.distributions import Constant, Distribution
from csnn.spec.machine import MAX_WEIGHT_UNITS, RTR_OUTCOMES
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
    grid_pA: float,
    n_outcomes: int = RTR_OUTCOMES,
    *,
    field: str = "weight_pA",
) -> Pmf:
    """Discretise a weight distribution.

    Parameters
    ----------
    distribution : Distribution
        Weights in pA.
    grid_pA : float
        Unit of the result.
    n_outcomes : int
        Number of table entries, a power of two.
    field : str
        Name used in errors, for example "projection E->I.weight_pA".

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
        return _constant_weight(distribution.value, grid_pA, field)
    mean, sd = distribution.mean() / grid_pA, distribution.sd() / grid_pA
    if sd <= _SPREAD_NOISE * abs(mean) < np.inf:
        return _constant_weight(mean * grid_pA, grid_pA, field)
    low, high = (bound / grid_pA for bound in distribution.support())
    if (low >= 0 or high <= 0) and abs(mean) < 0.5:
        raise _rounds_to_zero(field, mean * grid_pA, grid_pA)
    limit = (MAX_WEIGHT_UNITS + 0.5) * grid_pA
    below, upto = distribution.cdf(np.array([-limit, limit]))
    if not upto - below >= 1.0 - TAIL_MASS:
        raise _overflows(field, distribution, grid_pA)
    tails = distribution.ppf(np.array([_QUANTILE, 1.0 - _QUANTILE])) / grid_pA
    first = int(max(np.ceil(low), np.floor(tails[0]), -MAX_WEIGHT_UNITS))
    last = int(min(np.floor(high), np.ceil(tails[1]), MAX_WEIGHT_UNITS))
    if last < first:
        raise _not_kept(field, distribution, grid_pA)
    lattice = np.arange(first, last + 1)
    boundaries = np.asarray((lattice[:-1] + 0.5) * grid_pA, dtype=np.float64)
    masses = np.diff(distribution.cdf(boundaries), prepend=0.0, append=1.0)
    values, probabilities = _fit(lattice, masses, mean, sd, n_outcomes)
    if not _keeps(values, probabilities, mean, sd):
        raise _not_kept(field, distribution, grid_pA)
    return values, probabilities


def fit_weight_pmf(
    samples: npt.ArrayLike,
    grid_pA: float,
    n_outcomes: int = RTR_OUTCOMES,
    *,
    field: str = "edges.weight_pA",
) -> Pmf:
    """Fit a weight table to the weights of an edge list.

    Parameters
    ----------
    samples : array_like of int or float, shape (m,), pA
        Weights; all of the same or of both signs.
    grid_pA : float
        Unit of the result.
    n_outcomes : int
        Number of table entries, a power of two.
    field : str
        Name used in errors.

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
    units = finite_samples(samples, field) / grid_pA
    mean, sd = float(units.mean()), float(units.std())
    if sd <= _SPREAD_NOISE * abs(mean):
        return _constant_weight(mean * grid_pA, grid_pA, field)
    largest = float(np.abs(units).max())
    if largest < 0.5:
        raise _rounds_to_zero(field, largest * grid_pA, grid_pA)
    rounded = _away_from_zero(np.rint(units), units)
    if largest > MAX_WEIGHT_UNITS + 0.5 or np.abs(rounded).max() > MAX_WEIGHT_UNITS:
        raise _overflows(field, largest * grid_pA, grid_pA)
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
        raise _not_kept(field, f"{mean * grid_pA:.6g} +- {sd * grid_pA:.3g}", grid_pA)
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


def _constant_weight(value: float, grid_pA: float, field: str) -> Pmf:
    units = value / grid_pA
    whole = round(units)
    if value != 0.0 and whole == 0:
        raise _rounds_to_zero(field, value, grid_pA)
    if abs(whole) > MAX_WEIGHT_UNITS:
        raise _overflows(field, value, grid_pA)
    if abs(whole - units) > MOMENT_TOLERANCE * abs(units):
        raise _not_kept(field, value, grid_pA)
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


# The grid that is chosen without machine.weight_grid_pA is the finest that holds the sums.
_COARSE = "set by the largest weights and sums unless machine.weight_grid_pA is given"


def _rounds_to_zero(field: str, value: float, grid_pA: float) -> Exception:
    return reject(field, value, f"rounds to zero on the grid of {grid_pA:g} pA, {_COARSE}")


def _overflows(field: str, value: object, grid_pA: float) -> Exception:
    limit = MAX_WEIGHT_UNITS * grid_pA
    rule = f"exceeds {MAX_WEIGHT_UNITS} units of {grid_pA:g} pA = {limit:g} pA; use a coarser grid"
    return reject(field, value, rule)


def _not_kept(field: str, value: object, grid_pA: float) -> Exception:
    rule = f"the table does not keep mean and variance to {MOMENT_TOLERANCE:g}"
    return reject(field, value, f"{rule} on the grid of {grid_pA:g} pA; {_COARSE}")
