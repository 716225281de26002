"""How fast a design is, what limits it, and whether it fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from csnn.explore.design import Design
from csnn.explore.mapping import bounds_of, machine_topology, make_machine, node_config
from csnn.explore.network import SEED, Network
from csnn.explore.partition import cut, share_among_lanes
from csnn.explore.resources import row_bytes
from csnn.explore.room import Room, measure_room
from csnn.perf.model import simulate
from csnn.perf.statistics import Summary, summarise

# Of a memory's peak rate, what rows read at random places get.
OUTSIDE_RATE = 0.5
_SHORT = {
    "synchronisation through the network": "synchronisation",
    "unrolling of rows": "unrolling",
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """A design that was evaluated.

    Attributes
    ----------
    design : Design
    room : Room
    summary : Summary
    outside_share : float
        Of the rate of the memory outside that may be used.
    """

    design: Design
    room: Room
    summary: Summary
    outside_share: float

    @property
    def real_time_factor(self) -> float:
        """Wall time per model time; the memory outside may hold everything up."""
        return self.summary.real_time_factor * max(1.0, self.outside_share)

    @property
    def speed_limit(self) -> str:
        """What takes most of a step."""
        if self.outside_share > 1:
            return f"rate of {self.design.device.outside}"
        return self.summary.limit

    @property
    def short_limit(self) -> str:
        """What takes most of a step, in few letters."""
        return _SHORT.get(self.speed_limit, self.speed_limit)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            **asdict(self.design),
            "nodes": self.room.nodes,
            "devices": self.room.devices,
            "largest_node": self.room.largest,
            "shares": self.room.shares,
            "room_limit": self.room.limit,
            "outside_share": self.outside_share,
            "cycles": self.summary.mean,
            "longest": self.summary.most,
            "step_us": self.summary.mean_us,
            "real_time_factor": self.real_time_factor,
            "speed_limit": self.speed_limit,
            "parts": self.summary.parts,
        }


def evaluate(network: Network, design: Design, *, spikes: bool = True) -> Point:
    """Return how fast a design is, by the event model, whether or not it fits.

    Parameters
    ----------
    network : Network
    design : Design
    spikes : bool
        False: with nothing to send or unroll.
    """
    room = measure_room(network, design)
    bounds = bounds_of(network, design)
    work = network.work
    if design.partition != "as generated":
        work = cut(work, bounds, SEED)
    if not spikes:
        nothing = np.zeros_like(work.first)
        none = np.zeros(0, np.int64)
        work = replace(work, source=none, local=none, first=nothing)
    work = share_among_lanes(work, design.lanes, SEED)
    config = node_config(network, design, bounds)
    machine = make_machine(design, config, room.nodes)
    topology = machine_topology(design, room.nodes)
    timing = simulate(machine, topology, work)
    summary = summarise(timing, work, hops=topology.diameter, dt_ms=network.dt_ms)
    bytes_per_step = 0.0
    if design.rows == "outside":
        bytes_per_step = summary.spikes_per_step * row_bytes(machine.node) * design.lanes
        bytes_per_step *= min(room.nodes, design.nodes_per_chip)
    rate = bytes_per_step / (summary.mean_us * 1e-6)
    return Point(
        design=design,
        room=room,
        summary=summary,
        outside_share=rate / (OUTSIDE_RATE * design.device.outside_bytes_per_s),
    )
