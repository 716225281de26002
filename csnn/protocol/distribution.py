"""Samples as counts of distinct values, so that 200 million correlations take a few megabytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.validation.baseline import quantise

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """How often each value occurs.

    Attributes
    ----------
    values : ndarray of int32, shape (v,)
        Distinct values, ascending, in units of `csnn.validation.baseline.RESOLUTION`.
    counts : ndarray of int64, shape (v,)
        How many members of the sample have each value; at least one.
    """

    values: I32
    counts: I64

    @property
    def size(self) -> int:
        """Members of the sample."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Mean in the unit of the values; NaN if the sample is empty."""
        return float(self.values @ self.counts / self.size) if self.size else float("nan")


def distribution_of(sample: npt.NDArray[Any], statistic: str) -> Distribution:
    """Return the distribution of a sample of "FR", "CV" or "CC", rounded to its resolution."""
    return sorted_distribution(quantise(sample, statistic))


def sorted_distribution(sample: I32) -> Distribution:
    """Return the distribution of a sample of rounded values."""
    values, counts = np.unique(sample, return_counts=True)
    return Distribution(values=values.astype(np.int32), counts=counts.astype(np.int64))


def ks_distance(a: Distribution, b: Distribution) -> float:
    """Return the KS distance of two samples; 1, the largest possible, if one is empty."""
    if a.size == 0 or b.size == 0:
        return 1.0
    points = np.union1d(a.values, b.values)
    return float(np.abs(_below(a, points) - _below(b, points)).max())


def _below(sample: Distribution, points: I32) -> npt.NDArray[np.float64]:
    """Return the share of a sample at or below each point."""
    cumulative = np.concatenate([[0], np.cumsum(sample.counts)])
    share = cumulative[np.searchsorted(sample.values, points, side="right")] / sample.size
    return np.asarray(share, np.float64)
