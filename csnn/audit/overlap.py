"""Do the generators of an image ever meet? Exact comparison of all their states."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from csnn import prng, rows_compiled
from csnn.audit.verdict import Fact, Verdict
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.progress import progress
from csnn.rows import Sampler, row_seed

U64 = npt.NDArray[np.uint64]

# States sorted at a time; 8 bytes each.
CHUNK = 1 << 25
STEPS_IN_15_MIN = 9_000_000

_u4, _u8 = np.uint32, np.uint64
_A, _B, _C = (np.uint32(s) for s in prng.ROW_SHIFTS)
_SHIFT = np.uint64(32)
_start = rows_compiled.start


@njit(nogil=True, cache=True)
def _collect(
    source: Any, seed: Any, length: Any, key: Any, low: Any, high: Any, out: Any, position: int
) -> int:
    # Keeps the states (after every single step) whose word y lies in [low, high).
    for i in range(len(source)):
        if length[i] == 0:
            continue
        x, y = _start(seed[i], source[i], key)
        for _ in range(2 * np.int64(length[i]) + 1):
            if low <= y < high:
                if position < len(out):
                    out[position] = (_u8(x) << _SHIFT) | _u8(y)
                position += 1
            t = _u4(x ^ _u4(x << _A))
            x, y = y, _u4(_u4(y ^ (y >> _C)) ^ _u4(t ^ (t >> _B)))
    return position


def generated_rows(node: NodeImage) -> Iterator[tuple[Any, Any, Any]]:
    """Yield source, generator seed and length of the rows that use a generator, per block."""
    for index, entry in enumerate(node.blocks):
        source, seed, length = node.rows(index)
        if entry["sampler"] == Sampler.STUBS:
            yield source, row_seed(seed), length
        elif entry["sampler"] != Sampler.STORED:
            yield source, np.ascontiguousarray(seed), np.ascontiguousarray(length)


def repeated_states(image: Image) -> tuple[int, int, int]:
    """Count states that occur in more than one place.

    Returns
    -------
    rows, states, repeats : int
        Rows with synapses, states that they pass through (two per synapse and the first), and
        how many of those equal another.
    """
    rows = draws = 0
    for node in image.nodes:
        for _, _, length in generated_rows(node):
            rows += int(np.count_nonzero(length))
            draws += int(length.sum(dtype=np.int64))
    total = rows + 2 * draws
    parts = max(1, -(-total // CHUNK))
    bounds = np.linspace(0, 2**32, parts + 1).astype(np.int64)
    buffer = np.empty(total if parts == 1 else int(total / parts * 1.01) + 1000, dtype=np.uint64)
    repeats = seen = 0
    with progress(parts, "compare generator states", "parts") as bar:
        for low, high in pairwise(bounds):
            filled = 0
            for node in image.nodes:
                for source, seed, length in generated_rows(node):
                    filled = _collect(
                        source, seed, length, np.uint32(node.node_key), low, high, buffer, filled
                    )
            if filled > len(buffer):
                # The states crowd: far from uniform, and worse than any repetition.
                return rows, total, filled - len(buffer)
            part = buffer[:filled]
            part.sort()
            repeats += int(np.count_nonzero(part[1:] == part[:-1]))
            seen += filled
            bar.update()
    if seen != total:
        raise AssertionError("the parts must cover all states")
    return rows, total, repeats


def ext_spacing_holds(states: npt.NDArray[np.uint32]) -> bool:
    """Tell whether lane states, shape (lanes, 4), follow each other 2^64 steps apart."""
    first = tuple(int(word) for word in states[0])
    return np.array_equal(prng.ext_streams(first, len(states)), states)


def audit_states(image: Image, verdict: Verdict) -> None:
    """Add the facts about generator states: no two rows meet, no two EXT streams overlap."""
    rows, total, repeats = repeated_states(image)
    verdict.facts.append(
        Fact(
            name="no two rows pass through a common generator state",
            holds=repeats == 0,
            detail=f"{repeats} repetitions among {total:,} states of {rows:,} rows",
        )
    )
    lanes = np.concatenate([node.ext_states for node in image.nodes])
    turns = max(-(-node.n_neurons // node.ext_lanes) for node in image.nodes)
    draws = STEPS_IN_15_MIN * turns
    spaced = ext_spacing_holds(lanes)
    enough = draws < 2**prng.EXT_STREAM_SPACING_LOG2
    room = len(lanes) << prng.EXT_STREAM_SPACING_LOG2 < 2**128 - 1
    spacing = f"2^{prng.EXT_STREAM_SPACING_LOG2}"
    if spaced:
        detail = f"{len(lanes):,} streams {spacing} steps apart; 15 min use {draws:.2e} of them"
    else:
        detail = f"the streams are not {spacing} steps apart"
    verdict.facts.append(
        Fact(name="EXT streams are disjoint", holds=spaced and enough and room, detail=detail)
    )
