"""The samples of one realisation over one window, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.protocol.distribution import Distribution, distribution_of
from csnn.sealed import Arrays, read_sealed, write_sealed
from csnn.validation.all_pairs import count_correlations
from csnn.validation.statistics import (
    CC_BIN_MS,
    FIELDS,
    STATISTICS,
    Window,
    compute_statistics,
)

# Of (statistic, population).
Samples = dict[tuple[str, str], Distribution]
Populations = Sequence[tuple[str, int]]
# To be raised when the meaning of a sample changes: kept files are then made again.
RECIPE = 1
SCHEMA = "csnn-samples"


def take_samples(
    step: npt.NDArray[Any],
    source: npt.NDArray[Any],
    populations: Populations,
    window: Window,
    *,
    all_pairs: bool = False,
    fields: tuple[str, str] = FIELDS,
) -> Samples:
    """Compute FR, CV and CC of every population.

    Parameters
    ----------
    step, source, populations, window, fields
        As for `csnn.validation.statistics.compute_statistics`.
    all_pairs : bool
        Correlate all pairs instead of those of 250 neurons.

    Returns
    -------
    dict of (statistic, population) to Distribution

    Raises
    ------
    InvalidInputError
        If the arrays do not match, name neurons that do not exist, or hold a spike twice.
    """
    statistics = compute_statistics(step, source, populations, window, fields)
    samples = {
        (statistic, p.name): distribution_of(p.sample(statistic), statistic)
        for statistic in STATISTICS
        for p in statistics.populations
    }
    if all_pairs:
        last = window.first_step + window.n_steps - 1
        bin_steps = max(1, round(CC_BIN_MS / window.dt_ms))
        first = 0
        for name, size in populations:
            mine = (source >= first) & (source < first + size)
            mine &= (step >= window.first_step) & (step <= last)
            values, counts = count_correlations(
                source[mine].astype(np.int64) - first,
                step[mine].astype(np.int64) - window.first_step,
                size,
                bin_steps=bin_steps,
                n_steps=window.n_steps,
            )
            samples["CC", name] = Distribution(values=values, counts=counts)
            first += size
    return samples


def save_samples(path: Path, key: Mapping[str, Any], windows: Sequence[Samples]) -> None:
    """Write the samples of several windows, with the `key` that says what they are of."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for i, samples in enumerate(windows):
        for (statistic, name), sample in samples.items():
            arrays[f"{i}/{statistic}/{name}/values"] = sample.values
            arrays[f"{i}/{statistic}/{name}/counts"] = sample.counts
    header = {"schema": SCHEMA, "version": RECIPE, "key": dict(key)}
    write_sealed(path, header, arrays, compress=True)


def load_samples(
    path: Path, key: Mapping[str, Any], populations: Populations, n_windows: int
) -> tuple[Samples, ...] | None:
    """Read what `save_samples` wrote; None if it is missing, damaged or of another key."""
    names = tuple(
        f"{i}/{statistic}/{name}/{part}"
        for i in range(n_windows)
        for statistic in STATISTICS
        for name, _ in populations
        for part in ("values", "counts")
    )
    try:
        header, arrays = read_sealed(path, SCHEMA, RECIPE, names, "file of samples")
    except InvalidInputError:
        return None
    # As JSON, which knows no tuples.
    if header.get("key") != json.loads(json.dumps(key)) or not _are_distributions(arrays, names):
        return None
    samples: list[Samples] = []
    parts = (arrays[name] for name in names)
    for _ in range(n_windows):
        samples.append(
            {
                (statistic, name): Distribution(values=next(parts), counts=next(parts))
                for statistic in STATISTICS
                for name, _ in populations
            }
        )
    return tuple(samples)


def _are_distributions(arrays: Arrays, names: Sequence[str]) -> bool:
    for values, counts in zip(
        (arrays[name] for name in names[::2]), (arrays[name] for name in names[1::2]), strict=True
    ):
        if values.dtype != np.int32 or counts.dtype != np.int64:
            return False
        if values.ndim != 1 or values.shape != counts.shape:
            return False
        if (values[1:] <= values[:-1]).any() or (counts < 1).any():
            return False
    return True
