"""The NEST realisations that a run of the microcircuit is compared with, shipped with the package.

A baseline holds, for one duration, the FR, CV and CC samples of windows of several NEST
realisations (seeds), and the KS distances between all of them. `build_baseline` makes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError, reject
from csnn.spec.pd14 import POPULATIONS, SIZES
from csnn.validation.statistics import F64, STATISTICS, Statistics, Window

SCHEMA = 1
DURATIONS_MS = (1000, 10000)
# Samples are compared as integer multiples of these; both sides are rounded, so that values
# that many pairs share (one spike each and no coincidence, say) stay equal.
RESOLUTION = {"FR": 0.01, "CV": 1e-6, "CC": 1e-6}

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """Windows of several NEST realisations, all of one duration.

    Attributes
    ----------
    duration_ms : float
        Model time of each window.
    populations : tuple of (name, size)
        The network's populations in order; P of them.
    window_seed : ndarray of int64, shape (W,)
        Seed of the realisation each window belongs to.
    samples : dict of (statistic, population) to tuple of W ndarrays of int32
        Sorted samples in units of `RESOLUTION`.
    distances : ndarray of float64, shape (3, P, W, W)
        KS distance of each pair of windows, FR, CV and CC in this order; zero diagonal.
    unit : dict of seed to ndarray of float64, shape (3, P)
        Mean KS distance of one-second windows within the realisation, scaled to the sample sizes
        of this duration: how far the population's distribution moves by itself.
    provenance : dict
        Files, digests, versions and timing, as in the JSON beside the samples.
    """

    duration_ms: float
    populations: tuple[tuple[str, int], ...]
    window_seed: npt.NDArray[np.int64]
    samples: dict[tuple[str, str], tuple[I32, ...]]
    distances: F64
    unit: dict[int, F64]
    provenance: dict[str, Any]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the realisations, ascending."""
        return tuple(int(seed) for seed in np.unique(self.window_seed))

    def pooled(self, statistic: str, population: str) -> F64:
        """Return the samples of all windows together, in the statistic's own unit."""
        together = np.concatenate(self.samples[statistic, population])
        return np.asarray(together * RESOLUTION[statistic], np.float64)

    def without(self, seed: int) -> Baseline:
        """Return the baseline of the other realisations."""
        if seed not in self.seeds:
            raise reject("baseline.seed", seed, f"must be one of {self.seeds}")
        kept = np.flatnonzero(self.window_seed != seed)
        return replace(
            self,
            window_seed=self.window_seed[kept],
            samples={key: tuple(v[i] for i in kept) for key, v in self.samples.items()},
            distances=self.distances[:, :, kept[:, None], kept],
            unit={s: u for s, u in self.unit.items() if s != seed},
        )


def quantise(sample: npt.NDArray[Any], statistic: str) -> I32:
    """Return the sorted sample in units of `RESOLUTION[statistic]`, rounded to nearest."""
    return np.sort(np.rint(np.asarray(sample) / RESOLUTION[statistic]).astype(np.int32))


def sorted_ks_distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the KS distance of two sorted samples; 1, the largest possible, if one is empty."""
    if a.size == 0 or b.size == 0:
        return 1.0
    # Only at values of a sample does the difference of two step functions peak.
    at_a = np.arange(1, a.size + 1) / a.size - np.searchsorted(b, a, side="right") / b.size
    at_b = np.arange(1, b.size + 1) / b.size - np.searchsorted(a, b, side="right") / a.size
    # Within a run of equal values only the last one has the full count.
    last_a = np.append(a[1:] != a[:-1], True)
    last_b = np.append(b[1:] != b[:-1], True)
    return float(max(np.abs(at_a[last_a]).max(), np.abs(at_b[last_b]).max()))


def quantised_samples(statistics: Statistics) -> dict[tuple[str, str], I32]:
    """Return the sorted integer samples of every statistic and population."""
    return {
        (statistic, p.name): quantise(p.sample(statistic), statistic)
        for statistic in STATISTICS
        for p in statistics.populations
    }


def has_baseline(populations: Sequence[tuple[str, int]]) -> bool:
    """Tell whether the network's populations are those of the full-scale microcircuit."""
    return [(name, int(size)) for name, size in populations] == [
        (name, int(size)) for name, size in zip(POPULATIONS, SIZES, strict=True)
    ]


