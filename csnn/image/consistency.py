"""Rules between the fields of a node file: what opens can be unrolled and simulated in range.

A digest proves that a file is the one that was written, not that its writer was right. These
rules bound every address that a spike can form, so that no damaged or foreign file makes a
simulator leave its memories. They cost little: rows are visited only for the samplers whose rows
can point outside, and synapse words once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.neurons.registry import MODELS
from csnn.prng import node_key
from csnn.rows import (
    MAX_INDEGREE,
    MIN_STUB_INDEGREE,
    MIN_STUB_NEURONS,
    STUB_R_MASK,
    WORD_DELAY_SHIFT,
    Sampler,
    stub_position,
)
from csnn.spec.machine import EXT_OUTCOMES, MAX_NODE_NEURONS, MAX_WEIGHT_UNITS, SUM_LIMIT_UNITS

_EXPONENT_LIMIT = 1022  # 2^e and 2^-e are normal binary64 numbers
_CHUNK = 1 << 20


def header_fault(header: npt.NDArray[np.void]) -> str | None:
    """Return the rule that a header breaks by itself, None if there is none."""
    h = {name: header[name].item() for name in layout.HEADER.names or ()}
    rules = {
        "node": h["node"] < 2**16,
        "n_neurons": 1 <= h["n_neurons"] <= MAX_NODE_NEURONS,
        "first_neuron": h["first_neuron"] + h["n_neurons"] <= h["n_sources"],
        "node_key": h["node_key"] == node_key(h["node"]),
        "ext_lanes": _power_of_two(h["ext_lanes"], 1, 32),
        "ext_weight": h["ext_weight"] <= MAX_WEIGHT_UNITS,
        "delay_slots": _power_of_two(h["delay_slots"], 2, 64),
        "grid_exponent": abs(h["grid_exponent"]) <= _EXPONENT_LIMIT,
        "length_bytes": h["length_bytes"] in (1, 2),
        "dt_ms": math.isfinite(h["dt_ms"]) and h["dt_ms"] > 0.0,
        "model": h["model"].decode("ascii", "replace") in MODELS,
    }
    broken = [name for name, kept in rules.items() if not kept]
    return f"header: {broken[0]} = {h[broken[0]]!r} is out of range" if broken else None


def _power_of_two(value: int, low: int, high: int) -> bool:
    return low <= value <= high and value & (value - 1) == 0


def shapes(header: npt.NDArray[np.void], sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every section.

    Parameters
    ----------
    header : structured scalar
    sizes : dict of str to int
        Entries of each section in the file, for those whose length the header does not give.
    """
    h = {name: header[name].item() for name in layout.HEADER.names or ()}
    model = MODELS[h["model"].decode("ascii", "replace")]
    n = h["n_neurons"]
    buffer = (h["delay_slots"], 2, n) if sizes["delay_buffer"] else (0,)
    return {
        "blocks": (h["n_blocks"],),
        "weight_tables": (h["n_selectors"], 64),
        "delay_tables": (h["n_selectors"], 64),
        "ext_tables": (h["n_ext_tables"], EXT_OUTCOMES),
        "ext_states": (h["ext_lanes"], 4),
        "schedule": (sizes["schedule"],),
        "constants": (len(model.float_constants) + len(model.int_constants),),
        "state": (len(model.float_states), n),
        "refractory": (n,),
        "source_ids": (n,),
        "seed": (sizes["seed"],),
        "length": (sizes["seed"],),
        "presence": (sizes["presence"],),
        "rank": (sizes["presence"],),
        "synapses": (sizes["synapses"],),
        "delay_buffer": buffer,
    }


def node_fault(node: NodeImage) -> str | None:
    """Return the first rule that the sections of a node break, None if there is none."""
    return next((fault for fault in _faults(node) if fault is not None), None)


def _faults(node: NodeImage) -> Iterator[str | None]:
    yield _input_fault(node)
    own = np.arange(node.first_neuron, node.first_neuron + node.n_neurons)
    yield _unless(bool((node.source_ids == own).all()), "source_ids: must count from first_neuron")
    yield _unless(bool((node.refractory < 2**31).all()), "refractory: must be below 2^31")
    yield _unless(
        bool((node.delay_buffer < SUM_LIMIT_UNITS).all()), "delay_buffer: must be below 2^24"
    )
    for field in ("own", "alias"):
        inside = bool((node.delay_tables[field] < node.delay_slots).all())
        yield _unless(inside, f"delay_tables.{field}: must be below delay_slots")
        inside = bool((node.ext_tables[field] < EXT_OUTCOMES).all())
        yield _unless(inside, f"ext_tables.{field}: must be below {EXT_OUTCOMES}")
    tables = node.ext_tables
    never = (tables["H"] >> np.uint32(5)) == 0
    named = (tables["own"] == np.arange(EXT_OUTCOMES)) | (tables["own"] == tables["alias"]) | never
    yield _unless(bool(named.all()), "ext_tables.own: must be the number of its entry")
    previous = 0
    for index, entry in enumerate(node.blocks):
        fault = _block_fault(node, entry, previous) or _row_fault(node, index, entry)
        yield fault and f"blocks[{index}].{fault}"
        previous = int(entry["source_first"])
    yield _word_fault(node)


def _unless(kept: bool, fault: str) -> str | None:
    return None if kept else fault


