"""A mesh of routers with buffers for links, for tests: nodes and host are outside."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.mesh import Mesh
from csnn.packets import PACKET_BITS, TARGET_BITS, Kind
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.mesh.broadcast_router import BroadcastRouter
from rtl.mesh.unicast_router import UnicastRouter

LINK_PACKETS = 2
HOST = (0, 0, 0)


class RouterMesh(wiring.Component):
    """All routers of a mesh; whatever reaches the master node, it broadcasts at once.

    Ports
    -----
    send_<k> : stream of 96 bits, in
        Unicast packets of the place with number k in `Mesh.sites`.
    take_<k>, spike_<k> : streams of 96 bits, out
        Unicast and broadcast packets for its node; the master has no `take` and no `spike`.
    host_in, host_out : streams of 96 bits, in and out
    misrouted : 1 bit, out
        Some router dropped a packet.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        packets = stream.Signature(PACKET_BITS)
        self.nodes = [k for k, site in enumerate(mesh.sites) if site != mesh.master]
        super().__init__(
            {
                **{f"send_{k}": In(packets) for k in self.nodes},
                **{f"take_{k}": Out(packets) for k in self.nodes},
                **{f"spike_{k}": Out(packets) for k in self.nodes},
                "host_in": In(packets),
                "host_out": Out(packets),
                "misrouted": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect routers by buffers, and the two of the master place to each other."""
        m = Module()
        mesh = self.mesh
        unicast, broadcast = {}, {}
        for k, site in enumerate(mesh.sites):
            for routers, make, name in (
                (unicast, UnicastRouter, "unicast"),
                (broadcast, BroadcastRouter, "broadcast"),
            ):
                router = routers[site] = m.submodules[f"{name}_{k}"] = make(mesh.router)
                for axis, place in zip("xyz", site, strict=True):
                    m.d.comb += getattr(router, f"here_{axis}").eq(place)
                m.d.comb += router.exists.eq(Cat(Const(bit, 1) for bit in mesh.links(site)))
            m.d.comb += [
                unicast[site].has_host.eq(site == HOST),
                broadcast[site].deliver.eq(site != mesh.master),
            ]
        for k, site in enumerate(mesh.sites):
            for name, routers in (("unicast", unicast), ("broadcast", broadcast)):
                for direction, exists in zip(mesh.router.directions, mesh.links(site), strict=True):
                    if exists:
                        there = routers[direction.from_site(site)]
                        link = PacketFifo(PacketFifoConfig(depth=LINK_PACKETS))
                        m.submodules[f"{name}_{k}_{direction.name}"] = link
                        leaves = getattr(routers[site], f"{direction.name}_out")
                        enters = getattr(there, f"{direction.opposite.name}_in")
                        wiring.connect(m, leaves, link.input)
                        wiring.connect(m, link.output, enters)
        for k in self.nodes:
            site = mesh.sites[k]
            wiring.connect(m, wiring.flipped(getattr(self, f"send_{k}")), unicast[site].local_in)
            wiring.connect(m, unicast[site].local_out, wiring.flipped(getattr(self, f"take_{k}")))
            spikes = wiring.flipped(getattr(self, f"spike_{k}"))
            wiring.connect(m, broadcast[site].local_out, spikes)
        came, goes = unicast[mesh.master].local_out, broadcast[mesh.master].local_in
        x, y, z = mesh.master
        sender = Const(Kind.SPIKE << 24 | z << 16 | y << 8 | x, TARGET_BITS)
        m.d.comb += [
            goes.valid.eq(came.valid),
            goes.payload.eq(Cat(sender, came.payload[TARGET_BITS:])),
            came.ready.eq(goes.ready),
        ]
        wiring.connect(m, wiring.flipped(self.host_in), unicast[HOST].host_in)
        wiring.connect(m, unicast[HOST].host_out, wiring.flipped(self.host_out))
        routers = [*unicast.values(), *broadcast.values()]
        m.d.comb += self.misrouted.eq(Cat(router.misrouted for router in routers).any())
        return m
