# amaranth: UnusedElaboratable=no
"""Bench of a link end: its model talks to another such model over a channel that is no good."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut, ports
from link_models import CHANNELS, LinkEndModel, LossyChannel, Source, Trace

from csnn.hardware.frames import FRAME_BITS, Channel, encode_frame
from csnn.hardware.mesh import LinkConfig
from csnn.packets import PACKET_BITS
from rtl.mesh.link_end import LinkEnd

CONFIG = LinkConfig(
    frame_cycles=3, window=16, buffer=8, timeout=48, retry_limit=2, keepalive=12, silence_limit=70
)
WIDTHS = ports(LinkEnd(CONFIG))[0]
CYCLES = 1200


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: float, ready: float = 0.8, cut: int | None = None, exists: bool = True,
    noise: float = 0.0, forged: float = 0.0, resets: float = 0.0, cycles: int = CYCLES,
    **channel: float,
) -> None:  # fmt: skip
    """Run both models, then the component on the inputs of one; the last cycle is a reset.

    From cycle `cut` on nothing gets through any more. Noise and forged frames go to the component
    between those of the other end.
    """
    trace = Trace(WIDTHS)

    def begin() -> tuple[LinkEndModel, LinkEndModel, LossyChannel, LossyChannel]:
        ways = [LossyChannel(rng, **channel) for _ in range(2)]  # type: ignore[arg-type]
        return LinkEndModel(CONFIG), LinkEndModel(CONFIG), ways[0], ways[1]

    here, there, forth, back = begin()
    sources = [{name: Source(rng, PACKET_BITS) for name in CHANNELS} for _ in range(2)]
    for t in range(cycles):
        is_cut = cut is not None and t >= cut
        to_there, to_here = forth.pass_on(t, here.tx_frame), back.pass_on(t, there.tx_frame)
        if is_cut:
            to_there = to_here = None
        if to_here is None and rng.random() < noise:
            to_here = int.from_bytes(rng.bytes(FRAME_BITS // 8), "little")
        if to_here is None and rng.random() < forged:
            number = here.receiver.expected % 128
            to_here = encode_frame(number=number, channel=Channel.UNICAST, packet=number)
        offered = [
            {name: source.offer(offers) for name, source in side.items()} for side in sources
        ]
        takes = {name: bool(rng.random() < ready) for name in CHANNELS}
        rst = t == cycles - 1 or rng.random() < resets
        trace.drive(rx_valid=to_here is not None, rx_frame=to_here or 0, exists=exists, rst=rst)
        trace.expect(tx_valid=here.tx_frame is not None, tx_frame=here.tx_frame)
        trace.expect(**here.errors, **here.pulses)
        for name in CHANNELS:
            packet = here.receiver.offered(name)
            trace.drive(**{f"{name}_out__ready": takes[name]})
            trace.expect(
                **{f"{name}_out__valid": packet is not None, f"{name}_out__payload": packet}
            )
            trace.offer(f"{name}_in__", offered[0][name])
            cover.hit(f"{name} received", packet is not None)
        cover.hit("corrupt", here.pulses["count_bad"])
        cover.hit("sent again", here.pulses["count_resent"])
        accepted = here.step(offered[0], takes, to_here, exists)
        anywhere = {name: bool(rng.random() < ready) for name in CHANNELS}
        from_there = there.step(offered[1], anywhere, to_there, True)
        for name in CHANNELS:
            trace.expect(**{f"{name}_in__ready": accepted[name]})
            for side, moved in zip(sources, (accepted, from_there), strict=True):
                if moved[name]:
                    side[name].offered = None
        errors = here.errors
        cover.hit("dropped", errors["failed"] and any(accepted.values()))
        cover.hit("time-outs", here.sender.failed)
        cover.hit("silent", errors["silent"])
        cover.hit("overflow", errors["overflow"])
        cover.hit("two errors", errors["overflow"] and here.sender.failed)
        cover.hit("not taken after time-outs", "taken no more" in here.receiver.events)
        cover.hit("frame for an end that does not exist", not exists and to_here is not None)
        if rst:
            cover.hit("reset in use", here.tx_frame is not None)
            here, there, forth, back = begin()
    await trace.check(dut)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing to send; no other end; single packets."""
    await drive(dut, rng, cover, offers=0.0, cycles=150)
    await drive(dut, rng, cover, offers=0.5, exists=False, cycles=200)
    await drive(dut, rng, cover, offers=0.02, cycles=400)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Packets are offered always and taken rarely."""
    await drive(dut, rng, cover, offers=1.0, ready=0.1)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset of both ends and of what is between them."""
    await drive(dut, rng, cover, offers=0.5, loss=0.05, resets=0.01)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Good channels and bad ones."""
    await drive(dut, rng, cover, offers=1.0, ready=1.0)
    await drive(dut, rng, cover, offers=0.3, loss=0.1, double=0.1, corrupt=0.1)
    await drive(dut, rng, cover, offers=0.5, loss=0.05, double=0.2, jitter=20, noise=0.1)


async def lost(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The channel is cut; or never there; or somebody else sends frames."""
    await drive(dut, rng, cover, offers=0.5, cut=200, cycles=500)
    await drive(dut, rng, cover, offers=0.0, cut=200, cycles=500)
    await drive(dut, rng, cover, offers=0.5, cut=0, cycles=500)
    await drive(dut, rng, cover, offers=0.2, ready=0.05, forged=0.3, cycles=300)
    # Time-outs after an error, and packets that still come after the time-outs.
    await drive(dut, rng, cover, offers=0.5, ready=0.05, forged=0.3, loss=0.7, cycles=500)
    await drive(dut, rng, cover, offers=0.5, ready=1.0, cut=0, forged=0.05, cycles=400)


BENCH = Bench(
    make=lambda: LinkEnd(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random, lost),
    bins=(
        "unicast received",
        "broadcast received",
        "corrupt",
        "sent again",
        "time-outs",
        "silent",
        "overflow",
        "two errors",
        "dropped",
        "not taken after time-outs",
        "frame for an end that does not exist",
        "reset in use",
    ),
    mutated="top",
    equivalent={
        f"{name}_in__ready: {name}__ready | failed => {name}__ready ^ failed": (
            "the sender is ready only for what is offered; a failed link offers it nothing"
        )
        for name in CHANNELS
    },
)
