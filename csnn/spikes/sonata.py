"""Spikes in the SONATA format: HDF5, a group /spikes/<population> with node_ids and timestamps.

Needs h5py (extra `csnn[sonata]`).

References
----------
Dai et al. (2020) The SONATA data format for efficient description of large-scale network models.
PLoS Comput. Biol. 16(2):e1007696; SONATA developer guide, "Spikes".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csnn.errors import InvalidInputError, located, reject
from csnn.files import atomic_file, require_regular
from csnn.spikes.extras import hdf5_errors, require, require_room
from csnn.spikes.times import step_times_ms, time_steps
from csnn.spikes.trains import SpikePopulation, Spikes, in_order
from csnn.validation.statistics import Window

MAGIC = 0x0A7A
VERSION = (0, 1)
SORTING = {"none": 0, "by_id": 1, "by_time": 2}
_MILLISECONDS = ("ms", "milliseconds")
# At most; a group takes some 8 kB.
_GROUP_BYTES, _SPIKE_BYTES = 2**14, 16


def write_sonata(path: str | Path, spikes: Spikes) -> None:
    """Write a group per population, silent ones included.

    Parameters
    ----------
    path : str or Path
        Destination.
    spikes : Spikes
        `node_ids` (uint64) count from 0 within the population; `timestamps` (float64) are in ms;
        rows are sorted by time, then node.

    Raises
    ------
    InvalidInputError
        If the file cannot be written.
    ToolMissingError
        If h5py is not installed.
    """
    h5py = require("sonata", "h5py")
    sorting = h5py.enum_dtype(SORTING, basetype=np.uint8)
    room = _GROUP_BYTES * (len(spikes.populations) + 1) + _SPIKE_BYTES * len(spikes)
    with atomic_file(path) as temporary, hdf5_errors(path, temporary):
        require_room(temporary, room)
        with h5py.File(temporary, "w") as file:
            file.attrs["magic"] = np.uint32(MAGIC)
            file.attrs["version"] = np.array(VERSION, np.uint32)
            root = file.create_group("spikes")
            for population, step, neuron in spikes.of_populations():
                group = root.create_group(population.name)
                group.attrs.create("sorting", SORTING["by_time"], dtype=sorting)
                group["node_ids"] = neuron.astype(np.uint64)
                group["timestamps"] = step_times_ms(step, spikes.window.dt_ms)
                group["timestamps"].attrs["units"] = "ms"


def read_sonata(path: str | Path, populations: Sequence[SpikePopulation], window: Window) -> Spikes:
    """Read what `write_sonata` or another tool wrote.

    Parameters
    ----------
    path : str or Path
        A file with spikes in ms, in any order.
    populations : sequence of SpikePopulation
        The file tells neither sizes nor order. Those that it does not hold are silent.
    window : Window
        The recorded steps.

    Returns
    -------
    Spikes

    Raises
    ------
    InvalidInputError
        If the file cannot be read or is no such file, holds another population, other units, or
        spikes between two steps, out of the window, twice, or of no neuron.
    ToolMissingError
        If h5py is not installed.
    """
    h5py = require("sonata", "h5py")
    require_regular(path)
    steps, sources = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
    known = {population.name: population for population in populations}
    with hdf5_errors(path), h5py.File(path, "r") as file:
        root = file.get("spikes")
        if not isinstance(root, h5py.Group):
            raise InvalidInputError(f"{path}: holds no group /spikes")
        for name, group in root.items():
            where = f"{path}: /spikes/{name}"
            if name not in known:
                raise reject(where, name, f"must be among {', '.join(known)}")
            timestamps, node_ids = _columns(where, group, h5py)
            population = known[name]
            if node_ids.size and not 0 <= node_ids.min() <= node_ids.max() < population.size:
                rule = f"must be from 0 to {population.size - 1}"
                bad = node_ids[(node_ids < 0) | (node_ids >= population.size)][0]
                raise reject(f"{where}/node_ids", int(bad), rule)
            steps.append(time_steps(where, timestamps, window.dt_ms))
            sources.append(node_ids.astype(np.uint32) + np.uint32(population.first))
    try:
        return in_order(np.concatenate(steps), np.concatenate(sources), populations, window)
    except InvalidInputError as error:
        raise located(str(path), error) from None


def _columns(where: str, group: Any, h5py: Any) -> tuple[Any, Any]:
    """Return timestamps and node_ids of a group, after checking what they are."""
    found = []
    for name, kinds in (("timestamps", "iuf"), ("node_ids", "iu")):
        data = group.get(name) if isinstance(group, h5py.Group) else None
        if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.dtype.kind not in kinds:
            raise InvalidInputError(f"{where}: {name}: must be a list of numbers")
        found.append(data)
    timestamps, node_ids = found
    if len(timestamps) != len(node_ids):
        raise reject(f"{where}/node_ids", len(node_ids), f"must be {len(timestamps)} long")
    units = timestamps.attrs.get("units", "ms")
    units = units.decode() if isinstance(units, bytes) else str(units)
    if units not in _MILLISECONDS:
        raise reject(f"{where}/timestamps: units", units, "must be ms")
    return timestamps[()], node_ids[()]
