"""Windows of long runs: whether all of a run is as the part of it that is judged.

NEST recordings cover less than a long run. Distances are judged over its beginning; every window of
the same duration is compared with NEST as a seed alone would be, and neurons that fall silent are
looked for in the whole run. Windows of one run share its network and are no independent candidates,
so that only gross failures of them fail a protocol (`reasons`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import output
from csnn.errors import InvalidInputError
from csnn.progress import progress
from csnn.protocol.distances import measure
from csnn.protocol.reference import Reference
from csnn.protocol.samples import RECIPE, Populations, take_samples
from csnn.protocol.seeds import RUN
from csnn.protocol.settings import Settings
from csnn.protocol.verdict import alone, nest_ratios, relative
from csnn.sealed import Arrays, read_sealed, write_sealed
from csnn.validation.criteria import pooled_thresholds
from csnn.validation.statistics import F64, I64, STATISTICS, Window

U32 = npt.NDArray[np.uint32]

FILE, SCHEMA, VERSION = "course.npz", "csnn-protocol-course", 1
# Spikes of a neuron that is expected to go on.
OFTEN = 20
# Of the 27 tests of a window: more failures have nothing to do with chance.
GROSS = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """The windows of one seed's run, one after the other.

    Attributes
    ----------
    seed : int
    distances : ndarray of float64, shape (windows, statistics, populations)
        Mean KS distance of each to the windows of NEST.
    silent : ndarray of int64, shape (n,)
        Neurons that spiked often in the first half of the run and never in the second.
    """

    seed: int
    distances: F64
    silent: I64


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
        "recipe": RECIPE,
        "spikes_sha256": spikes_sha256,
        "windows": [[w.first_step, w.n_steps] for w in parts],
        "populations": [list(population) for population in populations],
        "nest": [entry["sha256"] for entry in reference.origin],
        "nest_windows": [int(place) for place in reference.baseline.window_seed],
    }
    shape = (len(parts), len(STATISTICS), len(populations))
    found = _kept(folder / FILE, key, shape)
    if found is None:
        step, source = output.read_spikes(folder / RUN)
        found = {
            "distances": _distances(step, source, parts, populations, reference),
            "silent": fallen_silent(step, source, settings.window()),
        }
        header = {"schema": SCHEMA, "version": VERSION, "key": key}
        write_sealed(folder / FILE, header, found)
    return Course(seed=seed, distances=found["distances"], silent=found["silent"])


def _kept(path: Path, key: dict[str, Any], shape: tuple[int, ...]) -> Arrays | None:
    """Return what was kept for the same key, None if it is missing or damaged."""
    names = ("distances", "silent")
    try:
        header, arrays = read_sealed(path, SCHEMA, VERSION, names, "course of a run")
    except InvalidInputError:
        return None
    distances, silent = (arrays[name] for name in names)
    right = distances.shape == shape and distances.dtype == np.float64
    right = right and silent.ndim == 1 and silent.dtype == np.int64
    return arrays if right and header.get("key") == key else None


def fallen_silent(step: U32, source: U32, window: Window) -> I64:
    """Return the neurons with `OFTEN` spikes or more in one half of a window and none in the next.

    A neuron that goes on as it began has none with a probability of some exp(-20).
    """
    middle = window.first_step + window.n_steps // 2
    edges = [window.first_step, middle, window.first_step + window.n_steps]
    low, half, high = np.searchsorted(step, edges)
    size = int(source.max(initial=0)) + 1
    before = np.bincount(source[low:half], minlength=size)
    after = np.bincount(source[half:high], minlength=size)
    return np.flatnonzero((before >= OFTEN) & (after == 0)).astype(np.int64)


def _distances(
    step: U32,
    source: U32,
    parts: Sequence[Window],
    populations: Populations,
    reference: Reference,
) -> F64:
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
    `limit` the threshold of one candidate, `silent` the number of neurons that fell silent.
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
                "silent": course.silent.size,
            }
        )
    return {
        "window_ms": reference.duration_ms,
        "nest": {s: [float(nest[:, i].min()), float(nest[:, i].max())]
                 for i, s in enumerate(STATISTICS)},
        "limit": {s: float(limit[i]) for i, s in enumerate(STATISTICS)},
        "seeds": seeds,
    }  # fmt: skip


def reasons(course: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return why the windows of long runs fail a protocol, from what `summary` returned.

    If more than half of all windows fail alone, if one fails in `GROSS` tests or more, or if a
    neuron falls silent. Of NEST realisations, whose windows fail together too, some 3 % at most
    would fail the first; in the others chance plays no part.
    """
    if course is None:
        return ()
    failures = [tests for seed in course["seeds"] for tests in seed["failures"]]
    failed = sum(bool(tests) for tests in failures)
    gross = sum(len(tests) >= GROSS for tests in failures)
    silent = sum(seed["silent"] for seed in course["seeds"])
    found = []
    if 2 * failed > len(failures):
        found.append(f"{failed} of {len(failures)} windows of long runs fail alone")
    if gross:
        found.append(f"{gross} windows of long runs fail in {GROSS} tests or more")
    if silent:
        found.append(f"{silent} neurons fall silent")
    return tuple(found)
