"""Unrolling rows with the compiled code where numba is installed, else with NumPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import rows
from csnn.rows import Block, Synapses

U32 = npt.NDArray[np.uint32]


def compiled_rows() -> ModuleType | None:
    """Return `csnn.rows_compiled`, or None without numba."""
    try:
        from csnn import rows_compiled
    except ImportError:
        return None
    return rows_compiled


def unroll(block: Block, source: U32, seed: U32, length: npt.NDArray[np.integer[Any]]) -> Synapses:
    """Unroll rows as `csnn.rows.unroll`, in an order that depends on whether numba is there."""
    compiled = compiled_rows()
    if compiled is None:
        return rows.unroll(block, source, seed, length)
    synapses: Synapses = compiled.unroll(block, source, seed, length)
    return synapses
