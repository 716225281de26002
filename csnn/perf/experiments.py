"""Experiments of the paper, repeated on the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.hardware.mesh import Mesh, RouterConfig
from csnn.perf.model import simulate
from csnn.perf.parameters import Machine, Wires
from csnn.perf.topology import Topology, mesh_topology
from csnn.perf.workload import silent_workload

I64 = npt.NDArray[np.int64]
# Round trips of an echo that are measured, after the first.
ECHOES = 40


@dataclass(frozen=True, kw_only=True)
class Echo:
    """Round trip of a barrier-echo experiment, in us, with the number of nodes and of hops."""

    nodes: int
    hops: int
    mean_us: float
    most_us: float


def measure_echo(machine: Machine, topology: Topology) -> Echo:
    """Let all nodes answer every sync message at once, and time sync to sync.

    Reference: Heittmann et al. (2022), Figure 6C.
    """
    sizes = np.ones(len(topology.nodes), np.int64)
    timing = simulate(machine, topology, silent_workload(sizes, ECHOES + 2), echo=True)
    trips = timing.cycles()[1:] / timing.app_mhz
    return Echo(
        nodes=len(sizes),
        hops=topology.diameter,
        mean_us=float(trips.mean()),
        most_us=float(trips.max()),
    )


def sweep_echo(machine: Machine, mesh: Mesh, sizes: Sequence[int]) -> list[Echo]:
    """Repeat the echo with so many nodes around the master node."""
    return [measure_echo(machine, mesh_topology(replace(mesh, n_nodes=n))) for n in sizes]


def measure_hop(machine: Machine) -> float:
    """Return what one more hop adds to a packet's way, in ns: half of what it adds to an echo."""
    line = [
        measure_echo(machine, mesh_topology(Mesh(shape=(2 * n + 1, 1, 1), n_nodes=2 * n)))
        for n in (1, 5)
    ]
    return 1e3 * (line[1].mean_us - line[0].mean_us) / 2 / (line[1].hops - line[0].hops)


def with_latency(machine: Machine, latency_ns: float) -> Machine:
    """Return the machine with another latency of its links."""
    wires: Wires = replace(machine.wires, latency_ns=latency_ns)
    return replace(machine, wires=wires)


def fit_latency(
    machine: Machine, topology: Topology, round_trip_us: float, *, tolerance_us: float = 0.005
) -> float:
    """Return the latency of links in ns with which the longest echo takes a given time.

    Parameters
    ----------
    machine : Machine
    topology : Topology
    round_trip_us : float
    tolerance_us : float

    Returns
    -------
    float
        Latency in ns; the round trip is linear in it but for the edges of clocks. Where it jumps
        over what is asked for, the latency at the jump.

    Raises
    ------
    InvalidInputError
        If the round trip is shorter or longer with all latencies that links may have.
    """

    def longest_us(latency_ns: float) -> float:
        return measure_echo(with_latency(machine, latency_ns), topology).most_us

    low, high = 0.0, machine.longest_latency_ns - machine.wires.jitter_ns
    least, most = longest_us(low), longest_us(high)
    if not least - tolerance_us <= round_trip_us <= most + tolerance_us:
        rule = (
            f"cannot be reached: the longest echo of {len(topology.nodes)} nodes, "
            f"{topology.diameter} hops away at most, takes {least:.2f} to {most:.2f} us with links "
            f"of 0 to {high:.0f} ns"
        )
        raise reject("round_trip_us", round_trip_us, rule)
    for _ in range(40):
        middle = (low + high) / 2
        found = longest_us(middle)
        if abs(found - round_trip_us) <= tolerance_us:
            return middle
        low, high = (middle, high) if found < round_trip_us else (low, middle)
    return (low + high) / 2


def inc_3000(n_nodes: int = 305, express: tuple[int, int, int] = (0, 0, 0)) -> Mesh:
    """Return the mesh of the paper."""
    return Mesh(shape=(12, 12, 3), n_nodes=n_nodes, router=RouterConfig(express=express))
