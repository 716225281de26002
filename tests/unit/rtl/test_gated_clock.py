"""A clock that an enable gates in the simulation: nothing changes, and nothing else is gated."""

from __future__ import annotations

import re

import numpy as np
import pytest
from amaranth.hdl import EnableInserter, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.multiplier import Multiplier, MultiplierConfig
from rtl.gated_clock import gate_clock
from rtl.verilate import Verilated
from rtl.verilog import to_verilog


class Resting(wiring.Component):
    """A multiplier that goes on only with `go`, and a counter that always does."""

    def __init__(self) -> None:
        super().__init__({"a": In(32), "b": In(32), "go": In(1), "result": Out(32), "n": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        enable = Signal(name="unit_enable")
        unit = Multiplier(MultiplierConfig(latency=3))
        m.submodules.unit = EnableInserter(enable)(unit)
        m.d.sync += [enable.eq(self.go), self.n.eq(self.n + 1)]
        m.d.comb += [unit.a.eq(self.a), unit.b.eq(self.b), self.result.eq(unit.result)]
        return m


def test_nothing_changes() -> None:
    rng = np.random.default_rng(1)
    cycles = 2000
    inputs = {
        "a": rng.integers(0, 2**32, cycles),
        "b": rng.integers(0, 2**32, cycles),
        "go": np.repeat(rng.random(cycles // 10) < 0.4, 10),
        "rst": rng.random(cycles) < 0.01,
    }
    inputs = {name: column.astype(np.uint64) for name, column in inputs.items()}
    plain = Verilated(Resting()).run(inputs, {})
    gated = Verilated(Resting(), change=lambda text: gate_clock(text, "unit_enable"))
    found = gated.run(inputs, {})
    assert len(np.unique(plain["result"])) > 100
    for name, column in plain.items():
        np.testing.assert_array_equal(found[name], column)


def test_only_what_waits_is_gated() -> None:
    text = to_verilog(Resting())
    gated = gate_clock(text, "unit_enable")
    top, unit = gated.split("\nmodule ")[1:]
    assert "iff" not in top
    assert unit.count("always @(posedge clk iff unit_enable)") == unit.count("posedge") > 5
    with pytest.raises(ValueError, match="no module waits for another_enable"):
        gate_clock(text, "another_enable")


def test_a_register_that_does_not_wait_is_an_error() -> None:
    other = to_verilog(Resting()).replace("posedge clk", "negedge clk")
    with pytest.raises(ValueError, match="no module waits"):
        gate_clock(other, "unit_enable")
    text = re.sub(r"if \(unit_enable ?\)", "if (1'h1)", to_verilog(Resting()), count=1)
    with pytest.raises(ValueError, match="does not wait for unit_enable"):
        gate_clock(text, "unit_enable")
