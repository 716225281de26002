"""KS distances between candidates and NEST, among candidates, and among NEST realisations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csnn.protocol.distribution import ks_distance
from csnn.protocol.reference import Reference
from csnn.protocol.samples import Samples
from csnn.validation.statistics import F64, STATISTICS


@dataclass(frozen=True, kw_only=True, eq=False)
class Distances:
    """Distances of K candidates and W windows of NEST in S statistics of P populations.

    Attributes
    ----------
    to_nest : ndarray of float64, shape (S, P, K, W)
    among : ndarray of float64, shape (S, P, K, K)
        Of the candidates, zero diagonal.
    nest : ndarray of float64, shape (S, P, W, W)
        Of the windows of NEST, zero diagonal.
    """

    to_nest: F64
    among: F64
    nest: F64

    def pairs(self) -> F64:
        """Return the distances of all pairs of candidates, shape (S, P, K (K - 1) / 2)."""
        i, j = np.triu_indices(self.among.shape[-1], 1)
        return np.asarray(self.among[:, :, i, j])

    def of_realisations(self, first_windows: Sequence[int]) -> F64:
        """Return the distances of everything to everything, one window of each realisation.

        Parameters
        ----------
        first_windows : sequence of M ints
            The window that stands for each realisation.

        Returns
        -------
        ndarray of float64, shape (S, P, M + K, M + K)
            NEST first.
        """
        chosen = list(first_windows)
        across = self.to_nest[:, :, :, chosen]
        nest = self.nest[:, :, chosen][:, :, :, chosen]
        upper = np.concatenate([nest, np.swapaxes(across, 2, 3)], axis=3)
        lower = np.concatenate([across, self.among], axis=3)
        return np.concatenate([upper, lower], axis=2)


def among(candidates: Sequence[Samples], names: Sequence[str]) -> F64:
    """Return the distances of candidates to each other, shape (S, P, K, K)."""
    found = np.zeros((len(STATISTICS), len(names), len(candidates), len(candidates)))
    for i, j in itertools.combinations(range(len(candidates)), 2):
        found[:, :, i, j] = found[:, :, j, i] = _between(candidates[i], candidates[j], names)
    return found


def measure(candidates: Sequence[Samples], reference: Reference) -> Distances:
    """Return all distances of candidates that cover the duration of the reference."""
    names = [name for name, _ in reference.baseline.populations]
    to_nest = [[_between(c, w, names) for w in reference.windows] for c in candidates]
    return Distances(
        to_nest=np.moveaxis(np.array(to_nest), (0, 1), (2, 3)),
        among=among(candidates, names),
        nest=reference.baseline.distances,
    )


def _between(a: Samples, b: Samples, names: Sequence[str]) -> F64:
    return np.array([[ks_distance(a[s, name], b[s, name]) for name in names] for s in STATISTICS])
