"""Probability tables of weights, delays and spike counts, in the integers of the machine.

Every function returns (values, probabilities) with probabilities that a table holds exactly, so
`alias.pmf(alias.build(...))` gives back the same numbers and no later rounding spoils a moment.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from csnn.errors import reject
from csnn.spec.distributions import Constant, Distribution
from csnn.spec.machine import EXT_OUTCOMES, RTR_OUTCOMES
from netgen import alias
from netgen.weights import (
    MOMENT_TOLERANCE,
    TAIL_MASS,
    Pmf,
    finite_samples,
    fit_weight_pmf,
    weight_pmf,
)

__all__ = ["Pmf", "delay_pmf", "fit_delay_pmf", "fit_weight_pmf", "poisson_pmf", "weight_pmf"]

POISSON_TAIL = 1e-9
# Distance from a multiple of dt, in dt, that is taken for noise.
_STEP_TOLERANCE = 1e-6
_DELAY_TOTAL = RTR_OUTCOMES << alias.RTR_COMPARE_BITS


def delay_pmf(
    distribution: Distribution, dt_ms: float, slots: int = 64, *, field: str = "delay_ms"
) -> Pmf:
    """Discretise a delay distribution by rounding to the nearest step, as NEST does.

    Parameters
    ----------
    distribution : Distribution
        Delays in ms.
    dt_ms : float
        Length of a step.
    slots : int
        Largest delay in steps; at most the number of table entries, 64.
    field : str
        Name used in errors.

    Returns
    -------
    values : int64 array, shape (n,), steps
        Delays from 1 to `slots`; the table stores them less one.
    probabilities : float64 array, shape (n,)
        P(k) = F((k + 1/2) dt) - F((k - 1/2) dt) over the mass within range.

    Raises
    ------
    InvalidInputError
        If more than 1e-6 of the mass lies outside [dt/2, (slots + 1/2) dt), or a constant is not a
        multiple of dt.
    """
    if isinstance(distribution, Constant):
        steps = distribution.value / dt_ms
        whole = round(steps)
        if abs(steps - whole) > _STEP_TOLERANCE:
            raise reject(field, distribution.value, f"must be a multiple of dt_ms = {dt_ms:g}")
        if not 1 <= whole <= slots:
            rule = f"must be from {dt_ms:g} to {slots * dt_ms:g} ms (1 to {slots} steps)"
            raise reject(field, distribution.value, rule)
        return np.array([whole]), np.array([1.0])
    masses = _step_masses(distribution, dt_ms, slots)
    outside = 1.0 - float(masses.sum())
    if not outside <= TAIL_MASS:
        rule = (
            f"delays must lie from {0.5 * dt_ms:g} to {(slots + 0.5) * dt_ms:g} ms "
            f"(1 to {slots} steps); {outside:.2g} of the probability does not"
        )
        raise reject(field, distribution, rule)
    return alias.representable(np.arange(1, slots + 1), masses / masses.sum(), _DELAY_TOTAL)


def rounded_delays(distribution: Distribution, dt_ms: float, slots: int = 64) -> Pmf:
    """Return the distribution of the delays in steps after rounding, before it becomes a table."""
    if isinstance(distribution, Constant):
        return np.array([round(distribution.value / dt_ms)]), np.array([1.0])
    masses = _step_masses(distribution, dt_ms, slots)
    return np.arange(1, slots + 1), masses / masses.sum()


def _step_masses(distribution: Distribution, dt_ms: float, slots: int) -> npt.NDArray[np.float64]:
    boundaries = np.asarray((np.arange(slots + 1) + 0.5) * dt_ms, dtype=np.float64)
    return np.diff(distribution.cdf(boundaries))


def fit_delay_pmf(steps: npt.ArrayLike, slots: int = 64, *, field: str = "edges.delay_ms") -> Pmf:
    """Return the distribution of the delays of an edge list, given in steps.

    Parameters
    ----------
    steps : array_like of int, shape (m,)
        Delays in steps, 1 to `slots`.
    slots : int
        Largest delay in steps, at most 64.
    field : str
        Name used in errors.

    Returns
    -------
    values : int64 array, shape (n,), steps
    probabilities : float64 array, shape (n,)

    Raises
    ------
    InvalidInputError
        If there is no sample, or one is not an integer in range.
    """
    samples = finite_samples(steps, field)
    wrong = (samples != np.rint(samples)) | (samples < 1) | (samples > slots)
    if np.any(wrong):
        rule = f"must be a whole number of steps from 1 to {slots}"
        raise reject(field, float(samples[wrong][0]), rule)
    values, number = np.unique(samples.astype(np.int64), return_counts=True)
    return alias.representable(values, number / len(samples), _DELAY_TOTAL)


def poisson_pmf(
    mean: float,
    outcomes: int = EXT_OUTCOMES,
    *,
    field: str = "poisson input, mean spikes per step",
    value: float | None = None,
) -> Pmf:
    """Discretise a Poisson distribution to the outcomes 0 to `outcomes` - 1.

    Parameters
    ----------
    mean : float
        Expected spikes per neuron and step.
    outcomes : int
        Number of table entries, a power of two.
    field : str
        Name used in errors, for example "population E.poisson.rate_hz".
    value : float, optional
        Value of `field` shown in errors; `mean` if absent.

    Returns
    -------
    values : int64 array, shape (n,)
    probabilities : float64 array, shape (n,)
        Multiples of 2**-27 / outcomes. The tail is folded onto the last outcome and its excess made
        up for by the one before, so that the mean is kept.

    Raises
    ------
    InvalidInputError
        If P(X >= outcomes) > 1e-9, or the mean is too small for the table (below about 1e-7).
    """
    shown = mean if value is None else value
    if not np.isfinite(mean) or mean < 0.0:
        raise reject(field, shown, "must be a finite number >= 0")
    last = outcomes - 1
    beyond = float(stats.poisson.sf(last, mean))
    if beyond > POISSON_TAIL:
        rule = (
            f"makes {mean:.4g} spikes per neuron and step on average, which exceed {last} with "
            f"probability {beyond:.2g}; at most {POISSON_TAIL:g} is allowed"
        )
        raise reject(field, shown, rule)
    k = np.arange(outcomes + 100)
    p = stats.poisson.pmf(k, mean)
    excess = float(p[outcomes:] @ (k[outcomes:] - last))
    p, k = p[:outcomes].copy(), k[:outcomes]
    p[last] += beyond + excess
    p[last - 1] -= excess
    total = outcomes << alias.EXT_COMPARE_BITS
    values, probabilities = alias.representable(k, p, total)
    if mean > 0 and abs(values @ probabilities / mean - 1.0) > MOMENT_TOLERANCE:
        rule = f"makes {mean:.3g} spikes per step, too few for a table of probabilities n / {total}"
        raise reject(field, shown, rule)
    return values, probabilities
