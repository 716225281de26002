"""Spikes as plain arrays in an .npz file, which says all that is known of them.

Its arrays are those of docs/spikes.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from csnn import output
from csnn.errors import InvalidInputError, located, reject
from csnn.files import atomic_file, require_regular
from csnn.spikes.times import step_times_ms
from csnn.spikes.trains import SpikePopulation, Spikes
from csnn.validation.statistics import Window

_SPIKES = {"step": "u4", "source": "u4", "time_ms": "f8"}
_POPULATIONS = {"population": "U", "population_first": "u4", "population_size": "u4"}
_SCALARS = {"first_step": "u4", "last_step": "u4", "dt_ms": "f8", "t_start_ms": "f8",
            "t_stop_ms": "f8"}  # fmt: skip


def write_npz(path: str | Path, spikes: Spikes) -> None:
    """Write spikes; equal spikes make equal files.

    Raises
    ------
    InvalidInputError
        If the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "step": spikes.step,
        "source": spikes.source,
        "time_ms": spikes.time_ms,
        "population": np.array([p.name for p in spikes.populations], np.str_),
        "population_first": np.array([p.first for p in spikes.populations], np.uint32),
        "population_size": np.array([p.size for p in spikes.populations], np.uint32),
        "first_step": np.uint32(spikes.window.first_step),
        "last_step": np.uint32(spikes.last_step),
        "dt_ms": np.float64(spikes.window.dt_ms),
        "t_start_ms": np.float64(spikes.t_start_ms),
        "t_stop_ms": np.float64(spikes.t_stop_ms),
    }
    with atomic_file(path) as temporary:
        output.write_arrays(temporary, arrays)


def read_npz(path: str | Path) -> Spikes:
    """Read what `write_npz` wrote.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, lacks an array, or its arrays contradict each other.
    """
    require_regular(path)
    kinds = {**_SPIKES, **_POPULATIONS, **_SCALARS}
    arrays = dict(zip(kinds, output.read_arrays(Path(path), *kinds), strict=True))
    for name, kind in kinds.items():
        values = arrays[name]
        wanted = values.dtype.kind == "U" if kind == "U" else values.dtype == np.dtype(kind)
        n_dimensions = 0 if name in _SCALARS else 1
        if not wanted or values.ndim != n_dimensions:
            rule = f"must be of type {kind} with {n_dimensions} dimensions"
            raise reject(f"{path}: {name}", f"{values.dtype} {values.shape}", rule)
    for name in _POPULATIONS:
        if len(arrays[name]) != len(arrays["population"]):
            rule = f"must be as long as population ({len(arrays['population'])})"
            raise reject(f"{path}: {name}", len(arrays[name]), rule)
    first = int(arrays["first_step"])
    try:
        spikes = Spikes(
            step=arrays["step"],
            source=arrays["source"],
            populations=tuple(
                SpikePopulation(name=name, first=start, size=size)
                for name, start, size in zip(
                    *(arrays[name].tolist() for name in _POPULATIONS), strict=True
                )
            ),
            window=Window(
                first_step=first,
                n_steps=int(arrays["last_step"]) - first + 1,
                dt_ms=float(arrays["dt_ms"]),
            ),
        )
    except InvalidInputError as error:
        raise located(str(path), error) from None
    derived: dict[str, Any] = {
        "time_ms": step_times_ms(spikes.step, spikes.window.dt_ms),
        "t_start_ms": spikes.t_start_ms,
        "t_stop_ms": spikes.t_stop_ms,
    }
    for name, values in derived.items():
        if not np.array_equal(arrays[name], values):
            raise InvalidInputError(f"{path}: {name}: is not what steps and dt_ms make it")
    return spikes
