"""A crossing whose two clocks are inputs, so that they may come in any way."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.packets import PACKET_BITS
from rtl.mesh.crossing import Crossing

SIDES = ("source", "sink")


class TwoClocks(wiring.Component):
    """A crossing and who sends through it: numbers that go up, each offered until it is taken.

    Ports
    -----
    source_clk, source_rst, sink_clk, sink_rst : in
    offers : 1 bit, in
        Something new may be offered at the next edge of the source.
    takes : 1 bit, in
        What is offered is taken at the next edge of the sink.
    <side>_valid, <side>_ready, <side>_packet : out
        The crossing's input, as the source has it, and its output.
    """

    def __init__(self) -> None:
        ports: dict[str, wiring.Member] = {"offers": In(1), "takes": In(1)}
        for side in SIDES:
            ports |= {f"{side}_clk": In(1), f"{side}_rst": In(1)}
            ports |= {f"{side}_valid": Out(1), f"{side}_ready": Out(1)}
            ports[f"{side}_packet"] = Out(PACKET_BITS)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Make the clocks of the inputs; count."""
        m = Module()
        for side in SIDES:
            m.domains += ClockDomain(side, local=True)
            m.d.comb += [
                ClockSignal(side).eq(getattr(self, f"{side}_clk")),
                ResetSignal(side).eq(getattr(self, f"{side}_rst")),
            ]
        m.submodules.crossing = crossing = Crossing(*SIDES)
        held = Signal()
        number = Signal(PACKET_BITS // 2, reset_less=True)
        m.d.comb += [
            crossing.input.valid.eq(self.offers | held),
            # Every bit changes now and then.
            crossing.input.payload.eq(Cat(number, ~number)),
            crossing.output.ready.eq(self.takes),
        ]
        m.d.source += [
            held.eq(crossing.input.valid & ~crossing.input.ready),
            number.eq(number + (crossing.input.valid & crossing.input.ready)),
        ]
        for side, end in zip(SIDES, (crossing.input, crossing.output), strict=True):
            m.d.comb += [
                getattr(self, f"{side}_valid").eq(end.valid),
                getattr(self, f"{side}_ready").eq(end.ready),
                getattr(self, f"{side}_packet").eq(end.payload),
            ]
        return m
