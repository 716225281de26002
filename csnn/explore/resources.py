"""What nodes and their routers take of a device: sums over units of our RTL.

Logic is that of synthesis by Yosys (docs/synthesis.md), unit by unit: for XC7, whose look-up tables
of 6 inputs UltraScale+ and Versal have as well, and for ECP5. What was not synthesised for ECP5 is
taken from XC7 with the ratio that the neuron pipeline has. Memory is computed from the
configuration, by the shapes of the device's blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from csnn.explore.chips import ULTRA_BITS, ULTRA_WORDS, USABLE_LOGIC, USABLE_MEMORY, Chip
from csnn.hardware.config import NodeConfig
from csnn.hardware.devices import node_memories
from csnn.spec.machine import SUM_LIMIT_UNITS

SEED_BITS = 32
# Of each lane whose rows come from outside: block RAM in which they wait, and, by estimate, logic
# that asks for them.
_FETCH_BLOCKS = 1
_SUMS_PER_WORD = ULTRA_BITS // (SUM_LIMIT_UNITS - 1).bit_length()


@dataclass(frozen=True)
class Logic:
    """Look-up tables, registers and multipliers."""

    luts: float = 0.0
    registers: float = 0.0
    multipliers: float = 0.0

    def __add__(self, other: Logic) -> Logic:
        return Logic(
            self.luts + other.luts,
            self.registers + other.registers,
            self.multipliers + other.multipliers,
        )

    def __mul__(self, count: float) -> Logic:
        return Logic(self.luts * count, self.registers * count, self.multipliers * count)


@dataclass(frozen=True, kw_only=True)
class Units:
    """Logic of what designs are put together from.

    Attributes
    ----------
    node : Logic
        What a node has once.
    pipeline : Logic
        A pipeline with its lane of EXT and its bank of the circular buffer.
    lane : Logic
        A lane of the spike router.
    link : Logic
        An end of a link between devices.
    port : Logic
        What a router has for each link, inside a device or not.
    master : Logic
    ratio : float
        Look-up tables for those of XC7, where nothing else is known.
    """

    node: Logic
    pipeline: Logic
    lane: Logic
    link: Logic
    port: Logic
    master: Logic
    ratio: float = 1.0

    def scaled(self, logic: Logic) -> Logic:
        """Return logic of XC7 as this device has it."""
        return Logic(logic.luts * self.ratio, logic.registers, logic.multipliers)


# ODE unit, EXT and circular buffer of 8 pipelines.
_OF_8 = Logic(27_253, 23_814, 80) + Logic(2_427, 2_098, 8) + Logic(481, 639, 0)
_LANE = Logic(2_245, 1_568, 4)
_LINK = Logic(1_655, 1_113, 0)
_ROUTER = Logic(13_948, 10_094, 0)
_MASTER = Logic(1_397, 1_175, 0)
XC7_UNITS = Units(
    node=Logic(34_048, 30_500, 92) + _OF_8 * -1 + _LANE * -1,
    pipeline=_OF_8 * (1 / 8),
    lane=_LANE,
    link=_LINK,
    port=(_ROUTER + _LINK * -6) * (1 / 6),
    master=_MASTER,
)
# By estimate: what asks for rows outside; buffers of both channels at an end of an inner link.
_FETCH, _INNER_BUFFERS = Logic(400, 500, 0), Logic(200, 250, 0)
# Between the clocks of a node and its router, both ways.
_CROSSINGS = Logic(89, 233, 0) * 2
# Look-up tables of the neuron pipeline on ECP5 and on XC7.
_ECP5_RATIO = 5_488 / 3_268


def _on_ecp5(logic: Logic) -> Logic:
    return Logic(logic.luts * _ECP5_RATIO, logic.registers, logic.multipliers)


_ECP5_PIPELINE = Logic(5_488, 8_798, 20) + _on_ecp5(
    (Logic(2_427, 2_098, 8) + Logic(481, 639, 0)) * (1 / 8)
)
_ECP5_LANE = _on_ecp5(_LANE) + Logic(0, 0, 1)
ECP5_UNITS = Units(
    node=Logic(32_062, 43_526, 89) + _ECP5_PIPELINE * -4 + _ECP5_LANE * -1,
    pipeline=_ECP5_PIPELINE,
    lane=_ECP5_LANE,
    link=_on_ecp5(_LINK),
    port=_on_ecp5(XC7_UNITS.port),
    master=_on_ecp5(_MASTER),
    ratio=_ECP5_RATIO,
)


def units_of(chip: Chip) -> Units:
    """Return the units for a device."""
    return ECP5_UNITS if chip.device.family == "ecp5" else XC7_UNITS


@dataclass(frozen=True, kw_only=True)
class Use:
    """What is used: logic, blocks of memory, memory outside in bytes."""

    logic: Logic
    blocks: float = 0.0
    ultra: float = 0.0
    outside: float = 0.0

    def __add__(self, other: Use) -> Use:
        return Use(
            logic=self.logic + other.logic,
            blocks=self.blocks + other.blocks,
            ultra=self.ultra + other.ultra,
            outside=self.outside + other.outside,
        )

    def __mul__(self, count: float) -> Use:
        return Use(
            logic=self.logic * count,
            blocks=self.blocks * count,
            ultra=self.ultra * count,
            outside=self.outside * count,
        )

    def shares(self, chip: Chip) -> dict[str, float]:
        """Return what is used of each resource; above 1 it does not fit."""
        device = chip.device
        return {
            "look-up tables": self.logic.luts / (USABLE_LOGIC * device.luts),
            "registers": self.logic.registers / (USABLE_LOGIC * device.registers),
            "multipliers": self.logic.multipliers / (USABLE_MEMORY * device.dsps),
            "block RAM": self.blocks / (USABLE_MEMORY * device.blocks),
            "UltraRAM": self.ultra / (USABLE_MEMORY * chip.ultra) if chip.ultra else 0.0,
            f"{chip.outside} capacity": self.outside / chip.outside_bytes,
        }


def node_use(
    config: NodeConfig, chip: Chip, *, lanes: int, rows_outside: bool, ports: int, crossing: bool
) -> Use:
    """Return what a node takes.

    Parameters
    ----------
    config : NodeConfig
        `rows` are those of one lane.
    chip : Chip
        With UltraRAM the circular buffer lies there: three sums in a word.
    lanes : int
        Lanes of the spike router; each has a seed table and a directory of its rows, two share the
        ports of the weight and delay tables.
    rows_outside : bool
        Seeds and lengths lie outside the device.
    ports : int
        Links of its router inside the device.
    crossing : bool
        Node and router have different clocks.
    """
    units = units_of(chip)
    blocks = ultra = outside = 0.0
    for memory in node_memories(config):
        if memory.name == "circular buffer" and chip.ultra:
            words = math.ceil(2 * memory.depth / _SUMS_PER_WORD)
            ultra += config.pipelines * math.ceil(words / ULTRA_WORDS)
        elif memory.name in ("seed table", "lengths"):
            if rows_outside:
                outside += lanes * memory.bits / 8
            else:
                blocks += lanes * memory.blocks(chip.device)
        else:
            copies = 1
            if memory.name.startswith(("weight tables", "delay tables")):
                copies = math.ceil(lanes / 2)
            elif memory.name == "presence and rank of rows":
                copies = lanes
            blocks += copies * memory.blocks(chip.device)
    logic = units.node + units.pipeline * config.pipelines + units.lane * lanes
    logic += (units.port + units.scaled(_INNER_BUFFERS)) * ports
    if rows_outside:
        logic += units.scaled(_FETCH) * lanes
    if crossing:
        logic += units.scaled(_CROSSINGS)
    return Use(
        logic=logic,
        blocks=blocks + (_FETCH_BLOCKS * lanes if rows_outside else 0),
        ultra=ultra,
        outside=outside,
    )


def row_bytes(config: NodeConfig) -> float:
    """Return the bytes of a row: seed and length."""
    return (SEED_BITS + config.length_bits) / 8


def board_use(chip: Chip, links: int, *, master: bool, rows_outside: bool) -> Use:
    """Return what a device has once: links to others, perhaps master node and memory controller."""
    units = units_of(chip)
    logic = (units.link + units.port) * links
    if master:
        logic += units.master
    if rows_outside:
        logic += Logic(chip.controller_luts, chip.controller_luts, 0)
    return Use(logic=logic)


def most_nodes(chip: Chip, node: Use, board: Use) -> int:
    """Return how many nodes a device has room for; 0 if none."""
    one, none = node.shares(chip), board.shares(chip)
    rooms = [(1 - none[name]) / share for name, share in one.items() if share > 0]
    return max(0, math.floor(min(rooms)))
