"""Few outcomes for a distribution on the integers, with mean and variance kept.

Two steps: `reduce` gathers neighbouring integers into at most n cells, each represented by its
rounded centroid; `match` changes the probabilities as little as possible (least relative entropy)
so that mean and variance become those asked for.

The cells are spaced as the square root of the probability density, which minimises the Wasserstein
distance to the original (quantiles would minimise the Kolmogorov-Smirnov distance but cut the tails
at 2.5 standard deviations; equal spacing is two to three times worse in both).

References
----------
Graf, S. & Luschgy, H. (2000) Foundations of Quantization for Probability Distributions, Springer,
theorem 7.5. Csiszar, I. (1975) Ann. Probab. 3:146.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def reduce(values: I64, masses: F64, n: int) -> tuple[I64, F64]:
    """Gather integers into at most `n` cells.

    Parameters
    ----------
    values : int64 array, shape (m,)
        Distinct integers in ascending order.
    masses : float64 array, shape (m,)
        Their probabilities.
    n : int
        Largest number of outcomes, at least 3.

    Returns
    -------
    points : int64 array, shape (<= n,)
        One integer per cell, in ascending order, inside its cell. No cell holds values of both
        signs, or zero and others, so a value never changes its sign.
    probabilities : float64 array, shape (<= n,)
        Masses of the cells, zero ones dropped.
    """
    values, masses = values[masses > 0], masses[masses > 0]
    if len(values) <= n:
        return values, masses / masses.sum()
    signs = np.sign(values)
    cells = n - (len(np.unique(signs)) - 1)
    gap = np.gradient(values.astype(np.float64))
    share = _share(np.sqrt(masses * gap), cells)
    index = np.minimum((np.cumsum(share) - share / 2).astype(np.int64), cells - 1)
    # A boundary inserted at a change of sign splits at most one cell.
    key = index * 3 + signs
    _, cell = np.unique(key, return_inverse=True)
    probabilities = np.bincount(cell, weights=masses)
    points = np.rint(np.bincount(cell, weights=masses * values) / probabilities).astype(np.int64)
    return points, probabilities / probabilities.sum()


def _share(density: F64, total: int) -> F64:
    """Scale `density` to sum to `total` with no element above 1 (a value is not divisible)."""
    full = np.zeros(len(density), dtype=bool)
    while True:
        scale = (total - full.sum()) / density[~full].sum()
        now_full = full | (scale * density >= 1.0)
        if np.array_equal(now_full, full):
            return np.where(full, 1.0, scale * density)
        full = now_full


def match(points: I64, probabilities: F64, mean: float, sd: float) -> F64:
    """Tilt probabilities so that they have the given mean and standard deviation.

    Parameters
    ----------
    points : int64 array, shape (n,)
        Outcomes.
    probabilities : float64 array, shape (n,)
        Their probabilities before.
    mean, sd : float
        Moments to reach, sd > 0.

    Returns
    -------
    float64 array, shape (n,)
        p exp(a x + b x**2), normalised: of all distributions with these moments the closest one in
        relative entropy. The given probabilities if no tilt has the moments.
    """
    z = (points - mean) / sd
    features = np.stack([z, z * z], axis=1)
    target = np.array([0.0, 1.0])
    log_p = np.log(probabilities)

    def dual(a: F64) -> tuple[float, F64]:
        exponent = log_p + features @ a
        top = float(exponent.max())
        weights = np.exp(exponent - top)
        return top + float(np.log(weights.sum())) - float(a @ target), weights / weights.sum()

    a = np.zeros(2)
    value, tilted = dual(a)
    for _ in range(100):
        moments = tilted @ features
        residual = target - moments
        if np.abs(residual).max() < 1e-13:
            break
        covariance = (features * tilted[:, None]).T @ features - np.outer(moments, moments)
        step = np.linalg.lstsq(covariance, residual, rcond=1e-12)[0]
        gain, length = float(residual @ step), 1.0
        while length > 1e-6:
            new_value, new_tilted = dual(a + length * step)
            if new_value <= value - 0.25 * length * gain:
                break
            length /= 2
        else:
            break  # no further descent: at the rounding floor, or out of reach
        a, value, tilted = a + length * step, new_value, new_tilted
    reached = np.abs(target - tilted @ features).max()
    return tilted if reached < np.abs(target - probabilities @ features).max() else probabilities
