"""The verdict on a run of the microcircuit: could it be one more NEST realisation.

The rule, fixed here before any run is judged. Populations p, statistics s in {FR, CV, CC}:

1. The *distance* of a candidate in cell (s, p) is the mean KS distance of its sample to those of
   all NEST windows of the same duration. Were the candidate one more NEST realisation, the
   expectation would be that of the distance between two NEST realisations.
2. Three realisations give three dependent distances per cell, too few to tell how large that
   expectation is. Each cell therefore borrows from the others through a *unit* known much better:
   the mean distance u of one-second windows within one realisation (45 pairs in each), scaled by
   the square root of the sample sizes. A population whose distribution moves from second to
   second also moves from network to network, since both are its response to a perturbation. With
   t the mean NEST-NEST distance between realisations and g(s) the mean of log(t / u) over the
   populations, the *centre* is the geometric mean of the cell's own value and the pooled one,

       log c = log u + (g(s) + log(t / u)) / 2.

3. The *spread* of a statistic is the root mean square of log(distance / c) when each realisation
   in turn is judged by the others, over populations and windows. It contains the error of a centre
   made from even fewer realisations, which leans to the safe side.
4. A cell passes if distance <= c exp(z spread), z being the one-sided normal quantile at
   0.99^(1/24): were the logarithms normal and independent, the 24 cells together would reject
   another NEST realisation with a probability of 1 %. KS distances are close to log-normal where
   it counts: the 99.96 % quantile of the Kolmogorov distribution is 2.4 times its mean, that of a
   log-normal of the same spread 2.5 times.

A run passes if all 24 cells do. What rates of false alarm were found, what the criterion detects
and what it cannot (CC is weak over seconds) stand in docs/validation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from csnn.errors import reject
from csnn.validation.baseline import (
    Baseline,
    cut_window,
    load_baseline,
    quantise,
    sorted_ks_distance,
)
from csnn.validation.statistics import F64, STATISTICS, Statistics, Window, compute_statistics

FAMILY_FALSE_ALARM = 0.01
OWN_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The judgement of one statistic of one population; all numbers are KS distances.

    `nest_low`, `nest_mean` and `nest_high` span the distances between NEST realisations.
    """

    population: str
    statistic: str
    distance: float
    nest_low: float
    nest_mean: float
    nest_high: float
    threshold: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement of a run; `note` says what was left out, empty if nothing was."""

    cells: tuple[Cell, ...]
    passed: bool
    judged_ms: float
    candidate_ms: float
    seeds: tuple[int, ...]
    family_false_alarm: float
    note: str

    def cell(self, statistic: str, population: str) -> Cell:
        """Return the cell of a statistic and a population."""
        for cell in self.cells:
            if (cell.statistic, cell.population) == (statistic, population):
                return cell
        raise KeyError((statistic, population))

    @property
    def failed(self) -> tuple[Cell, ...]:
        """The cells that failed."""
        return tuple(cell for cell in self.cells if not cell.passed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return asdict(self) | {
            "cells": [asdict(cell) for cell in self.cells],
            "seeds": list(self.seeds),
        }


def per_cell_quantile(n_cells: int) -> float:
    """Return z such that `n_cells` independent tests reject together with 1 % probability."""
    return float(stats.norm.ppf((1.0 - FAMILY_FALSE_ALARM) ** (1.0 / n_cells)))


def nest_pairs(baseline: Baseline) -> F64:
    """Return the distances of all pairs of windows of different seeds, shape (3, P, pairs)."""
    seed = baseline.window_seed
    i, j = np.triu_indices(seed.size, 1)
    between = seed[i] != seed[j]
    if not between.any():
        raise reject("baseline.seeds", baseline.seeds, "must be of two or more realisations")
    return baseline.distances[:, :, i[between], j[between]]


def centres(baseline: Baseline) -> F64:
    """Return the distance expected of another NEST realisation in each cell, shape (3, P)."""
    unit = np.mean(list(baseline.unit.values()), axis=0)
    own = np.log(nest_pairs(baseline).mean(axis=2) / unit)
    pooled = own.mean(axis=1, keepdims=True)
    return np.asarray(unit * np.exp(OWN_SHARE * own + (1.0 - OWN_SHARE) * pooled))


def leave_one_out(baseline: Baseline) -> F64:
    """Return log(distance / centre) of every window, judged by the other seeds; (W, 3, P)."""
    ratios = np.empty((baseline.window_seed.size, *baseline.distances.shape[:2]))
    for seed in baseline.seeds:
        own = baseline.window_seed == seed
        score = baseline.distances[:, :, own][:, :, :, ~own].mean(axis=3)
        ratios[own] = np.moveaxis(np.log(score), 2, 0) - np.log(centres(baseline.without(seed)))
    return ratios


def spreads(baseline: Baseline) -> F64:
    """Return the spread of each statistic, shape (3,); needs three realisations.

    Raises
    ------
    InvalidInputError
        If the baseline holds fewer than three realisations.
    """
    if len(baseline.seeds) < 3:
        raise reject("baseline.seeds", baseline.seeds, "must be of three or more realisations")
    return np.asarray(np.sqrt(np.mean(leave_one_out(baseline) ** 2, axis=(0, 2))))


def thresholds(baseline: Baseline) -> F64:
    """Return the largest distance that passes in each cell, shape (3, P)."""
    centre = centres(baseline)
    return np.asarray(
        centre * np.exp(per_cell_quantile(centre.size) * spreads(baseline)[:, np.newaxis])
    )


def judge(
    candidate: Statistics, baseline: Baseline, *, candidate_ms: float | None = None
) -> Verdict:
    """Judge a run by the rule of this module.

    Parameters
    ----------
    candidate : Statistics
        Taken over a window exactly as long as the baseline's.
    baseline : Baseline
        NEST realisations of the same duration, three or more.
    candidate_ms : float, optional
        Duration of the whole run if the window is only its beginning.

    Returns
    -------
    Verdict

    Raises
    ------
    InvalidInputError
        If duration or populations differ from the baseline's.
    """
    if abs(candidate.duration_ms - baseline.duration_ms) > 1e-6:
        raise reject(
            "candidate.duration_ms", candidate.duration_ms, f"must be {baseline.duration_ms:g}"
        )
    sizes = tuple((p.name, p.size) for p in candidate.populations)
    if sizes != baseline.populations:
        raise reject("candidate.populations", sizes, f"must be {baseline.populations}")
    limit = thresholds(baseline)
    between = nest_pairs(baseline)
    cells = []
    for s, statistic in enumerate(STATISTICS):
        for p, population in enumerate(candidate.populations):
            sample = quantise(population.sample(statistic), statistic)
            distance = mean_distance(sample, baseline.samples[statistic, population.name])
            cells.append(
                Cell(
                    population=population.name,
                    statistic=statistic,
                    distance=distance,
                    nest_low=float(between[s, p].min()),
                    nest_mean=float(between[s, p].mean()),
                    nest_high=float(between[s, p].max()),
                    threshold=float(limit[s, p]),
                    passed=bool(distance <= limit[s, p]),
                )
            )
    whole = candidate.duration_ms if candidate_ms is None else candidate_ms
    cut = whole > candidate.duration_ms * (1 + 1e-9)
    return Verdict(
        cells=tuple(cells),
        passed=all(cell.passed for cell in cells),
        judged_ms=candidate.duration_ms,
        candidate_ms=whole,
        seeds=baseline.seeds,
        family_false_alarm=FAMILY_FALSE_ALARM,
        note=f"The first {candidate.duration_ms:g} ms of {whole:g} ms were judged, "
        f"against NEST windows of the same length"
        if cut
        else "",
    )


def mean_distance(sample: npt.NDArray[np.int32], windows: Sequence[npt.NDArray[np.int32]]) -> float:
    """Return the mean KS distance of a sorted sample to each of several sorted samples."""
    return float(np.mean([sorted_ks_distance(sample, window) for window in windows]))


def judge_spikes(
    step: npt.NDArray[Any],
    source: npt.NDArray[Any],
    populations: Sequence[tuple[str, int]],
    window: Window,
) -> tuple[Statistics, Baseline, Verdict]:
    """Compute statistics of the longest stretch that a shipped baseline covers, and judge it.

    Parameters
    ----------
    step, source, populations, window
        As for `compute_statistics`; the window is the whole run after its warm-up.

    Returns
    -------
    statistics, baseline, verdict
        Statistics of the stretch that was judged, what it was compared with, and the verdict.

    Raises
    ------
    InvalidInputError
        If the run is too short for a verdict, or is not the full-scale microcircuit. For such runs
        use `compute_statistics` alone: there are statistics but no verdict.
    """
    judged = cut_window(window)
    baseline = load_baseline(window.duration_ms)
    statistics = compute_statistics(step, source, populations, judged)
    return statistics, baseline, judge(statistics, baseline, candidate_ms=window.duration_ms)
