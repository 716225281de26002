"""Steps as times in ms and back: a spike of step k has time k dt."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject

F64 = npt.NDArray[np.float64]
U32 = npt.NDArray[np.uint32]
# Up to here binary64 holds every integer.
_EXACT = 2**53


def decimal_dt(dt_ms: float) -> Fraction:
    """Return a step length as it is written: 1/10 for 0.1, which binary64 has only nearly."""
    return Fraction(repr(float(dt_ms)))


def step_times_ms(step: npt.ArrayLike, dt_ms: float) -> F64:
    """Return k dt for each step k, rounded once.

    Parameters
    ----------
    step : array_like of int, from 0
        Steps, counted from 1 at the start of the run.
    dt_ms : float
        Step length in ms, taken as the decimal number it is written as.

    Returns
    -------
    ndarray of float64, same shape
        In ms, the binary64 number nearest to k dt: step 3 of 0.1 ms is 0.3, not
        0.30000000000000004.
    """
    step = np.asarray(step)
    numerator, denominator = decimal_dt(dt_ms).as_integer_ratio()
    if not step.size:
        return np.empty(step.shape)
    if int(step.max()) * numerator < _EXACT and denominator < _EXACT:
        # Two exact numbers: the division is the only rounding.
        return np.asarray(step.astype(np.float64) * numerator / denominator)
    different, place = np.unique(step, return_inverse=True)
    # Division of Python integers rounds once, whatever their size.
    times = np.array([k * numerator / denominator for k in different.tolist()])
    return np.asarray(times[place].reshape(step.shape), np.float64)


def time_steps(field: str, time_ms: npt.NDArray[Any], dt_ms: float) -> U32:
    """Return the steps of times; the inverse of `step_times_ms`.

    Parameters
    ----------
    field : str
        What the times are called in errors.
    time_ms : ndarray of numbers, shape (n,)
        Times in ms, within 1e-6 of a step of k dt.
    dt_ms : float
        Step length in ms.

    Returns
    -------
    ndarray of uint32, shape (n,)

    Raises
    ------
    InvalidInputError
        If a time is no multiple of `dt_ms`, or not of a step from 0 to 2^32 - 1.
    """
    time_ms = np.asarray(time_ms, np.float64)
    with np.errstate(invalid="ignore"):
        step = np.round(time_ms / dt_ms)
        outside = ~((step >= 0) & (step < 2**32))
        off = np.abs(step * dt_ms - time_ms) > 1e-6 * dt_ms + 1e-12 * np.abs(time_ms)
    for bad, rule in (
        (outside, "must be a time of a step below 2^32"),
        (off, f"must be a multiple of dt_ms = {dt_ms:g}"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise reject(f"{field}: spike {row + 1}: time_ms", float(time_ms[row]), rule)
    return step.astype(np.uint32)
