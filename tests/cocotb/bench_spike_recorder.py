"""Bench of the spike recorder: queue, counters and one burst at a time are its model."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held

from csnn.hardware.recorder import BURST_RECORDS, FIFO_RECORDS, RECORD_BYTES
from rtl.spike_recorder import SpikeRecorder

CYCLES = 1500
BOUNDARY = 4096


@dataclass
class Model:
    """State of the recorder; `offered` is the FIFO's output register."""

    inner: deque[int] = field(default_factory=deque)
    offered: int | None = None
    state: str = "IDLE"
    taken: int = 0
    recorded: int = 0
    failed: bool = False
    gives_up: bool = False
    beats: int = 0
    sent: int = 0

    @property
    def level(self) -> int:
        return len(self.inner) + (self.offered is not None)


def check(found: Arrays, cover: Coverage) -> None:
    """Follow records, bursts and answers, cycle by cycle."""
    s = Model()
    for t in range(len(found["rst"])):
        i = {name: int(column[t]) for name, column in found.items() if column.ndim == 1}
        beat = found["beat__payload"][t]
        has_room = len(s.inner) < FIFO_RECORDS - 1
        is_full = s.taken >= i["size"]
        stores = not is_full and not s.failed
        outputs = {
            "record__ready": not stores or has_room,
            "recorded": s.recorded,
            "busy": s.state != "IDLE" or s.level > 0,
            "error": s.failed,
            "burst__valid": s.state == "ADDRESS",
            "beat__valid": s.state == "DATA",
            "response__ready": s.state == "RESPONSE",
        }
        for name, value in outputs.items():
            assert i[name] == value, (t, name)
        if outputs["burst__valid"]:
            address = i["page"] * BOUNDARY + s.recorded * RECORD_BYTES
            assert i["burst__payload"] == address | (s.beats - 1) << 44, t
            last = address + s.beats * RECORD_BYTES - 1
            assert address // BOUNDARY == last // BOUNDARY, t
            cover.hit("burst up to 4 KiB", (last + 1) % BOUNDARY == 0)
            cover.hit("burst of one record", s.beats == 1)
            cover.hit("whole block", s.beats == BURST_RECORDS)
        if outputs["beat__valid"]:
            assert s.offered is not None, t
            assert int(beat[0]) == s.offered, t
            assert int(beat[1]) == (s.sent == s.beats - 1), t
        cover.hit("record waits", i["record__valid"] and not i["record__ready"])
        cover.hit("no room left", i["record__valid"] and is_full and i["size"])
        cover.hit("recording is off", i["record__valid"] and not i["size"])
        cover.hit(
            "memory refuses",
            s.state == "RESPONSE" and i["response__valid"] and i["response__payload"],
        )
        cover.hit("dropped after an error", i["record__valid"] and s.failed)
        cover.hit("written after there was no room", s.failed and outputs["beat__valid"])
        cover.hit("more taken than the size", s.taken > i["size"] > 0)
        advance(s, i, stores and has_room, is_full)
        if i["rst"]:
            cover.hit("reset in a burst", s.state == "DATA")
            s = Model()
    assert_held(found, "burst")
    assert_held(found, "beat")


