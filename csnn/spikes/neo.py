"""Spikes as Neo objects, which elephant analyses, and as NIX files of them.

Needs neo and nixio (extra `csnn[neo]`).

References
----------
Garcia et al. (2014) Neo: an object model for handling electrophysiology data in multiple formats.
Front. Neuroinform. 8:10.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from csnn import __version__
from csnn.errors import InvalidInputError, located, reject
from csnn.files import atomic_file, require_regular
from csnn.progress import progress
from csnn.spikes.extras import hdf5_errors, require, require_room
from csnn.spikes.times import step_times_ms, time_steps
from csnn.spikes.trains import SpikePopulation, Spikes, in_order
from csnn.validation.statistics import Window

# Annotations of a block, which `from_neo` needs.
_LISTS = ("population_names", "population_first", "population_size")
_NUMBERS = ("first_step", "last_step", "dt_ms")
# Of a NIX file, at most: a block takes 42 kB, a train 25 kB.
_BLOCK_BYTES, _TRAIN_BYTES, _SPIKE_BYTES = 2**17, 2**15, 16


def to_neo(spikes: Spikes, stamp: Literal["end", "middle"] = "end") -> Any:
    """Return spikes as a Neo block.

    Parameters
    ----------
    spikes : Spikes
    stamp : str
        Which time a spike of step k has: "end", k dt, as everywhere else; or "middle",
        (k - 1/2) dt, for tools whose bins hold their left edge, as elephant's do: a spike then
        falls into the bin that holds its step.

    Returns
    -------
    neo.Block
        One segment with a `SpikeTrain` in ms per neuron, silent ones included, in the order of the
        neurons; `t_start` and `t_stop` are the recorded time. Each is annotated with `population`
        and `neuron` (network-wide), and named after its number in the population; the block is
        annotated with what `from_neo` needs.

    Raises
    ------
    InvalidInputError
        If `stamp` is neither.
    ToolMissingError
        If neo is not installed.
    """
    if stamp not in ("end", "middle"):
        raise reject("stamp", stamp, "must be end or middle")
    neo = require("neo", "neo", "quantities")
    block = neo.Block(
        name="spikes",
        csnn_version=__version__,
        stamp=stamp,
        population_names=[p.name for p in spikes.populations],
        population_first=[p.first for p in spikes.populations],
        population_size=[p.size for p in spikes.populations],
        first_step=spikes.window.first_step,
        last_step=spikes.last_step,
        dt_ms=float(spikes.window.dt_ms),
    )
    segment = neo.Segment(name="recorded time")
    dt_ms = spikes.window.dt_ms
    for population, step, neuron in spikes.of_populations():
        order = np.argsort(neuron, kind="stable")
        step = step[order].astype(np.int64)
        if stamp == "end":
            times = step_times_ms(step, dt_ms)
        else:
            times = step_times_ms(2 * step - 1, dt_ms / 2)
        ends = np.cumsum(np.bincount(neuron, minlength=population.size))[:-1]
        for node, train in enumerate(np.split(times, ends)):
            segment.spiketrains.append(
                neo.SpikeTrain(
                    train,
                    units="ms",
                    t_start=spikes.t_start_ms,
                    t_stop=spikes.t_stop_ms,
                    name=f"{population.name} {node}",
                    population=population.name,
                    neuron=population.first + node,
                )
            )
    block.segments.append(segment)
    return block


def from_neo(block: Any) -> Spikes:
    """Return the spikes of a block that `to_neo` made.

    Raises
    ------
    InvalidInputError
        If annotations are missing, or contradict each other or the trains.
    """
    for name in (*_LISTS, *_NUMBERS):
        if name not in block.annotations:
            raise InvalidInputError(f"block: annotation {name}: is missing: not a block of csnn")
    if block.annotations.get("stamp") != "end":
        raise reject("block.stamp", block.annotations.get("stamp"), "must be end")
    names, starts, sizes = (np.atleast_1d(block.annotations[name]).tolist() for name in _LISTS)
    first, last, dt_ms = (block.annotations[name] for name in _NUMBERS)
    window = Window(first_step=int(first), n_steps=int(last) - int(first) + 1, dt_ms=float(dt_ms))
    populations = [
        SpikePopulation(name=str(name), first=int(start), size=int(size))
        for name, start, size in zip(names, starts, sizes, strict=True)
    ]
    steps, sources = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
    for segment in block.segments:
        for train in segment.spiketrains:
            if "neuron" not in train.annotations:
                raise InvalidInputError(f"train {train.name}: annotation neuron: is missing")
            neuron = int(train.annotations["neuron"])
            times = np.asarray(train.rescale("ms").magnitude, np.float64)
            steps.append(time_steps(f"neuron {neuron}", times, window.dt_ms))
            sources.append(np.full(len(times), neuron, np.uint32))
    return in_order(np.concatenate(steps), np.concatenate(sources), populations, window)


def write_neo(path: str | Path, spikes: Spikes) -> None:
    """Write the block of `to_neo` as a NIX file.

    Parameters
    ----------
    path : str or Path
        Destination; Neo knows NIX files by the suffix .nix.
    spikes : Spikes
        Takes some 20 ms and 25 kB per neuron: `Spikes.select` populations of a large network.

    Raises
    ------
    InvalidInputError
        If the file cannot be written.
    ToolMissingError
        If neo or nixio is not installed.
    """
    neo_io = require("neo", "neo.io", "nixio")
    block = to_neo(spikes)
    n_trains = sum(p.size for p in spikes.populations)
    room = _BLOCK_BYTES + _TRAIN_BYTES * n_trains + _SPIKE_BYTES * len(spikes)
    with (
        atomic_file(path) as temporary,
        hdf5_errors(path, temporary),
        progress(None, "write"),
    ):
        require_room(temporary, room)
        io = neo_io.NixIO(str(temporary), mode="ow")
        try:
            io.write_block(block)
        finally:
            io.close()


def read_neo(path: str | Path) -> Spikes:
    """Read what `write_neo` wrote.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or is no such file.
    ToolMissingError
        If neo or nixio is not installed.
    """
    neo_io = require("neo", "neo.io", "nixio")
    require_regular(path)
    with hdf5_errors(path):
        with Path(path).open("rb"):
            pass
        io = neo_io.NixIO(str(path), mode="ro")
        try:
            blocks = io.read_all_blocks()
        finally:
            io.close()
    if len(blocks) != 1:
        raise reject(f"{path}: blocks", len(blocks), "must be one")
    try:
        return from_neo(blocks[0])
    except InvalidInputError as error:
        raise located(str(path), error) from None
