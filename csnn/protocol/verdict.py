"""The verdict of the protocol, by rules fixed before any candidate is simulated.

Candidates are the machine's runs with K seeds, judged over the duration of the reference.

1. *Distances*: the tests of `csnn.validation.criteria`, 24 cells and three pooled ones, on the mean
   of the distances of all candidates. The mean over seeds varies less than one seed, so thresholds
   that are made for one reject NEST realisations more rarely than the nominal 1 %.
2. *Single seeds*: each seed is judged by the same tests alone. Of K realisations of NEST some would
   fail, each with a probability of 1 to 3 % (docs/validation.md). More failures than a rate of 3 %
   explains with a probability of 1 % fail the protocol.
3. *Permutation*: labels of whole realisations are dealt anew (`csnn.protocol.permutation`); a
   family p-value of at most 1 % fails the protocol. With three of NEST that needs seven seeds.

A protocol passes if all three do, and no window of a run that is longer than what is judged fails
grossly (`csnn.protocol.course`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from csnn.protocol.distances import Distances
from csnn.protocol.permutation import PermutationTest, permutation_test
from csnn.protocol.reference import Reference
from csnn.validation.baseline import Baseline
from csnn.validation.criteria import (
    SYNCHRONY_MS,
    centres,
    leave_one_out,
    nest_distances,
    pooled_spreads,
    pooled_thresholds,
    quantile,
    spreads,
    thresholds,
)
from csnn.validation.statistics import F64, STATISTICS

SINGLE_FALSE_ALARM = 0.03
FAMILY_P = 0.01


@dataclass(frozen=True, kw_only=True)
class Range:
    """Lowest, mean and highest of some distances."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ProtocolCell:
    """One statistic of one population, or of all (`population` "all": ratios, not distances).

    Attributes
    ----------
    to_nest : Range
        Over candidates, of each one's mean distance to the windows of NEST.
    nest : Range
        Over NEST windows, of each one's mean distance to those of other realisations.
    among : Range or None
        Of pairs of candidates; None if there is one candidate.
    threshold : float
        What `to_nest.mean` must not exceed.
    ratio, ratio_low, ratio_high : float
        Mean distance to NEST over that of NEST to itself, and where it lies if candidates are NEST
        realisations; as the permutation test has them, of the first window of each realisation. Of
        the rows "all", `to_nest.mean` and None.
    p : float
        Of the permutation test, of this cell by itself.
    """

    population: str
    statistic: str
    to_nest: Range
    nest: Range
    among: Range | None
    threshold: float
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    p: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class ProtocolVerdict:
    """The judgement of a protocol; `reasons` says why it failed, empty if it passed."""

    cells: tuple[ProtocolCell, ...]
    pooled: tuple[ProtocolCell, ...]
    passed: bool
    reasons: tuple[str, ...]
    judged_ms: float
    seeds: tuple[int, ...]
    seed_failures: tuple[tuple[str, ...], ...]
    allowed_failures: int
    family_p: float
    smallest_p: float
    ways: int
    exact: bool
    nest_windows: int
    nest_alarms: int
    notes: tuple[str, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the tests on mean distances that failed, such as "CC of L4E"."""
        return tuple(
            f"{cell.statistic} of {cell.population}"
            for cell in (*self.cells, *self.pooled)
            if not cell.passed
        )

    def failed_for(self, reasons: tuple[str, ...]) -> ProtocolVerdict:
        """Return the verdict with more reasons to fail; the same if there are none."""
        return replace(self, reasons=(*self.reasons, *reasons), passed=self.passed and not reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return asdict(self) | {"failures": list(self.failures)}


def allowed_failures(n_seeds: int) -> int:
    """Return how many of `n_seeds` may fail alone: more would be rarer than 1 %."""
    return int(stats.binom.ppf(1.0 - FAMILY_P, n_seeds, SINGLE_FALSE_ALARM))


def nest_alarms(reference: Reference) -> npt.NDArray[np.bool_]:
    """Tell of each NEST window whether it fails when its realisation is judged by the others."""
    baseline = reference.baseline
    ratios = leave_one_out(baseline)
    z = quantile(baseline)
    cells = np.any(ratios > z * spreads(baseline)[:, np.newaxis], axis=(1, 2))
    pooled = np.any(ratios.mean(axis=2) > z * pooled_spreads(baseline), axis=1)
    return np.asarray(cells | pooled)


def nest_ratios(baseline: Baseline) -> F64:
    """Return the rows "all" of each NEST window against the others, shape (W, S)."""
    return np.asarray(np.exp(leave_one_out(baseline).mean(axis=2)))


def relative(each: F64, baseline: Baseline) -> F64:
    """Return the logarithm of the rows "all" of one candidate.

    Parameters
    ----------
    each : ndarray of float64, shape (S, P)
        Its mean distance to the windows of NEST.
    baseline : Baseline

    Returns
    -------
    ndarray of float64, shape (S,)
    """
    return np.asarray(np.log(each / centres(baseline)).mean(axis=1))


def alone(each: F64, baseline: Baseline) -> tuple[str, ...]:
    """Return the tests that one candidate fails alone; parameters as of `relative`."""
    names = [name for name, _ in baseline.populations]
    beyond = np.exp(relative(each, baseline)) > pooled_thresholds(baseline)
    return (
        *(f"{STATISTICS[s]} of {names[p]}" for s, p in np.argwhere(each > thresholds(baseline))),
        *(f"{STATISTICS[s]} of all" for s in np.flatnonzero(beyond)),
    )


def judge(distances: Distances, reference: Reference, seeds: tuple[int, ...]) -> ProtocolVerdict:
    """Judge candidates by the rules of this module.

    Parameters
    ----------
    distances : Distances
        Of one candidate for each seed.
    reference : Reference
        Three realisations of NEST or more.
    seeds : tuple of int

    Returns
    -------
    ProtocolVerdict
    """
    baseline = reference.baseline
    names = [name for name, _ in baseline.populations]
    each = distances.to_nest.mean(axis=3)
    mean = each.mean(axis=2)
    limit, pooled_limit = thresholds(baseline), pooled_thresholds(baseline)
    ratios = np.exp([relative(each[:, :, k], baseline) for k in range(len(seeds))]).T
    # The pooled test of the mean, not the mean of pooled tests: rule 1 is about one candidate.
    pooled_mean = np.exp(np.log(mean / centres(baseline)).mean(axis=1))
    chosen = reference.first_windows
    test = permutation_test(distances.of_realisations(chosen), len(chosen))
    cells = tuple(
        _cell(distances, reference, test, each, limit, s, p)
        for s in range(len(STATISTICS))
        for p in range(len(names))
    )
    nest = nest_ratios(baseline)
    pooled = tuple(
        ProtocolCell(
            population="all",
            statistic=statistic,
            to_nest=Range(
                low=float(ratios[s].min()), mean=float(pooled_mean[s]), high=float(ratios[s].max())
            ),
            nest=_range(nest[:, s]),
            among=None,
            threshold=float(pooled_limit[s]),
            ratio=float(pooled_mean[s]),
            ratio_low=None,
            ratio_high=None,
            p=float(test.pooled_p[s]),
            passed=bool(pooled_mean[s] <= pooled_limit[s]),
        )
        for s, statistic in enumerate(STATISTICS)
    )
    failures = tuple(alone(each[:, :, k], baseline) for k in range(len(seeds)))
    allowed = allowed_failures(len(seeds))
    reasons = _reasons(cells, pooled, failures, allowed, test)
    return ProtocolVerdict(
        cells=cells,
        pooled=pooled,
        passed=not reasons,
        reasons=reasons,
        judged_ms=reference.duration_ms,
        seeds=seeds,
        seed_failures=failures,
        allowed_failures=allowed,
        family_p=test.family_p,
        smallest_p=test.smallest_p,
        ways=test.ways,
        exact=test.exact,
        nest_windows=len(reference.windows),
        nest_alarms=int(nest_alarms(reference).sum()),
        notes=_notes(reference, test),
    )


def _cell(
    distances: Distances,
    reference: Reference,
    test: PermutationTest,
    each: F64,
    limit: F64,
    s: int,
    p: int,
) -> ProtocolCell:
    nest = _range(nest_distances(reference.baseline)[:, s, p])
    pairs = distances.pairs()[s, p]
    to_nest = _range(each[s, p])
    return ProtocolCell(
        population=reference.baseline.populations[p][0],
        statistic=STATISTICS[s],
        to_nest=to_nest,
        nest=nest,
        among=_range(pairs) if pairs.size else None,
        threshold=float(limit[s, p]),
        ratio=float(test.ratio[s, p]),
        ratio_low=float(test.ratio_low[s, p]),
        ratio_high=float(test.ratio_high[s, p]),
        p=float(test.p[s, p]),
        passed=bool(to_nest.mean <= limit[s, p]),
    )


def _range(values: F64) -> Range:
    return Range(low=float(values.min()), mean=float(values.mean()), high=float(values.max()))


def _reasons(
    cells: tuple[ProtocolCell, ...],
    pooled: tuple[ProtocolCell, ...],
    failures: tuple[tuple[str, ...], ...],
    allowed: int,
    test: PermutationTest,
) -> tuple[str, ...]:
    failed = [f"{c.statistic} of {c.population}" for c in (*cells, *pooled) if not c.passed]
    bad = sum(bool(tests) for tests in failures)
    reasons = []
    if failed:
        reasons.append(f"mean distances beyond their thresholds: {', '.join(failed)}")
    if bad > allowed:
        reasons.append(f"{bad} of {len(failures)} seeds fail alone, at most {allowed} may")
    if test.family_p <= FAMILY_P:
        reasons.append(f"candidates are told from NEST, permutation p = {test.family_p:.2g}")
    return tuple(reasons)


def _notes(reference: Reference, test: PermutationTest) -> tuple[str, ...]:
    notes = [reference.note] if reference.note else []
    if reference.duration_ms < SYNCHRONY_MS:
        notes.append(
            f"CC over {reference.duration_ms:g} ms shows gross errors of synchrony only; "
            f"judge {SYNCHRONY_MS:g} ms for more"
        )
    if test.smallest_p > FAMILY_P:
        notes.append(
            f"the permutation test cannot reject anything here: with so few realisations its p is "
            f"at least {test.smallest_p:.2g}, and {FAMILY_P:g} is needed"
        )
    return tuple(notes)
