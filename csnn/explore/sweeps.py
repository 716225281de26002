"""What is compared: what limits a mesh, other topologies, all designs on all devices."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from csnn.explore.chips import CHIPS
from csnn.explore.design import ROWS, Design
from csnn.explore.evaluate import Network, Point, fill, measure_room

# Designs whose short run is this far above the front are not run at full length.
_WORTH = 1.15
PIPELINES = (1, 2, 4, 8, 16, 32)
LANES = (1, 2, 4)
# Neurons of a node and of a pipeline that are tried, without and with UltraRAM.
SMALL_NODES, LARGE_NODES = (64, 128, 256, 512), (256, 512, 1024, 1536, 2048)
_GROUPS = (16, 1024)


def ideals(base: Design) -> dict[str, Design]:
    """Return a machine, and the same with one of its costs taken away or halved."""
    return {
        "as it is": base,
        "links without latency": replace(base, link_latency_ns=0.0),
        "links of half the latency": replace(base, link_latency_ns=base.link_latency_ns / 2),
        "links ten times as fast": replace(base, link_gbps=10 * base.link_gbps),
        "routers and links at twice the clock": replace(base, comm_mhz=2 * base.comm_mhz),
        "nodes at twice the clock": replace(base, app_mhz=2 * base.app_mhz),
        "four times the pipelines": replace(base, pipelines=min(32, 4 * base.pipelines)),
        "four lanes": replace(base, lanes=4),
        "nodes of the same load": replace(base, neurons=256, partition="balanced"),
    }


def boards(base: Design) -> Iterator[Design]:
    """Yield the same nodes, linked otherwise."""
    for board in ("mesh", "express", "ring"):
        yield replace(base, board=board)
    for arity in (2, 3, 4, 6, 8, 10, 12, 15, 18):
        yield replace(base, board="tree", arity=arity)
    yield replace(base, board="direct")


def candidates(network: Network, chips: Sequence[str]) -> Iterator[Design]:
    """Yield designs worth a look that fit their devices.

    A node has a device for itself, or a device as many nodes as it has room for. Rows lie on the
    chip if it has no memory in its package and they fit.
    """
    for name in chips:
        chip = CHIPS[name]
        sizes = LARGE_NODES if chip.ultra else SMALL_NODES
        for neurons, pipelines, lanes in itertools.product(sizes, PIPELINES, LANES):
            if lanes > pipelines or not _GROUPS[0] <= neurons / pipelines <= _GROUPS[1]:
                continue
            design = Design(
                chip=name,
                neurons=neurons,
                partition="equal",
                pipelines=pipelines,
                lanes=lanes,
                app_mhz=chip.app_mhz,
                link_gbps=chip.link_gbps,
                arity=min(15, chip.links - 1),
            )
            if neurons <= network.neurons:
                yield from _fitting(network, design)


def _fitting(network: Network, design: Design) -> Iterator[Design]:
    in_package = design.device.ultra > 0
    for rows in ("outside",) if in_package else ROWS:
        one = replace(design, rows=rows)
        full = fill(network, one)
        if measure_room(network, full).devices == 1:
            yield full
            return
        for board in ("mesh", "tree"):
            if not in_package and measure_room(network, replace(one, board=board)).fits:
                yield replace(one, board=board)
            if full.nodes_per_chip > 1:
                several = replace(full, board=board, comm_mhz=full.app_mhz)
                if measure_room(network, several).fits:
                    yield several


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both devices and real-time factor, fewest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.room.devices, p.real_time_factor)):
        if not kept or point.real_time_factor < kept[-1].real_time_factor:
            kept.append(point)
    return kept


def near_front(points: Sequence[Point], factor: float = _WORTH) -> list[Point]:
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


def variations(base: Design) -> dict[str, Design]:
    """Return a design with other clocks, links and memory, which are what it assumes."""
    return {
        "as assumed": base,
        **{
            f"{factor:g} times the clock": replace(base, app_mhz=factor * base.app_mhz)
            for factor in (0.6, 0.8, 1.2)
        },
        **{
            f"links of {ns:g} ns": replace(base, link_latency_ns=ns)
            for ns in (100.0, 200.0, 400.0, 1600.0)
        },
        **{
            f"links of {factor:g} times the rate": replace(base, link_gbps=factor * base.link_gbps)
            for factor in (0.25, 4.0)
        },
    }


def balanced(design: Design) -> Design:
    """Return the design with nodes of the same load instead of the same size."""
    return replace(design, partition="balanced")
