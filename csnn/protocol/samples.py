"""The samples of one realisation over one window, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import output
from csnn.errors import InvalidInputError
from csnn.files import atomic_file
from csnn.protocol.distribution import Distribution, distribution_of
from csnn.validation.all_pairs import count_correlations
from csnn.validation.statistics import CC_BIN_MS, STATISTICS, Window, compute_statistics

# Of (statistic, population).
Samples = dict[tuple[str, str], Distribution]
Populations = Sequence[tuple[str, int]]
# To be raised when the meaning of a sample changes: kept files are then made again.
RECIPE = 1


def take_samples(
    step: npt.NDArray[Any],
    source: npt.NDArray[Any],
    populations: Populations,
    window: Window,
    *,
    all_pairs: bool = False,
) -> Samples:
    """Compute FR, CV and CC of every population.

    Parameters
    ----------
    step, source, populations, window
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
    statistics = compute_statistics(step, source, populations, window)
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
    arrays: dict[str, npt.NDArray[Any]] = {"key": np.array(_encode(key))}
    for i, samples in enumerate(windows):
        for (statistic, name), sample in samples.items():
            arrays[f"{i}/{statistic}/{name}/values"] = sample.values
            arrays[f"{i}/{statistic}/{name}/counts"] = sample.counts
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_samples(
    path: Path, key: Mapping[str, Any], populations: Populations, n_windows: int
) -> tuple[Samples, ...] | None:
    """Read what `save_samples` wrote; None if it is missing, damaged or of another key."""
    names = [
        f"{i}/{statistic}/{name}/{part}"
        for i in range(n_windows)
        for statistic in STATISTICS
        for name, _ in populations
        for part in ("values", "counts")
    ]
    try:
        found, *arrays = output.read_arrays(path, "key", *names)
    except InvalidInputError:
        return None
    if str(found) != _encode(key) or not _are_distributions(arrays):
        return None
    samples: list[Samples] = []
    parts = iter(arrays)
    for _ in range(n_windows):
        samples.append(
            {
                (statistic, name): Distribution(values=next(parts), counts=next(parts))
                for statistic in STATISTICS
                for name, _ in populations
            }
        )
    return tuple(samples)


def _are_distributions(arrays: Sequence[npt.NDArray[Any]]) -> bool:
    return all(
        values.dtype == np.int32 and counts.dtype == np.int64 and values.shape == counts.shape
        for values, counts in zip(arrays[::2], arrays[1::2], strict=True)
    )


def _encode(key: Mapping[str, Any]) -> str:
    return json.dumps({"recipe": RECIPE, **key}, sort_keys=True)
