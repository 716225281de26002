"""Spikes as NEST's recorders write them to `ascii` (RecordingBackendASCII version 2 of NEST 3.10).

Three lines of header, then one spike per line, separated by a tab: the sender, which is a node ID,
and the time in ms. Node IDs start at 1: a network whose neurons are created first, in the order of
its populations, has neuron n as sender n + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import __version__
from csnn.errors import InvalidInputError, located, reject
from csnn.files import atomic_file, reported, require_regular
from csnn.progress import progress
from csnn.spikes.times import time_steps
from csnn.spikes.trains import SpikePopulation, Spikes, in_order
from csnn.validation.statistics import Window

FIRST_NODE_ID = 1
_BACKEND = "# RecordingBackendASCII version: 2"
_TIMES, _STEPS = ("sender", "time_ms"), ("sender", "time_step", "time_offset")
# NEST's default `precision`, and its finest resolution: 1 us.
_DECIMALS = 3
_BLOCK = 2**16


def write_nest(path: str | Path, spikes: Spikes) -> None:
    """Write one file of all populations, as NEST would but for the first line, which names CsNN.

    Parameters
    ----------
    path : str or Path
        Destination; NEST's own files end in .dat.
    spikes : Spikes
        Written in the order of (step, source), with three decimals, or as many as `dt_ms` has if
        these are more (NEST's property `precision`). Silent populations leave no trace.

    Raises
    ------
    InvalidInputError
        If the file cannot be written.
    """
    dt = Decimal(repr(float(spikes.window.dt_ms)))
    exponent = dt.as_tuple().exponent
    decimals = max(_DECIMALS, -int(exponent))
    ticks = int(dt.scaleb(decimals))

    def time(step: int) -> str:
        whole, part = divmod(step * ticks, 10**decimals)
        return f"{whole}.{part:0{decimals}d}"

    with (
        atomic_file(path) as temporary,
        temporary.open("wb") as stream,
        progress(len(spikes), "write", "spikes") as bar,
    ):
        header = (f"# CsNN version: {__version__}", _BACKEND, "\t".join(_TIMES))
        stream.write("".join(f"{line}\n" for line in header).encode())
        for first in range(0, len(spikes), _BLOCK):
            block = slice(first, first + _BLOCK)
            step = spikes.step[block].tolist()
            times = {k: time(k) for k in set(step)}
            sender = (spikes.source[block].astype(np.int64) + FIRST_NODE_ID).tolist()
            stream.write(
                "".join(f"{s}\t{times[k]}\n" for s, k in zip(sender, step, strict=True)).encode()
            )
            bar.update(len(step))


def read_nest(
    paths: str | Path | Iterable[str | Path],
    populations: Sequence[SpikePopulation],
    window: Window,
    first_node_id: int = FIRST_NODE_ID,
) -> Spikes:
    """Read what `write_nest` or a NEST recorder wrote.

    Parameters
    ----------
    paths : str, Path or several of them
        NEST writes a file per recorder and thread. Times in ms and steps (`time_in_steps`) both do.
    populations : sequence of SpikePopulation
        The files do not tell them; `csnn.spikes.numbered` makes them from names and sizes.
    window : Window
        The recorded steps; NEST records those in (start, stop], of which the first is
        start / dt + 1.
    first_node_id : int
        Node ID of neuron 0.

    Returns
    -------
    Spikes

    Raises
    ------
    InvalidInputError
        If a file cannot be read or is no such file, or its spikes are between two steps, out of
        the window, twice, or of no population.
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    names, steps, sources = [], [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
    for path in paths:
        names.append(str(path))
        columns = _table(path)
        sender = columns["sender"] - first_node_id
        if sender.size and not (sender.min() >= 0 and sender.max() < 2**32):
            row = int(np.argmax((sender < 0) | (sender >= 2**32)))
            rule = f"must be a node ID from {first_node_id}"
            found = int(columns["sender"][row])
            raise reject(f"{path}: spike {row + 1}: sender", found, rule)
        sources.append(sender.astype(np.uint32))
        if "time_ms" in columns:
            steps.append(time_steps(str(path), columns["time_ms"], window.dt_ms))
        else:
            _refuse_offsets(path, columns["time_offset"])
            steps.append(columns["time_step"].astype(np.uint32))
    try:
        return in_order(np.concatenate(steps), np.concatenate(sources), populations, window)
    except InvalidInputError as error:
        raise located(", ".join(names), error) from None


def _table(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of a file by name."""
    require_regular(path)
    with reported(path), Path(path).open(encoding="utf-8") as text:
        try:
            line = "#"
            while line.startswith("#"):
                line = text.readline()
            names = tuple(line.split())
            if names not in (_TIMES, _STEPS):
                rule = "must be the columns of NEST's ascii recorder, sender and time_ms"
                raise reject(f"{path}: header", line.strip(), rule)
            rows = [row for row in text if row.strip()]
            # Not by NumPy's default float64 for all: a sender must be an integer.
            kinds = [(name, np.int64 if name in ("sender", "time_step") else np.float64)
                     for name in names]  # fmt: skip
            if not rows:
                return {name: np.empty(0, kind) for name, kind in kinds}
            table = np.loadtxt(rows, dtype=kinds, delimiter="\t", comments=None, ndmin=1)
        except UnicodeDecodeError:
            raise InvalidInputError(f"{path}: is not text") from None
        except ValueError as error:
            raise InvalidInputError(f"{path}: {str(error).splitlines()[0]}") from None
    if "time_step" in names:
        step = table["time_step"]
        if not (step.min() >= 0 and step.max() < 2**32):
            raise reject(f"{path}: time_step", int(step.max()), "must be from 0 to 2^32 - 1")
    return {name: table[name] for name in names}


def _refuse_offsets(path: str | Path, offset: npt.NDArray[Any]) -> None:
    if offset.size and offset.any():
        row = int(np.argmax(offset != 0))
        rule = "must be 0: spikes between two steps have no place here"
        raise reject(f"{path}: spike {row + 1}: time_offset", float(offset[row]), rule)
