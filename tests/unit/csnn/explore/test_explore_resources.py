"""What designs take: units are those that were synthesised; limits are found."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csnn.explore.chips import CHIPS, USABLE_LOGIC, Chip
from csnn.explore.resources import (
    ECP5_UNITS,
    XC7_UNITS,
    Logic,
    Units,
    Use,
    board_use,
    most_nodes,
    node_use,
    row_bytes,
)
from csnn.hardware.config import MICROCIRCUIT, SMALL
from csnn.hardware.devices import DEVICES, memory_blocks, multipliers

DOCS = Path(__file__).parents[4] / "docs" / "synthesis.md"
XC7, VIRTEX = CHIPS["xc7z045"], CHIPS["xcvu37p"]


def node_of(units: Units, pipelines: int) -> Logic:
    return units.node + units.pipeline * pipelines + units.lane


def measured(component: str) -> tuple[float, ...]:
    """Return look-up tables, registers and multipliers of docs/synthesis.md, of XC7 and then ECP5.

    Percentages are left out; a component stands in the table of either family.
    """
    rows = re.findall(rf"^\| \**{re.escape(component)}[^|]*\|(.*)$", DOCS.read_text(), re.MULTILINE)
    found = []
    for row in rows:
        cells = [re.sub(r"\(.*?\)|\*|,", "", cell).strip() for cell in row.split("|")]
        found.append(tuple(float(cell) for cell in cells[:3]))
    return found[0] if len(found) == 1 else (*found[0], *found[1])


def logic_of(logic: Logic) -> tuple[float, ...]:
    return logic.luts, logic.registers, logic.multipliers


def test_units_are_those_of_docs_synthesis() -> None:
    node, pipeline = measured("node"), measured("neuron pipeline")
    assert logic_of(node_of(XC7_UNITS, 8)) == pytest.approx(node[:3])
    assert logic_of(node_of(ECP5_UNITS, 4)) == pytest.approx(node[3:])
    assert logic_of(XC7_UNITS.lane) == measured("spike router")
    assert logic_of(XC7_UNITS.link) == measured("link end")
    assert logic_of(XC7_UNITS.master) == measured("master node")
    parts = [measured(name) for name in ("ODE unit", "EXT", "circular buffer")]
    assert logic_of(XC7_UNITS.pipeline * 8) == pytest.approx(np.sum(parts, axis=0))
    router = XC7_UNITS.port * 6 + XC7_UNITS.link * 6
    assert logic_of(router) == pytest.approx(measured("mesh router"))
    assert ECP5_UNITS.ratio == pytest.approx(pipeline[3] / pipeline[0])
    assert ECP5_UNITS.link.luts == pytest.approx(ECP5_UNITS.ratio * XC7_UNITS.link.luts)
    for units in (XC7_UNITS, ECP5_UNITS):
        assert min(logic_of(units.node)[:2]) > 0


@pytest.mark.parametrize("pipelines", [1, 2, 4, 16])
def test_multipliers_of_other_nodes_are_those_of_the_estimate(pipelines: int) -> None:
    config = replace(MICROCIRCUIT, pipelines=pipelines)
    assert node_of(XC7_UNITS, pipelines).multipliers == pytest.approx(multipliers(config))


def test_memory_is_that_of_the_devices() -> None:
    use = node_use(MICROCIRCUIT, XC7, lanes=1, rows_outside=False, ports=0, crossing=False)
    assert use.blocks == memory_blocks(MICROCIRCUIT, DEVICES["xc7z045"])
    assert use.ultra == use.outside == 0
    outside = node_use(MICROCIRCUIT, XC7, lanes=1, rows_outside=True, ports=0, crossing=False)
    assert outside.blocks < use.blocks / 2
    assert outside.outside == pytest.approx(MICROCIRCUIT.rows * row_bytes(MICROCIRCUIT))


def test_circular_buffers_lie_in_ultra_ram() -> None:
    """8 banks of 2 x 2,048 sums, three in a word of 72 bits: one UltraRAM of 4,096 words each."""
    use = node_use(MICROCIRCUIT, VIRTEX, lanes=1, rows_outside=True, ports=2, crossing=False)
    assert use.ultra == 8
    one = node_use(
        replace(MICROCIRCUIT, pipelines=1),
        VIRTEX,
        lanes=1,
        rows_outside=True,
        ports=2,
        crossing=False,
    )
    # 256 neurons x 64 slots x 2 / 3 = 10,923 words.
    assert one.ultra == 3


def test_lanes_cost_rows_and_tables() -> None:
    """Each lane has seeds, lengths and directory; two share the four weight and delay tables."""
    one, two, four = (
        node_use(MICROCIRCUIT, XC7, lanes=n, rows_outside=False, ports=0, crossing=False)
        for n in (1, 2, 4)
    )
    assert two.blocks - one.blocks == 76 + 19 + 4
    assert four.blocks - two.blocks == 2 * (76 + 19 + 4) + 4
    assert two.logic.luts - one.logic.luts == XC7_UNITS.lane.luts


def test_rows_outside_cost_logic_and_memory() -> None:
    for lanes in (1, 4):
        inside, outside = (
            node_use(MICROCIRCUIT, XC7, lanes=lanes, rows_outside=out, ports=0, crossing=False)
            for out in (False, True)
        )
        assert outside.logic.luts - inside.logic.luts == 400 * lanes
        assert inside.blocks - outside.blocks == (76 + 19 - 1) * lanes
        assert outside.outside == pytest.approx(lanes * MICROCIRCUIT.rows * 5)
    ecp5 = CHIPS["lfe5u-85f"]
    far, near = (board_use(ecp5, 2, master=True, rows_outside=out) for out in (True, False))
    assert far.logic.luts - near.logic.luts == ecp5.controller_luts > 0


def test_ports_and_crossings_count() -> None:
    plain, ports, crossing = (
        node_use(MICROCIRCUIT, XC7, lanes=1, rows_outside=False, ports=n, crossing=cross)
        for n, cross in ((0, False), (2, False), (0, True))
    )
    assert ports.logic.luts - plain.logic.luts == pytest.approx(2 * (XC7_UNITS.port.luts + 200))
    found = crossing.logic.luts - plain.logic.luts
    assert found == 2 * measured("crossing between the two clocks")[0]


def test_what_a_design_may_use_of_a_device() -> None:
    use = Use(logic=Logic(0.7 * 218_600, 0.35 * 437_200, 0.9 * 900), blocks=0.45 * 545)
    shares = use.shares(XC7)
    expected = {"look-up tables": 1, "registers": 0.5, "multipliers": 1, "block RAM": 0.5}
    assert shares == pytest.approx(expected | {"UltraRAM": 0, "DDR3 capacity": 0})
    assert math.isclose(Use(logic=Logic(), ultra=432).shares(VIRTEX)["UltraRAM"], 0.5)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=list(CHIPS))
def test_one_node_more_would_not_fit(chip: Chip) -> None:
    config = SMALL if chip.device.family == "ecp5" else MICROCIRCUIT
    node = node_use(config, chip, lanes=1, rows_outside=True, ports=2, crossing=False)
    board = board_use(chip, 2, master=True, rows_outside=False)
    most = most_nodes(chip, node, board)
    assert most >= 1
    assert max((board + node * most).shares(chip).values()) <= 1
    assert max((board + node * (most + 1)).shares(chip).values()) > 1


def test_a_device_that_is_too_small_has_no_node() -> None:
    chip = replace(XC7, device=replace(XC7.device, luts=int(20_000 / USABLE_LOGIC)))
    node = node_use(MICROCIRCUIT, chip, lanes=1, rows_outside=False, ports=0, crossing=False)
    assert most_nodes(chip, node, board_use(chip, 0, master=False, rows_outside=False)) == 0
