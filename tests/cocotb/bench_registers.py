"""Bench of a node's registers; see `register_scenarios`."""

from __future__ import annotations

from register_scenarios import Declared, register_bench

from csnn.hardware.config import NodeConfig
from csnn.hardware.registers import (
    COUNTERS,
    ERROR_BITS,
    INTERFACE_VERSION,
    NODE_ID,
    REGISTERS,
    STATUS_BITS,
)
from rtl.registers import Registers

CONFIG = NodeConfig(neurons=96, pipelines=4, delay_slots=16, rows=300)

BENCH = register_bench(
    lambda: Registers(CONFIG),
    Declared(
        REGISTERS,
        {
            "id": NODE_ID,
            "version": INTERFACE_VERSION,
            "pipelines": CONFIG.pipelines,
            "capacity": CONFIG.neurons,
            "slots": CONFIG.delay_slots,
            "rows": CONFIG.rows,
        },
        ("recorded",),
        COUNTERS,
        len(ERROR_BITS),
        len(STATUS_BITS),
    ),
)
