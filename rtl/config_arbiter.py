"""Two requesters in front of the configuration space."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.packet_decoder import ACCESS


class ConfigArbiter(wiring.Component):
    """Lets packets and the AXI4-Lite window ask in turn.

    Ports
    -----
    packet, window : streams of `ACCESS`, in
    packet_answered, window_answered : 1 bit, out
        `answer` is for this requester.
    request : stream of `ACCESS`, out
    answered : 1 bit, in
        The request is done.

    Latency
        None.
    Throughput
        One request at a time; in turn if both wait.
    Backpressure
        A request waits until the one before was answered.
    Reference
        `rtl.config_space`.
    """

    def __init__(self) -> None:
        access = stream.Signature(ACCESS)
        super().__init__(
            {
                "packet": In(access),
                "window": In(access),
                "packet_answered": Out(1),
                "window_answered": Out(1),
                "request": Out(access),
                "answered": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Choose; hold the choice until the answer."""
        m = Module()
        is_window, chosen, active, offered = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            # What is offered may not change until it is taken.
            chosen.eq(
                Mux(offered, is_window, self.window.valid & ~(self.packet.valid & is_window))
            ),
            self.request.valid.eq(~active & Mux(chosen, self.window.valid, self.packet.valid)),
            self.request.payload.eq(Mux(chosen, self.window.payload, self.packet.payload)),
            self.packet.ready.eq(~active & ~chosen & self.request.ready),
            self.window.ready.eq(~active & chosen & self.request.ready),
            self.packet_answered.eq(active & ~is_window & self.answered),
            self.window_answered.eq(active & is_window & self.answered),
        ]
        m.d.sync += offered.eq(self.request.valid & ~self.request.ready)
        with m.If(self.request.valid):
            m.d.sync += is_window.eq(chosen)
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += active.eq(1)
        with m.Elif(self.answered):
            m.d.sync += active.eq(0)
        return m
