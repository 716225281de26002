"""What nodes and their routers take of a device: sums over units of our RTL.

Logic is that of synthesis by Yosys for XC7 (docs/synthesis.md), unit by unit, of a node of 8
pipelines and one lane; memory is computed from the configuration. Look-up tables of 6 inputs are
the same on UltraScale+ and Versal; an ECP5 has smaller ones and figures of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from csnn.explore.chips import USABLE_LOGIC, USABLE_MEMORY, Chip
from csnn.hardware.config import NodeConfig
from csnn.hardware.devices import NodeMemory, node_memories
from csnn.spec import checks

# Memories that could lie in the memory of the package: what a spike reads once, in a row.
_SEED_ROWS = ("seed table", "lengths")


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


# Of a node of 8 pipelines: ODE unit, EXT and circular buffer grow with the pipelines, the spike
# router with its lanes.
_PIPELINES = 8
_OF_PIPELINES = Logic(27_253, 23_814, 80) + Logic(2_427, 2_098, 8) + Logic(481, 639, 0)
_OF_A_LANE = Logic(2_245, 1_568, 4)
NODE = Logic(34_048, 30_500, 92)
LINK_END = Logic(1_655, 1_113, 0)
MESH_ROUTER = Logic(13_948, 10_094, 0)
MASTER = Logic(1_397, 1_175, 0)
_MESH_LINKS = 6


def node_logic(pipelines: int, lanes: int) -> Logic:
    """Return the logic of a node without its router."""
    checks.integer("node", "pipelines", pipelines, 1, 256)
    checks.integer("node", "lanes", lanes, 1, 64)
    fixed = NODE + _OF_PIPELINES * -1 + _OF_A_LANE * -1
    return fixed + _OF_PIPELINES * (pipelines / _PIPELINES) + _OF_A_LANE * lanes


def router_logic(links: int) -> Logic:
    """Return the logic of a router with so many links; what is not a link end grows with them."""
    checks.integer("router", "links", links, 1, 1024)
    core = MESH_ROUTER + LINK_END * -_MESH_LINKS
    return LINK_END * links + core * (links / _MESH_LINKS)


def memory_bits(config: NodeConfig, *, seeds_outside: bool) -> int:
    """Return the bits of a node's memories, without the seed table if that lies outside."""

    def counts(memory: NodeMemory) -> bool:
        return not (seeds_outside and memory.name in _SEED_ROWS)

    return sum(memory.bits for memory in node_memories(config) if counts(memory))


def seed_bytes(config: NodeConfig) -> float:
    """Return the bytes of a row of the seed table: seed and length."""
    return (32 + config.length_bits) / 8


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How many nodes a device holds, and what of it is used up first."""

    nodes: int
    limit: str


def nodes_per_chip(
    chip: Chip, logic: Logic, bits: int, *, shared: Logic = Logic(), outside_bytes: float = 0.0
) -> Fit:
    """Return how many nodes a device holds.

    Parameters
    ----------
    chip : Chip
    logic : Logic
        Of a node, and what comes with each.
    bits : int
        Of a node's memories on the chip.
    shared : Logic
        There once for all nodes.
    outside_bytes : float
        Of a node in the memory of the package.
    """
    rooms = {
        "look-up tables": (USABLE_LOGIC * chip.luts - shared.luts) / logic.luts,
        "registers": (USABLE_LOGIC * chip.registers - shared.registers) / logic.registers,
        "multipliers": USABLE_MEMORY * chip.multipliers / logic.multipliers,
        "memory on the chip": USABLE_MEMORY * (chip.block_bits + chip.ultra_bits) / bits,
    }
    if outside_bytes:
        rooms["memory in the package"] = chip.hbm_bytes / outside_bytes
    limit = min(rooms, key=lambda name: rooms[name])
    return Fit(nodes=max(0, int(rooms[limit])), limit=limit)
