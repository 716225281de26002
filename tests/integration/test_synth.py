"""Synthesis: what cells count for, resources of components, limits of the node."""

from __future__ import annotations

import importlib.util

import pytest
from commands import csnn, refused, succeed

from csnn.errors import ToolFailedError
from csnn.hardware.config import MICROCIRCUIT
from csnn.hardware.devices import multipliers
from rtl.synthesis import Resources, count
from rtl.synthesis_report import PAPER, Report, Synthesised, synthesise_components

# Shares of an XC7Z045 that the node may take.
LIMITS = {"luts": 0.20, "dsps": 0.12, "blocks": 0.40}
ECP5_CLOCK_MHz = 150.0


def over(report: Report) -> list[str]:
    """Return what the node takes more of than it may."""
    shares = report.to_dict()["components"]["node"]["shares"]
    return [name for name, limit in LIMITS.items() if shares[name] > limit]


def test_cells_are_counted() -> None:
    cells = {"LUT6": 3, "RAM32M": 2, "SRL16E": 1, "FDRE": 5, "DSP48E1": 2, "RAMB18E1": 3}
    assert count(cells | {"CARRY4": 9}) == Resources(luts=12, registers=5, dsps=2, blocks=1.5)
    with pytest.raises(ToolFailedError, match="URAM288"):
        count({"LUT6": 1, "URAM288": 1})


def test_report_fits_a_terminal_and_limits_are_seen() -> None:
    node = Resources(luts=43_721, registers=437_200, dsps=108, blocks=219.5)
    report = Report("xc7", (Synthesised("neuron pipeline", node), Synthesised("node", node)))
    assert over(report) == ["luts", "blocks"]
    lines = list(report.lines())
    assert max(len(line) for line in lines) < 80
    assert all(f"{share:.0%}" in next(x for x in lines if "paper" in x) for share in PAPER.values())


@pytest.mark.parametrize("target", ["xc7", "xcup", "ecp5"])
def test_command_line(target: str) -> None:
    options = ("--component", "adder", "--seeds", "1", "--json")
    found = succeed("synth", "--target", target, *options).json
    adder = found["components"]["adder"]
    # 24 bits are ordered, shifted, added, counted, shifted, rounded.
    assert 24 * 6 < adder["luts"] < 24 * 40
    assert adder["registers"] > 24 * 6
    assert adder["dsps"] == adder["blocks"] == 0
    assert (len(adder["clocks_MHz"]) == 1) == (target == "ecp5")
    assert all(20 < clock < 400 for clock in adder["clocks_MHz"])


def test_component_with_parts_and_a_memory() -> None:
    found = synthesise_components("xc7", ["spike output"], 1).components[0].resources
    # IDs of 256 neurons, 32 bits each: half a block.
    assert found.blocks == 0.5
    assert found.dsps == 0


def test_unknown_component_is_refused() -> None:
    outcome = csnn("synth", "--target", "xc7", "--component", "turbo")
    refused(outcome, "turbo", "neuron pipeline")


def test_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyosys" else find(name)
    )
    refused(csnn("synth", "--target", "xc7", "--component", "comparator"), "csnn[synth]", code=4)


@pytest.mark.slow
def test_node_takes_no_more_than_it_may() -> None:
    report = synthesise_components("xc7", ["node"], 1)
    assert not over(report)
    # What `csnn emit rtl` compares with the device.
    assert report.components[0].resources.dsps == multipliers(MICROCIRCUIT)


@pytest.mark.slow
def test_clock_of_the_neuron_pipeline() -> None:
    report = synthesise_components("ecp5", ["neuron pipeline"], 4)
    assert max(report.components[0].clocks_MHz) >= ECP5_CLOCK_MHz
