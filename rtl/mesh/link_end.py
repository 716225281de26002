"""One side of a link between two routers: both halves, and the CRC of the frames."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import mesh_latency
from csnn.hardware.frames import CRC_BITS, FRAME_BITS
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.mesh.frame_crc import FrameCrc
from rtl.mesh.frame_layout import BODY_BITS, COUNTS, body_layout
from rtl.mesh.link_receiver import LinkReceiver
from rtl.mesh.link_sender import LinkSender


class LinkEnd(wiring.Component):
    """Carries the packets of two channels to another such end and back.

    What is between them may lose, double, corrupt, delay and reorder frames: the packets of a
    channel arrive completely, in order and once, or `failed` rises at both ends. Both must be
    reset together, and no frame from before may arrive later; and the latency between them must
    not vary by more than `csnn.hardware.mesh_latency.link_jitter`.

    Ports
    -----
    exists : 1 bit, in
        There is another end. With it low nothing is sent, taken or expected.
    unicast_in, broadcast_in : streams of 96 bits, in
        Packets to be sent.
    unicast_out, broadcast_out : streams of 96 bits, out
        Packets received.
    tx_frame, tx_valid : 160 and 1 bit, out
        Frames to the other end.
    rx_frame, rx_valid : 160 and 1 bit, in
        Frames from there.
    failed : 1 bit, out
        Packets were sent again `retry_limit` times in vain, or one of the two errors that follow.
        Sticks. Nothing is sent or received any more, so that the other end falls silent for this
        one; what was received is still handed on. What is to be sent is taken and dropped, lest
        it stand before packets that go elsewhere: the host must reach who can tell what failed.
    silent : 1 bit, out
        No sound frame came for `silence_limit` cycles after one had come.
    overflow : 1 bit, out
        A packet came for which there was no room.
    count_sent, count_resent, count_bad : 1 bit, out
        A packet has been put into a frame for the first time, or again; a frame was corrupt.

    Latency
        3 cycles from a packet taken to its frame; 5 from a frame to its packet.
    Throughput
        A frame every `frame_cycles` cycles out, one per cycle in.
    Backpressure
        See `LinkSender` and `LinkReceiver`.
    Reference
        `csnn.hardware.frames`; Heittmann et al. (2022), "The INC-3000 Communication System".
    """

    SEND_LATENCY = mesh_latency.LINK_SEND
    RECEIVE_LATENCY = mesh_latency.LINK_RECEIVE

    def __init__(self, config: LinkConfig) -> None:
        self.config = config
        super().__init__(
            {
                "exists": In(1),
                "unicast_in": In(stream.Signature(PACKET_BITS)),
                "broadcast_in": In(stream.Signature(PACKET_BITS)),
                "unicast_out": Out(stream.Signature(PACKET_BITS)),
                "broadcast_out": Out(stream.Signature(PACKET_BITS)),
                "tx_frame": Out(FRAME_BITS),
                "tx_valid": Out(1),
                "rx_frame": In(FRAME_BITS),
                "rx_valid": In(1),
                "failed": Out(1),
                "silent": Out(1),
                "overflow": Out(1),
                "count_sent": Out(1),
                "count_resent": Out(1),
                "count_bad": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the halves; add and check the CRC."""
        m = Module()
        m.submodules.sender = sender = LinkSender(self.config)
        m.submodules.receiver = receiver = LinkReceiver(self.config)
        for name in ("unicast", "broadcast"):
            source, taker = getattr(self, f"{name}_in"), getattr(sender, name)
            m.d.comb += [
                taker.payload.eq(source.payload),
                taker.valid.eq(source.valid & ~self.failed),
                source.ready.eq(taker.ready | self.failed),
            ]
            wiring.connect(m, getattr(receiver, name), wiring.flipped(getattr(self, f"{name}_out")))
        m.d.comb += [
            self.silent.eq(receiver.silent),
            self.overflow.eq(receiver.overflow),
            self.failed.eq(sender.failed | receiver.silent | receiver.overflow),
            sender.enable.eq(self.exists & ~receiver.silent & ~receiver.overflow),
            receiver.enable.eq(self.exists & ~sender.failed),
            sender.counts.eq(receiver.counts),
            self.count_sent.eq(sender.count_sent),
            self.count_resent.eq(sender.count_resent),
        ]
        m.submodules.crc = crc = FrameCrc()
        m.d.comb += crc.body.eq(sender.frame)
        tx_frame = Signal(FRAME_BITS, reset_less=True)
        m.d.comb += self.tx_frame.eq(tx_frame)
        m.d.sync += [tx_frame.eq(Cat(crc.body, crc.crc)), self.tx_valid.eq(sender.frame_valid)]
        self._check(m, receiver)
        m.d.comb += sender.heard_valid.eq(receiver.frame_valid)
        m.d.comb += [sender.heard[name].eq(receiver.frame[name]) for name in COUNTS]
        return m

    def _check(self, m: Module, receiver: LinkReceiver) -> None:
        """Take a frame; compute its CRC; compare."""
        frame = Signal(FRAME_BITS, reset_less=True)
        body, sound = (Signal(body_layout(), name=n, reset_less=True) for n in ("body", "sound"))
        difference = Signal(CRC_BITS, reset_less=True)
        came, computed, is_sound = Signal(), Signal(), Signal()
        m.submodules.check = check = FrameCrc()
        m.d.comb += check.body.eq(frame[:BODY_BITS])
        m.d.sync += [
            frame.eq(self.rx_frame),
            came.eq(self.rx_valid & self.exists),
            body.eq(frame[:BODY_BITS]),
            difference.eq(check.crc ^ frame[BODY_BITS:]),
            computed.eq(came),
            sound.eq(body),
            is_sound.eq(computed & (difference == 0)),
            self.count_bad.eq(computed & (difference != 0)),
        ]
        m.d.comb += [receiver.frame_valid.eq(is_sound), receiver.frame.eq(sound)]
