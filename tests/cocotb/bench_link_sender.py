# amaranth: UnusedElaboratable=no
"""Bench of the sender of a link: all packets ever taken, and the time, are its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut, ports
from link_models import CHANNELS, ROUND, Counts, SenderModel, Source, Trace, joined

from csnn.hardware.frames import encode_frame
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.mesh.frame_layout import BODY_BITS
from rtl.mesh.link_sender import LinkSender

# The window is full while there is room, and the other way round.
CONFIG = LinkConfig(
    frame_cycles=3, window=4, buffer=8, timeout=20, retry_limit=3, keepalive=7, silence_limit=30
)
WIDTHS = ports(LinkSender(CONFIG))[0]
CYCLES = 1500


class OtherSide:
    """Takes packets in order, frees them some time later, and tells it some time later still."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.expected = 0
        self.taken = dict.fromkeys(CHANNELS, 0)
        self.freed = dict.fromkeys(CHANNELS, 0)

    def step(self, s: SenderModel, loss: float, frees: float) -> None:
        """Look at the frame that the sender offers."""
        rng = self._rng
        # The sender may have believed what was never true.
        self.expected = max(self.expected, s.oldest)
        frame = s.frame
        is_next = frame and frame["channel"] and frame["number"] == self.expected % ROUND
        if is_next and self.expected < len(s.packets) and rng.random() >= loss:
            self.taken[s.packets[self.expected][0]] += 1
            self.expected += 1
        for name in CHANNELS:
            # A place may be free before the packet is acknowledged.
            self.freed[name] = max(self.freed[name], s.freed[name])
            if self.freed[name] < self.taken[name] and rng.random() < frees:
                self.freed[name] += 1

    def tell(self, old: float, wrong: float) -> Counts:
        """Return counts: those of now, older ones, or any."""
        rng = self._rng
        told = []
        for count in (self.expected, *self.freed.values()):
            if rng.random() < wrong:
                count += int(rng.integers(1, ROUND))
            elif rng.random() < old:
                count -= int(rng.integers(0, 20))
            told.append(count % ROUND)
        return told[0], told[1], told[2]


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: tuple[float, float], answers: float, loss: float = 0.0, frees: float = 0.5,
    pauses: float = 0.0, old: float = 0.2, wrong: float = 0.0, news: float = 0.05,
    disabled: float = 0.0, resets: float = 0.0, cycles: int = CYCLES,
) -> None:  # fmt: skip
    """Run model and component on the same inputs; the last cycle is a reset."""
    trace = Trace(WIDTHS)
    s, other = SenderModel(CONFIG), OtherSide(rng)
    sources = {name: Source(rng, PACKET_BITS) for name in CHANNELS}
    counts = [0, 0, 0]
    pausing, enable = False, True
    for t in range(cycles):
        if t % 30 == 0:
            pausing, enable = rng.random() < pauses, rng.random() >= disabled
        offered = {
            name: source.offer(rate)
            for (name, source), rate in zip(sources.items(), offers, strict=True)
        }
        counts = [(count + (rng.random() < news)) % ROUND for count in counts]
        is_heard = not pausing and rng.random() < answers
        told = other.tell(old, wrong)
        rst = t == cycles - 1 or rng.random() < resets
        frame = s.frame
        sent, resent = s.pulses
        trace.drive(
            enable=enable, counts=joined(counts), heard_valid=is_heard, heard=joined(told), rst=rst
        )
        trace.expect(
            frame_valid=frame is not None,
            frame=None if frame is None else encode_frame(**frame) % (1 << BODY_BITS),
            failed=s.failed,
            count_sent=sent,
            count_resent=resent,
        )
        other.step(s, loss, frees)
        was_again = s.cursor < len(s.packets)
        ready = s.step(
            offered, (counts[0], counts[1], counts[2]), told if is_heard else None, enable
        )
        for name, source in sources.items():
            trace.offer(f"{name}__", offered[name])
            trace.expect(**{f"{name}__ready": ready[name]})
            if ready[name]:
                source.offered = None
        for event in s.events:
            cover.hit(event)
        cover.hit("failed", s.failed)
        cover.hit("numbers went round", s.oldest > ROUND)
        cover.hit("not enabled", not enable)
        cover.hit("time-out while sent again", was_again and "time-out" in s.events)
        if rst:
            cover.hit("reset with packets under way", s.oldest < len(s.packets))
            s, other, counts = SenderModel(CONFIG), OtherSide(rng), [0, 0, 0]
    await trace.check(dut)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing to send: frames that tell counts, and some that tell nothing new."""
    await drive(dut, rng, cover, offers=(0.0, 0.0), answers=0.1, news=0.0, cycles=100)
    await drive(dut, rng, cover, offers=(0.0, 0.0), answers=0.1, news=0.03, cycles=400)
    await drive(dut, rng, cover, offers=(0.02, 0.02), answers=0.5, cycles=600)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The window is full; or there is no room for one channel, or for both."""
    await drive(dut, rng, cover, offers=(1.0, 1.0), answers=0.05)
    await drive(dut, rng, cover, offers=(1.0, 1.0), answers=0.5, frees=0.01)
    await drive(dut, rng, cover, offers=(1.0, 0.05), answers=0.5, frees=0.05)
    await drive(dut, rng, cover, offers=(0.05, 1.0), answers=0.5, frees=0.05)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets everything."""
    await drive(
        dut, rng, cover, offers=(0.5, 0.5), answers=0.1, loss=0.2, pauses=0.2, resets=0.01
    )  # fmt: skip


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate; frames lost; answers that come late, or are wrong."""
    await drive(dut, rng, cover, offers=(1.0, 1.0), answers=0.9, frees=0.9)
    await drive(dut, rng, cover, offers=(0.3, 0.3), answers=0.4, loss=0.1, disabled=0.2)
    for _ in range(3):
        await drive(dut, rng, cover, offers=(0.5, 0.5), answers=0.1, loss=0.2, pauses=0.3)
        await drive(dut, rng, cover, offers=(0.5, 0.5), answers=0.1, wrong=0.2, pauses=0.2)


async def lost(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is answered any more: everything is sent again, then the sender fails."""
    for _ in range(6):
        await drive(dut, rng, cover, offers=(0.3, 0.3), answers=0.2, loss=0.6, cycles=300)
        await drive(dut, rng, cover, offers=(0.3, 0.3), answers=0.0, cycles=150)


BENCH = Bench(
    make=lambda: LinkSender(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random, lost),
    bins=(
        "window full",
        "no room",
        "both offer",
        "keepalive",
        "counts told",
        "old count",
        "old freed",
        "time-out",
        "time-out while sent again",
        "answer in time",
        "answer while sent again",
        "failed",
        "numbers went round",
        "not enabled",
        "reset with packets under way",
    ),
    equivalent={
        "moves: $signal$ | $signal$ => $signal$ ^ $signal$": (
            "a packet is taken only when none is to be sent again"
        ),
        "$: $signal$ | (! $ [6:0]) => $signal$ ^ $": "nothing advances when nothing is under way",
        "$: ($signal$ | $) | expires => $ ^ expires": (
            "time does not expire when something advances, nor when nothing is under way: then it "
            "began anew in the cycle before"
        ),
    },
)
