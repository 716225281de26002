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
   0.99^(1/27): were the logarithms normal and independent, the 24 cells and the three pooled
   tests below together would reject another NEST realisation with a probability of 1 %. KS
   distances are close to log-normal where it counts: the 99.96 % quantile of the Kolmogorov
   distribution is 2.4 times its mean, that of a log-normal of the same spread 2.5 times.
5. An error that moves every population a little shows in no cell, yet in all of them together.
   The *pooled* test of a statistic takes the mean of log(distance / c) over the populations (the
   units cancel: it is the geometric mean of the distances over that of the NEST-NEST ones) and
   passes up to z times a spread of its own: the root mean square of that mean when each
   realisation is judged by the others. Three realisations give three such means at 10 s, which
   can be small by luck. The cells of a statistic share the network, so that their errors may add
   up but not cancel; the spread is therefore at least what independent cells would have,
   spread / sqrt(populations).

A run passes if all 24 cells and the three pooled tests do. What rates of false alarm were found,
what the criterion detects and what it cannot stand in docs/validation.md.
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

# Below it, even spikes without any correlation pass the tests of CC (docs/validation.md).
SYNCHRONY_MS = 10_000.0
FAMILY_FALSE_ALARM = 0.01
OWN_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The judgement of one statistic of one population; all numbers are KS distances.

    `nest_low`, `nest_mean` and `nest_high` are those of the NEST windows: each one's mean distance
    to the windows of the other realisations, as `distance` is one to all windows.
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
class PooledTest:
    """The judgement of one statistic over all populations.

    `ratio` is the geometric mean of distance / centre: 1 for a run as far from NEST as NEST
    realisations are from each other. `nest_low` and `nest_high` span the ratios of the NEST
    windows, each realisation judged by the others.
    """

    statistic: str
    ratio: float
    nest_low: float
    nest_high: float
    threshold: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement of a run; `note` says what was left out, empty if nothing was."""

    cells: tuple[Cell, ...]
    pooled: tuple[PooledTest, ...]
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

    @property
    def failed_pooled(self) -> tuple[PooledTest, ...]:
        """The pooled tests that failed."""
        return tuple(test for test in self.pooled if not test.passed)

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of all tests that failed, such as "CC of L4E" and "CC of all"."""
        return (
            *(f"{cell.statistic} of {cell.population}" for cell in self.failed),
            *(f"{test.statistic} of all" for test in self.failed_pooled),
        )

    def lines(self) -> list[str]:
        """Return the judgement as a table in plain text, failed tests marked with "!"."""

        def row(name: str, tests: Sequence[tuple[float, float, bool]], digits: int) -> str:
            return f"{name:<12}" + "".join(
                f"{value:>10.{digits}f} /{limit:.{digits}f}{' ' if passed else '!'}"
                for value, limit, passed in tests
            )

        table = [
            "KS distance to NEST / threshold",
            f"{'population':<12}" + "".join(f"{s:>17} " for s in STATISTICS),
        ]
        for name in dict.fromkeys(cell.population for cell in self.cells):
            cells = [self.cell(s, name) for s in STATISTICS]
            table.append(row(name, [(c.distance, c.threshold, c.passed) for c in cells], 4))
        table.append("geometric mean over populations, NEST - NEST = 1 / threshold")
        table.append(row("all", [(t.ratio, t.threshold, t.passed) for t in self.pooled], 3))
        table.append("passed" if self.passed else f"failed: {', '.join(self.failures)}")
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return asdict(self) | {
            "cells": [asdict(cell) for cell in self.cells],
            "pooled": [asdict(test) for test in self.pooled],
            "seeds": list(self.seeds),
        }


def per_test_quantile(n_tests: int) -> float:
    """Return z such that `n_tests` independent tests reject together with 1 % probability."""
    return float(stats.norm.ppf((1.0 - FAMILY_FALSE_ALARM) ** (1.0 / n_tests)))


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


