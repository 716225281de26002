"""Derive the shipped NEST baselines from full spike recordings.

    python -m csnn.validation.build_baseline nest_pd14_seed*_10s.npz --out csnn/validation/data

Each recording is an npz file with `sender` (global neuron number from 0), `step` (time over dt,
counted from the start of the warm-up) and `timing` (JSON with `seed`, `nest`, `T_ms` and the times
the run took); all must have the same length.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import __version__, output
from csnn.errors import CsnnError, InvalidInputError, reject
from csnn.files import atomic_file, reported, sha256
from csnn.json_fields import Kind, check_fields, is_count, is_positive, is_text
from csnn.spec.pd14 import DT_MS, POPULATIONS, SIZES
from csnn.validation.baseline import (
    DURATIONS_MS,
    RESOLUTION,
    SCHEMA,
    Baseline,
    pack,
    quantised_samples,
    sorted_ks_distance,
)
from csnn.validation.statistics import (
    CC_BIN_MS,
    CC_NEURONS,
    CC_SEED,
    CV_MIN_SPIKES,
    F64,
    STATISTICS,
    Window,
    compute_statistics,
)

# The unit of a population's own variability is taken from windows of this length.
UNIT_MS = 1000
KEPT_TIMING = ("T_ms", "threads", "create_s", "connect_s", "presim_s", "sim_s", "rtf", "nsyn")

_ARRAYS = ("step", "sender")
# What is read of `timing` whatever it holds beside it.
_TIMING: dict[str, tuple[Kind, str]] = {
    "seed": (is_count, "an integer >= 0"),
    "T_ms": (is_positive, "a number > 0"),
    "nest": (is_text, "a string"),
}

Cells = dict[tuple[str, str], npt.NDArray[np.int32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Spikes of one NEST realisation."""

    name: str
    sha256: str
    timing: dict[str, Any]
    step: npt.NDArray[Any]
    sender: npt.NDArray[Any]


def read_recording(path: Path) -> Recording:
    """Read one recording.

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged, no npz file, or lacks one of the arrays.
    """
    timing, step, sender = output.read_arrays(path, "timing", *_ARRAYS)
    try:
        told = json.loads(str(timing))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InvalidInputError(f"{path}: timing: must be a JSON object")
    check_fields(f"{path}: timing", told, _TIMING)
    return Recording(name=path.name, sha256=sha256(path), timing=told, step=step, sender=sender)


def build(
    recordings: Sequence[Recording],
    warmup_ms: float,
    progress: Callable[[str], None] = lambda message: None,
    durations_ms: Sequence[int] = DURATIONS_MS,
) -> list[Baseline]:
    """Build the baseline of every duration.

    Parameters
    ----------
    recordings : sequence of Recording
        At least three realisations with different seeds.
    warmup_ms : float
        Model time to leave out; windows follow it without gap or overlap.
    progress : callable
        Told what is being done.
    durations_ms : sequence of int
        Durations wanted; one second, on which the unit rests, must be among them.

    Returns
    -------
    list of Baseline
        One per entry of `durations_ms`.
    """
    seeds = [int(r.timing["seed"]) for r in recordings]
    if len(set(seeds)) < 3 or len(set(seeds)) != len(seeds):
        raise reject("seeds", seeds, "must be three or more different realisations")
    recordings = [recordings[i] for i in np.argsort(seeds)]
    samples: dict[int, list[list[Cells]]] = {d: [] for d in durations_ms}
    for recording, duration in itertools.product(recordings, durations_ms):
        progress(f"{recording.name}: {duration} ms windows")
        samples[duration].append(_windows(recording, duration, warmup_ms))
    progress("distances within realisations")
    unit_windows = samples[UNIT_MS]
    units = [_mean_distance(windows) for windows in unit_windows]
    baselines = []
    for duration in durations_ms:
        progress(f"distances of {duration} ms windows")
        scaled = {
            int(recording.timing["seed"]): unit
            * np.sqrt(_mean_size(unit_windows[i]) / _mean_size(samples[duration][i]))
            for i, (recording, unit) in enumerate(zip(recordings, units, strict=True))
        }
        baselines.append(_baseline(duration, recordings, samples[duration], scaled, warmup_ms))
    return baselines


