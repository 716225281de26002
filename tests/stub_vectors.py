"""Stubs of blocks of all sizes, and where the definition sends them."""

from __future__ import annotations

import numpy as np

from csnn.rows import permute_stubs


def stimuli(
    n: int, count: int, seed: int | np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return stubs of `n` neurons, of blocks that change from stub to stub, and their targets."""
    rng = np.random.default_rng(seed)
    n_blocks = 40
    degrees = rng.integers(32, 2 ** rng.integers(6, 25, n_blocks), endpoint=True)
    degrees[:3] = [32, 2**24, 2**24 - 1]
    keys = rng.integers(0, 2**32, n_blocks)
    keys[:2] = [0, 2**32 - 1]
    block = rng.integers(0, n_blocks, count)
    degree = degrees[block]
    left = (rng.random(count) * degree).astype(np.int64)
    edge = rng.random(count)
    left = np.where(edge < 0.05, 0, np.where(edge > 0.95, degree - 1, left))
    right = rng.integers(0, n, count)
    target = np.empty(count, np.int64)
    for k in range(n_blocks):
        of = block == k
        image = permute_stubs(left[of], right[of], int(degrees[k]), n, int(keys[k]))
        target[of] = image[1]
    inputs = {
        "left": left,
        "right": right,
        "in_degree": degree,
        "key": keys[block],
        "n_neurons": np.full(count, n),
    }
    return inputs, target
