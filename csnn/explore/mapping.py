"""From a design to what the performance model runs: nodes, topology, machine."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from csnn.explore.design import EXPRESS, INNER_ARITY, INNER_REGISTERS, Design, ProjectedNode
from csnn.explore.network import Network
from csnn.explore.partition import balanced_bounds, equal_bounds, node_bounds
from csnn.hardware import mesh_latency
from csnn.hardware.config import NodeConfig
from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import LinkConfig, Mesh, RouterConfig
from csnn.neurons.operators import Operators
from csnn.perf.parameters import Clocks, Machine, Wires, on_chip_wires
from csnn.perf.topology import Topology, make_topology, populate, smallest_mesh

I64 = npt.NDArray[np.int64]
# Nodes of a balanced partition hold so many times the mean at most.
_BALANCED_MOST = 2
# Share of the sources above which a row for each of them takes less than a directory.
_DENSE = 0.9
# Cycles before a link sends again: longer than any latency that is looked at.
_TIMEOUT, _SILENCE = 1 << 14, 1 << 20


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


def count_devices(design: Design, nodes: int) -> int:
    """Return the devices of a machine of so many nodes."""
    return math.ceil(nodes / design.nodes_per_chip) if design.shared else nodes + 1


def node_config(network: Network, design: Design, bounds: I64) -> NodeConfig:
    """Return the hardware of the nodes, with as many rows as the fullest of them needs."""
    base = network.config
    rows, presence = base.rows, base.presence_words
    if design.partition != "as generated":
        share = network.row_share(bounds, design.lanes)
        rows = max(1, math.ceil(share * network.sources))
        # A dense table has a row for every source; else presence bits and ranks tell which.
        presence = 2 * math.ceil(network.sources / 32) if rows < _DENSE * network.sources else 0
        rows = rows if presence else network.sources
    largest = int(np.diff(bounds).max())
    widest = 2 * network.sample.max() * max(1, largest / network.work.sizes.max())
    family = design.device.device.family
    return ProjectedNode(
        model=base.model,
        operators=design.device.device.operators if family == "ecp5" else Operators(),
        pipelines=design.pipelines,
        neurons=largest,
        delay_slots=base.delay_slots,
        samplers=base.samplers,
        blocks=base.blocks,
        selectors=base.selectors,
        ext_tables=base.ext_tables,
        epochs=base.epochs,
        rows=rows,
        length_bits=8 if widest < 256 else 16,
        presence_words=presence,
        synapses=math.ceil(base.synapses * largest / network.work.sizes.max()),
        event_fifo=base.event_fifo,
    )


def board_topology(design: Design, devices: int) -> Topology:
    """Return how devices are linked; one place is that of the master node."""
    if devices == 1:
        return Topology(kind="chip", master=0, nodes=(), up=(-1,), inputs=((),), down=((),))
    others = devices - 1
    if design.board in ("mesh", "cube", "express"):
        express = EXPRESS if design.board == "express" else (0, 0, 0)
        shape = cube(devices) if design.board == "cube" else smallest_mesh(others)
        mesh = Mesh(shape=shape, n_nodes=others, router=RouterConfig(express=express))
        return make_topology("mesh", others, mesh=mesh)
    return make_topology(design.board, others, arity=design.arity)


def cube(places: int) -> tuple[int, int, int]:
    """Return the mesh nearest to a cube that has so many places."""
    x = math.ceil(places ** (1 / 3) - 1e-9)
    y = math.ceil(math.sqrt(places / x) - 1e-9)
    return x, y, math.ceil(places / (x * y))


def machine_topology(design: Design, nodes: int) -> Topology:
    """Return all places of a machine, with those inside devices."""
    board = board_topology(design, count_devices(design, nodes))
    if not design.shared:
        return board
    return populate(board, design.nodes_per_chip, nodes, INNER_ARITY)


def make_machine(design: Design, config: NodeConfig, nodes: int) -> Machine:
    """Return the machine for the performance model."""
    app, comm = design.app_mhz, design.comm_mhz
    cycles = math.ceil(FRAME_BITS / design.link_gbps * comm / 1e3 - 1e-9)
    link = LinkConfig(frame_cycles=max(1, cycles), timeout=_TIMEOUT, silence_limit=_SILENCE)
    outside = design.device.outside_ns if design.rows == "outside" else 0.0
    return Machine(
        node=config,
        master=MasterConfig(nodes=1 << max(1, (nodes - 1).bit_length())),
        wires=Wires(latency_ns=design.link_latency_ns, config=link),
        inside=replace(on_chip_wires(link), latency_ns=INNER_REGISTERS * 1e3 / comm),
        clocks=Clocks(app_mhz=app, comm_mhz=comm),
        # With one clock nothing has to cross.
        crossing_sink=1 if design.shared and app == comm else mesh_latency.CROSSING_SINK,
        fetch_cycles=math.ceil(outside * app / 1e3),
    )
