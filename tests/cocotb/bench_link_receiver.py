# amaranth: UnusedElaboratable=no
"""Bench of the receiver of a link: a queue for each channel is its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut, ports
from link_models import CHANNELS, ROUND, ReceiverModel, Trace, joined

from csnn.hardware.frames import encode_frame
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.mesh.frame_layout import BODY_BITS
from rtl.mesh.link_receiver import LinkReceiver

CONFIG = LinkConfig(buffer=4, keepalive=7, silence_limit=20)
WIDTHS = ports(LinkReceiver(CONFIG))[0]
CYCLES = 1500


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, frames: float, ready: tuple[float, float], other: float = 0.2, forged: float = 0.0,
    pauses: float = 0.0, late: float = 0.0, flickers: float = 0.0,
    disabled: float = 0.0, resets: float = 0.0, cycles: int = CYCLES,
) -> None:  # fmt: skip
    """Run model and component on the same inputs; the last cycle is a reset."""
    trace = Trace(WIDTHS)
    r = ReceiverModel(CONFIG)
    pausing, enable = False, True
    for t in range(cycles):
        if t % 25 == 0:
            pausing, enable = rng.random() < pauses, rng.random() >= disabled
        channel = int(rng.choice(4, p=(0.1, 0.4, 0.4, 0.1)))
        has_room = all(
            CHANNELS[name] != channel or len(queue) < CONFIG.buffer
            for name, queue in r.queues.items()
        )
        number = r.expected
        if rng.random() < other or (not has_room and rng.random() >= forged):
            number += int(rng.integers(1, ROUND))
        fields = {
            "packet": int.from_bytes(rng.bytes(PACKET_BITS // 8), "little"),
            "channel": channel,
            "number": number % ROUND,
            "expected": int(rng.integers(ROUND)),
        }
        if not pausing and flickers:
            enable = rng.random() >= flickers
        elif flickers:
            enable = True
        is_late = r.heard and t - r.quiet_from == CONFIG.silence_limit
        comes = (not pausing and rng.random() < frames) or (is_late and rng.random() < late)
        takes = {
            name: bool(rng.random() < rate) for name, rate in zip(CHANNELS, ready, strict=True)
        }
        rst = t == cycles - 1 or rng.random() < resets
        trace.drive(
            frame_valid=comes,
            frame=encode_frame(**fields) % (1 << BODY_BITS),
            enable=enable,
            rst=rst,
        )
        trace.expect(counts=joined(r.counts), silent=r.silent, overflow=r.overflow)
        for name in CHANNELS:
            offered = r.offered(name)
            trace.drive(**{f"{name}__ready": takes[name]})
            trace.expect(
                **{f"{name}__valid": offered is not None, f"{name}__payload": offered}
            )  # fmt: skip
        held = r.overflow and any(queue for queue in r.queues.values())
        was_enabled = enable and r.heard and t - r.quiet_from > 2
        cover.hit("frame in time", is_late and comes)
        r.step(fields if comes else None, takes, enable)
        for event in r.events:
            cover.hit(event)
        cover.hit("silent", r.silent)
        cover.hit("overflow", r.overflow)
        cover.hit("handed on after an error", held)
        cover.hit("numbers went round", r.expected > ROUND)
        cover.hit("not enabled", not enable)
        cover.hit("quiet for a while", was_enabled)
        if rst:
            cover.hit("reset with packets inside", any(r.queues.values()))
            r = ReceiverModel(CONFIG)
    await trace.check(dut)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """No frame ever; then one, and silence; then few."""
    await drive(dut, rng, cover, frames=0.0, ready=(0.5, 0.5), cycles=60)
    for _ in range(6):
        await drive(dut, rng, cover, frames=0.04, ready=(0.5, 0.5), cycles=150)
        await drive(dut, rng, cover, frames=0.06, ready=(0.5, 0.5), disabled=0.3, cycles=150)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """One buffer is full, or both: the other channel goes on."""
    await drive(dut, rng, cover, frames=0.9, ready=(0.02, 0.9))
    await drive(dut, rng, cover, frames=0.9, ready=(0.9, 0.02))
    await drive(dut, rng, cover, frames=0.9, ready=(0.1, 0.1))


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets everything."""
    await drive(dut, rng, cover, frames=0.5, ready=(0.2, 0.2), forged=0.1, resets=0.02)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate; frames that the other side should not have sent."""
    await drive(dut, rng, cover, frames=1.0, ready=(1.0, 1.0))
    await drive(dut, rng, cover, frames=0.4, ready=(0.4, 0.4), other=0.5, disabled=0.2)
    for _ in range(5):
        await drive(dut, rng, cover, frames=0.8, ready=(0.2, 0.6), forged=0.02, cycles=300)
        await drive(dut, rng, cover, frames=0.8, ready=(0.6, 0.2), forged=0.02, cycles=300)
        await drive(dut, rng, cover, frames=0.6, ready=(0.3, 0.3), pauses=0.3, cycles=200)
        await drive(dut, rng, cover, frames=0.05, ready=(0.5, 0.5), late=0.8, cycles=200)
        await drive(
            dut, rng, cover, frames=0.7, ready=(0.5, 0.5), flickers=0.5, pauses=0.5, cycles=200
        )


BENCH = Bench(
    make=lambda: LinkReceiver(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "other number",
        "no packet",
        "taken no more",
        "buffer full",
        "silent",
        "overflow",
        "handed on after an error",
        "numbers went round",
        "not enabled",
        "quiet for a while",
        "frame in time",
        "reset with packets inside",
    ),
    mutated="top",
)
