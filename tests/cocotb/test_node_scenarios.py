"""The scenarios of a whole node, of its core alone and with its packets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bench import Bench, Coverage, VerilatedDut, run_now
from node_links import CoreLink, PacketLink
from node_scenarios import node_bench

from rtl.node import Node
from rtl.node_core import NodeCore

BENCHES = {
    "core": node_bench(NodeCore, CoreLink, {}),
    "packets": node_bench(Node, PacketLink, {}),
}


def run(bench: Bench, change: Callable[[str], str] = lambda verilog: verilog) -> list[str]:
    """Run all scenarios; return the bins that none has hit."""
    dut, cover = VerilatedDut(bench.make(), change=change), Coverage(bench.bins)
    for place, scenario in enumerate(bench.scenarios):
        run_now(dut.run({"rst": [1]}))
        run_now(scenario(dut, np.random.default_rng(place), cover))
    return cover.missed


@pytest.mark.parametrize("name", BENCHES)
def test_node(name: str) -> None:
    assert not run(BENCHES[name])


def test_a_wrong_sum_of_spikes_is_caught() -> None:
    def wrong(verilog: str) -> str:
        changed = verilog.replace("mixed_0 = source ^", "mixed_0 = source |", 1)
        assert changed != verilog
        return changed

    with pytest.raises(AssertionError):
        run(BENCHES["core"], wrong)
