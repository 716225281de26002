"""Bench of the packet decoder: a place for one packet is its model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held
from packet_streams import integers, moved, packet_words, random_packet

from csnn.packets import Kind
from rtl.packet_decoder import PacketDecoder

CYCLES = 500
ACCESSES = (Kind.CONFIG, Kind.MONITOR)
# Kinds of which a single bit is wrong are among them; those that are known are left out.
OTHERS = (0, 1, 2, 3, 4, 7, 9, 10, 11, 12, 13, 14, 0x42, 0x84, 0xFF)
Events = tuple[Kind, Kind]


def check(events: Events, found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    end = events[1]
    came = dict(moved(found, "input"))
    event, config = integers(found["event__payload"]), integers(found["config__payload"])
    held: int | None = None
    error = False
    for t in range(len(found["rst"])):
        kind = None if held is None else held >> 24 & 0xFF
        is_event, is_config = kind in events, kind in ACCESSES
        assert found["event__valid"][t] == is_event, t
        assert found["config__valid"][t] == is_config, t
        if held is not None and is_event:
            assert event[t] == (held >> 32 << 1 | (kind == end)), t
        if held is not None and is_config:
            assert config[t] == (held >> 32 << 1 | (kind == Kind.CONFIG)), t
        taken = bool(
            (is_event and found["event__ready"][t]) or (is_config and found["config__ready"][t])
        )
        assert found["input__ready"][t] == (held is None or taken), t
        assert found["error"][t] == error, t
        cover.hit("event waits", is_event and not taken)
        cover.hit("access waits", is_config and not taken)
        cover.hit("next one follows at once", held is not None and t in came)
        cover.hit("cleared", error and found["clear"][t] and t not in came)
        cover.hit("end of a step", kind == end)
        cover.hit("read", kind == Kind.MONITOR)
        if taken:
            held = None
        wrong = t in came and came[t] >> 24 & 0xFF not in (*events, *ACCESSES)
        cover.hit("wrong kind", wrong)
        cover.hit("wrong kind while cleared", wrong and found["clear"][t])
        error = wrong or (error and not found["clear"][t])
        if t in came and not wrong:
            held = came[t]
        if found["rst"][t]:
            cover.hit("reset with a packet inside", held is not None)
            held, error = None, False
    assert_held(found, "event")
    assert_held(found, "config")


def packets(events: Events, rng: np.random.Generator, others: float) -> np.ndarray:
    known = (*events, *ACCESSES)
    unknown = [kind for kind in OTHERS if kind not in known]
    return packet_words(
        [random_packet(rng, unknown if rng.random() < others else known) for _ in range(CYCLES)]
    )


async def drive(
    events: Events, dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: float, takes: float, others: float = 0.2, resets: float = 0.0,
) -> None:  # fmt: skip
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    found = await dut.run(
        {
            "input__valid": rng.random(CYCLES) < offers,
            "event__ready": rng.random(CYCLES) < takes,
            "config__ready": rng.random(CYCLES) < takes,
            "clear": rng.random(CYCLES) < 0.3,
            "rst": resetting,
        },
        {"input": packets(events, rng, others)},
    )
    check(events, found, cover)


def decoder_bench(events: Events, equivalent: Mapping[str, str]) -> Bench:
    """Return the bench of a decoder of packets of two kinds that make a step."""

    async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Nothing comes; then packets one by one."""
        found = await dut.run({"event__ready": rng.random(50) < 0.5, "clear": 1})
        assert not found["event__valid"].any()
        check(events, found, cover)
        await drive(events, dut, rng, cover, offers=0.05, takes=1.0)

    async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Packets wait long on either side."""
        await drive(events, dut, rng, cover, offers=1.0, takes=0.1)
        await drive(events, dut, rng, cover, offers=1.0, takes=1.0, others=0.0)

    async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A reset forgets the packet and the error."""
        await drive(events, dut, rng, cover, offers=0.7, takes=0.4, resets=0.1)

    async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Both sides busy at every rate."""
        for offers, takes in ((0.9, 0.3), (0.3, 0.9), (0.6, 0.6)):
            await drive(events, dut, rng, cover, offers=offers, takes=takes)

    return Bench(
        make=lambda: PacketDecoder(*events),
        scenarios=(idle, back_pressure, reset_in_flight, random),
        bins=(
            "event waits",
            "access waits",
            "next one follows at once",
            "cleared",
            "end of a step",
            "read",
            "wrong kind",
            "wrong kind while cleared",
            "reset with a packet inside",
        ),
        equivalent=equivalent,
    )


BENCH = decoder_bench(
    (Kind.SPIKE, Kind.SYNC),
    {
        "$signal: (input__payload[31:24] == 2'h2) | (input__payload[31:24] == 3'h4) => $ ^ $": "a "
        "packet has one kind",
        "$signal$: (input__payload[31:24] == 3'h5) | (input__payload[31:24] == 3'h6) => $ ^ $": "a "
        "packet has one kind",
    },
)
