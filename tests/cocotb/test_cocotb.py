"""Every scenario of every bench passes in cocotb, and all bins of the bench are hit."""

from __future__ import annotations

from pathlib import Path

import pytest
import simulator
from catalogue import BENCH_VARIABLE, BENCHES, FAULT_VARIABLE
from top import Top

from rtl.verilog import to_verilog


@pytest.fixture(scope="session")
def build() -> Path:
    top = Top(BENCHES)
    return simulator.build(to_verilog(top), top.signature.members)


@pytest.mark.parametrize("name", BENCHES)
def test_bench(build: Path, name: str, tmp_path: Path) -> None:
    tests, failed = simulator.run(
        build, "in_simulator", tmp_path, environment={BENCH_VARIABLE: name}
    )
    assert tests == len(BENCHES[name].scenarios) + 1
    assert not failed, (tmp_path / "simulation.log").read_text()


def test_a_wrong_bit_fails_every_scenario(build: Path, tmp_path: Path) -> None:
    environment = {BENCH_VARIABLE: "fifo", FAULT_VARIABLE: "level"}
    tests, failed = simulator.run(build, "in_simulator", tmp_path, environment=environment)
    assert failed == tests == len(BENCHES["fifo"].scenarios) + 1