def nest_distances(baseline: Baseline) -> F64:
    """Return the mean distance of every window to those of the other seeds, shape (W, 3, P)."""
    found = np.empty((baseline.window_seed.size, *baseline.distances.shape[:2]))
    for seed in baseline.seeds:
        own = baseline.window_seed == seed
        found[own] = np.moveaxis(baseline.distances[:, :, own][:, :, :, ~own].mean(axis=3), 2, 0)
    return found


def leave_one_out(baseline: Baseline) -> F64:
    """Return log(distance / centre) of every window, judged by the other seeds; (W, 3, P)."""
    ratios = np.log(nest_distances(baseline))
    for seed in baseline.seeds:
        ratios[baseline.window_seed == seed] -= np.log(centres(baseline.without(seed)))
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


def pooled_spreads(baseline: Baseline) -> F64:
    """Return the spread of the mean over populations of each statistic, shape (3,).

    Never below what independent populations would have; the module's text says why.
    """
    means = leave_one_out(baseline).mean(axis=2)
    floor = spreads(baseline) / np.sqrt(len(baseline.populations))
    return np.asarray(np.maximum(np.sqrt(np.mean(means**2, axis=0)), floor))


def quantile(baseline: Baseline) -> float:
    """Return how many spreads pass: every population and one pooled test for each statistic."""
    return per_test_quantile(len(STATISTICS) * (len(baseline.populations) + 1))


def thresholds(baseline: Baseline) -> F64:
    """Return the largest distance that passes in each cell, shape (3, P)."""
    spread = spreads(baseline)[:, np.newaxis]
    return np.asarray(centres(baseline) * np.exp(quantile(baseline) * spread))


def pooled_thresholds(baseline: Baseline) -> F64:
    """Return the largest geometric mean of distance / centre that passes, shape (3,)."""
    return np.asarray(np.exp(quantile(baseline) * pooled_spreads(baseline)))


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
    limit, pooled_limit = thresholds(baseline), pooled_thresholds(baseline)
    nest, nest_ratio = nest_distances(baseline), np.exp(leave_one_out(baseline).mean(axis=2))
    distances = np.empty_like(limit)
    cells = []
    for s, statistic in enumerate(STATISTICS):
        for p, population in enumerate(candidate.populations):
            sample = quantise(population.sample(statistic), statistic)
            distance = mean_distance(sample, baseline.samples[statistic, population.name])
            distances[s, p] = distance
            cells.append(
                Cell(
                    population=population.name,
                    statistic=statistic,
                    distance=distance,
                    nest_low=float(nest[:, s, p].min()),
                    nest_mean=float(nest[:, s, p].mean()),
                    nest_high=float(nest[:, s, p].max()),
                    threshold=float(limit[s, p]),
                    passed=bool(distance <= limit[s, p]),
                )
            )
    ratios = np.asarray(stats.gmean(distances / centres(baseline), axis=1), np.float64)
    pooled = tuple(
        PooledTest(
            statistic=statistic,
            ratio=float(ratios[s]),
            nest_low=float(nest_ratio[:, s].min()),
            nest_high=float(nest_ratio[:, s].max()),
            threshold=float(pooled_limit[s]),
            passed=bool(ratios[s] <= pooled_limit[s]),
        )
        for s, statistic in enumerate(STATISTICS)
    )
    whole = candidate.duration_ms if candidate_ms is None else candidate_ms
    notes = []
    if whole > candidate.duration_ms * (1 + 1e-9):
        notes.append(
            f"The first {candidate.duration_ms:g} ms of {whole:g} ms were judged, "
            f"against NEST windows of the same length"
        )
    if candidate.duration_ms < SYNCHRONY_MS:
        notes.append(
            f"CC over {candidate.duration_ms:g} ms shows gross errors of synchrony only; "
            f"judge {SYNCHRONY_MS:g} ms for more"
        )
    return Verdict(
        cells=tuple(cells),
        pooled=pooled,
        passed=all(cell.passed for cell in cells) and all(test.passed for test in pooled),
        judged_ms=candidate.duration_ms,
        candidate_ms=whole,
        seeds=baseline.seeds,
        family_false_alarm=FAMILY_FALSE_ALARM,
        note="; ".join(notes),
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