def advance(s: Model, i: dict[str, int], accepts: bool, is_full: bool) -> None:
    """Go on by a cycle."""
    whole = BURST_RECORDS - s.recorded % BURST_RECORDS
    level, pops, error = s.level, False, s.failed
    recorded = s.recorded
    error |= bool(i["record__valid"] and is_full and i["size"])
    if s.state == "IDLE":
        s.beats = min(level, whole)
        pops = s.gives_up
        if not s.gives_up and (level >= whole or (i["flush"] and level)):
            s.state, s.sent = "ADDRESS", 0
    elif s.state == "ADDRESS":
        if i["burst__ready"]:
            s.state = "DATA"
    elif s.state == "DATA":
        pops = bool(i["beat__ready"])
        if pops:
            s.sent += 1
            if s.sent == s.beats:
                s.state = "RESPONSE"
    elif i["response__valid"]:
        s.state = "IDLE"
        if i["response__payload"] == 0:
            recorded += s.beats
        else:
            error = s.gives_up = True
    moves = bool(s.inner) and (s.offered is None or pops)
    if moves:
        s.offered = s.inner.popleft()
    elif pops:
        s.offered = None
    if i["record__valid"] and accepts:
        s.inner.append(i["record__payload"])
        s.taken += 1
    s.recorded, s.failed = recorded, error
    if i["clear"]:
        s.taken, s.recorded, s.failed, s.gives_up = 0, 0, False, False


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, rate: float, takes: float, size: int, flush: float = 0.0, bad: float = 0.0,
    resets: float = 0.0, cycles: int = CYCLES, finishes: bool = True,
) -> None:  # fmt: skip
    """Record, let all be written, clear, record again."""
    resetting = rng.random(cycles) < resets
    resetting[-1] = True
    # Offered so rarely that the recorder waits for it, as often as not.
    answers = rng.random(cycles) < 0.1 * takes
    ready = rng.random((2, cycles)) < takes
    # The last third begins with a clear, after a pause in which everything is written.
    records = rng.random(cycles) < rate
    clear = np.zeros(cycles, bool)
    flushes = np.repeat(rng.random(-(-cycles // 20)) < flush, 20)[:cycles]
    if finishes:
        pause = slice(cycles // 3, 2 * cycles // 3)
        records[pause], flushes[pause], answers[pause] = False, True, True
        ready[:, pause] = True
        clear[2 * cycles // 3] = True
    responses = rng.integers(1, 4, cycles) * (rng.random(cycles) < bad)
    found = await dut.run(
        {
            "record__valid": records,
            "record__payload": rng.integers(0, 2**63, cycles),
            "page": int(rng.integers(2**31, 2**32)),
            # A region made smaller is not written beyond.
            "size": np.where(np.arange(cycles) < cycles // 4, size, size * 3 // 4),
            "flush": flushes,
            "clear": clear,
            "burst__ready": ready[0],
            "beat__ready": ready[1],
            "response__valid": answers,
            "rst": resetting,
        },
        {"response": responses},
    )
    if finishes and not resets:
        assert not found["busy"][clear].any()
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing to record, or nowhere; then single records."""
    await drive(dut, rng, cover, rate=0.0, takes=0.5, size=100, flush=0.5)
    await drive(dut, rng, cover, rate=0.5, takes=0.5, size=0, flush=0.5)
    await drive(dut, rng, cover, rate=0.02, takes=0.8, size=10_000, flush=1.0)
    await drive(dut, rng, cover, rate=0.05, takes=1.0, size=10_000)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Records as fast as they can come; the memory is slow, fast, or fast past a boundary."""
    await drive(dut, rng, cover, rate=1.0, takes=0.1, size=10_000, finishes=False)
    await drive(dut, rng, cover, rate=1.0, takes=1.0, size=10_000, finishes=False)
    await drive(dut, rng, cover, rate=1.0, takes=1.0, size=520, cycles=4000, finishes=False)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets records and burst."""
    await drive(dut, rng, cover, rate=0.4, takes=0.5, size=60, flush=0.3, bad=0.1, resets=0.01)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate; regions that become full; a memory that refuses."""
    for rate, takes in ((0.1, 0.9), (0.5, 0.5), (0.3, 0.6)):
        for size, bad in ((10_000, 0.0), (50, 0.0), (1, 0.0), (10_000, 0.1)):
            await drive(dut, rng, cover, rate=rate, takes=takes, size=size, flush=0.3, bad=bad)
    for size in range(1, 60):
        await drive(dut, rng, cover, rate=0.5, takes=0.9, size=size, flush=1.0, bad=1, cycles=240)
        await drive(dut, rng, cover, rate=0.1, takes=0.9, size=1, flush=1.0, bad=1, cycles=240)


BENCH = Bench(
    make=SpikeRecorder,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "burst up to 4 KiB",
        "burst of one record",
        "whole block",
        "record waits",
        "no room left",
        "recording is off",
        "memory refuses",
        "dropped after an error",
        "written after there was no room",
        "more taken than the size",
        "reset in a burst",
    ),
    partly=("$: (~ r_rdy) | r_en => $ ^ r_en",),
    equivalent={
        "$: { 3'h0, page, 12'h000 } => { 3'd2, page, 12'h000 }": "above the width of the address",
        "$: (~ r_rdy) | r_en => $ ^ r_en": (
            "asked while its register is empty only as records are dropped: none is kept or comes"
        ),
    },
)
