"""How closely a table realises the distribution it stands for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from csnn.spec.distributions import Constant, Distribution

F64 = npt.NDArray[np.float64]

# Quantiles at which the Wasserstein distance to a continuous distribution is evaluated.
_QUANTILES = 4096
# Standard deviations relative to the mean that are rounding noise of samples.
_SPREAD_NOISE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Distances of a table from its target.

    Attributes
    ----------
    target_mean, target_sd : float
        Moments of the target, in its own unit.
    table_mean, table_sd : float
        Moments of the table, in the same unit.
    mean_error : float
        |table_mean - target_mean| over the larger of |target_mean| and target_sd (over 1 if both
        are zero).
    variance_error : float
        |table variance / target variance - 1|. For a target without spread: the standard deviation
        of the table over the scale used by `mean_error`.
    ks_distance : float
        Largest difference of the distribution functions.
    wasserstein_distance : float
        Mean displacement that turns one distribution into the other, over target_sd (without
        spread: over the scale used by `mean_error`).
    n_outcomes : int
        Outcomes of non-zero probability.
    """

    target_mean: float
    target_sd: float
    table_mean: float
    table_sd: float
    mean_error: float
    variance_error: float
    ks_distance: float
    wasserstein_distance: float
    n_outcomes: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the numbers under their names, for JSON."""
        return asdict(self)

    def keeps_moments(self, tolerance: float = 1e-3) -> bool:
        """Tell whether mean and variance are within `tolerance`."""
        return self.mean_error <= tolerance and self.variance_error <= tolerance


def compare_distribution(
    values: npt.ArrayLike, probabilities: npt.ArrayLike, target: Distribution, unit: float = 1.0
) -> Fidelity:
    """Compare a table with a distribution.

    Parameters
    ----------
    values : array_like of int, shape (n,)
        Outcomes in ascending order, in units.
    probabilities : array_like of float, shape (n,)
        Their probabilities (`alias.pmf` for what the table really does).
    target : Distribution
        What the table stands for.
    unit : float
        Size of a unit of `values`: the weight grid, or dt in ms.

    Returns
    -------
    Fidelity
        Includes the effect of rounding to whole units. (A delay table follows the *rounded*
        distribution; compare it with that by `compare_pmf`.)
    """
    if isinstance(target, Constant):
        # Rounding to whole units is no difference in shape: compare with the rounded constant.
        shape = compare_pmf(values, probabilities, [round(target.value / unit)], [1.0], unit)
        exact = compare_pmf(values, probabilities, [target.value / unit], [1.0], unit)
        return replace(exact, ks_distance=shape.ks_distance)
    x, p = _pmf(values, probabilities, unit)
    have, want = np.cumsum(p), target.cdf(x)
    ks = max(_largest(have - want), _largest(np.concatenate([[0.0], have[:-1]]) - want))
    q = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    quantile = x[np.minimum(np.searchsorted(have, q), len(x) - 1)]
    moved = float(np.abs(quantile - target.ppf(q)).mean())
    return _fidelity(x, p, target.mean(), target.sd(), ks, moved)


def compare_pmf(
    values: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    target_values: npt.ArrayLike,
    target_probabilities: npt.ArrayLike,
    unit: float = 1.0,
) -> Fidelity:
    """Compare a table with a discrete distribution, both in units of `unit`.

    Target values need not be integers, sorted or distinct: samples with equal probabilities do.
    Round them to whole units if the rounding shall not count in the distances.
    """
    x, p = _pmf(values, probabilities, unit)
    y, r = _pmf(target_values, target_probabilities, unit)
    union = np.union1d(x, y)
    difference = np.cumsum(_spread(union, x, p) - _spread(union, y, r))
    moved = float(np.abs(difference[:-1]) @ np.diff(union))
    mean = float(r @ y)
    sd = float(np.sqrt(r @ (y - mean) ** 2))
    return _fidelity(x, p, mean, sd, _largest(difference), moved)


def _pmf(values: npt.ArrayLike, probabilities: npt.ArrayLike, unit: float) -> tuple[F64, F64]:
    x = np.asarray(values, dtype=np.float64) * unit
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    return x[order], p[order]


def _spread(union: F64, x: F64, p: F64) -> F64:
    masses = np.zeros(len(union))
    np.add.at(masses, np.searchsorted(union, x), p)
    return masses


def _largest(difference: F64) -> float:
    return float(np.abs(difference).max())


def _fidelity(x: F64, p: F64, mean: float, sd: float, ks: float, moved: float) -> Fidelity:
    table_mean = float(p @ x)
    table_sd = float(np.sqrt(p @ (x - table_mean) ** 2))
    scale = max(abs(mean), sd) or 1.0
    spread = sd if sd > _SPREAD_NOISE * scale else 0.0
    return Fidelity(
        target_mean=mean,
        target_sd=sd,
        table_mean=table_mean,
        table_sd=table_sd,
        mean_error=abs(table_mean - mean) / scale,
        variance_error=abs((table_sd / sd) ** 2 - 1.0) if spread else table_sd / scale,
        ks_distance=ks,
        wasserstein_distance=moved / (spread or scale),
        n_outcomes=int(np.count_nonzero(p)),
    )
