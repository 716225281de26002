"""Whether candidates can be told from NEST: a permutation test of whole realisations.

Were candidates and NEST realisations draws of the same network, the labels "NEST" and "candidate"
would be exchangeable among them, and only among them: neurons of one realisation share it. So the
labels are dealt anew in every possible way, and the share of the ways that separate the two groups
at least as far as the true one is an exact p-value. With M realisations of NEST and K candidates
there are (M + K)! / (M! K!) ways: one in four with M = 3 and K = 1, one in 286 with K = 10. That
is the smallest p there can be, whatever the candidates do.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.validation.statistics import F64

# Beyond this many ways a sample of them is drawn.
MOST_WAYS = 20_000
_SEED = 20140
# Sums of the same distances in another order.
_TIE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class PermutationTest:
    """The outcome over S statistics of P populations.

    Attributes
    ----------
    p : ndarray of float64, shape (S, P)
        Of each cell by itself, not corrected for there being many.
    pooled_p : ndarray of float64, shape (S,)
        Of each statistic over all populations, not corrected either.
    family_p : float
        Of all cells and pooled tests together, by the largest of them (Westfall and Young 1993).
    smallest_p : float
        What `family_p` could be at least.
    ways : int
        Labellings that were compared, the true one included.
    exact : bool
        Whether these are all there are.
    ratio : ndarray of float64, shape (S, P)
        Mean distance between candidates and NEST over that of NEST realisations.
    ratio_low, ratio_high : ndarray of float64, shape (S, P)
        Where that ratio lies if candidates are NEST realisations: between these for at least 95 %
        of the labellings, for all of them if there are at most 40.
    """

    p: F64
    pooled_p: F64
    family_p: float
    smallest_p: float
    ways: int
    exact: bool
    ratio: F64
    ratio_low: F64
    ratio_high: F64


def permutation_test(distances: F64, n_nest: int) -> PermutationTest:
    """Test whether NEST and candidates differ.

    Parameters
    ----------
    distances : ndarray of float64, shape (S, P, n, n)
        Symmetric, NEST first.
    n_nest : int
        Realisations of NEST, two or more.

    Returns
    -------
    PermutationTest
        From the energy statistic: the mean distance between the groups minus the average of the
        mean distances within them. A group of one has none within.
    """
    n = distances.shape[-1]
    labels, exact = _labellings(n, n_nest)
    flat = distances.reshape(-1, n, n)
    between, nest, rest = _means(flat, labels)
    within = nest if n - n_nest < 2 else (nest + rest) / 2
    energy = between - within
    spread = energy.std(axis=1, keepdims=True)
    score = np.divide(energy, spread, out=np.zeros_like(energy), where=spread > _TIE)
    ratio = np.divide(between, nest, out=np.ones_like(between), where=nest > 0)
    shape = distances.shape[:2]
    pooled = score.reshape(*shape, -1).mean(axis=1)
    spread = pooled.std(axis=1, keepdims=True)
    pooled = np.divide(pooled, spread, out=np.zeros_like(pooled), where=spread > _TIE)
    largest = np.concatenate([score, pooled]).max(axis=0)
    # Ends are labellings, and those of few ones the outermost: nothing lies between to be cut off.
    low = np.quantile(ratio, 0.025, axis=1, method="lower")
    high = np.quantile(ratio, 0.975, axis=1, method="higher")
    # With groups of equal size a labelling and its reverse are the same.
    least = (2 if 2 * n_nest == n and exact else 1) / labels.shape[0]
    return PermutationTest(
        p=_p_value(score).reshape(shape),
        pooled_p=_p_value(pooled),
        family_p=float(_p_value(largest[np.newaxis])[0]),
        smallest_p=least,
        ways=labels.shape[0],
        exact=exact,
        ratio=ratio[:, 0].reshape(shape),
        ratio_low=low.reshape(shape),
        ratio_high=high.reshape(shape),
    )


def _labellings(n: int, n_nest: int) -> tuple[npt.NDArray[np.bool_], bool]:
    """Return which realisations are called NEST, shape (ways, n), the true labelling first."""
    ways = math.comb(n, n_nest)
    exact = ways <= MOST_WAYS
    labels = np.zeros((ways if exact else MOST_WAYS, n), bool)
    if exact:
        for row, chosen in zip(labels, itertools.combinations(range(n), n_nest), strict=True):
            row[list(chosen)] = True
    else:
        rng = np.random.default_rng(_SEED)
        labels[:, :n_nest] = True
        labels[1:] = rng.permuted(labels[1:], axis=1)
    return labels, exact


def _means(distances: F64, labels: npt.NDArray[np.bool_]) -> tuple[F64, F64, F64]:
    """Return the mean distances between groups, within NEST, within the rest; (cells, ways)."""
    nest = labels.astype(np.float64)
    rest = 1.0 - nest
    n, m = labels.shape[1], int(labels[0].sum())
    k = n - m
    to_nest = nest @ distances
    to_rest = rest @ distances
    between = (to_nest * rest).sum(axis=2) / (m * k)
    # Each pair is counted twice.
    within = (to_nest * nest).sum(axis=2) / (m * (m - 1))
    within_rest = (to_rest * rest).sum(axis=2) / max(1, k * (k - 1))
    return np.asarray(between), np.asarray(within), np.asarray(within_rest)


def _p_value(score: F64) -> F64:
    """Return the share of labellings that score as high as the first; shape (tests,)."""
    return np.asarray((score >= score[:, :1] - _TIE).mean(axis=1))
