"""Registers of the master node: identity, status, settings, sticky errors and counters."""

from __future__ import annotations

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_registers import (
    MASTER_COUNTERS,
    MASTER_ERROR_BITS,
    MASTER_ID,
    MASTER_REGISTERS,
    MASTER_STATUS_BITS,
    MASTER_VERSION,
)
from rtl.register_file import RegisterFile


class MasterRegisters(RegisterFile):
    """What the host reads and sets of the master node, word by word.

    Ports
    -----
    Those of `RegisterFile`, and

    missing, count, sum, barrier_count, barrier_sum : 32 bits, in
    last_step_cycles, longest_step_cycles, shortest_step_cycles : 32 bits, in
        Values of the registers.

    Latency
        Settings change in the cycle after the write.
    Throughput
        One word per cycle.
    Backpressure
        None.
    Reference
        `csnn.hardware.master_registers`.
    """

    def __init__(self, config: MasterConfig) -> None:
        self.config = config
        super().__init__(
            MASTER_REGISTERS,
            counters=MASTER_COUNTERS,
            status=MASTER_STATUS_BITS,
            errors=MASTER_ERROR_BITS,
            fixed={
                "id": MASTER_ID,
                "version": MASTER_VERSION,
                "capacity": config.nodes,
                "answers": config.answers,
            },
        )
