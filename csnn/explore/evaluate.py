"""From a design to a point: whether it fits, how fast it is, what limits it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.explore.chips import Chip
from csnn.explore.design import EXPRESS, INNER_ARITY, INNER_REGISTERS, Design, ProjectedNode
from csnn.explore.partition import (
    balanced_bounds,
    cut,
    equal_bounds,
    first_steps,
    node_bounds,
    rows_in_use,
    share_among_lanes,
    spiking_only,
)
from csnn.explore.resources import Use, board_use, most_nodes, node_use, row_bytes
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import LinkConfig, Mesh, RouterConfig
from csnn.image.store import Image
from csnn.neurons.operators import Operators
from csnn.perf.model import simulate
from csnn.perf.parameters import Clocks, Machine, Wires, on_chip_wires
from csnn.perf.statistics import Summary, summarise
from csnn.perf.topology import Topology, make_topology, populate, smallest_mesh
from csnn.perf.workload import Workload

I64 = npt.NDArray[np.int64]
FRAME_BITS = 160
# Sources whose rows are looked at to tell how many rows a node needs.
_SAMPLE = 1000
# Nodes of a balanced partition hold so many times the mean at most.
_BALANCED_MOST = 2
_SEED = 1
# Of a memory's peak rate, what rows read at random places get.
OUTSIDE_RATE = 0.5
# Cycles before a link sends again: longer than any latency that is looked at.
_TIMEOUT = 1 << 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network and its spikes, as designs need them.

    Attributes
    ----------
    work : Workload
        On the nodes of the image, with the rows of the sources that spike.
    sample : ndarray of int64, shape (sources, nodes)
        Lengths of rows of any sources.
    config : NodeConfig
        Of the image's nodes.
    sources : int
    dt_ms : float
    """

    work: Workload
    sample: I64
    config: NodeConfig
    sources: int
    dt_ms: float
    _shares: dict[tuple[bytes, int], float] = field(default_factory=dict, repr=False)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(self.work.sizes.sum())

    def row_share(self, bounds: I64, lanes: int) -> float:
        """Return in what share of the sources a node has a row, for the node that has most."""
        key = (bounds.tobytes(), lanes)
        if key not in self._shares:
            shares = rows_in_use(self.sample, self.work.sizes, bounds, lanes, _SEED)
            self._shares[key] = float(shares.max())
        return self._shares[key]

    def steps(self, count: int) -> Network:
        """Return the same with fewer steps."""
        return replace(self, work=spiking_only(first_steps(self.work, count)))


def make_network(image: Image, workload: Workload) -> Network:
    """Return what designs for an image and a run are evaluated with."""
    sources = workload.rows.shape[1]
    chosen = np.random.default_rng(_SEED).permutation(sources)[:_SAMPLE]
    return Network(
        work=spiking_only(workload),
        sample=workload.lengths[:, np.sort(chosen)].sum(axis=0, dtype=np.int64),
        config=NodeConfig.for_nodes(image.nodes),
        sources=sources,
        dt_ms=image.dt_ms,
    )


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


def node_count(network: Network, design: Design) -> int:
    """Return the nodes of a design."""
    if not design.neurons:
        return network.work.nodes
    return math.ceil(network.neurons / design.neurons)


def bounds_of(network: Network, design: Design) -> I64:
    """Return which neurons each node has."""
    nodes = node_count(network, design)
    if design.partition == "as generated":
        return node_bounds(network.work)
    if design.partition == "equal":
        return equal_bounds(network.neurons, nodes)
    most = math.ceil(_BALANCED_MOST * network.neurons / nodes)
    return balanced_bounds(
        network.work, nodes, most, pipelines=design.pipelines, lanes=design.lanes
    )


def _config(network: Network, design: Design, bounds: I64, *, counted: bool) -> NodeConfig:
    """Return the hardware of a node; `counted`: with as many rows as it needs."""
    base = network.config
    rows, presence = base.rows, base.presence_words
    if counted and design.partition != "as generated":
        share = network.row_share(bounds, design.lanes)
        rows = max(1, math.ceil(share * network.sources))
        # A dense table has a row for every source; else presence bits and ranks tell which.
        presence = 2 * math.ceil(network.sources / 32) if rows < 0.9 * network.sources else 0
        rows = rows if presence else network.sources
    widest = 2 * network.sample.max() * max(1, (np.diff(bounds).max() / network.work.sizes.max()))
    family = design.device.device.family
    return ProjectedNode(
        model=base.model,
        operators=design.device.device.operators if family == "ecp5" else Operators(),
        pipelines=design.pipelines,
        neurons=int(np.diff(bounds).max()),
        delay_slots=base.delay_slots,
        samplers=base.samplers,
        blocks=base.blocks,
        selectors=base.selectors,
        ext_tables=base.ext_tables,
        epochs=base.epochs,
        rows=rows,
        length_bits=8 if widest < 256 else 16,
        presence_words=presence,
        synapses=base.synapses,
        event_fifo=base.event_fifo,
    )


