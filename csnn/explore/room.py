"""What a design takes of its devices, and how many nodes a device has room for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from csnn.explore.design import Design
from csnn.explore.mapping import board_topology, bounds_of, count_devices, node_config, node_count
from csnn.explore.network import Network
from csnn.explore.resources import Use, board_use, most_nodes, node_use
from csnn.hardware.config import NodeConfig

# A node inside a device has a link to its parent, whose other end is counted with it.
_INNER_ENDS = 2


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a design takes.

    Attributes
    ----------
    nodes, devices : int
    largest : int
        Neurons of the largest node.
    shares : dict of str to float
        Of what a device may use of each resource, and of the links it has; above 1: does not fit.
    """

    nodes: int
    devices: int
    largest: int
    shares: dict[str, float]

    @property
    def fits(self) -> bool:
        """Whether it fits."""
        return max(self.shares.values()) <= 1

    @property
    def limit(self) -> str:
        """What is used up first."""
        return max(self.shares, key=lambda name: self.shares[name])


def measure_room(network: Network, design: Design) -> Room:
    """Return what a design takes of its devices."""
    bounds = bounds_of(network, design)
    nodes, chip = len(bounds) - 1, design.device
    devices = count_devices(design, nodes)
    links = board_topology(design, devices).degree
    config = node_config(network, design, bounds)
    used = _board(design, links) + _node(design, config) * min(nodes, design.nodes_per_chip)
    shares = used.shares(chip) | {"links": links / chip.links}
    return Room(nodes=nodes, devices=devices, largest=int(np.diff(bounds).max()), shares=shares)


def fill(network: Network, design: Design) -> Design | None:
    """Return the design with as many nodes in a device as there is room for; None: not one.

    Fewer devices need fewer links, which leaves room for more nodes.
    """
    nodes = node_count(network, design)
    config = node_config(network, design, bounds_of(network, design))
    design = replace(design, shared=True)
    node, best, links = _node(design, config), None, design.device.links
    for _ in range(4):
        most = min(most_nodes(design.device, node, _board(design, links)), nodes)
        if most < 1:
            break
        filled = replace(design, nodes_per_chip=most)
        needed = board_topology(filled, count_devices(filled, nodes)).degree
        if needed > links or (best is not None and best.nodes_per_chip == most):
            break
        best, links = filled, needed
    return best


def _board(design: Design, links: int) -> Use:
    return board_use(
        design.device, links, master=design.shared, rows_outside=design.rows == "outside"
    )


def _node(design: Design, config: NodeConfig) -> Use:
    return node_use(
        config, design.device, lanes=design.lanes, rows_outside=design.rows == "outside",
        ports=_INNER_ENDS if design.shared else 0, crossing=design.app_mhz != design.comm_mhz,
    )  # fmt: skip
