"""Every scenario of every bench passes in cocotb, and all bins of the bench are hit."""

from __future__ import annotations

from pathlib import Path

import pytest
import simulator
from bench import ports
from catalogue import BENCH_VARIABLE, BENCHES, FAULT_VARIABLE

from rtl.verilog import to_verilog


def run(name: str, folder: Path, **environment: str) -> tuple[int, int]:
    """Run the tests of a bench; return how many there are and how many failed."""
    bench = BENCHES[name]
    component = bench.make()
    inputs, outputs = ports(component)
    build = simulator.build(bench.change(to_verilog(component)), ("rst", *inputs, *outputs))
    return simulator.run(
        build, "in_simulator", folder, environment={BENCH_VARIABLE: name, **environment}
    )


@pytest.mark.parametrize("name", BENCHES)
def test_bench(name: str, tmp_path: Path) -> None:
    tests, failed = run(name, tmp_path)
    assert tests == len(BENCHES[name].scenarios) + 1
    assert not failed, (tmp_path / "simulation.log").read_text()


def test_a_wrong_bit_fails_every_scenario(tmp_path: Path) -> None:
    tests, failed = run("fifo", tmp_path, **{FAULT_VARIABLE: "level"})
    assert failed == tests == len(BENCHES["fifo"].scenarios) + 1
