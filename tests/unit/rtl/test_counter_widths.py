"""Counters are as wide as what they are compared with; no run is long enough to show it."""

from __future__ import annotations

import re

import pytest
from amaranth.lib.wiring import Component

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_registers import MASTER_COUNTERS
from csnn.hardware.registers import COUNTERS
from csnn.packets import PAYLOAD_FIELDS, Kind
from rtl.mesh.barrier_set import BarrierSet
from rtl.mesh.master_registers import MasterRegisters
from rtl.mesh.step_timer import StepTimer
from rtl.registers import Registers
from rtl.spike_recorder import SpikeRecorder
from rtl.spike_sum import SpikeSum
from rtl.verilog import to_verilog

SYNC_COUNT_BITS = next(f.width for f in PAYLOAD_FIELDS[Kind.SYNC] if f.name == "count")
COUNTING: dict[str, tuple[Component, dict[str, int]]] = {
    "registers": (
        Registers(NodeConfig()),
        {**{f"counter_{name}": 32 for name in COUNTERS}, "setting_step": 32},
    ),
    "master registers": (
        MasterRegisters(MasterConfig()),
        {**{f"counter_{name}": 32 for name in MASTER_COUNTERS}, "setting_step": 32},
    ),
    "barrier set": (
        BarrierSet(MasterConfig()),
        {"count": SYNC_COUNT_BITS, "sum": 32, "missing": 10, "active_count": 10},
    ),
    "step timer": (StepTimer(), {"elapsed": 32, "last": 32, "longest": 32, "shortest": 32}),
    "spike recorder": (SpikeRecorder(), {"taken": 32, "recorded": 32}),
    "spike sum": (SpikeSum(), {"count": SYNC_COUNT_BITS, "sum": 32}),
}


@pytest.mark.parametrize("name", COUNTING)
def test_registers_of_the_verilog(name: str) -> None:
    component, widths = COUNTING[name]
    declared = re.findall(
        r"^  reg \[(\d+):0\] (\w+)(?: =.*)?;", to_verilog(component), re.MULTILINE
    )
    found = {register: int(high) + 1 for high, register in declared if register in widths}
    assert found == widths