def board_topology(design: Design, devices: int) -> Topology:
    """Return how devices are linked; one place is that of the master node."""
    others = max(1, devices - 1)
    if design.board in ("mesh", "express"):
        express = EXPRESS if design.board == "express" else (0, 0, 0)
        mesh = Mesh(
            shape=smallest_mesh(others), n_nodes=others, router=RouterConfig(express=express)
        )
        return make_topology("mesh", others, mesh=mesh)
    return make_topology(design.board, others, arity=design.arity)


def measure_room(network: Network, design: Design) -> Room:
    """Return what a design takes of its devices."""
    bounds = bounds_of(network, design)
    nodes, chip = len(bounds) - 1, design.device
    config = _config(network, design, bounds, counted=True)
    board, node = _uses(design, config, chip)
    alone = design.nodes_per_chip == 1
    devices = nodes + 1 if alone else math.ceil(nodes / design.nodes_per_chip)
    degree = board_topology(design, devices).degree if devices > 1 else 0
    used = board + node * min(nodes, design.nodes_per_chip)
    shares = used.shares(chip) | {"links": degree / chip.links}
    return Room(nodes=nodes, devices=devices, largest=int(np.diff(bounds).max()), shares=shares)


def _uses(design: Design, config: NodeConfig, chip: Chip) -> tuple[Use, Use]:
    """Return what a device has once, and what comes with each node."""
    alone = design.nodes_per_chip == 1
    links = {"mesh": 6, "express": 10, "tree": design.arity + 1, "ring": 2}.get(
        design.board, chip.links
    )
    board = board_use(chip, links, master=not alone)
    # Each node of a tree has a link to its parent, which has the other end.
    node = node_use(
        config, chip, lanes=design.lanes, rows_outside=design.rows == "outside",
        ports=0 if alone else 2,
    )  # fmt: skip
    return board, node


def fill(network: Network, design: Design) -> Design:
    """Return the design with as many nodes in a device as there is room for; 0 is not possible."""
    design = replace(design, nodes_per_chip=2)
    config = _config(network, design, bounds_of(network, design), counted=True)
    board, node = _uses(design, config, design.device)
    most = most_nodes(design.device, node, board)
    return replace(design, nodes_per_chip=max(1, min(most, node_count(network, design))))


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
        work = cut(work, bounds, _SEED)
    if not spikes:
        nothing = np.zeros_like(work.first)
        none = np.zeros(0, np.int64)
        work = replace(work, source=none, local=none, first=nothing)
    work = share_among_lanes(work, design.lanes, _SEED)
    machine, topology = _machine(network, design, bounds, room.nodes), _topology(design, room)
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


def _topology(design: Design, room: Room) -> Topology:
    if design.nodes_per_chip == 1:
        return board_topology(design, room.devices)
    if room.devices == 1:
        board = Topology(kind="chip", master=0, nodes=(), up=(-1,), inputs=((),), down=((),))
    else:
        board = board_topology(design, room.devices)
    return populate(board, design.nodes_per_chip, room.nodes, INNER_ARITY)


def _machine(network: Network, design: Design, bounds: I64, nodes: int) -> Machine:
    alone, app = design.nodes_per_chip == 1, design.app_mhz
    comm = design.comm_mhz if alone else app
    cycles = math.ceil(FRAME_BITS / design.link_gbps * comm / 1e3 - 1e-9)
    link = LinkConfig(frame_cycles=max(1, cycles), timeout=_TIMEOUT, silence_limit=1 << 20)
    outside = design.device.outside_ns if design.rows == "outside" else 0.0
    inside = replace(on_chip_wires(link), latency_ns=INNER_REGISTERS * 1e3 / app)
    machine = Machine(
        node=_config(network, design, bounds, counted=False),
        master=MasterConfig(nodes=1 << max(1, (nodes - 1).bit_length())),
        wires=Wires(latency_ns=design.link_latency_ns, config=link),
        inside=inside,
        clocks=Clocks(app_mhz=app, comm_mhz=comm),
        fetch_cycles=math.ceil(outside * app / 1e3),
    )
    return machine if alone else replace(machine, crossing_sink=1)
