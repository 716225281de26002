"""What carries packets between host and machine: a simulation, or the driver of a board."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from csnn.hardware.memory_map import Words
from csnn.hardware.mesh import Site

U32 = npt.NDArray[np.uint32]


class Transport(Protocol):
    """The host's port of a machine, at (0, 0, 0)."""

    def send(self, packets: U32) -> None:
        """Send packets, shape (n, 3), in order; may return before they have left."""

    def receive(self, count: int, timeout_ms: float) -> U32:
        """Return the next packets for the host, shape (n, 3).

        Parameters
        ----------
        count : int
            Waits until so many have come.
        timeout_ms : float
            Time of the machine after which it returns fewer.
        """

    def rest(self, ms: float) -> None:
        """Let time of the machine pass."""

    def memory(self, site: Site, address: int, size: int) -> bytes:
        """Return bytes of the external memory of a node, which does not hang on the mesh."""


@runtime_checkable
class BackDoor(Protocol):
    """A transport that reaches a node's configuration space past the mesh as well."""

    def preload(self, site: Site, words: Words) -> None:
        """Write words of a node that is halted."""

    def peek(self, site: Site, addresses: U32) -> U32:
        """Return words of a node, shape (n,)."""
