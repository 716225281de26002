"""Registers of a node: identity, status, settings, sticky errors and counters."""

from __future__ import annotations

from csnn.hardware.config import NodeConfig
from csnn.hardware.registers import (
    COUNTERS,
    ERROR_BITS,
    INTERFACE_VERSION,
    NODE_ID,
    REGISTERS,
    STATUS_BITS,
)
from rtl.register_file import RegisterFile


class Registers(RegisterFile):
    """What the host reads and sets of a node, word by word.

    Ports
    -----
    Those of `RegisterFile`, and

    recorded : 32 bits, in
        Value of the register.

    Latency
        Settings change in the cycle after the write.
    Throughput
        One word per cycle.
    Backpressure
        None.
    Reference
        `csnn.hardware.registers`.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        super().__init__(
            REGISTERS,
            counters=COUNTERS,
            status=STATUS_BITS,
            errors=ERROR_BITS,
            fixed={
                "id": NODE_ID,
                "version": INTERFACE_VERSION,
                "pipelines": config.pipelines,
                "capacity": config.neurons,
                "slots": config.delay_slots,
                "rows": config.rows,
            },
        )