def _input_fault(node: NodeImage) -> str | None:
    if not node.ext_states.any(axis=1).all():
        return "ext_states: a generator whose state is zero never leaves it"
    schedule = node.schedule
    steps = schedule["first_step"].astype(np.int64)
    if len(steps) == 0 or steps[0] != 1 or (np.diff(steps) <= 0).any():
        return "schedule.first_step: must start with 1 and increase"
    table = schedule["ext_table"]
    if not ((table < len(node.ext_tables)) | (table == layout.NO_EXT_TABLE)).all():
        return "schedule.ext_table: must be below n_ext_tables"
    return _unless(bool(np.isfinite(schedule["dc"]).all()), "schedule.dc: must be finite")


def _block_fault(node: NodeImage, entry: npt.NDArray[np.void], previous: int) -> str | None:
    e = {name: int(entry[name]) for name in layout.BLOCK.names or ()}
    sampler, flags = e["sampler"], e["flags"]
    if sampler not in tuple(Sampler):
        return f"sampler = {sampler}: unknown"
    procedural = sampler != Sampler.STORED
    if flags & ~(layout.SPARSE_FLAG | layout.SKIP_SELF_FLAG):
        return f"flags = {flags}: unknown"
    if flags & layout.SKIP_SELF_FLAG and sampler not in (Sampler.INDEPENDENT, Sampler.DISTINCT):
        return f"flags = {flags}: this sampler cannot skip the own neuron"
    if e["source_first"] < previous:
        return f"source_first = {e['source_first']}: must not decrease"
    if e["source_first"] + e["source_count"] > node.n_sources:
        return f"source_count = {e['source_count']}: reaches beyond n_sources"
    if e["row_first"] + e["row_count"] > len(node.seed):
        return f"row_count = {e['row_count']}: reaches beyond the rows"
    if procedural and e["selector"] >= len(node.weight_tables):
        return f"selector = {e['selector']}: must be below n_selectors"
    if flags & layout.SPARSE_FLAG:
        return _index_fault(node, e)
    return _unless(e["row_count"] == e["source_count"], "row_count: dense rows, one per source")


def _index_fault(node: NodeImage, e: dict[str, int]) -> str | None:
    words = -(-e["source_count"] // 32)
    if e["presence_first"] + words > len(node.presence):
        return f"presence_first = {e['presence_first']}: reaches beyond the presence words"
    part = slice(e["presence_first"], e["presence_first"] + words)
    counts = np.bitwise_count(node.presence[part]).astype(np.int64)
    if int(counts.sum()) != e["row_count"]:
        return f"row_count = {e['row_count']}: must be the number of presence bits"
    spare = 32 * words - e["source_count"]
    if spare and int(node.presence[part][-1]) >> (32 - spare):
        return f"source_count = {e['source_count']}: presence bits beyond it"
    kept = np.array_equal(np.cumsum(counts) - counts, node.rank[part])
    return _unless(kept, "presence_first: rank must count the bits before each word")


def _row_fault(node: NodeImage, index: int, entry: npt.NDArray[np.void]) -> str | None:
    sampler, in_degree = int(entry["sampler"]), int(entry["in_degree"])
    if sampler == Sampler.STUBS:
        if not MIN_STUB_INDEGREE <= in_degree <= MAX_INDEGREE:
            return f"in_degree = {in_degree}: must be from {MIN_STUB_INDEGREE} to {MAX_INDEGREE}"
        if node.n_neurons < MIN_STUB_NEURONS:
            return f"sampler = {sampler}: needs {MIN_STUB_NEURONS} neurons or more"
    skip_self = bool(entry["flags"] & layout.SKIP_SELF_FLAG)
    if sampler == Sampler.INDEPENDENT and not (skip_self and node.n_neurons == 1):
        return None
    source, seed, length = node.rows(index)
    if sampler in (Sampler.STUBS, Sampler.STORED):
        start, limit = seed.astype(np.int64), len(node.synapses)
        if sampler == Sampler.STUBS:
            if not bool((seed[length > 0] & np.uint32(STUB_R_MASK) < node.n_neurons).all()):
                return "seed: a stub of no neuron"
            start, limit = stub_position(seed, node.n_neurons), in_degree * node.n_neurons
        end = start + length
        return _unless(bool((end[length > 0] <= limit).all()), "seed: a row ends beyond its memory")
    available: Any = node.n_neurons
    if skip_self:
        local = source.astype(np.int64) - node.first_neuron
        available = node.n_neurons - ((local >= 0) & (local < node.n_neurons))
    if sampler == Sampler.INDEPENDENT:
        return _unless(bool((length[available == 0] == 0).all()), "length: a row has no target")
    return _unless(bool((length <= available).all()), "length: more synapses than distinct targets")


def _word_fault(node: NodeImage) -> str | None:
    for start in range(0, len(node.synapses), _CHUNK):
        words = node.synapses[start : start + _CHUNK]
        if int((words & np.uint32(0xFF)).max()) >= node.n_neurons:
            return "synapses: a neuron is not below n_neurons"
        delay = words >> np.uint32(WORD_DELAY_SHIFT) & np.uint32(63)
        if node.delay_slots < 64 and int(delay.max()) >= node.delay_slots:
            return "synapses: a delay is not below delay_slots"
    return None
