"""Independent Poisson spikes at given rates: a negative control that a verdict must reject."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.validation.statistics import F64, Window


def poisson_spikes(
    rate_hz: F64, window: Window, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Draw independent spike trains with given rates and nothing else of the network's.

    Parameters
    ----------
    rate_hz : ndarray of float64, shape (neurons,)
        Firing rate of each neuron in population order.
    window : Window
        Steps to draw spikes for.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    step, source : ndarray of uint32, shape (spikes,)
        Sorted by step. A neuron spikes at most once per step, as in a simulation.
    """
    counts = rng.poisson(np.asarray(rate_hz) * window.duration_ms / 1000.0)
    source = np.repeat(np.arange(counts.size, dtype=np.int64), counts)
    step = rng.integers(window.first_step, window.first_step + window.n_steps, source.size)
    pair = np.unique(step * counts.size + source)
    step, source = np.divmod(pair, counts.size)
    return step.astype(np.uint32), source.astype(np.uint32)
