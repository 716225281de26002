"""Sizes of the master node."""

from __future__ import annotations

from dataclasses import dataclass

from csnn.errors import reject
from csnn.spec import checks

# A barrier message names its node with 16 bits.
MAX_NODES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class MasterConfig:
    """What is fixed when a master node is synthesised.

    Attributes
    ----------
    nodes : int
        Numbers of nodes, from 0, that it can serve; a power of two.
    fifo : int
        Packets that wait at the input; a power of two.
    answers : int
        Answers to the host that wait for the network; a power of two.
    """

    nodes: int = 512
    fifo: int = 512
    answers: int = 16

    def __post_init__(self) -> None:
        for name, high in (("nodes", MAX_NODES), ("fifo", 1 << 16), ("answers", 1 << 16)):
            value = getattr(self, name)
            checks.integer("master", name, value, 2, high)
            if value & (value - 1):
                raise reject(f"master.{name}", value, "must be a power of two")
