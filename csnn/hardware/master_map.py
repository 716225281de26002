"""Addresses of the master node's configuration space."""

from __future__ import annotations

from enum import IntEnum

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_registers import MASTER_OFFSETS
from csnn.hardware.memory_map import OFFSET_BITS

NODES_PER_WORD = 32


class MasterRegion(IntEnum):
    """Region of the configuration space; bits 20 and up of a word's address."""

    REGISTERS = 0
    ACTIVE = 1
    MISSING = 2

    @property
    def offsets(self) -> str:
        """What the offset of a word says."""
        return _OFFSETS[self]


_BITMAP = f"n / {NODES_PER_WORD}: bit n mod {NODES_PER_WORD} is that of node n"
_OFFSETS = {
    MasterRegion.REGISTERS: "number of the register",
    MasterRegion.ACTIVE: f"{_BITMAP}; nodes of the machine",
    MasterRegion.MISSING: f"{_BITMAP}; active and not yet arrived; read only, at any time",
}


def bitmap_words(config: MasterConfig) -> int:
    """Return the words of ACTIVE and of MISSING; with one word its offset is not looked at."""
    return max(1, config.nodes // NODES_PER_WORD)


def master_register_address(name: str) -> int:
    """Return the address of a register of the master node."""
    return MasterRegion.REGISTERS << OFFSET_BITS | MASTER_OFFSETS[name]


def bitmap_address(region: MasterRegion, node: int) -> int:
    """Return the address of the word with the bit of a node."""
    return region << OFFSET_BITS | node // NODES_PER_WORD
