"""Correlations of all pairs of a population, counted in a histogram.

20,000 neurons make 200 million pairs. Their correlations are those of
`csnn.validation.statistics.correlations`, rounded as a baseline rounds them and counted while a
matrix product of blocks of neurons goes through them: memory does not grow with the pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from csnn.validation.baseline import RESOLUTION

I64 = npt.NDArray[np.int64]
_HALF = round(1.0 / RESOLUTION["CC"])
_BLOCK = 512


def count_correlations(
    neuron: npt.NDArray[Any],
    offset: npt.NDArray[Any],
    size: int,
    *,
    bin_steps: int,
    n_steps: int,
    block: int = _BLOCK,
) -> tuple[npt.NDArray[np.int32], I64]:
    """Count the Pearson correlations of binned spike counts of all pairs of neurons.

    Parameters
    ----------
    neuron, offset : ndarray of integers, shape (spikes,)
        Neuron within the population and step within the window, from 0.
    size : int
        Neurons in the population; those without any variance are left out.
    bin_steps, n_steps : int
        Steps per bin and per window; a last incomplete bin is left out.
    block : int
        Neurons that are correlated with all others at once.

    Returns
    -------
    values : ndarray of int32, shape (v,)
        Distinct correlations, ascending, in units of `RESOLUTION["CC"]`.
    counts : ndarray of int64, shape (v,)
        Pairs that have each; in all m (m - 1) / 2 for the m neurons that vary.
    """
    n_bins = n_steps // bin_steps
    histogram = np.zeros(2 * _HALF + 1, np.int64)
    if n_bins >= 2 and neuron.size:
        column = (offset // bin_steps).astype(np.int32)
        kept = column < n_bins
        counts = sparse.coo_matrix(
            (np.ones(int(kept.sum()), np.int32), (neuron[kept].astype(np.int32), column[kept])),
            shape=(size, n_bins),
        ).tocsr()
        del column, kept
        _add_pairs(counts, histogram, block)
    found = np.flatnonzero(histogram)
    return (found - _HALF).astype(np.int32), histogram[found]


def _add_pairs(counts: Any, histogram: I64, block: int) -> None:
    n_bins = counts.shape[1]
    total = np.asarray(counts.sum(axis=1), np.float64).ravel()
    square = np.asarray(counts.multiply(counts).sum(axis=1), np.float64).ravel()
    variance = n_bins * square - total**2
    varies = variance > 0
    counts, total, scale = counts[varies], total[varies], np.sqrt(variance[varies])
    transposed = counts.T.tocsr()
    for first in range(0, scale.size, block):
        rows = slice(first, first + block)
        # Counts are integers, so the products are exact whatever the blocks.
        together = (counts[rows] @ transposed).toarray()[:, first:].astype(np.float64)
        together *= n_bins
        together -= np.outer(total[rows], total[first:])
        together /= np.outer(scale[rows], scale[first:])
        together /= RESOLUTION["CC"]
        pairs = np.rint(together[np.triu(np.ones(together.shape, bool), 1)])
        histogram += np.bincount(pairs.astype(np.int64) + _HALF, minlength=histogram.size)
