"""What a machine is made of, beyond its configuration in hardware: clocks, wires, buffers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.hardware import mesh_latency
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import LinkConfig
from csnn.perf.topology import Topology
from csnn.spec import checks

FS_PER_NS = 1_000_000
_NEVER = 1 << 62
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Clocks of all places; each has its own phase and, up to `ppm`, its own rate.

    Attributes
    ----------
    app_mhz, comm_mhz : float
        Of nodes and master node; of routers and links.
    ppm : float
    seed : int
        Of phases and rates.
    """

    app_mhz: float = 150.0
    comm_mhz: float = 100.0
    ppm: float = 100.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("app_mhz", "comm_mhz"):
            rule = "must be a finite number from 1 to 10000"
            checks.real("clocks", name, getattr(self, name), rule, lambda f: 1.0 <= f <= 1e4)
        checks.real("clocks", "ppm", self.ppm, "must be from 0 to 1000", lambda x: 0 <= x <= 1000)
        checks.integer("clocks", "seed", self.seed, 0, 2**63 - 1)

    def draw(self, places: int) -> I64:
        """Return period and first edge of both clocks of all places in fs, shape (places, 4).

        They are those of a simulated machine (`rtl.mesh.machine_simulation.Physics`) with the same
        seed: application first.
        """
        rng = np.random.default_rng(self.seed)
        drawn = np.empty((places, 4), np.int64)
        for row in drawn:
            for k, mhz in enumerate((self.app_mhz, self.comm_mhz)):
                ppm = rng.uniform(-self.ppm, self.ppm) if self.ppm else 0.0
                period = round(1e9 / mhz * (1 + 1e-6 * ppm))
                row[2 * k : 2 * k + 2] = period, int(rng.integers(period))
        return drawn


@dataclass(frozen=True, kw_only=True)
class Wires:
    """Links between routers.

    Attributes
    ----------
    latency_ns, jitter_ns : float
        From serialiser to serialiser; every frame is late by up to the jitter.
    config : LinkConfig
        Rate, window and buffers.
    send_cycles, check_cycles : int
        From a packet to its frame, and from a frame to the buffer.
    """

    latency_ns: float = 800.0
    jitter_ns: float = 0.0
    config: LinkConfig = field(default_factory=LinkConfig)
    send_cycles: int = mesh_latency.LINK_SEND
    check_cycles: int = mesh_latency.FRAME_CHECK

    def __post_init__(self) -> None:
        for name in ("latency_ns", "jitter_ns"):
            rule = "must be a number from 0 to 100000"
            checks.real("link", name, getattr(self, name), rule, lambda ns: 0 <= ns <= 1e5)
        for name in ("send_cycles", "check_cycles"):
            checks.integer("link", name, getattr(self, name), 1, 1000)


def on_chip_wires(config: LinkConfig | None = None) -> Wires:
    """Return links inside a device: a packet each cycle, a register at either end, no frames."""
    config = replace(config or LinkConfig(), frame_cycles=1)
    return Wires(latency_ns=0.0, config=config, send_cycles=1, check_cycles=1)


def longest_latency_ns(wires: Wires, comm_mhz: float) -> float:
    """Return the latency with which a frame is acknowledged before it would be sent again."""
    link = wires.config
    ends = 2 * (wires.send_cycles + wires.check_cycles + 2) + 4 * link.frame_cycles
    return max(0.0, (link.timeout - ends) / 2 * 1e3 / comm_mhz)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine without its network.

    Attributes
    ----------
    node : NodeConfig
    master : MasterConfig
    wires : Wires
    clocks : Clocks
    branch_buffer : int
        Broadcast packets that wait at an output of a router.
    crossing_sink : int
        Edges until a packet has crossed between the clocks of a place.
    inside : Wires
        Links between places of one device.
    fetch_cycles : int
        By which the look-up of a row is longer if rows lie in memory outside the device; fetches
        overlap.
    ode_extra_cycles : int
        By which the ODE unit is longer than the node's, for neurons that other pipelines update;
        may be negative. Spikes leave it so much later.
    eager : bool
        Nodes unroll spikes as they come; else once the sync message behind them is there.
    pipelined : bool
        Rows are looked up while others are unrolled; else one after the other. The hardware has
        both; without them the model describes other machines.
    """

    node: NodeConfig
    master: MasterConfig = field(default_factory=MasterConfig)
    wires: Wires = field(default_factory=Wires)
    clocks: Clocks = field(default_factory=Clocks)
    branch_buffer: int = 16
    crossing_sink: int = mesh_latency.CROSSING_SINK
    inside: Wires = field(default_factory=on_chip_wires)
    fetch_cycles: int = 0
    ode_extra_cycles: int = 0
    eager: bool = True
    pipelined: bool = True

    def __post_init__(self) -> None:
        checks.integer("machine", "branch_buffer", self.branch_buffer, 2, 1024)
        checks.integer("machine", "crossing_sink", self.crossing_sink, 1, 64)
        checks.integer("machine", "fetch_cycles", self.fetch_cycles, 0, 10_000)
        checks.integer("machine", "ode_extra_cycles", self.ode_extra_cycles, -10_000, 1_000_000)
        for name in ("eager", "pipelined"):
            checks.boolean("machine", name, getattr(self, name))
        link = self.wires.config
        if self.wires.latency_ns + self.wires.jitter_ns > self.longest_latency_ns:
            rule = (
                f"must be longer: with it links may take {self.longest_latency_ns:.0f} ns at most, "
                "or frames are sent again before they can be acknowledged"
            )
            raise reject("link.timeout", link.timeout, rule)

    def between(self, topology: Topology, source: int, target: int) -> Wires:
        """Return what links two places."""
        same = topology.devices[source] == topology.devices[target]
        return self.inside if same else self.wires

    @property
    def longest_latency_ns(self) -> float:
        """Latency of links with which a frame is acknowledged before it would be sent again."""
        return longest_latency_ns(self.wires, self.clocks.comm_mhz)
