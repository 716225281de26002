"""What the packets that reach a node, or the master node, tell it."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import latency
from csnn.packets import PACKET_BITS, PAYLOAD_BITS, TARGET_BITS, Kind
from rtl.packet_layout import TARGET, payload_layout


def event_layout(spike: Kind, end: Kind) -> data.StructLayout:
    """Return what both kinds of packet that make a step become.

    They share a stream, so that none can overtake another.

    Parameters
    ----------
    spike, end : Kind
        SPIKE and SYNC for a node, AER and BARRIER for the master node.
    """
    name = end.name.lower()
    body = data.UnionLayout({"spike": payload_layout(spike), name: payload_layout(end)})
    return data.StructLayout({f"is_{name}": 1, "body": body})


EVENT = event_layout(Kind.SPIKE, Kind.SYNC)
MASTER_EVENT = event_layout(Kind.AER, Kind.BARRIER)
ACCESS = data.StructLayout({"is_write": 1, "word": payload_layout(Kind.CONFIG)})


class PacketDecoder(wiring.Component):
    """Takes SPIKE, SYNC, CONFIG and MONITOR packets apart.

    Parameters
    ----------
    spike, end : Kind
        Kinds in place of SPIKE and SYNC: AER and BARRIER for the master node.

    Ports
    -----
    input : stream of 96 bits, in
    event : stream of `event_layout(spike, end)`, out
        Spikes and syncs, told apart by `is_sync`, in the order of their packets.
    config : stream of `ACCESS`, out
        Words to write, and, with `is_write` low, requests to read one.
    error : 1 bit, out
        A packet of another kind came since the last `clear`; it was dropped.
    clear : 1 bit, in
        Lowers `error`, unless such a packet is accepted in the same cycle.

    Latency
        1 cycle: the register of the outputs.
    Throughput
        One packet per cycle.
    Backpressure
        Nothing is accepted while either output offers what is not taken: at most one of them
        offers something, and all leave in the order of their packets.
    Reference
        `csnn.packets`; Heittmann et al. (2022), Figures 2D and 5.
    """

    LATENCY = latency.PACKET_DECODER

    def __init__(self, spike: Kind = Kind.SPIKE, end: Kind = Kind.SYNC) -> None:
        self.spike, self.end = spike, end
        super().__init__(
            {
                "input": In(stream.Signature(PACKET_BITS)),
                "event": Out(stream.Signature(event_layout(spike, end))),
                "config": Out(stream.Signature(ACCESS)),
                "error": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Tell the kinds apart; one register of the payload serves both outputs."""
        m = Module()
        target = data.View(TARGET, self.input.payload[:TARGET_BITS])
        payload = Signal(PAYLOAD_BITS, reset_less=True)
        is_end, is_write = Signal(reset_less=True), Signal(reset_less=True)
        is_event, is_access, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            is_event.eq((target.kind == self.spike) | (target.kind == self.end)),
            is_access.eq((target.kind == Kind.CONFIG) | (target.kind == Kind.MONITOR)),
            self.input.ready.eq(
                (~self.event.valid | self.event.ready) & (~self.config.valid | self.config.ready)
            ),
            taken.eq(self.input.valid & self.input.ready),
            self.event.payload.as_value()[0].eq(is_end),
            self.event.payload.body.as_value().eq(payload),
            self.config.payload.is_write.eq(is_write),
            self.config.payload.word.as_value().eq(payload),
        ]
        with m.If(self.input.ready):
            m.d.sync += [
                payload.eq(self.input.payload[TARGET_BITS:]),
                is_end.eq(target.kind == self.end),
                is_write.eq(target.kind == Kind.CONFIG),
                self.event.valid.eq(taken & is_event),
                self.config.valid.eq(taken & is_access),
            ]
        m.d.sync += self.error.eq((self.error & ~self.clear) | (taken & ~is_event & ~is_access))
        return m