def _windows(recording: Recording, duration_ms: int, warmup_ms: float) -> list[Cells]:
    n_steps, first = round(duration_ms / DT_MS), round(warmup_ms / DT_MS) + 1
    populations = [(name, int(n)) for name, n in zip(POPULATIONS, SIZES, strict=True)]
    count = int(round(float(recording.timing["T_ms"])) // duration_ms)
    if count == 0:
        raise reject(recording.name, recording.timing["T_ms"], f"must cover {duration_ms} ms")
    return [
        quantised_samples(
            compute_statistics(
                recording.step,
                recording.sender,
                populations,
                Window(first_step=first + i * n_steps, n_steps=n_steps, dt_ms=DT_MS),
                _ARRAYS,
            )
        )
        for i in range(count)
    ]


def _table(entry: Callable[[tuple[str, str]], float]) -> F64:
    return np.array([[entry((s, p)) for p in POPULATIONS] for s in STATISTICS])


def _mean_distance(windows: list[Cells]) -> F64:
    pairs = list(itertools.combinations(windows, 2))
    return _table(
        lambda key: float(np.mean([sorted_ks_distance(a[key], b[key]) for a, b in pairs]))
    )


def _mean_size(windows: list[Cells]) -> F64:
    def independent(key: tuple[str, str]) -> float:
        n = np.array([w[key].size for w in windows], dtype=np.float64)
        # m neurons make m (m - 1) / 2 pairs; the neurons are what is drawn independently.
        return float(np.mean((1 + np.sqrt(1 + 8 * n)) / 2 if key[0] == "CC" else n))

    return _table(independent)


def _baseline(
    duration_ms: int,
    recordings: Sequence[Recording],
    samples: list[list[Cells]],
    unit: dict[int, F64],
    warmup_ms: float,
) -> Baseline:
    windows = [w for realisation in samples for w in realisation]
    count = len(windows)
    distances = np.zeros((len(STATISTICS), len(POPULATIONS), count, count))
    for i, j in itertools.combinations(range(count), 2):
        distances[:, :, i, j] = _mean_distance([windows[i], windows[j]])
        distances[:, :, j, i] = distances[:, :, i, j]
    return Baseline(
        duration_ms=float(duration_ms),
        populations=tuple((name, int(n)) for name, n in zip(POPULATIONS, SIZES, strict=True)),
        window_seed=np.repeat(sorted(unit), [len(r) for r in samples]),
        samples={(s, p): tuple(w[s, p] for w in windows) for s in STATISTICS for p in POPULATIONS},
        distances=distances,
        unit=unit,
        provenance={
            "schema": SCHEMA,
            "network": "pd14",
            "made_by": f"csnn {__version__}, python -m csnn.validation.build_baseline",
            "duration_ms": duration_ms,
            "warmup_ms": warmup_ms,
            "dt_ms": DT_MS,
            "windows_per_realisation": len(samples[0]),
            "populations": list(POPULATIONS),
            "resolution": RESOLUTION,
            "recipe": {
                "cc_bin_ms": CC_BIN_MS,
                "cc_neurons": CC_NEURONS,
                "cc_seed": CC_SEED,
                "cv_min_spikes": CV_MIN_SPIKES,
                "unit_ms": UNIT_MS,
            },
            "realisations": [
                {
                    "file": r.name,
                    "sha256": r.sha256,
                    "seed": r.timing["seed"],
                    "nest": r.timing["nest"],
                    "background": r.timing.get("bg"),
                    "timing": {k: r.timing[k] for k in KEPT_TIMING if k in r.timing},
                }
                for r in recordings
            ],
        },
    )


def write_baseline(baseline: Baseline, out: Path) -> list[Path]:
    """Write the npz and JSON files of a baseline into the folder `out` and return their paths."""
    packed = pack(baseline)
    provenance = baseline.provenance | {"sha256": hashlib.sha256(packed).hexdigest()}
    stem = f"nest_pd14_{baseline.duration_ms:.0f}ms"
    written = []
    for name, content in (
        (f"{stem}.npz", packed),
        (f"{stem}.json", (json.dumps(provenance, indent=2) + "\n").encode()),
    ):
        with atomic_file(out / name) as temporary:
            temporary.write_bytes(content)
        written.append(out / name)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.validation.build_baseline",
        description="Derive the shipped NEST baselines from full spike recordings.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="NEST recordings (npz)")
    parser.add_argument("--out", required=True, type=Path, help="folder to write to")
    parser.add_argument("--warmup-ms", type=float, default=500.0, help="time to leave out (500)")
    options = parser.parse_args(arguments)

    def progress(message: str) -> None:
        print(message, file=sys.stderr)

    try:
        with reported(options.out):
            options.out.mkdir(parents=True, exist_ok=True)
        recordings = [read_recording(path) for path in options.files]
        for baseline in build(recordings, options.warmup_ms, progress):
            for path in write_baseline(baseline, options.out):
                print(path)
    except CsnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
