"""p-values, exact facts, and the rule that decides on all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

# Probability that a perfect generator is rejected, over all tests of an audit together.
FAMILY_ALPHA = 1e-3
# Cells of a table that expect fewer counts are merged with their neighbours.
MIN_EXPECTED = 10.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One statistical test.

    Attributes
    ----------
    group, name : str
        What is tested, and on which part.
    p : float
        Two-sided: too regular is as wrong as too irregular.
    statistic, df : float
    n : int
        Observations.
    """

    group: str
    name: str
    p: float
    statistic: float
    df: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something exact: it holds or not."""

    name: str
    holds: bool
    detail: str


@dataclass(kw_only=True)
class Verdict:
    """All results of an audit.

    The audit passes if every fact holds and no p-value is below FAMILY_ALPHA divided by the number
    of tests (Bonferroni).
    """

    checks: list[Check] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """Smallest p-value that is accepted."""
        return FAMILY_ALPHA / max(len(self.checks), 1)

    @property
    def failures(self) -> list[str]:
        """What fails, one line each, the worst first."""
        broken = [f"{fact.name}: {fact.detail}" for fact in self.facts if not fact.holds]
        low = sorted((c for c in self.checks if not c.p >= self.threshold), key=lambda c: c.p)
        return broken + [f"{c.group}: {c.name}: p = {c.p:.3g}" for c in low]

    @property
    def passed(self) -> bool:
        """Whether the audit passes."""
        return not self.failures

    def groups(self) -> dict[str, list[Check]]:
        """Return the tests by group."""
        groups: dict[str, list[Check]] = {}
        for check in self.checks:
            groups.setdefault(check.group, []).append(check)
        return groups

    def to_dict(self) -> dict[str, Any]:
        """Return a summary for JSON: per group the number of tests, observations, smallest p."""
        return {
            "passed": self.passed,
            "family_alpha": FAMILY_ALPHA,
            "threshold": self.threshold,
            "tests": len(self.checks),
            "failures": self.failures,
            "groups": {
                name: {
                    "tests": len(checks),
                    "observations": sum(c.n for c in checks),
                    "smallest_p": min(c.p for c in checks),
                    "worst": min(checks, key=lambda c: c.p).name,
                    "p_of_all": p_of_minimum([c.p for c in checks]),
                }
                for name, checks in self.groups().items()
            },
            "facts": {f.name: {"holds": f.holds, "detail": f.detail} for f in self.facts},
        }


def p_of_minimum(p: Sequence[float]) -> float:
    """Return the probability that the smallest of so many p-values is as small as this one."""
    return float(-np.expm1(len(p) * np.log1p(-min(p)))) if min(p) < 1 else 1.0


def two_sided(lower: float, upper: float) -> float:
    """Return the two-sided p-value from the probabilities of the two tails."""
    return min(1.0, 2.0 * min(lower, upper))


def goodness(group: str, name: str, parts: Sequence[tuple[I64, F64]]) -> Check | None:
    """Test counts against fully specified distributions, merging cells that expect too few.

    Parameters
    ----------
    group, name : str
    parts : sequence of (counts, probabilities)
        Each of shape (k,); the total of each part is given.

    Returns
    -------
    Check or None
        None if no part has two cells.
    """
    merged: list[tuple[F64, F64]] = []
    for counts, probabilities in parts:
        place = merge(probabilities, MIN_EXPECTED / max(int(counts.sum()), 1))
        merged.append(
            (
                np.bincount(place, counts).astype(np.float64),
                np.bincount(place, probabilities).astype(np.float64),
            )
        )
    return pearson(group, name, merged)


def pearson(group: str, name: str, parts: Sequence[tuple[npt.NDArray[Any], F64]]) -> Check | None:
    """Test counts against multinomial distributions with all cells as they are.

    Pearson's X^2, summed over independent parts, with the exact mean and variance that it has for
    any expected counts; a gamma distribution of these moments stands for chi-square.
    """
    statistic = mean = variance = 0.0
    n = 0
    for counts, p in parts:
        total, k = int(counts.sum()), len(p)
        if total < 2 or k < 2:
            continue
        expected = total * p
        statistic += float(((counts - expected) ** 2 / expected).sum())
        mean += k - 1
        variance += 2.0 * (k - 1) + (float((1.0 / p).sum()) - k * k - 2.0 * k + 2.0) / total
        n += total
    if mean == 0:
        return None
    shape, scale = mean**2 / variance, variance / mean
    p_value = two_sided(
        float(stats.gamma.cdf(statistic, shape, scale=scale)),
        float(stats.gamma.sf(statistic, shape, scale=scale)),
    )
    return Check(group=group, name=name, p=p_value, statistic=statistic, df=mean, n=n)


def independence(group: str, name: str, tables: Sequence[I64]) -> Check | None:
    """Test the independence of rows and columns of contingency tables, summed over the tables.

    Margins are estimated, so that this says nothing about the marginal distributions.
    """
    statistic = df = 0.0
    n = 0
    for table in tables:
        total = int(table.sum())
        if total < 4 * MIN_EXPECTED:
            continue
        share = np.sqrt(MIN_EXPECTED / total)
        columns = merge(table.sum(axis=0) / total, share)
        narrowest = float(np.bincount(columns, table.sum(axis=0)).min())
        rows = merge(table.sum(axis=1) / total, MIN_EXPECTED / narrowest)
        small = np.add.reduceat(table, np.flatnonzero(np.diff(rows, prepend=-1)), axis=0)
        small = np.add.reduceat(small, np.flatnonzero(np.diff(columns, prepend=-1)), axis=1)
        if min(small.shape) < 2:
            continue
        expected = np.outer(small.sum(axis=1), small.sum(axis=0)) / total
        statistic += float(((small - expected) ** 2 / expected).sum())
        df += (small.shape[0] - 1) * (small.shape[1] - 1)
        n += total
    if df == 0:
        return None
    p_value = two_sided(float(stats.chi2.cdf(statistic, df)), float(stats.chi2.sf(statistic, df)))
    return Check(group=group, name=name, p=p_value, statistic=statistic, df=df, n=n)


def deviate(group: str, name: str, observed: float, mean: float, sd: float, n: int) -> Check:
    """Test a sum of many terms against its exact mean and standard deviation."""
    z = (observed - mean) / sd
    p_value = two_sided(float(stats.norm.cdf(z)), float(stats.norm.sf(z)))
    return Check(group=group, name=name, p=p_value, statistic=z, df=1.0, n=n)


def merge(shares: F64, least: float) -> I64:
    """Group neighbouring cells until each group has a share of at least `least`.

    Returns
    -------
    ndarray of int64
        The group of each cell, from 0.
    """
    place = np.empty(len(shares), dtype=np.int64)
    group, held = 0, 0.0
    for i, share in enumerate(shares.tolist()):
        if held >= least:
            group, held = group + 1, 0.0
        place[i] = group
        held += share
    if held < least and group > 0:
        place[place == group] = group - 1
    return place
