"""Router of a place in the mesh: links, two virtual channels, what goes to the place itself."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.mesh import AXES, COORDINATE_BITS, RouterConfig
from csnn.hardware.router_registers import COUNTERS
from csnn.packets import PACKET_BITS
from rtl.mesh.arbiter import StreamArbiter, StreamArbiterConfig
from rtl.mesh.broadcast_router import BroadcastRouter
from rtl.mesh.link_end import LinkEnd
from rtl.mesh.router_registers import RouterRegisters
from rtl.mesh.unicast_router import UnicastRouter

_CHANNELS = ("unicast", "broadcast")


class Router(wiring.Component):
    """Everything in the domain of the communication.

    Ports
    -----
    <direction>_tx_frame, <direction>_tx_valid : 160 and 1 bit, out
        Frames for the serialiser.
    <direction>_rx_frame, <direction>_rx_valid : 160 and 1 bit, in
        Frames from it, damaged ones among them.
    unicast_in, broadcast_in : streams of packets, in
        From the unit of this place.
    unicast_out, broadcast_out : streams of packets, out
        For the unit of this place.
    host_in : stream of packets, in
    host_out : stream of packets, out
        Of the host, at its place.
    here_x, here_y, here_z : in
        Straps: coordinates.
    exists : one bit per direction, in
        Strap: there is such a link.
    has_unit, has_host, deliver : 1 bit, in
        Straps: something stands here; the host is here; broadcasts are wanted here.

    Latency
        See its units.
    Throughput
        A packet per cycle and port inside; of a link, that of `LinkConfig`.
    Backpressure
        Packets wait in front of what they need; the two channels never wait for each other.
    Reference
        Heittmann et al. (2022), "The INC-3000 Communication System".
    """

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        packets = stream.Signature(PACKET_BITS)
        super().__init__(
            {
                **link_ports(config),
                **{f"{channel}_in": In(packets) for channel in _CHANNELS},
                **{f"{channel}_out": Out(packets) for channel in _CHANNELS},
                "host_in": In(packets),
                "host_out": Out(packets),
                **straps(config),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect links and routers."""
        m = Module()
        config = self.config
        m.submodules.unicast = unicast = UnicastRouter(config)
        m.submodules.broadcast = broadcast = BroadcastRouter(config)
        m.submodules.registers = registers = RouterRegisters(config)
        m.submodules.local = local = StreamArbiter(StreamArbiterConfig())
        ends = []
        for link, direction in enumerate(config.directions):
            end = LinkEnd(config.link)
            m.submodules[f"link_{direction.name}"] = end
            ends.append(end)
            for channel, router in zip(_CHANNELS, (unicast, broadcast), strict=True):
                wiring.connect(
                    m, getattr(end, f"{channel}_out"), getattr(router, f"{direction.name}_in")
                )
                wiring.connect(
                    m, getattr(router, f"{direction.name}_out"), getattr(end, f"{channel}_in")
                )
            m.d.comb += [
                getattr(self, f"{direction.name}_tx_frame").eq(end.tx_frame),
                getattr(self, f"{direction.name}_tx_valid").eq(end.tx_valid),
                end.rx_frame.eq(getattr(self, f"{direction.name}_rx_frame")),
                end.rx_valid.eq(getattr(self, f"{direction.name}_rx_valid")),
                end.exists.eq(self.exists[link]),
            ]
        wiring.connect(m, wiring.flipped(self.unicast_in), local.inputs[0])
        wiring.connect(m, registers.answer, local.inputs[1])
        wiring.connect(m, local.output, unicast.local_in)
        wiring.connect(m, unicast.local_out, registers.input)
        wiring.connect(m, registers.output, wiring.flipped(self.unicast_out))
        wiring.connect(m, wiring.flipped(self.broadcast_in), broadcast.local_in)
        wiring.connect(m, broadcast.local_out, wiring.flipped(self.broadcast_out))
        wiring.connect(m, wiring.flipped(self.host_in), unicast.host_in)
        wiring.connect(m, unicast.host_out, wiring.flipped(self.host_out))
        m.d.comb += [
            unicast.has_host.eq(self.has_host),
            broadcast.deliver.eq(self.deliver),
            registers.has_unit.eq(self.has_unit),
            registers.error_unicast.eq(unicast.misrouted),
            registers.error_broadcast.eq(broadcast.misrouted),
            *(
                getattr(registers, name).eq(Cat(*(getattr(end, name) for end in ends)))
                for name in ("failed", "silent", "overflow", *(f"count_{n}" for n in COUNTERS))
            ),
            *(part.exists.eq(self.exists) for part in (unicast, broadcast, registers)),
            *(
                getattr(part, f"here_{axis}").eq(getattr(self, f"here_{axis}"))
                for part in (unicast, broadcast, registers)
                for axis in AXES
            ),
        ]
        return m


def link_ports(config: RouterConfig) -> dict[str, wiring.Member]:
    """Return the ports of a router's links."""
    return {
        f"{direction.name}_{end}_{part}": flow(width)
        for direction in config.directions
        for end, flow in (("tx", Out), ("rx", In))
        for part, width in (("frame", FRAME_BITS), ("valid", 1))
    }


def straps(config: RouterConfig) -> dict[str, wiring.Member]:
    """Return the ports that tell a router where it is; they are constant."""
    return {
        **{f"here_{axis}": In(COORDINATE_BITS) for axis in AXES},
        "exists": In(len(config.directions)),
        "has_unit": In(1),
        "has_host": In(1),
        "deliver": In(1),
    }
