"""Two link ends with a channel between them that does to frames what it is told."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.mesh.link_end import LinkEnd

SIDES = ("left", "right")
_STREAMS = ("unicast", "broadcast")
_STATES = ("failed", "silent", "overflow", "count_sent", "count_resent", "count_bad")
DELAY_BITS = 9


class LossyChannel(wiring.Component):
    """Keeps every frame for as long as it is told when it comes, and delivers one per cycle.

    A frame takes the next place; one that is still there is lost. With `keeps` it is delivered
    after `delay`, with `doubles` after `delay_again`, besides; with neither never. `flips` is
    added to it.
    """

    def __init__(self, places: int = 16) -> None:
        self._places = places
        super().__init__(
            {
                "frame": In(FRAME_BITS),
                "valid": In(1),
                "keeps": In(1),
                "doubles": In(1),
                "delay": In(DELAY_BITS),
                "delay_again": In(DELAY_BITS),
                "flips": In(FRAME_BITS),
                "out_frame": Out(FRAME_BITS),
                "out_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count down at every place; the first that has come to its end delivers."""
        m = Module()
        half = self._places // 2
        m.submodules.memory = memory = Memory(shape=FRAME_BITS, depth=half, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        following = Signal(range(half))
        m.d.comb += [
            write.addr.eq(following),
            write.data.eq(self.frame ^ self.flips),
            write.en.eq(self.valid),
        ]
        m.d.sync += following.eq(following + self.valid)
        delivered: Value = Const(0, 1)
        for place in range(self._places):
            rest, holds, delivers = Signal(DELAY_BITS), Signal(), Signal()
            told, delay = (
                (self.keeps, self.delay) if place < half else (self.doubles, self.delay_again)
            )
            m.d.comb += delivers.eq(holds & (rest == 0) & ~delivered)
            with m.If(rest != 0):
                m.d.sync += rest.eq(rest - 1)
            with m.If(delivers):
                m.d.comb += read.addr.eq(place % half)
                m.d.sync += holds.eq(0)
            with m.If(self.valid & (following == place % half)):
                m.d.sync += [rest.eq(delay), holds.eq(told)]
            so_far = Signal()
            m.d.comb += so_far.eq(delivered | delivers)
            delivered = so_far
        m.d.sync += [self.out_valid.eq(delivered), self.out_frame.eq(read.data)]
        return m


class LossyLink(wiring.Component):
    """Two ends, left and right, and a channel from each."""

    def __init__(self, config: LinkConfig) -> None:
        self._config = config
        ports: dict[str, object] = {}
        packets = stream.Signature(PACKET_BITS)
        for side in SIDES:
            for name in _STREAMS:
                ports |= {f"{side}_{name}_in": In(packets), f"{side}_{name}_out": Out(packets)}
            ports |= {f"{side}_{name}": Out(1) for name in _STATES}
            ports |= {f"{side}_keeps": In(1), f"{side}_doubles": In(1)}
            ports |= {f"{side}_delay": In(DELAY_BITS), f"{side}_delay_again": In(DELAY_BITS)}
            ports |= {f"{side}_flips": In(FRAME_BITS)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Connect them."""
        m = Module()
        ends = {side: LinkEnd(self._config) for side in SIDES}
        ways = {side: LossyChannel() for side in SIDES}
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            end, way = ends[side], ways[side]
            m.submodules[side] = end
            m.submodules[f"{side}_way"] = way
            for name in _STREAMS:
                source, sink = (getattr(self, f"{side}_{name}_{port}") for port in ("in", "out"))
                wiring.connect(m, wiring.flipped(source), getattr(end, f"{name}_in"))
                wiring.connect(m, getattr(end, f"{name}_out"), wiring.flipped(sink))
            m.d.comb += [getattr(self, f"{side}_{name}").eq(getattr(end, name)) for name in _STATES]
            m.d.comb += [
                getattr(way, name).eq(getattr(self, f"{side}_{name}"))
                for name in ("keeps", "doubles", "delay", "delay_again", "flips")
            ]
            m.d.comb += [
                end.exists.eq(1),
                way.frame.eq(end.tx_frame),
                way.valid.eq(end.tx_valid),
                ends[other].rx_frame.eq(way.out_frame),
                ends[other].rx_valid.eq(way.out_valid),
            ]
        return m
