"""Sending half of a link end: go-back-N with credits."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn.hardware import mesh_latency
from csnn.hardware.frames import COUNT_BITS
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.mesh.frame_layout import body_layout, counts_layout


class LinkSender(wiring.Component):
    """Puts packets into frames, and sends them again until the other side has them.

    A packet is taken from its stream when its frame begins. It stays in the memory until the other
    side expects a later one. If that does not advance for `timeout` cycles while packets are under
    way, all of them are sent again, the oldest first, before any other packet. A packet of a
    channel takes a place in the buffer on the other side, until that side says that it is free.

    Ports
    -----
    unicast, broadcast : streams of `packet_bits`, in
    enable : 1 bit, in
        With it low no frame begins and no packet is taken.
    counts : `counts_layout`, in
        What the receiver of this side has to tell.
    heard_valid : 1 bit, in
        A sound frame has come; `heard` holds for this cycle.
    heard : `counts_layout`, in
        What the other side tells. A count that does not fit what is under way is old: ignored.
    frame_valid : 1 bit, out
        `frame` is to be sent.
    frame : `body_layout`, out
        Without a packet its packet, channel and number are zero.
    failed : 1 bit, out
        All was sent again `retry_limit` times in a row, and not even that was answered. Sticks;
        no frame begins any more.
    count_sent, count_resent : 1 bit, out
        A packet has been put into a frame for the first time, or again.

    Latency
        2 cycles from a packet taken to its frame: memory, register.
    Throughput
        A frame every `frame_cycles` cycles at most. One without a packet begins when there is
        none to be sent and `counts` are not those of the last frame, or that began `keepalive`
        cycles ago.
    Backpressure
        A stream waits for its turn (round robin), for a free place on the other side, for the
        window, and while packets are sent again.
    Reference
        `csnn.hardware.frames`; Dally & Towles (2004), chapters 13 and 21.
    """

    LATENCY = mesh_latency.LINK_SENDER

    def __init__(
        self, config: LinkConfig, *, packet_bits: int = PACKET_BITS, count_bits: int = COUNT_BITS
    ) -> None:
        if max(config.window, config.buffer) >= 1 << count_bits:
            raise ValueError(f"count_bits = {count_bits}: too few for window and buffer")
        self.config = config
        self.packet_bits = packet_bits
        self.count_bits = count_bits
        super().__init__(
            {
                "unicast": In(stream.Signature(packet_bits)),
                "broadcast": In(stream.Signature(packet_bits)),
                "enable": In(1),
                "counts": In(counts_layout(count_bits)),
                "heard_valid": In(1),
                "heard": In(counts_layout(count_bits)),
                "frame_valid": Out(1),
                "frame": Out(body_layout(packet_bits, count_bits)),
                "failed": Out(1),
                "count_sent": Out(1),
                "count_resent": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Choose what begins now; read its packet; remember what may be forgotten."""
        m = Module()
        config = self.config
        # Numbers: the oldest packet under way; the next to be sent; the next to be taken.
        acknowledged, cursor, fresh = (
            Signal(self.count_bits, name=name) for name in ("acknowledged", "cursor", "fresh")
        )
        under_way = Signal(self.count_bits)
        resends, taken, moves = Signal(), Signal(), Signal()
        begins, may_take = Signal(), Signal()
        slot, is_due = self._slots(m, begins)
        # Counts as in the last frame that began.
        told = Signal.like(self.counts)
        m.d.comb += [
            under_way.eq(fresh - acknowledged),
            resends.eq(slot & (cursor != fresh)),
            may_take.eq(slot & (cursor == fresh) & (under_way != config.window)),
            taken.eq(self._take(m, may_take)),
            moves.eq(resends | taken),
            begins.eq(moves | (slot & (is_due | (Value.cast(told) != Value.cast(self.counts))))),
        ]
        with m.If(begins):
            m.d.sync += told.eq(self.counts)
        m.d.sync += [
            fresh.eq(fresh + taken),
            self.count_sent.eq(taken),
            self.count_resent.eq(resends),
        ]
        self._assemble(m, cursor, taken, moves, begins, told)

        step = Signal(self.count_bits)
        advances, expires = Signal(), Signal()
        m.d.comb += [
            step.eq(self.heard.expected - acknowledged),
            advances.eq(self.heard_valid & (step != 0) & (step <= under_way)),
        ]
        with m.If(advances):
            m.d.sync += acknowledged.eq(self.heard.expected)
        passed = Signal(self.count_bits)
        m.d.comb += passed.eq(cursor - acknowledged)
        with m.If(advances & (step > passed)):
            # What was to be sent again has come after all.
            m.d.sync += cursor.eq(self.heard.expected)
        with m.Elif(expires):
            m.d.sync += cursor.eq(acknowledged)
        with m.Else():
            m.d.sync += cursor.eq(cursor + moves)
        self._time_out(m, advances, under_way == 0, expires)
        return m

    def _slots(self, m: Module, begins: Signal) -> tuple[Signal, Signal]:
        """Return whether a frame may begin, and whether it has to."""
        config = self.config
        longest = max(config.keepalive, config.frame_cycles)
        # Cycles since a frame began.
        age = Signal(range(longest + 1))
        slot, is_due = Signal(), Signal()
        m.d.comb += [
            slot.eq(self.enable & ~self.failed & (age >= config.frame_cycles)),
            is_due.eq(age == longest),
        ]
        with m.If(begins):
            m.d.sync += age.eq(1)
        with m.Elif(~is_due):
            m.d.sync += age.eq(age + 1)
        return slot, is_due

    def _take(self, m: Module, may_take: Signal) -> Value:
        """Take a packet of the channel whose turn it is, if there is a place for it."""
        # The channel taken last gives way.
        last_was_broadcast = Signal()
        wants, moved = {}, {}
        for name in ("unicast", "broadcast"):
            source, heard = getattr(self, name), self.heard[f"freed_{name}"]
            sent = Signal(self.count_bits, name=f"sent_{name}")
            freed = Signal(self.count_bits, name=f"freed_{name}")
            held = Signal(self.count_bits, name=f"held_{name}")
            gain = Signal(self.count_bits, name=f"gain_{name}")
            wants[name] = Signal(name=f"wants_{name}")
            moved[name] = Signal(name=f"moved_{name}")
            m.d.comb += [
                held.eq(sent - freed),
                gain.eq(heard - freed),
                wants[name].eq(source.valid & (held != self.config.buffer)),
                moved[name].eq(source.valid & source.ready),
            ]
            m.d.sync += sent.eq(sent + moved[name])
            with m.If(self.heard_valid & (gain <= held)):
                m.d.sync += freed.eq(heard)
        gives_way = Signal()
        m.d.comb += [
            gives_way.eq(wants["broadcast"] & ~last_was_broadcast),
            self.unicast.ready.eq(may_take & wants["unicast"] & ~gives_way),
            self.broadcast.ready.eq(may_take & wants["broadcast"] & ~self.unicast.ready),
        ]
        with m.If(may_take & (wants["unicast"] | wants["broadcast"])):
            m.d.sync += last_was_broadcast.eq(self.broadcast.ready)
        return may_take & (wants["unicast"] | wants["broadcast"])

    def _assemble(
        self,
        m: Module,
        cursor: Signal,
        taken: Signal,
        moves: Signal,
        begins: Signal,
        told: data.View,
    ) -> None:
        """Read the packet, which may have been written just now, and put the frame together."""
        config = self.config
        kept = data.StructLayout({"packet": self.packet_bits, "is_broadcast": 1})
        m.submodules.memory = memory = Memory(shape=kept, depth=config.window, init=[])
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        place = cursor[: (config.window - 1).bit_length()]
        m.d.comb += [
            # Nothing is taken unless the cursor is at the next number to be taken.
            write.addr.eq(place),
            write.en.eq(taken),
            write.data.is_broadcast.eq(self.broadcast.ready),
            write.data.packet.eq(
                Mux(self.broadcast.ready, self.broadcast.payload, self.unicast.payload)
            ),
            read.addr.eq(place),
            read.en.eq(1),
        ]
        number = Signal(self.count_bits, reset_less=True)
        has_packet, begun = Signal(reset_less=True), Signal()
        m.d.sync += [
            number.eq(cursor),
            has_packet.eq(moves),
            begun.eq(begins),
            self.frame_valid.eq(begun),
            self.frame.packet.eq(Mux(has_packet, read.data.packet, 0)),
            self.frame.channel.eq(
                Cat(has_packet & ~read.data.is_broadcast, has_packet & read.data.is_broadcast)
            ),
            self.frame.number.eq(Mux(has_packet, number, 0)),
            self.frame.expected.eq(told.expected),
            self.frame.freed_unicast.eq(told.freed_unicast),
            self.frame.freed_broadcast.eq(told.freed_broadcast),
        ]

    def _time_out(self, m: Module, advances: Signal, is_idle: Value, expires: Signal) -> None:
        """Count the cycles without an answer, and how often they were too many."""
        config = self.config
        waited = Signal(range(config.timeout))
        retries = Signal(range(config.retry_limit + 1))
        m.d.comb += expires.eq((waited == config.timeout - 1) & ~advances)
        with m.If(advances | is_idle | expires):
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)
        with m.If(advances):
            m.d.sync += retries.eq(0)
        with m.If(expires):
            m.d.sync += retries.eq(retries + 1)
            with m.If(retries == config.retry_limit):
                m.d.sync += self.failed.eq(1)
