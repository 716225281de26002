"""Windows of long runs: whether all of a run is as the part of it that is judged.

NEST recordings cover less than a long run. The verdict is about its beginning; every later window
of the same duration is compared with NEST as a seed alone would be, and counted. Nothing is judged
by the number: windows of one run share its network, and are no independent candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from csnn import output
from csnn.errors import InvalidInputError
from csnn.progress import progress
from csnn.protocol.distances import measure
from csnn.protocol.reference import Reference
from csnn.protocol.samples import Populations, take_samples
from csnn.protocol.seeds import RUN
from csnn.protocol.settings import Settings
from csnn.protocol.verdict import alone, nest_ratios, relative
from csnn.sealed import read_sealed, write_sealed
from csnn.validation.criteria import pooled_thresholds
from csnn.validation.statistics import F64, STATISTICS, Window

FILE, SCHEMA, VERSION = "course.npz", "csnn-protocol-course", 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """The windows of one seed's run, one after the other.

    Attributes
    ----------
    seed : int
    distances : ndarray of float64, shape (windows, statistics, populations)
        Mean KS distance of each to the windows of NEST.
    """

    seed: int
    distances: F64


def windows(settings: Settings, judged_ms: float) -> tuple[Window, ...]:
    """Return the windows of the judged duration that fit into a run; none if fewer than two do."""
    first = settings.window(judged_ms)
    n = settings.window().n_steps // first.n_steps
    return tuple(
        replace(first, first_step=first.first_step + i * first.n_steps)
        for i in range(n if n > 1 else 0)
    )


def follow(
    seed: int,
    folder: Path,
    spikes_sha256: str,
    settings: Settings,
    populations: Populations,
    reference: Reference,
) -> Course | None:
    """Compare the windows of a finished seed with NEST; what is found is kept in its folder.

    Parameters
    ----------
    seed : int
    folder : Path
        Of the seed.
    spikes_sha256 : str
        Digest of its spikes.
    settings : Settings
    populations : sequence of (name, size)
    reference : Reference

    Returns
    -------
    Course or None
        None if the run is shorter than two windows. All pairs of each window would take longer than
        the run itself, so that with them it is None, too.
    """
    parts = windows(settings, reference.duration_ms)
    if not parts or settings.recipe.all_pairs:
        return None
    key = {
        "spikes_sha256": spikes_sha256,
        "windows": [[w.first_step, w.n_steps] for w in parts],
        "populations": [list(population) for population in populations],
        "nest": [entry["sha256"] for entry in reference.origin],
        "nest_windows": [int(place) for place in reference.baseline.window_seed],
    }
    distances = _kept(folder / FILE, key, (len(parts), len(STATISTICS), len(populations)))
    if distances is None:
        distances = _distances(folder / RUN, parts, populations, reference)
        header = {"schema": SCHEMA, "version": VERSION, "key": key}
        write_sealed(folder / FILE, header, {"distances": distances})
    return Course(seed=seed, distances=distances)


def _kept(path: Path, key: dict[str, Any], shape: tuple[int, ...]) -> F64 | None:
    """Return what was kept for the same key, None if it is missing or damaged."""
    try:
        header, arrays = read_sealed(path, SCHEMA, VERSION, ("distances",), "course of a run")
    except InvalidInputError:
        return None
    distances = arrays["distances"]
    same = header.get("key") == key
    right = distances.shape == shape and distances.dtype == np.float64
    return distances if same and right else None


def _distances(
    run: Path, parts: Sequence[Window], populations: Populations, reference: Reference
) -> F64:
    step, source = output.read_spikes(run)
    # Spikes of a run are in the order of their steps.
    edges = np.searchsorted(step, [*(w.first_step for w in parts),
                                   parts[-1].first_step + parts[-1].n_steps])  # fmt: skip
    found = []
    with progress(len(parts), "windows", "windows") as bar:
        for window, low, high in zip(parts, edges[:-1], edges[1:], strict=True):
            samples = take_samples(step[low:high], source[low:high], populations, window)
            found.append(measure([samples], reference).to_nest[:, :, 0].mean(axis=2))
            bar.update()
    return np.array(found)


def summary(courses: Sequence[Course], reference: Reference) -> dict[str, Any] | None:
    """Return what protocol.json holds of them, None if there are none.

    `ratio` is, of each window, the geometric mean over populations of its distance over the one
    expected of another NEST realisation; `nest` gives the lowest and highest of NEST's own windows,
    `limit` the threshold of one candidate.
    """
    if not courses:
        return None
    nest, limit = nest_ratios(reference.baseline), pooled_thresholds(reference.baseline)
    seeds = []
    for course in courses:
        ratio = np.exp([relative(each, reference.baseline) for each in course.distances])
        seeds.append(
            {
                "seed": course.seed,
                "ratio": {s: ratio[:, i].tolist() for i, s in enumerate(STATISTICS)},
                "failures": [list(alone(each, reference.baseline)) for each in course.distances],
            }
        )
    return {
        "window_ms": reference.duration_ms,
        "nest": {s: [float(nest[:, i].min()), float(nest[:, i].max())]
                 for i, s in enumerate(STATISTICS)},
        "limit": {s: float(limit[i]) for i, s in enumerate(STATISTICS)},
        "seeds": seeds,
    }  # fmt: skip
