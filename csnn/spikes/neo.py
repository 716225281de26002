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
from csnn.json_fields import Kind, is_count, is_positive, is_text
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

    Parameters
    ----------
    block : neo.Block

    Returns
    -------
    Spikes

    Raises
    ------
    InvalidInputError
        If it is no block, or annotations are missing, of wrong types, or contradict each other or
        the trains.
    ToolMissingError
        If neo is not installed.
    """
    neo = require("neo", "neo")
    if not isinstance(block, neo.Block):
        raise reject("block", type(block).__name__, "must be a neo.Block")
    found = {name: _annotation("block", block, name) for name in (*_LISTS, *_NUMBERS, "stamp")}
    if found["stamp"] != "end":
        raise reject("block.stamp", found["stamp"], "must be end")
    names, starts, sizes = (_listed(found[name]) for name in _LISTS)
    if not len(names) == len(starts) == len(sizes):
        lengths = (len(names), len(starts), len(sizes))
        raise reject(f"block: lengths of {', '.join(_LISTS)}", lengths, "must be the same")
    populations = [
        SpikePopulation(
            name=_of_kind("block.population_names", name, is_text, "a string"),
            first=_number("block.population_first", start),
            size=_number("block.population_size", size, least=1),
        )
        for name, start, size in zip(names, starts, sizes, strict=True)
    ]
    first = _number("block.first_step", found["first_step"], least=1)
    last = _number("block.last_step", found["last_step"], least=first)
    dt_ms = _of_kind("block.dt_ms", found["dt_ms"], is_positive, "a number > 0")
    window = Window(first_step=first, n_steps=last - first + 1, dt_ms=float(dt_ms))
    steps, sources = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
    for segment in block.segments:
        for train in segment.spiketrains:
            neuron = _number("train: neuron", _annotation(f"train {train.name}", train, "neuron"))
            times = np.asarray(train.rescale("ms").magnitude, np.float64)
            steps.append(time_steps(f"neuron {neuron}", times, window.dt_ms))
            sources.append(np.full(len(times), neuron, np.uint32))
    return in_order(np.concatenate(steps), np.concatenate(sources), populations, window)


def _annotation(owner: str, holder: Any, name: str) -> Any:
    """Return an annotation, arrays as lists."""
    annotations = holder.annotations
    if not isinstance(annotations, dict) or name not in annotations:
        raise InvalidInputError(f"{owner}: annotation {name}: is missing: not a block of csnn")
    value = annotations[name]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _listed(value: Any) -> list[Any]:
    # A NIX file holds a list of one item as the item.
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _of_kind(field: str, value: Any, kind: Kind, rule: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if not kind(value):
        raise reject(field, value, f"must be {rule}")
    return value


def _number(field: str, value: Any, least: int = 0) -> int:
    """Return a number of a step, a neuron or of neurons."""
    number = _of_kind(field, value, is_count, f"an integer from {least} to 2^32 - 1")
    if not least <= number < 2**32:
        raise reject(field, value, f"must be an integer from {least} to 2^32 - 1")
    return int(number)


def _name(file: Path, path: str | Path) -> str:
    """Return the name of a file, which nixio encodes; messages name `path`."""
    name = str(file)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{path}: the whole path of a NIX file must be UTF-8") from None
    return name


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
        io = neo_io.NixIO(_name(temporary, path), mode="ow")
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
        io = neo_io.NixIO(_name(Path(path), path), mode="ro")
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
