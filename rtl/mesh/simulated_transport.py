"""The host's port of a machine in simulation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.hardware.memory_map import Words
from csnn.hardware.mesh import Site
from rtl.mesh.machine_simulation import MachineSimulation, Snapshots

U32 = npt.NDArray[np.uint32]
_NS_PER_MS = 1e6
# The machine takes a packet of the host in this time.
_NS_PER_PACKET = 1_000


class SimulatedTransport:
    """A `csnn.host.transport.Transport` around a simulation, whose time passes while one waits.

    Parameters
    ----------
    simulation : MachineSimulation
    patience_ms : float
        What the machine has not taken after this time of its own, it does not take.
    """

    def __init__(self, simulation: MachineSimulation, *, patience_ms: float = 1.0) -> None:
        self.simulation, self.patience_ms = simulation, patience_ms

    def send(self, packets: U32) -> None:
        """Send packets; what a machine that stands does not take stays where it is."""
        self.simulation.send(packets)
        limit_ns = self.patience_ms * _NS_PER_MS + _NS_PER_PACKET * len(packets)
        self.simulation.run(limit_ns, wanted=0)

    def receive(self, count: int, timeout_ms: float) -> U32:
        """Return the next packets for the host."""
        self.simulation.run(timeout_ms * _NS_PER_MS, wanted=count)
        return self.simulation.receive(count)

    def rest(self, ms: float) -> None:
        """Let time pass."""
        self.simulation.run(ms * _NS_PER_MS)

    def memory(self, site: Site, address: int, size: int) -> bytes:
        """Return bytes of the external memory of a node."""
        return self.simulation.memory(site, address, size)

    def preload(self, site: Site, words: Words) -> None:
        """Write words of a node past the mesh."""
        self.simulation.preload(site, words)

    def peek(self, site: Site, addresses: U32) -> U32:
        """Return words of a node past the mesh."""
        return self.simulation.peek(site, addresses)

    def watch(self, on: bool) -> None:
        """Keep the memories of every node at the end of every step from here on."""
        self.simulation.watch(on)

    def snapshot_now(self) -> None:
        """Keep the memories of the step that no other has followed yet."""
        self.simulation.snapshot_now()

    def snapshots(self, site: Site) -> Snapshots:
        """Return and forget what was kept of a node."""
        return self.simulation.snapshots(site)
