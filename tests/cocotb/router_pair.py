"""Two routers next to each other along X, and wires between them that are as slow as one likes."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from link_models import CHANNELS
from lossy_link import DELAY_BITS, SIDES, LossyChannel

from csnn.hardware.mesh import Direction, RouterConfig, Site
from csnn.packets import PACKET_BITS
from rtl.mesh.router import Router

PLACES: dict[str, Site] = {"left": (3, 4, 5), "right": (4, 4, 5)}
_TOWARDS = {"left": Direction(0, 1), "right": Direction(0, -1)}


class RouterPair(wiring.Component):
    """A router on each side, with a unit at its place and one link, to the other.

    Ports
    -----
    <side>_<channel>_in, <side>_<channel>_out : streams of 96 bits, in and out
        Of the unit at the place.
    <side>_keeps, <side>_delay : in
        Whether a frame that leaves the side arrives, and how many cycles later.
    """

    def __init__(self, config: RouterConfig) -> None:
        self._config = config
        packets = stream.Signature(PACKET_BITS)
        ports: dict[str, wiring.Member] = {}
        for side in SIDES:
            for name in CHANNELS:
                ports |= {f"{side}_{name}_in": In(packets), f"{side}_{name}_out": Out(packets)}
            ports |= {f"{side}_keeps": In(1), f"{side}_delay": In(DELAY_BITS)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Connect them."""
        m = Module()
        routers = {side: Router(self._config) for side in SIDES}
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            router, towards = routers[side], _TOWARDS[side]
            m.submodules[side] = router
            m.submodules[f"{side}_way"] = way = LossyChannel()
            for name in CHANNELS:
                source, sink = (getattr(self, f"{side}_{name}_{port}") for port in ("in", "out"))
                wiring.connect(m, wiring.flipped(source), getattr(router, f"{name}_in"))
                wiring.connect(m, getattr(router, f"{name}_out"), wiring.flipped(sink))
            for axis, place in zip("xyz", PLACES[side], strict=True):
                m.d.comb += getattr(router, f"here_{axis}").eq(place)
            there, back = routers[other], _TOWARDS[other].name
            m.d.comb += [
                router.exists.eq(1 << self._config.directions.index(towards)),
                router.has_unit.eq(1),
                router.deliver.eq(1),
                router.host_out.ready.eq(1),
                way.frame.eq(getattr(router, f"{towards.name}_tx_frame")),
                way.valid.eq(getattr(router, f"{towards.name}_tx_valid")),
                way.keeps.eq(getattr(self, f"{side}_keeps")),
                way.delay.eq(getattr(self, f"{side}_delay")),
                getattr(there, f"{back}_rx_frame").eq(way.out_frame),
                getattr(there, f"{back}_rx_valid").eq(way.out_valid),
            ]
        return m
