"""A tile answers its host at the pins of its Verilog."""

from __future__ import annotations

from pathlib import Path

import pytest
import simulator
from compact_crc import compact_crc
from in_tile import FAULT_VARIABLE, LINK_THERE
from router_surroundings import CONFIG

from csnn.cache import cache_folder
from csnn.hardware.config import NodeConfig
from rtl.mesh.tile import Tile
from rtl.verilog import cached_verilog

# As small as can be: what the node does is shown elsewhere.
NODE = NodeConfig(
    pipelines=1, neurons=2, delay_slots=2, blocks=1, selectors=1, rows=1, event_fifo=4
)
SCENARIOS = 4
# What the tile offers the host changes while it waits; is withdrawn; what the host offers counts as
# taken when it is not; frames come from another link's pins.
FAULTS = {
    "m_axis_tdata": "inside_m_axis_tdata ^ (fault == 1 && odd)",
    "m_axis_tvalid": "inside_m_axis_tvalid & ~(fault == 2 && odd)",
    "s_axis_tready": "inside_s_axis_tready | fault == 3",
}


def planted(verilog: str) -> str:
    """Return the text with all faults; the input `fault` says which is in force, 0 none."""
    head, rest = verilog.split("endmodule", 1)
    for name, value in FAULTS.items():
        assert head.count(f"({name})") == 1
        head = head.replace(f"({name})", f"(inside_{name})")
        head += f"  wire {'[95:0]' * (name == 'm_axis_tdata')} inside_{name};\n"
        head += f"  assign {name} = {value};\n"
    for part in ("frame", "valid"):
        pin = f"{LINK_THERE}_rx_{part}"
        assert head.count(f"({pin})") == 1
        head = head.replace(f"({pin})", f"(fault == 4 ? x_minus_rx_{part} : {pin})")
    head = head.replace("module top(", "module top(fault, ", 1)
    head += "  input [2:0] fault;\n  reg odd = 0;\n  always @(posedge comm_clk) odd <= ~odd;\n"
    return f"{head}endmodule{rest}"


@pytest.fixture(scope="module")
def simulation() -> Path:
    """Return the simulation of a tile."""
    key = f"tile {CONFIG!r} {NODE!r}"
    verilog = cached_verilog(lambda: Tile(CONFIG, NODE), key, cache_folder())
    verilog = planted(compact_crc(verilog))
    pins = verilog.split("module top(", 1)[1].split(");", 1)[0].split(", ")
    return simulator.build(verilog, [pin for pin in pins if pin != "clk"])


def test_tile(simulation: Path, tmp_path: Path) -> None:
    tests, failed = simulator.run(simulation, "in_tile", tmp_path)
    assert (tests, failed) == (SCENARIOS, 0), (tmp_path / "simulation.log").read_text()


@pytest.mark.parametrize("fault", range(1, len(FAULTS) + 2))
def test_a_planted_fault_is_seen(simulation: Path, tmp_path: Path, fault: int) -> None:
    environment = {FAULT_VARIABLE: str(fault)}
    tests, failed = simulator.run(simulation, "in_tile", tmp_path, environment=environment)
    assert tests == SCENARIOS
    assert failed
