"""What candidates are judged by: NEST realisations over the duration that is judged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from csnn.errors import InvalidInputError, located, reject
from csnn.progress import progress
from csnn.protocol.distribution import ks_distance, sorted_distribution
from csnn.protocol.nest import ARRAYS, NestRecording
from csnn.protocol.samples import Populations, Samples, load_samples, save_samples, take_samples
from csnn.protocol.settings import Settings
from csnn.spec.pd14 import DT_MS, POPULATIONS, SIZES
from csnn.validation.baseline import Baseline, load_baseline
from csnn.validation.statistics import F64, STATISTICS, Window

PD14 = [(name, int(size)) for name, size in zip(POPULATIONS, SIZES, strict=True)]
UNIT_MS = 1000.0
_MAX_WINDOWS, _MAX_UNITS, _MAX_UNITS_ALL_PAIRS = 30, 10, 4
_KEPT = ("seed", "nest", "T_ms", "threads", "sim_s", "rtf")
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """NEST realisations, cut into windows as long as what is judged.

    Attributes
    ----------
    baseline : Baseline
        Their distances and units, from which `csnn.validation.criteria` takes its thresholds; its
        own samples may be missing.
    windows : tuple of W Samples
        In the order of `baseline.window_seed`.
    duration_ms : float
        Of every window.
    note : str
        What was cut, empty if nothing was.
    origin : tuple of dict
        File, digest and what else is known of each realisation.
    """

    baseline: Baseline
    windows: tuple[Samples, ...]
    duration_ms: float
    note: str
    origin: tuple[dict[str, Any], ...]

    @property
    def first_windows(self) -> list[int]:
        """The first window of each realisation."""
        seeds = self.baseline.window_seed.tolist()
        return [seeds.index(seed) for seed in dict.fromkeys(seeds)]


def shipped_reference(settings: Settings) -> Reference:
    """Return the baseline of the package that covers a protocol.

    Raises
    ------
    InvalidInputError
        If the variant correlates all pairs or discards less than the baseline does.
    """
    if settings.recipe.all_pairs:
        rule = "needs --nest: the shipped baseline holds the correlations of 250 neurons only"
        raise reject("protocol.variant", settings.variant, rule)
    baseline = load_baseline(settings.time_ms)
    settled_ms = float(baseline.provenance["warmup_ms"])
    if settings.discarded_ms < settled_ms:
        rule = f"must be at least {settled_ms:g}, as in the shipped baseline"
        raise reject("run.warmup_ms", settings.discarded_ms, rule)
    windows = tuple(
        {key: sorted_distribution(sample[i]) for key, sample in baseline.samples.items()}
        for i in range(baseline.window_seed.size)
    )
    return Reference(
        baseline=baseline,
        windows=windows,
        duration_ms=baseline.duration_ms,
        note=_cut(settings.time_ms, baseline.duration_ms, "the shipped baseline"),
        origin=tuple(
            {key: entry.get(key) for key in ("file", "sha256", "seed", "nest")}
            for entry in baseline.provenance["realisations"]
        ),
    )


def _cut(time_ms: float, judged_ms: float, what: str) -> str:
    if judged_ms >= time_ms:
        return ""
    return (
        f"the first {judged_ms:g} ms of {time_ms:g} ms are judged, since {what} covers no more; "
        "distances are those of equal durations"
    )


def recorded_reference(
    recordings: Sequence[NestRecording],
    settings: Settings,
    *,
    populations: Populations = PD14,
    cache: Path | None = None,
) -> Reference:
    """Make a reference of recordings.

    A recording that is longer than the candidates is cut into windows of their duration; if one is
    shorter, the candidates are judged by their beginning.

    Parameters
    ----------
    recordings : sequence of NestRecording
        Three or more.
    settings : Settings
    populations : sequence of (name, size)
    cache : Path, optional
        Folder that keeps samples, so that a repeated command need not compute them again.

    Raises
    ------
    InvalidInputError
        If a recording begins too late, is too short, or is of another network.
    """
    window = settings.window()
    for recording in recordings:
        if recording.first_step > window.first_step:
            raise InvalidInputError(
                f"{recording.path}: begins after {(recording.first_step - 1) * DT_MS:g} ms, when "
                f"a warm-up of {settings.discarded_ms:g} ms is over: choose a longer --warmup-ms"
            )
    covered = [math.floor((r.last_step - window.first_step + 1) * DT_MS + 1e-6) for r in recordings]
    for recording, duration_ms in zip(recordings, covered, strict=True):
        if duration_ms < 2 * UNIT_MS:
            rule = f"must cover {2 * UNIT_MS:g} ms after the warm-up, two windows of {UNIT_MS:g}"
            raise reject(str(recording.path), duration_ms, rule)
    judged_ms = min(settings.time_ms, float(min(covered)))
    units, windows = [], []
    with progress(len(recordings), "NEST", "recordings") as bar:
        for recording, duration_ms in zip(recordings, covered, strict=True):
            one, many = _samples_of(
                recording, settings, judged_ms, duration_ms, populations, cache,
                _MAX_WINDOWS // len(recordings),
            )  # fmt: skip
            units.append(one)
            windows.append(many)
            bar.update()
    with progress(None, "distances of NEST"):
        baseline = _baseline(units, windows, judged_ms, populations, settings)
    return Reference(
        baseline=baseline,
        windows=tuple(itertools.chain(*windows)),
        duration_ms=judged_ms,
        note=_cut(settings.time_ms, judged_ms, "the shortest NEST recording"),
        origin=tuple(
            {"file": r.path.name, "sha256": r.sha256}
            | {k: r.timing[k] for k in _KEPT if k in r.timing}
            for r in recordings
        ),
    )


def _samples_of(
    recording: NestRecording,
    settings: Settings,
    judged_ms: float,
    covered_ms: float,
    populations: Populations,
    cache: Path | None,
    most: int,
) -> tuple[tuple[Samples, ...], tuple[Samples, ...]]:
    """Return the samples of the windows of one second, and of those that are judged by."""
    all_pairs = settings.recipe.all_pairs
    n_units = min(int(covered_ms // UNIT_MS), _MAX_UNITS_ALL_PAIRS if all_pairs else _MAX_UNITS)
    n_windows = max(1, min(int(covered_ms // judged_ms), most))
    durations = [UNIT_MS] * n_units + [judged_ms] * n_windows
    places = [*range(n_units), *range(n_windows)]
    key = {
        "sha256": recording.sha256,
        "durations_ms": durations,
        "all_pairs": all_pairs,
        "first_step": settings.window().first_step,
        "populations": list(populations),
    }
    path = None if cache is None else cache / f"{recording.sha256[:16]}.npz"
    found = None if path is None else load_samples(path, key, populations, len(durations))
    if found is None:
        step, sender = recording.spikes()
        try:
            found = tuple(
                take_samples(
                    step, sender, populations, _window(settings, duration, place),
                    all_pairs=all_pairs, fields=ARRAYS,
                )
                for duration, place in zip(durations, places, strict=True)
            )  # fmt: skip
        except InvalidInputError as error:
            raise located(str(recording.path), error) from None
        if path is not None:
            save_samples(path, key, found)
    return found[:n_units], found[n_units:]


def _window(settings: Settings, duration_ms: float, place: int) -> Window:
    window = settings.window(duration_ms)
    return replace(window, first_step=window.first_step + place * window.n_steps)


def _table(populations: Populations, entry: Callable[[tuple[str, str]], float]) -> F64:
    return np.array([[entry((s, name)) for name, _ in populations] for s in STATISTICS])


def _mean_size(windows: Sequence[Samples], populations: Populations) -> F64:
    def independent(key: tuple[str, str]) -> float:
        n = np.array([w[key].size for w in windows], np.float64)
        # m neurons make m (m - 1) / 2 pairs; the neurons are what is drawn independently.
        return float(np.mean((1 + np.sqrt(1 + 8 * n)) / 2 if key[0] == "CC" else n))

    return _table(populations, independent)


def _baseline(
    units: Sequence[Sequence[Samples]],
    windows: Sequence[Sequence[Samples]],
    judged_ms: float,
    populations: Populations,
    settings: Settings,
) -> Baseline:
    """Return the baseline of the realisations, as `csnn.validation.build_baseline` makes it."""

    def mean_distance(several: Sequence[Samples]) -> F64:
        pairs = list(itertools.combinations(several, 2))
        return _table(
            populations, lambda key: float(np.mean([ks_distance(a[key], b[key]) for a, b in pairs]))
        )

    unit = {}
    for k, (one, many) in enumerate(zip(units, windows, strict=True)):
        sizes = _mean_size(one, populations) / np.maximum(1.0, _mean_size(many, populations))
        unit[k] = mean_distance(one) * np.sqrt(sizes)
    flat = list(itertools.chain(*windows))
    distances = np.zeros((len(STATISTICS), len(populations), len(flat), len(flat)))
    for i, j in itertools.combinations(range(len(flat)), 2):
        distances[:, :, i, j] = distances[:, :, j, i] = mean_distance([flat[i], flat[j]])
    _require_activity(unit, distances, populations)
    return Baseline(
        duration_ms=judged_ms,
        populations=tuple((name, int(size)) for name, size in populations),
        window_seed=np.repeat(np.arange(len(windows)), [len(w) for w in windows]),
        samples={},
        distances=distances,
        unit=unit,
        provenance={"warmup_ms": settings.discarded_ms},
    )


def _require_activity(unit: dict[int, F64], distances: F64, populations: Populations) -> None:
    """Refuse realisations that do not differ somewhere: ratios to no distance mean nothing."""
    n = distances.shape[-1]
    apart = distances[:, :, ~np.eye(n, dtype=bool)].mean(axis=2)
    for s, p in np.argwhere((np.min(list(unit.values()), axis=0) <= 0) | (apart <= 0)):
        rule = "does not vary between the NEST recordings: too few spikes to judge by"
        raise InvalidInputError(f"{STATISTICS[s]} of {populations[p][0]} {rule}")
