"""The broadcast encoder hands on spikes and sync messages once, in order, unaltered."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from csnn.packets import PACKET_BITS, PAYLOAD_BITS, Kind
from rtl.mesh.broadcast_encoder import BroadcastEncoder

_SOURCES = {"spike": Kind.SPIKE, "sync": Kind.SYNC}


class BroadcastHarness(wiring.Component):
    """An encoder beside a place for one packet."""

    def __init__(self) -> None:
        super().__init__(
            {
                **{name: In(stream.Signature(PAYLOAD_BITS)) for name in _SOURCES},
                "here": In(24),
                "ready": In(1),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in ("sync_after_spike", "sync_waits")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compare output and readiness with the place."""
        m = Module()
        p = Properties(m, self)
        m.submodules.encoder = encoder = BroadcastEncoder()
        m.d.comb += [
            encoder.output.ready.eq(self.ready),
            *(getattr(encoder, f"here_{a}").eq(self.here[8 * k : 8 * k + 8]) for k, a in _AXES),
        ]
        holds, packet, last = Signal(), Signal(PACKET_BITS), Signal()
        free = ~holds | self.ready
        for name in _SOURCES:
            source, inner = getattr(self, name), getattr(encoder, name)
            m.d.comb += [
                inner.valid.eq(source.valid),
                Value.cast(inner.payload).eq(source.payload),
                source.ready.eq(inner.ready),
            ]
        spikes, syncs = self.spike.valid, self.sync.valid & ~self.spike.valid
        p.never((self.spike.valid & self.spike.ready) != (spikes & free))
        p.never((self.sync.valid & self.sync.ready) != (syncs & free))
        with m.If(free):
            kind = Mux(spikes, Const(Kind.SPIKE, 8), Const(Kind.SYNC, 8))
            body = Mux(spikes, self.spike.payload, self.sync.payload)
            m.d.sync += [holds.eq(spikes | syncs), packet.eq(Cat(self.here, kind, body))]
        p.never(encoder.output.valid != holds)
        p.never(holds & (encoder.output.payload != packet))
        with m.If(holds & self.ready):
            m.d.sync += last.eq(packet[24:32] == Kind.SPIKE)
        p.cover("sync_after_spike", last & holds & (packet[24:32] == Kind.SYNC))
        p.cover("sync_waits", spikes & self.sync.valid & free)
        p.finish()
        return m


_AXES = tuple(enumerate("xyz"))
