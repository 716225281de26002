"""What is compared: what limits a mesh, other topologies, all designs on all devices.

Not every combination of the values below becomes a design. Left out are, with the reason:

- machines of more than 1,000 nodes: barrier messages come in one by one at the master node, and
  the model takes longest for them; and nodes larger than the network;
- pipelines of fewer than 16 neurons: the 25 cycles until the first of them is done remain, however
  many pipelines there are;
- more lanes than pipelines: a lane has banks of its own;
- nodes of fewer than 256 neurons on devices with UltraRAM, which have room for a hundred nodes
  however few neurons these have; of more than 1,024 on others: rows then take longest to unroll;
- on devices with memory in the package: rows on the chip, as its rate limits nothing, and a single
  node for each device, which would be almost empty;
- what does not fit; and of few devices all topologies but one, as each has a link to the first.

Numbers of nodes between one and as many as fit are tried near the front only (`sparser`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from csnn.explore.chips import CHIPS
from csnn.explore.design import ROWS, Design
from csnn.explore.evaluate import Point
from csnn.explore.network import Network
from csnn.explore.room import fill, measure_room

# Designs whose short run is this far above the front are not run at full length.
WORTH = 1.15
PIPELINES = (1, 2, 4, 8, 16, 32)
LANES = (1, 2, 4)
# How devices are linked: a mesh, or a tree of so many.
LINKED = (("mesh", 6), ("tree", 4), ("tree", 15))
# By which the number of nodes that a device has room for is divided, near the front.
PARTS = (2, 4)
# Variations of each point of a front: factors of its clocks, latency and rate of its links.
CLOCKS, LATENCIES_NS, RATES = (0.6, 0.8, 1.2), (100.0, 200.0, 400.0, 1600.0), (0.25,)
# Neurons of a node that are tried, without and with UltraRAM.
SMALL_NODES, LARGE_NODES = (64, 128, 256, 512, 1024), (256, 512, 1024, 1536, 2048)
# Of a pipeline at least.
LEAST_GROUP = 16
# Machines of more nodes are not tried.
MOST_NODES = 1000


def ideals(base: Design, nodes: int, neurons: int) -> dict[str, Design]:
    """Return a machine, and the same with one of its costs taken away or halved.

    Parameters
    ----------
    base : Design
        With nodes as generated.
    nodes, neurons : int
        Of the network as generated.
    """
    lanes, pipelines = min(4, base.pipelines), min(32, 4 * base.pipelines)
    found = {
        "as it is": base,
        "links without latency": replace(base, link_latency_ns=0.0),
        "links of half the latency": replace(base, link_latency_ns=base.link_latency_ns / 2),
        "links ten times as fast": replace(base, link_gbps=10 * base.link_gbps),
        "routers and links at twice the clock": replace(base, comm_mhz=2 * base.comm_mhz),
        "nodes at twice the clock": replace(base, app_mhz=2 * base.app_mhz),
        f"{pipelines} pipelines": replace(base, pipelines=pipelines),
        f"{lanes} lanes": replace(base, lanes=lanes),
        "balanced nodes, up to twice as large": replace(
            base, neurons=-(-neurons // nodes), partition="balanced"
        ),
    }
    return {name: design for name, design in found.items() if design is base or design != base}


def boards(base: Design) -> Iterator[Design]:
    """Yield the same nodes, linked otherwise."""
    for board in ("mesh", "cube", "express", "ring"):
        yield replace(base, board=board)
    for arity in (2, 3, 4, 6, 8, 10, 12, 15, 18):
        yield replace(base, board="tree", arity=arity)
    yield replace(base, board="direct")


def candidates(network: Network, chips: Sequence[str], most_devices: int) -> Iterator[Design]:
    """Yield designs worth a look that fit their devices.

    A node has a device for itself, or a device as many nodes as it has room for. Rows lie on the
    chip if it has no memory in its package and they fit.
    """
    for name in chips:
        chip = CHIPS[name]
        sizes = LARGE_NODES if chip.ultra else SMALL_NODES
        for neurons, pipelines, lanes in itertools.product(sizes, PIPELINES, LANES):
            if lanes > pipelines or neurons < LEAST_GROUP * pipelines:
                continue
            design = Design(
                chip=name,
                neurons=neurons,
                partition="equal",
                pipelines=pipelines,
                lanes=lanes,
                app_mhz=chip.app_mhz,
                comm_mhz=chip.comm_mhz,
                link_gbps=chip.link_gbps,
            )
            if neurons <= network.neurons <= neurons * MOST_NODES:
                for fitting in _fitting(network, design):
                    if measure_room(network, fitting).devices <= most_devices:
                        yield fitting


def _fitting(network: Network, design: Design) -> Iterator[Design]:
    in_package = design.device.ultra > 0
    seen = set()
    for rows, (board, arity) in itertools.product(("outside",) if in_package else ROWS, LINKED):
        one = replace(design, rows=rows, board=board, arity=arity)
        alone = None if in_package else one
        for found in (alone, fill(network, one)):
            if found is None:
                continue
            room = measure_room(network, found)
            same = _as_linked(found, room.devices)
            if room.fits and same not in seen:
                seen.add(same)
                yield found


def _as_linked(design: Design, devices: int) -> Design:
    """Return the design; with few devices all are next to the master node, however it is called."""
    few = devices <= (2 if design.board == "mesh" else design.arity + 1)
    return replace(design, board="direct", arity=1) if few else design


def sparser(network: Network, points: Sequence[Point], most_devices: int) -> Iterator[Design]:
    """Yield the designs with a half and a quarter of the nodes in each device, if they fit."""
    seen = {_as_linked(point.design, point.room.devices) for point in points}
    for point, part, (board, arity) in itertools.product(points, PARTS, LINKED):
        nodes = math.ceil(point.design.nodes_per_chip / part)
        if nodes < point.design.nodes_per_chip:
            one = replace(point.design, nodes_per_chip=nodes, board=board, arity=arity)
            room = measure_room(network, one)
            same = _as_linked(one, room.devices)
            if room.fits and room.devices <= most_devices and same not in seen:
                seen.add(same)
                yield one


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both devices and real-time factor, fewest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.room.devices, p.real_time_factor)):
        if not kept or point.real_time_factor < kept[-1].real_time_factor:
            kept.append(point)
    return kept


def near_front(points: Sequence[Point], factor: float = WORTH) -> list[Point]:
    """Return the points at most so many times slower than the front of their kind of device."""
    chips = dict.fromkeys(point.design.chip for point in points)
    return [
        point
        for chip in chips
        for point in _near([p for p in points if p.design.chip == chip], factor)
    ]


def _near(points: Sequence[Point], factor: float) -> list[Point]:
    best = front(points)

    def reach(point: Point) -> float:
        return min(p.real_time_factor for p in best if p.room.devices <= point.room.devices)

    return [point for point in points if point.real_time_factor <= factor * reach(point)]


def variations(base: Design, devices: int) -> dict[str, Design]:
    """Return a design with other clocks and, if it has several devices, other links."""
    found = {
        f"clocks x {factor:g}": replace(
            base, app_mhz=factor * base.app_mhz, comm_mhz=factor * base.comm_mhz
        )
        for factor in CLOCKS
    }
    if devices > 1:
        for ns in LATENCIES_NS:
            found[f"{ns:g} ns"] = replace(base, link_latency_ns=ns)
        for factor in RATES:
            found[f"rate x {factor:g}"] = replace(base, link_gbps=factor * base.link_gbps)
    return found


def balanced(design: Design) -> Design:
    """Return the design with nodes of the same load instead of the same size."""
    return replace(design, partition="balanced")
