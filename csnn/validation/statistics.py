"""Firing rate, irregularity and correlation of spike trains, and the distance of two samples.

The three statistics of the microcircuit literature, per population: the firing rate (FR) of every
neuron, the coefficient of variation (CV) of the inter-spike intervals, and the Pearson correlation
coefficient (CC) of binned spike trains of neuron pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from csnn.errors import reject

STATISTICS = ("FR", "CV", "CC")
CC_BIN_MS = 2.0
CC_NEURONS = 250
CC_SEED = 12345
CV_MIN_SPIKES = 3
# Of spikes in messages.
FIELDS = ("spikes.step", "spikes.source")

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Window:
    """The steps that count: `first_step` and the `n_steps - 1` after it, of `dt_ms` each.

    The first step of a run is 1; after a warm-up of w steps the window starts at step w + 1.
    """

    first_step: int
    n_steps: int
    dt_ms: float = 0.1

    def __post_init__(self) -> None:
        for field, low in (("first_step", 1), ("n_steps", 1)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise reject(f"window.{field}", value, f"must be an integer >= {low}")
        if not (np.isfinite(self.dt_ms) and self.dt_ms > 0):
            raise reject("window.dt_ms", self.dt_ms, "must be a finite number > 0")

    @property
    def duration_ms(self) -> float:
        """Model time covered."""
        return self.n_steps * self.dt_ms


@dataclass(frozen=True, kw_only=True, eq=False)
class PopulationStatistics:
    """The samples of one population.

    Attributes
    ----------
    rate : ndarray of float64, shape (size,)
        Spikes per second of every neuron, silent ones included.
    cv : ndarray of float64, shape (<= size,)
        Coefficient of variation of the intervals of neurons with more than 2 spikes.
    cc : ndarray of float64, shape (<= 250 * 249 / 2,)
        Correlation coefficients of the sampled pairs.
    """

    name: str
    size: int
    n_spikes: int
    rate: F64
    cv: F64
    cc: F64

    def sample(self, statistic: str) -> F64:
        """Return the sample of "FR", "CV" or "CC"."""
        return {"FR": self.rate, "CV": self.cv, "CC": self.cc}[statistic]


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """The samples of all populations over one window."""

    window: Window
    populations: tuple[PopulationStatistics, ...]

    @property
    def duration_ms(self) -> float:
        """Model time the samples were taken over."""
        return self.window.duration_ms

    def to_dict(self) -> dict[str, Any]:
        """Return a summary for JSON: sizes, means and standard deviations, no samples."""
        return {
            "duration_ms": self.duration_ms,
            "first_step": self.window.first_step,
            "dt_ms": self.window.dt_ms,
            "populations": [
                {"name": p.name, "neurons": p.size, "spikes": p.n_spikes}
                | {s: _summary(p.sample(s)) for s in STATISTICS}
                for p in self.populations
            ],
        }


def _summary(sample: F64) -> dict[str, float | int | None]:
    if sample.size == 0:
        return {"n": 0, "mean": None, "sd": None, "median": None}
    return {
        "n": int(sample.size),
        "mean": float(sample.mean()),
        "sd": float(sample.std()),
        "median": float(np.median(sample)),
    }


def compute_statistics(
    step: npt.NDArray[Any],
    source: npt.NDArray[Any],
    populations: Sequence[tuple[str, int]],
    window: Window,
    fields: tuple[str, str] = FIELDS,
) -> Statistics:
    """Compute the FR, CV and CC samples of every population.

    Parameters
    ----------
    step, source : ndarray of integers, shape (spikes,)
        Step of each spike and global neuron number (from 0, in population order); any order.
    populations : sequence of (name, size)
        The network's populations in order.
    window : Window
        Spikes outside it are ignored.
    fields : tuple of str
        Names of the two arrays in messages.

    Returns
    -------
    Statistics

    Raises
    ------
    InvalidInputError
        If the arrays do not match, name neurons that do not exist, or hold the same spike twice.

    Notes
    -----
    CC uses at most 250 neurons per population, drawn by `Generator.choice` without replacement
    from one generator `default_rng(12345)` in population order; a smaller population is used
    whole and draws nothing. They are paired in ascending order. Bins of 2 ms start with the
    window; a last incomplete bin is left out.

    References
    ----------
    Potjans & Diesmann (2014) Cereb. Cortex 24:785; Dasbach et al. (2021) Front. Neurosci. 15.
    """
    step, source = _checked_spikes(step, source, sum(size for _, size in populations), fields)
    # A window beyond the range of the stored steps is legal: compare as Python-sized integers.
    inside = (step >= window.first_step) & (
        step.astype(np.int64, copy=False) < window.first_step + window.n_steps
    )
    rng = np.random.default_rng(CC_SEED)
    found = []
    first = 0
    for name, size in populations:
        mine = inside & (source >= first) & (source < first + size)
        neuron = source[mine].astype(np.int64) - first
        own_step = step[mine].astype(np.int64)
        chosen = np.arange(size)
        if size > CC_NEURONS:
            chosen = np.sort(rng.choice(size, CC_NEURONS, replace=False))
        found.append(
            PopulationStatistics(
                name=name,
                size=size,
                n_spikes=int(neuron.size),
                rate=firing_rates(neuron, size, window.duration_ms),
                cv=interval_cvs(neuron, own_step, size, first, fields[0]),
                cc=correlations(
                    neuron,
                    own_step - window.first_step,
                    chosen,
                    bin_steps=max(1, round(CC_BIN_MS / window.dt_ms)),
                    n_steps=window.n_steps,
                ),
            )
        )
        first += size
    return Statistics(window=window, populations=tuple(found))


def _checked_spikes(
    step: npt.NDArray[Any], source: npt.NDArray[Any], n_neurons: int, fields: tuple[str, str]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    step, source = np.asarray(step), np.asarray(source)
    for field, array in zip(fields, (step, source), strict=True):
        if array.ndim != 1 or (array.size and array.dtype.kind not in "ui"):
            raise reject(field, f"{array.dtype} {array.shape}", "must be a 1-D integer array")
    if step.size != source.size:
        raise reject(fields[1], source.size, f"must be as long as step ({step.size})")
    if source.size and (source.max() >= n_neurons or source.min() < 0):
        bad = int(source.max() if source.max() >= n_neurons else source.min())
        raise reject(fields[1], bad, f"must be a neuron from 0 to {n_neurons - 1}")
    return step, source


def firing_rates(neuron: I64, size: int, duration_ms: float) -> F64:
    """Return spikes per second of each of `size` neurons; shape (size,)."""
    return np.asarray(np.bincount(neuron, minlength=size) * (1000.0 / duration_ms), np.float64)


def interval_cvs(
    neuron: I64, step: I64, size: int, first_neuron: int = 0, field: str = FIELDS[0]
) -> F64:
    """Return standard deviation over mean of the intervals of neurons with more than 2 spikes.

    Parameters
    ----------
    neuron, step : ndarray of int64, shape (spikes,)
        Neuron within the population, and step; any order.
    size : int
        Neurons in the population.
    first_neuron : int
        Its first neuron, from which messages count.
    field : str
        Name of the steps in messages.

    Returns
    -------
    ndarray of float64
        In order of the neuron; the standard deviation is the population one (ddof = 0).

    Raises
    ------
    InvalidInputError
        If a neuron spikes twice in a step.
    """
    if neuron.size == 0:
        return np.empty(0)
    # Sorting one packed key is several times faster than a lexsort of two arrays.
    first_step = int(step.min())
    span = int(step.max()) - first_step + 1
    key = neuron * span + (step - first_step)
    key.sort()
    counts = np.bincount(neuron, minlength=size)
    interval = np.diff(key)
    if np.any(interval == 0):
        twice = int(key[:-1][interval == 0][0])
        rule = f"neuron {first_neuron + twice // span} spikes twice in it"
        raise reject(field, first_step + twice % span, rule)
    # Intervals from one neuron's last spike to the next neuron's first one are not intervals.
    owner = key // span
    inner = owner[1:] == owner[:-1]
    interval, owner = interval[inner].astype(np.float64), owner[1:][inner]
    n = np.maximum(counts - 1, 1)
    mean = np.bincount(owner, weights=interval, minlength=size) / n
    # Two passes: the variance of regular trains would cancel in one.
    square = (interval - mean[owner]) ** 2
    deviation = np.sqrt(np.bincount(owner, weights=square, minlength=size) / n)
    used = counts >= CV_MIN_SPIKES
    return np.asarray(deviation[used] / mean[used], np.float64)


def correlations(
    neuron: I64, offset: I64, chosen: npt.NDArray[Any], *, bin_steps: int, n_steps: int
) -> F64:
    """Return the Pearson correlation of binned spike counts of all pairs of `chosen` neurons.

    Parameters
    ----------
    neuron, offset : ndarray of int64, shape (spikes,)
        Neuron within the population and step within the window.
    chosen : ndarray of integers, shape (n,)
        Neurons to pair; those without any variance (silent, as a rule) are left out.
    bin_steps, n_steps : int
        Steps per bin and per window.

    Returns
    -------
    ndarray of float64, shape (m * (m - 1) / 2,)
        Upper triangle, row by row, of the matrix of the m neurons that vary.
    """
    n_bins = n_steps // bin_steps
    place = np.full(int(max(neuron.max(initial=0), chosen.max(initial=0))) + 1, -1)
    place[chosen] = np.arange(chosen.size)
    row, column = place[neuron], offset // bin_steps
    kept = (row >= 0) & (column < n_bins)
    if n_bins < 2 or not kept.any():
        return np.empty(0)
    # Sums over bins are integers, so counts in a sparse matrix lose nothing and 15 minutes fit.
    counts = sparse.coo_matrix(
        (np.ones(int(kept.sum())), (row[kept], column[kept])), shape=(chosen.size, n_bins)
    ).tocsr()
    total = np.asarray(counts.sum(axis=1)).ravel()
    covariance = n_bins * (counts @ counts.T).toarray() - np.outer(total, total)
    variance = np.diag(covariance)
    varies = variance > 0
    scale = np.sqrt(variance[varies])
    matrix = covariance[np.ix_(varies, varies)] / np.outer(scale, scale)
    return np.asarray(matrix[np.triu_indices(scale.size, 1)])


def ks_distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance, `sup |F_a - F_b|`.

    Equal to `scipy.stats.ks_2samp(a, b).statistic`, without its p-value's cost.

    Raises
    ------
    InvalidInputError
        If a sample is empty.
    """
    if a.size == 0 or b.size == 0:
        raise reject("sample", [], "must hold at least one value for a KS distance")
    a, b = np.sort(a), np.sort(b)
    points = np.concatenate([a, b])
    below_a = np.searchsorted(a, points, side="right") / a.size
    below_b = np.searchsorted(b, points, side="right") / b.size
    return float(np.abs(below_a - below_b).max())