def choose_duration(duration_ms: float) -> int:
    """Return the longest baseline duration that is not longer than `duration_ms`.

    Raises
    ------
    InvalidInputError
        If the run is shorter than the shortest baseline: no verdict is possible then.
    """
    fitting = [d for d in DURATIONS_MS if d <= duration_ms * (1 + 1e-12)]
    if not fitting:
        raise reject(
            "run.time_ms",
            duration_ms,
            f"no verdict is possible: the shortest NEST baseline covers {DURATIONS_MS[0]} ms",
        )
    return max(fitting)


def cut_window(window: Window) -> Window:
    """Return the window's beginning, as long as the baseline that fits it."""
    return replace(window, n_steps=round(choose_duration(window.duration_ms) / window.dt_ms))


def load_baseline(duration_ms: float, folder: Traversable | None = None) -> Baseline:
    """Load the baseline for a run of `duration_ms`, see `choose_duration`.

    Parameters
    ----------
    duration_ms : float
        Model time of the run after its warm-up.
    folder : Traversable, optional
        Where the baseline files lie; the package's own data by default.

    Raises
    ------
    InvalidInputError
        If the run is too short, or a file is missing, altered or of another version.
    """
    stem = f"nest_pd14_{choose_duration(duration_ms)}ms"
    folder = resources.files("csnn.validation") / "data" if folder is None else folder
    try:
        provenance = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
        packed = (folder / f"{stem}.npz").read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"baseline {stem}: cannot be read ({error})") from None
    if not isinstance(provenance, dict) or provenance.get("schema") != SCHEMA:
        raise InvalidInputError(f"baseline {stem}.json: schema must be {SCHEMA}")
    if hashlib.sha256(packed).hexdigest() != provenance.get("sha256"):
        raise InvalidInputError(
            f"baseline {stem}.npz: altered, its SHA-256 is not the recorded one"
        )
    return unpack(packed, provenance)


def pack(baseline: Baseline) -> bytes:
    """Return the npz bytes of a baseline (everything but its provenance); always the same."""
    names = [name for name, _ in baseline.populations]
    arrays: dict[str, npt.NDArray[Any]] = {
        "sizes": np.array([size for _, size in baseline.populations]),
        "window_seed": baseline.window_seed,
        "distances": baseline.distances.astype(np.float32),
        "unit": np.stack([baseline.unit[seed] for seed in baseline.seeds]),
    }
    for statistic in STATISTICS:
        for name in names:
            windows = baseline.samples[statistic, name]
            arrays[f"{statistic}_{name}_n"] = np.array([w.size for w in windows], dtype=np.uint32)
            # Differences of sorted values are small, so deflate packs them into under a byte.
            steps = [np.diff(w, prepend=np.int32(0)) for w in windows]
            arrays[f"{statistic}_{name}"] = np.concatenate(steps).astype(np.int32)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{key}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, 9
            )
    return buffer.getvalue()


def unpack(packed: bytes, provenance: dict[str, Any]) -> Baseline:
    """Return the baseline that `pack` wrote; the inverse of it."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        names = provenance["populations"]
        window_seed = arrays["window_seed"]
        samples = {}
        for statistic in STATISTICS:
            for name in names:
                ends = np.cumsum(arrays[f"{statistic}_{name}_n"])[:-1]
                windows = np.split(arrays[f"{statistic}_{name}"], ends)
                samples[statistic, name] = tuple(np.cumsum(w, dtype=np.int32) for w in windows)
        return Baseline(
            duration_ms=float(provenance["duration_ms"]),
            populations=tuple(zip(names, arrays["sizes"].tolist(), strict=True)),
            window_seed=window_seed,
            samples=samples,
            distances=arrays["distances"].astype(np.float64),
            unit={
                int(seed): unit
                for seed, unit in zip(np.unique(window_seed), arrays["unit"], strict=True)
            },
            provenance=provenance,
        )
