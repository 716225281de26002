"""What designs take: the sum of units is the node that was synthesised; limits are found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csnn.explore.chips import CHIPS, USABLE_LOGIC, Chip
from csnn.explore.resources import (
    ECP5_UNITS,
    XC7_UNITS,
    Logic,
    Units,
    board_use,
    most_nodes,
    node_use,
    row_bytes,
)
from csnn.hardware.config import MICROCIRCUIT, SMALL
from csnn.hardware.devices import DEVICES, memory_blocks, multipliers

XC7, VIRTEX = CHIPS["xc7z045"], CHIPS["xcvu37p"]


def node_of(units: Units, pipelines: int) -> Logic:
    return units.node + units.pipeline * pipelines + units.lane


def test_units_add_up_to_the_nodes_of_docs_synthesis() -> None:
    for logic, expected in (
        (node_of(XC7_UNITS, 8), (34_048, 30_500, 92)),
        (node_of(ECP5_UNITS, 4), (32_062, 43_526, 89)),
    ):
        found = (logic.luts, logic.registers, logic.multipliers)
        assert found == pytest.approx(expected)
    for units in (XC7_UNITS, ECP5_UNITS):
        for logic in (units.node, units.pipeline, units.lane, units.link, units.port):
            assert logic.luts > 0
            assert logic.multipliers >= 0


@pytest.mark.parametrize("pipelines", [1, 2, 4, 16])
def test_multipliers_of_other_nodes_are_those_of_the_estimate(pipelines: int) -> None:
    config = replace(MICROCIRCUIT, pipelines=pipelines)
    assert node_of(XC7_UNITS, pipelines).multipliers == pytest.approx(multipliers(config))


def test_memory_is_that_of_the_devices() -> None:
    use = node_use(MICROCIRCUIT, XC7, lanes=1, rows_outside=False, ports=0)
    assert use.blocks == memory_blocks(MICROCIRCUIT, DEVICES["xc7z045"])
    assert use.ultra == use.outside == 0
    outside = node_use(MICROCIRCUIT, XC7, lanes=1, rows_outside=True, ports=0)
    assert outside.blocks < use.blocks / 2
    assert outside.outside == pytest.approx(MICROCIRCUIT.rows * row_bytes(MICROCIRCUIT))


def test_circular_buffers_lie_in_ultra_ram() -> None:
    """8 banks of 2 x 2,048 sums, three in a word of 72 bits: one UltraRAM of 4,096 words each."""
    use = node_use(MICROCIRCUIT, VIRTEX, lanes=1, rows_outside=True, ports=2)
    assert use.ultra == 8
    one = node_use(replace(MICROCIRCUIT, pipelines=1), VIRTEX, lanes=1, rows_outside=True, ports=2)
    # 256 neurons x 64 slots x 2 / 3 = 10,923 words.
    assert one.ultra == 3


def test_lanes_cost_a_seed_table_each() -> None:
    one = node_use(MICROCIRCUIT, XC7, lanes=1, rows_outside=False, ports=0)
    two = node_use(MICROCIRCUIT, XC7, lanes=2, rows_outside=False, ports=0)
    assert two.blocks - one.blocks == 76 + 19
    assert two.logic.luts - one.logic.luts == XC7_UNITS.lane.luts


@pytest.mark.parametrize("chip", CHIPS.values(), ids=list(CHIPS))
def test_one_node_more_would_not_fit(chip: Chip) -> None:
    config = SMALL if chip.device.family == "ecp5" else MICROCIRCUIT
    node = node_use(config, chip, lanes=1, rows_outside=True, ports=2)
    board = board_use(chip, 2, master=True)
    most = most_nodes(chip, node, board)
    assert most >= 1
    assert max((board + node * most).shares(chip).values()) <= 1
    assert max((board + node * (most + 1)).shares(chip).values()) > 1


def test_a_device_that_is_too_small_has_no_node() -> None:
    chip = replace(XC7, device=replace(XC7.device, luts=int(20_000 / USABLE_LOGIC)))
    node = node_use(MICROCIRCUIT, chip, lanes=1, rows_outside=False, ports=0)
    assert most_nodes(chip, node, board_use(chip, 0, master=False)) == 0
