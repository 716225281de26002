"""Packets pass a link completely, in order and once, whatever happens to its frames.

One direction of a link: the sender of one end, the receiver of the other, with small counts. The
other direction is the same again, and meets this one only in the counts.

The channel is any that loses, doubles, delays and reorders frames, and a corrupt frame is a lost
one: in every cycle it delivers what it likes of what was ever sent, or nothing. Only what is too
old for the counts is left out. So it needs no memory but that of the last packets: a frame of
another number than the receiver waits for may hold anything. The counts on the way back are those
of the receiver at any time in the past. That the sender puts nothing but this into its frames is
among the properties.

Neither end looks at packets, so one bit stands for a packet of any width: one packet at any time is
marked, and must come out after exactly those that went in before it.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from csnn.hardware.frames import Channel
from csnn.hardware.mesh import LinkConfig
from rtl.mesh.frame_layout import COUNTS, counts_layout
from rtl.mesh.link_receiver import LinkReceiver
from rtl.mesh.link_sender import LinkSender

_CHANNELS = {"unicast": Channel.UNICAST, "broadcast": Channel.BROADCAST}
_COVERS = ("resent", "full", "round", "both")


def _entry(m: Module, history: Array, number: Value, name: str) -> tuple[Value, Value]:
    """Return packet and channel of a number."""
    entry = Signal(2, name=f"entry_{name}")
    m.d.comb += entry.eq(history[number])
    return entry[0], Mux(entry[1], Channel.BROADCAST, Channel.UNICAST)


class LinkHarness(wiring.Component):
    """A sender and a receiver with any channel between them."""

    def __init__(self, count_bits: int = 2) -> None:
        self._count_bits = count_bits
        places = 1 << count_bits - 1
        self._config = LinkConfig(
            frame_cycles=1, window=places, buffer=places, timeout=16, retry_limit=1,
            keepalive=2, silence_limit=5,
        )  # fmt: skip
        super().__init__(
            {
                "unicast": In(stream.Signature(1)),
                "broadcast": In(stream.Signature(1)),
                "unicast_ready": In(1),
                "broadcast_ready": In(1),
                "sender_enable": In(1),
                "receiver_enable": In(1),
                "told": In(counts_layout(count_bits)),
                "delivers": In(1),
                "number": In(count_bits),
                "content": In(3),
                "answers": In(1),
                "ages": In(counts_layout(count_bits)),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in _COVERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect both by the channel; mark a packet; watch."""
        m = Module()
        p = Properties(m, self)
        sizes = {"packet_bits": 1, "count_bits": self._count_bits}
        m.submodules.sender = sender = LinkSender(self._config, **sizes)
        m.submodules.receiver = receiver = LinkReceiver(self._config, **sizes)
        m.d.comb += [
            sender.enable.eq(self.sender_enable),
            sender.counts.eq(self.told),
            receiver.enable.eq(self.receiver_enable),
        ]
        for name in _CHANNELS:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(sender, name))
            m.d.comb += getattr(receiver, name).ready.eq(getattr(self, f"{name}_ready"))
        fresh = Signal(self._count_bits)
        history = self._forward(m, p, sender, receiver, fresh)
        sent = {name: self._packets(m, p, sender, receiver, name) for name in _CHANNELS}
        self._back(m, p, sender, receiver, {"expected": fresh} | sent)
        self._frames(m, p, sender, history, fresh)
        p.never(receiver.overflow)

        was_resent = Signal()
        with m.If(sender.count_resent):
            m.d.sync += was_resent.eq(1)
        rounds = Signal(2)
        with m.If(sender.count_sent & (fresh == 0) & (rounds != 3)):
            m.d.sync += rounds.eq(rounds + 1)
        p.cover("resent", was_resent & receiver.unicast.valid)
        p.cover("full", receiver.counts.expected == self._config.buffer)
        p.cover("round", (rounds == 2) & receiver.unicast.valid)
        p.cover("both", receiver.unicast.valid & receiver.broadcast.valid)
        p.finish()
        return m

    def _forward(
        self, m: Module, p: Properties, sender: LinkSender, receiver: LinkReceiver, fresh: Signal
    ) -> Array:
        """Deliver any frame; one of the number waited for has the packet of that number."""
        # Packet, and whether it is a broadcast, of the last numbers.
        history = Array(Signal(2, name=f"history_{k}") for k in range(1 << self._count_bits))
        taken = {
            name: getattr(sender, name).valid & getattr(sender, name).ready for name in _CHANNELS
        }
        p.never(taken["unicast"] & taken["broadcast"])
        with m.If(taken["unicast"] | taken["broadcast"]):
            packet = Mux(taken["broadcast"], self.broadcast.payload, self.unicast.payload)
            m.d.sync += [
                fresh.eq(fresh + 1),
                history[fresh].eq(Cat(packet, taken["broadcast"])),
            ]
        awaited = receiver.counts.expected
        packet, channel = _entry(m, history, self.number, "delivered")
        m.d.comb += [receiver.frame_valid.eq(self.delivers), receiver.frame.number.eq(self.number)]
        with m.If(self.number != awaited):
            m.d.comb += [
                receiver.frame.packet.eq(self.content[0]),
                receiver.frame.channel.eq(self.content[1:]),
            ]
        with m.Elif(awaited != fresh):
            m.d.comb += [receiver.frame.packet.eq(packet), receiver.frame.channel.eq(channel)]
        return history

    def _back(
        self, m: Module, p: Properties, sender: LinkSender, receiver: LinkReceiver,
        ahead: dict[str, Signal],
    ) -> None:  # fmt: skip
        """Tell the sender counts of the receiver, as old as they may be."""
        m.d.comb += sender.heard_valid.eq(self.answers)
        counted = dict(zip(COUNTS, ahead.values(), strict=True))
        limits = (self._config.window, self._config.buffer, self._config.buffer)
        for (name, count), limit in zip(counted.items(), limits, strict=True):
            newest = Signal(self._count_bits, name=f"newest_{name}")
            m.d.comb += newest.eq(count - receiver.counts[name])
            # Neither more packets under way than the window, nor more than there is room for.
            p.never(newest > limit)
            age = Mux(self.ages[name] < newest, newest, self.ages[name])
            m.d.comb += sender.heard[name].eq(count - age)

    def _packets(
        self, m: Module, p: Properties, sender: LinkSender, receiver: LinkReceiver, name: str
    ) -> Signal:
        """Compare the packets that leave with those that came; return how many came."""
        source, sink = getattr(sender, name), getattr(receiver, name)
        sent = Signal(self._count_bits, name=f"sent_{name}")
        held = Signal(self._count_bits + 1, name=f"held_{name}")
        is_marked, before = Signal(name=f"marked_{name}"), Signal.like(held, name=f"before_{name}")
        came, left = Signal(name=f"came_{name}"), Signal(name=f"left_{name}")
        m.d.comb += [came.eq(source.valid & source.ready), left.eq(sink.valid & sink.ready)]
        m.d.sync += [sent.eq(sent + came), held.eq(held + came - left)]
        p.assume(~(came & source.payload) | ~is_marked)
        is_due = is_marked & (before == 0)
        p.never(left & (sink.payload != is_due))
        p.never(left & (held == 0))
        with m.If(came & source.payload):
            m.d.sync += [is_marked.eq(1), before.eq(held - left)]
        with m.Elif(left & is_due):
            m.d.sync += is_marked.eq(0)
        with m.Elif(left & is_marked):
            m.d.sync += before.eq(before - 1)
        return sent

    def _frames(
        self, m: Module, p: Properties, sender: LinkSender, history: Array, fresh: Signal
    ) -> None:
        """Demand that frames hold packets under their numbers, and the counts of their time."""
        frame = sender.frame
        packet, channel = _entry(m, history, frame.number, "sent")
        has_packet = sender.frame_valid & (frame.channel != Channel.NONE)
        p.never(has_packet & ((frame.packet != packet) | (frame.channel != channel)))
        told = [self.told]
        for delay in range(LinkSender.LATENCY):
            told.append(Signal.like(self.told, name=f"told_{delay}"))
            m.d.sync += told[-1].eq(told[-2])
        for name in COUNTS:
            p.never(sender.frame_valid & (frame[name] != told[-1][name]))
