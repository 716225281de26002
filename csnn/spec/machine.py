"""Description of the machine a network is compiled for, and of a run on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from csnn.errors import reject
from csnn.spec import checks

MAX_NODE_NEURONS = 256
MAX_WEIGHT_UNITS = 2**15 - 1
SUM_LIMIT_UNITS = 2**24
MIN_GRID_EXPONENT, MAX_GRID_EXPONENT = -60, 60
EXT_OUTCOMES = 32
EXT_FRACTION_BITS = 27
RTR_OUTCOMES = 64


def _power_of_two(field: str, value: Any, low: int, high: int) -> None:
    checks.integer("machine", field, value, low, high)
    if value & (value - 1):
        raise reject(f"machine.{field}", value, f"must be a power of two from {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Compute nodes and the formats they use.

    `weight_grid` None chooses the finest power of two that the sum bound permits; a given value, in
    the unit of the network's weights, must be a power of two. `n_nodes` is the number of nodes that
    the "load" strategy may use.
    """

    neurons_per_node: int = 256
    partition: str = "equal"
    n_nodes: int | None = None
    delay_slots: int = 64
    ext_lanes: int = 8
    row_layout: str = "auto"
    weight_grid: float | None = None
    random_delay_buffer: bool = False

    def __post_init__(self) -> None:
        checks.integer("machine", "neurons_per_node", self.neurons_per_node, 1, MAX_NODE_NEURONS)
        checks.one_of("machine", "partition", self.partition, ("equal", "load"))
        if self.n_nodes is not None:
            checks.integer("machine", "n_nodes", self.n_nodes, 1, 2**16 - 1)
            if self.partition != "load":
                raise reject("machine.n_nodes", self.n_nodes, 'needs partition = "load"')
        _power_of_two("delay_slots", self.delay_slots, 2, 64)
        _power_of_two("ext_lanes", self.ext_lanes, 1, 32)
        checks.one_of("machine", "row_layout", self.row_layout, ("auto", "dense", "sparse"))
        checks.boolean("machine", "random_delay_buffer", self.random_delay_buffer)
        if self.weight_grid is not None:
            checks.positive("machine", "weight_grid", self.weight_grid)
            mantissa, exponent = math.frexp(self.weight_grid)
            if mantissa != 0.5 or not MIN_GRID_EXPONENT < exponent <= MAX_GRID_EXPONENT + 1:
                rule = f"must be a power of two from 2^{MIN_GRID_EXPONENT} to 2^{MAX_GRID_EXPONENT}"
                raise reject("machine.weight_grid", self.weight_grid, rule)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One simulation: warm-up, recorded time, seed, threads, recorded neurons."""

    time_ms: float = 1000.0
    warmup_ms: float = 500.0
    seed: int = 1
    threads: int = 2
    record: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        checks.positive("run", "time_ms", self.time_ms)
        checks.non_negative("run", "warmup_ms", self.warmup_ms)
        checks.integer("run", "seed", self.seed, 0, 2**63 - 1)
        checks.integer("run", "threads", self.threads, 1, 256)
        checks.items("run", "record", self.record, int)
        for neuron in self.record:
            checks.integer("run", "record", neuron, 0, 2**32 - 1)
