"""A machine as it might be built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from csnn.errors import reject
from csnn.explore.chips import CHIPS, Chip
from csnn.hardware.config import NodeConfig
from csnn.spec import checks

PARTITIONS = ("as generated", "equal", "balanced")
BOARDS = ("mesh", "cube", "express", "tree", "direct", "ring")
ROWS = ("on chip", "outside")
# Places that express links pass, if a mesh has them.
EXPRESS = (3, 3, 0)
# Of the trees inside a device, and the pipeline registers of their links.
INNER_ARITY, INNER_REGISTERS = 4, 2


class ProjectedNode(NodeConfig):
    """A node that may hold more neurons than the packets of the RTL can name."""

    max_neurons: ClassVar[int] = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Design:
    """A machine.

    Attributes
    ----------
    chip : str
        Name of the device.
    neurons : int
        Of a node at most; 0: nodes as the image has them.
    partition : str
        `as generated`; `equal`: nodes of one size; `balanced`: nodes of the same load.
    pipelines, lanes : int
        ODE pipelines; lanes of the spike router, each with rows and banks of its own.
    shared : bool
        Devices hold several nodes, and the first one the master node as well; else every node has a
        device, and so has the master node.
    nodes_per_chip : int
    board : str
        How devices are linked; `mesh`: cards of 3 x 3 x 3 in a plane, `cube`: a mesh as cubic as
        can be, `express`: a mesh with express links, `direct`: each with each.
    arity : int
        Of a tree of devices.
    link_latency_ns, link_gbps : float
        Of links between devices.
    app_mhz, comm_mhz : float
        Clocks of nodes and of routers; where they are equal nothing has to cross between them.
    rows : str
        Where seeds and lengths lie: `on chip`, or `outside`, in DDR3 or HBM.
    """

    chip: str = "xc7z045"
    neurons: int = 0
    partition: str = "as generated"
    pipelines: int = 8
    lanes: int = 1
    shared: bool = False
    nodes_per_chip: int = 1
    board: str = "mesh"
    arity: int = 6
    link_latency_ns: float = 800.0
    link_gbps: float = 4.0
    app_mhz: float = 150.0
    comm_mhz: float = 100.0
    rows: str = "on chip"

    def __post_init__(self) -> None:
        checks.one_of("design", "chip", self.chip, tuple(CHIPS))
        checks.one_of("design", "partition", self.partition, PARTITIONS)
        checks.one_of("design", "board", self.board, BOARDS)
        checks.one_of("design", "rows", self.rows, ROWS)
        checks.integer("design", "neurons", self.neurons, 0, ProjectedNode.max_neurons)
        checks.integer("design", "nodes_per_chip", self.nodes_per_chip, 1, 1 << 16)
        checks.integer("design", "arity", self.arity, 1, 1 << 16)
        checks.integer("design", "lanes", self.lanes, 1, 64)
        checks.positive("design", "link_gbps", self.link_gbps)
        if (self.neurons == 0) != (self.partition == "as generated"):
            raise reject("design.partition", self.partition, "goes with neurons = 0, and no other")
        if self.nodes_per_chip > 1 and not self.shared:
            raise reject("design.nodes_per_chip", self.nodes_per_chip, "needs shared devices")
        if self.lanes > self.pipelines:
            rule = f"must be at most {self.pipelines}: a lane has banks of its own"
            raise reject("design.lanes", self.lanes, rule)

    @property
    def device(self) -> Chip:
        """What the device has."""
        return CHIPS[self.chip]
