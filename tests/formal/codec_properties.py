"""Decoder and encoder hand on every packet once, in order, to the right place, unaltered.

Either holds one packet at most. So the model of both is a place that is empty or holds the packet
accepted last; where its bits belong is read from `csnn.packets`. No assumption is made about the
environment: its streams may even withdraw what they offer.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from csnn.packets import PACKET_BITS, PAYLOAD_BITS, TARGET_BITS, TARGET_FIELDS, Kind
from rtl.packet_decoder import PacketDecoder
from rtl.packet_encoder import PacketEncoder

_ACCESSES = (Kind.CONFIG, Kind.MONITOR)
_KIND = next(field for field in TARGET_FIELDS if field.name == "kind")
_AXES = [field for field in TARGET_FIELDS if field.name != "kind"]


def _is_one_of(packet: Value, kinds: Sequence[Kind]) -> Value:
    kind = packet[_KIND.low : _KIND.low + _KIND.width]
    return Cat(*(kind == one for one in kinds)).any()


class DecoderHarness(wiring.Component):
    """A decoder, of a node or of the master node, beside a place for one packet."""

    def __init__(self, spike: Kind = Kind.SPIKE, end: Kind = Kind.SYNC) -> None:
        self.events = (spike, end)
        super().__init__(
            {
                "input": In(stream.Signature(PACKET_BITS)),
                "event_ready": In(1),
                "config_ready": In(1),
                "clear": In(1),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in ("end_after_spike", "read", "error")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compare all outputs with the place."""
        m = Module()
        p = Properties(m, self)
        m.submodules.decoder = decoder = PacketDecoder(*self.events)
        wiring.connect(m, wiring.flipped(self.input), decoder.input)
        event, config = decoder.event, decoder.config
        m.d.comb += [
            event.ready.eq(self.event_ready),
            config.ready.eq(self.config_ready),
            decoder.clear.eq(self.clear),
        ]
        holds, packet, failed = Signal(), Signal(PACKET_BITS), Signal()
        taken, leaves = Signal(), Signal()
        is_event, is_access = _is_one_of(packet, self.events), _is_one_of(packet, _ACCESSES)
        known = _is_one_of(self.input.payload, (*self.events, *_ACCESSES))
        m.d.comb += [
            taken.eq(self.input.valid & self.input.ready),
            leaves.eq((is_event & self.event_ready) | (is_access & self.config_ready)),
        ]
        with m.If(taken):
            m.d.sync += [holds.eq(known), packet.eq(self.input.payload)]
        with m.Elif(leaves):
            m.d.sync += holds.eq(0)
        m.d.sync += failed.eq((failed & ~self.clear) | (taken & ~known))
        p.never(event.valid != (holds & is_event))
        p.never(config.valid != (holds & is_access))
        for offered in (event, config):
            body = Value.cast(offered.payload)
            p.never(offered.valid & (body[-PAYLOAD_BITS:] != packet[TARGET_BITS:]))
        is_end = event.payload.as_value()[0]
        p.never(event.valid & (is_end != _is_one_of(packet, self.events[1:])))
        p.never(config.valid & (config.payload.is_write != _is_one_of(packet, (Kind.CONFIG,))))
        p.never(self.input.ready != (~holds | leaves))
        p.never(decoder.error != failed)
        spiked = Signal()
        with m.If(event.valid & event.ready):
            m.d.sync += spiked.eq(~is_end)
        p.cover("end_after_spike", spiked & event.valid & is_end)
        p.cover("read", config.valid & ~config.payload.is_write)
        p.cover("error", decoder.error & event.valid)
        p.finish()
        return m


class EncoderHarness(wiring.Component):
    """An encoder beside a place for one packet."""

    def __init__(self) -> None:
        inner = PacketEncoder()
        super().__init__(
            {
                **{name: In(stream.Signature(PAYLOAD_BITS)) for name in _SOURCES},
                "ends": In(48),
                "ready": In(1),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in ("barrier_after_spike", "answer")},
            }
        )
        self._encoder = inner

    def elaborate(self, platform: object) -> Module:
        """Compare output and readiness with the place."""
        m = Module()
        p = Properties(m, self)
        m.submodules.encoder = encoder = self._encoder
        ends = {"master": self.ends[:24], "host": self.ends[24:]}
        output = encoder.output
        m.d.comb += output.ready.eq(self.ready)
        holds, packet = Signal(), Signal(PACKET_BITS)
        free = ~holds | self.ready
        accepted = []
        for name, (kind, end) in _SOURCES.items():
            source, inner = getattr(self, name), getattr(encoder, name)
            m.d.comb += [
                inner.valid.eq(source.valid),
                Value.cast(inner.payload).eq(source.payload),
                source.ready.eq(inner.ready),
            ]
            target = Signal(TARGET_BITS, name=f"target_{name}")
            m.d.comb += target[_KIND.low : _KIND.low + _KIND.width].eq(kind)
            for place, axis in enumerate(_AXES):
                coordinate = ends[end][8 * place : 8 * place + 8]
                m.d.comb += target[axis.low : axis.low + axis.width].eq(coordinate)
            takes = Signal(name=f"takes_{name}")
            m.d.comb += takes.eq(inner.valid & inner.ready)
            # Who comes earlier in the list goes first, so a barrier never overtakes a spike.
            p.never(
                takes != (source.valid & free & ~Cat(*(before.valid for before in accepted)).any())
            )
            accepted.append(source)
            with m.If(takes):
                m.d.sync += packet.eq(Cat(target, source.payload))
        m.d.comb += [
            getattr(encoder, f"{end}_{axis.name}").eq(ends[end][8 * place : 8 * place + 8])
            for end in ends
            for place, axis in enumerate(_AXES)
        ]
        offered = Cat(*(source.valid for source in accepted)).any()
        with m.If(free):
            m.d.sync += holds.eq(offered)
        p.never(output.valid != holds)
        p.never(output.valid & (output.payload != packet))
        last = Signal(_KIND.width)
        with m.If(output.valid & output.ready):
            m.d.sync += last.eq(packet[_KIND.low : _KIND.low + _KIND.width])
        p.cover(
            "barrier_after_spike",
            (last == Kind.AER) & output.valid & _is_one_of(output.payload, (Kind.BARRIER,)),
        )
        p.cover("answer", output.valid & _is_one_of(output.payload, (Kind.MONITOR,)))
        p.finish()
        return m


_SOURCES = {
    "spike": (Kind.AER, "master"),
    "barrier": (Kind.BARRIER, "master"),
    "monitor": (Kind.MONITOR, "host"),
}
