"""Bench of the master node's registers; see `register_scenarios`."""

from __future__ import annotations

from register_scenarios import Declared, register_bench

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_registers import (
    MASTER_COUNTERS,
    MASTER_ERROR_BITS,
    MASTER_ID,
    MASTER_REGISTERS,
    MASTER_STATUS_BITS,
    MASTER_VERSION,
)
from rtl.mesh.master_registers import MasterRegisters

CONFIG = MasterConfig(nodes=2048, answers=8)

BENCH = register_bench(
    lambda: MasterRegisters(CONFIG),
    Declared(
        MASTER_REGISTERS,
        {
            "id": MASTER_ID,
            "version": MASTER_VERSION,
            "capacity": CONFIG.nodes,
            "answers": CONFIG.answers,
        },
        (
            *("missing", "count", "sum", "barrier_count", "barrier_sum"),
            *("last_step_cycles", "longest_step_cycles", "shortest_step_cycles"),
        ),
        MASTER_COUNTERS,
        len(MASTER_ERROR_BITS),
        len(MASTER_STATUS_BITS),
    ),
)
