"""A place of the mesh: its router and what stands there."""

from __future__ import annotations

from amaranth.hdl import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import AXES, RouterConfig
from csnn.packets import PACKET_BITS
from rtl.axi import recorder_ports, window_ports
from rtl.mesh.arbiter import StreamArbiter, StreamArbiterConfig
from rtl.mesh.crossing import Crossing
from rtl.mesh.master_node import MasterNode
from rtl.mesh.router import Router, link_ports, straps
from rtl.node import Node

COMMUNICATION = "comm"


class Tile(wiring.Component):
    """A router, in the clock domain `comm`, and a compute node, the master node or nothing.

    Ports
    -----
    <direction>_tx_frame, <direction>_tx_valid, <direction>_rx_frame, <direction>_rx_valid
        Links, as those of `Router`, in the domain `comm`.
    here_x, here_y, here_z, exists, has_host : in
        Straps of the router.
    s_axis_<signal>, m_axis_<signal> : AXI4-Stream, in and out
        The host, at its place; one packet of 96 bits per transfer, in the domain `comm`.
    m_axi_<signal>, s_axil_<signal>
        Of a compute node, as those of `Node`.

    Latency
        See its units.
    Throughput
        One packet per cycle of the slower clock.
    Backpressure
        As `Router`. A node takes broadcasts and requests from one FIFO: it empties whatever becomes
        of what the node has to send.
    Reference
        Heittmann et al. (2022), "The INC-3000 Communication System", Figure 5A.
    """

    def __init__(self, router: RouterConfig, unit: NodeConfig | MasterConfig | None) -> None:
        self.router, self.unit = router, unit
        ports = {
            **link_ports(router),
            **{name: port for name, port in straps(router).items() if name not in _FIXED},
            **_host_ports(),
        }
        if isinstance(unit, NodeConfig):
            ports |= {**recorder_ports(), **window_ports()}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Connect router and unit through FIFOs of two clocks."""
        m = Module()
        m.submodules.router = router = DomainRenamer(COMMUNICATION)(Router(self.router))
        for name in (*link_ports(self.router), *straps(self.router)):
            if name not in _FIXED:
                _pass(m, self, router, name)
        m.d.comb += [
            router.has_unit.eq(self.unit is not None),
            router.deliver.eq(isinstance(self.unit, NodeConfig)),
            router.host_in.payload.eq(self.s_axis_tdata),
            router.host_in.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(router.host_in.ready),
            self.m_axis_tdata.eq(router.host_out.payload),
            self.m_axis_tvalid.eq(router.host_out.valid),
            self.m_axis_tlast.eq(1),
            router.host_out.ready.eq(self.m_axis_tready),
        ]
        if isinstance(self.unit, NodeConfig):
            self._node(m, router, self.unit)
        elif isinstance(self.unit, MasterConfig):
            self._master(m, router, self.unit)
        return m

    def _node(self, m: Module, router: Router, config: NodeConfig) -> None:
        m.submodules.node = node = Node(config)
        m.submodules.arrivals = arrivals = DomainRenamer(COMMUNICATION)(
            StreamArbiter(StreamArbiterConfig())
        )
        m.submodules.inward = inward = Crossing(COMMUNICATION, "sync")
        m.submodules.outward = outward = Crossing("sync", COMMUNICATION)
        wiring.connect(m, router.broadcast_out, arrivals.inputs[0])
        wiring.connect(m, router.unicast_out, arrivals.inputs[1])
        wiring.connect(m, arrivals.output, inward.input)
        wiring.connect(m, inward.output, node.input)
        wiring.connect(m, node.output, outward.input)
        wiring.connect(m, outward.output, router.unicast_in)
        for name in (*recorder_ports(), *window_ports()):
            _pass(m, self, node, name)

    def _master(self, m: Module, router: Router, config: MasterConfig) -> None:
        m.submodules.master = master = MasterNode(config)
        m.submodules.inward = inward = Crossing(COMMUNICATION, "sync")
        m.submodules.outward = outward = Crossing("sync", COMMUNICATION)
        m.submodules.broadcast = broadcast = Crossing("sync", COMMUNICATION)
        wiring.connect(m, router.unicast_out, inward.input)
        wiring.connect(m, inward.output, master.input)
        wiring.connect(m, master.output, outward.input)
        wiring.connect(m, outward.output, router.unicast_in)
        wiring.connect(m, master.broadcast, broadcast.input)
        wiring.connect(m, broadcast.output, router.broadcast_in)
        m.d.comb += [
            getattr(master, f"here_{axis}").eq(getattr(self, f"here_{axis}")) for axis in AXES
        ]


# What a tile's unit decides.
_FIXED = ("has_unit", "deliver")


def _host_ports() -> dict[str, wiring.Member]:
    return {
        "s_axis_tdata": In(PACKET_BITS),
        "s_axis_tvalid": In(1),
        "s_axis_tready": Out(1),
        "m_axis_tdata": Out(PACKET_BITS),
        "m_axis_tvalid": Out(1),
        "m_axis_tlast": Out(1),
        "m_axis_tready": In(1),
    }


def _pass(m: Module, outer: wiring.Component, inner: wiring.Component, name: str) -> None:
    """Connect two ports of the same name and direction."""
    outside, inside = getattr(outer, name), getattr(inner, name)
    if outer.signature.members[name].flow is Out:
        m.d.comb += outside.eq(inside)
    else:
        m.d.comb += inside.eq(outside)
