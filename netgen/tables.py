"""Tables of a node: pairs of weight and delay tables selected by S, and EXT tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from csnn.image import layout
from csnn.rows import weight_code
from csnn.spec.machine import EXT_OUTCOMES, RTR_OUTCOMES
from netgen import alias

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Pmf = tuple[I64, F64]
Record = npt.NDArray[np.void]


def weight_table(pmf: Pmf) -> Record:
    """Return the alias table of weights in signed grid units, one record per entry."""
    table = alias.build(*pmf, RTR_OUTCOMES, alias.RTR_COMPARE_BITS)
    record = np.zeros(RTR_OUTCOMES, dtype=layout.WEIGHT_TABLE)
    record["H"] = table.H
    record["own"] = weight_code(table.own)
    record["alias"] = weight_code(table.alias)
    return record


def delay_table(pmf: Pmf) -> Record:
    """Return the alias table of delays in steps, stored less one."""
    table = alias.build(*pmf, RTR_OUTCOMES, alias.RTR_COMPARE_BITS)
    record = np.zeros(RTR_OUTCOMES, dtype=layout.DELAY_TABLE)
    record["H"] = table.H
    record["own"] = table.own - 1
    record["alias"] = table.alias - 1
    return record


def ext_table(pmf: Pmf) -> Record:
    """Return the alias table of external spikes per step; entry e is the outcome e's own."""
    values, probabilities = pmf
    outcomes = np.arange(EXT_OUTCOMES)
    every = np.bincount(values, probabilities, minlength=EXT_OUTCOMES)
    table = alias.build(outcomes, every, EXT_OUTCOMES, alias.EXT_COMPARE_BITS)
    record = np.zeros(EXT_OUTCOMES, dtype=layout.EXT_TABLE)
    record["H"] = table.H
    record["own"] = table.own
    record["alias"] = table.alias
    return record


@dataclass
class SelectorPool:
    """Distinct (weight, delay) table pairs of one node; a pair's place is its selector S."""

    weights: list[Record] = field(default_factory=list)
    delays: list[Record] = field(default_factory=list)
    _places: dict[tuple[bytes, bytes], int] = field(default_factory=dict)

    def selector(self, weight: Record, delay: Record) -> int:
        """Return S of a pair of tables, adding it if it is new."""
        key = (weight.tobytes(), delay.tobytes())
        if key not in self._places:
            self._places[key] = len(self.weights)
            self.weights.append(weight)
            self.delays.append(delay)
        return self._places[key]

    def tables(self) -> tuple[Record, Record]:
        """Return all tables, shapes (n_selectors, 64)."""
        if not self.weights:
            empty = (0, RTR_OUTCOMES)
            return np.zeros(empty, layout.WEIGHT_TABLE), np.zeros(empty, layout.DELAY_TABLE)
        return np.stack(self.weights), np.stack(self.delays)
