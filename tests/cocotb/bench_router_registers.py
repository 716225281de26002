"""Bench of a router's registers: what passes, what is answered, what is counted."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held
from packet_streams import integers, moved, packet_words, random_packet

from csnn.hardware.mesh import RouterConfig
from csnn.hardware.router_registers import (
    COUNTERS,
    ERRORS,
    OFFSETS,
    ROUTER_ID,
    ROUTER_REGION,
    counter_offset,
    router_registers,
)
from csnn.packets import ANSWERS, Kind, encode
from rtl.mesh.router_registers import RouterRegisters

CONFIG = RouterConfig(express=(0, 0, 2))
LINKS = len(CONFIG.directions)
KINDS = tuple(Kind)
REGISTERS = router_registers(CONFIG)
STATUS = ("exists", "failed", "silent", "overflow")
CYCLES = 600


def request(rng: np.random.Generator, kind: Kind) -> int:
    """Return a request for a register that is there, for one that is not, or of a node."""
    offsets = [*REGISTERS, *(offset for offset in range(64) if offset not in REGISTERS)]
    offset = int(rng.choice(offsets))
    if rng.random() < 0.1:
        offset |= 1 << int(rng.integers(8, 20))
    region = ROUTER_REGION if rng.random() < 0.8 else int(rng.choice([0, 17, 129, 1 << 11]))
    data = int(rng.integers(1 << 32))
    x, y, z = (int(axis) for axis in rng.integers(0, 256, 3))
    return encode(kind, (x, y, z), address=region << 20 | offset, data=data)


def stream_of(rng: np.random.Generator, requests: float) -> list[int]:
    return [
        request(rng, Kind.MONITOR if rng.random() < 0.8 else Kind.CONFIG)
        if rng.random() < requests
        else random_packet(rng, KINDS)
        for _ in range(CYCLES)
    ]


def is_mine(packet: int) -> bool:
    is_request = packet >> 24 & 0xFF in (Kind.CONFIG, Kind.MONITOR)
    return is_request and packet >> 52 & 0xFFF == ROUTER_REGION


def check(found: Arrays, cover: Coverage) -> None:
    """Compare what passed, what was answered, and when."""
    inputs = integers(found["input__payload"])
    offered = dict(moved(found, "input"))
    passed, answers = dict(moved(found, "output")), moved(found, "answer")
    counts = {name: np.zeros(LINKS, np.int64) for name in COUNTERS}
    no_unit = False
    pending: int | None = None
    queue: list[tuple[int, int]] = []
    leaving = iter(answers)
    for t in range(len(found["rst"])):
        has_unit = bool(found["has_unit"][t])
        if pending is not None:
            queue.append((t, word(found, t, pending & 0xFFFFF, counts, no_unit) << 32 | pending))
        waits = len(queue)
        expected = waits - (pending is not None) < ANSWERS and pending is None
        if has_unit and not is_mine(inputs[t]):
            expected = bool(found["output__ready"][t])
        if found["input__valid"][t]:
            assert found["input__ready"][t] == expected, t
        pending = None
        packet = offered.get(t)
        kind = None if packet is None else packet >> 24 & 0xFF
        mine = packet is not None and is_mine(packet)
        if packet is not None and not found["rst"][t]:
            assert (t in passed) == (has_unit and not mine), t
            if t in passed:
                assert passed[t] == packet, t
            dropped = not mine and not has_unit
            cover.hit("passed", t in passed)
            cover.hit("dropped", dropped)
            cover.hit("request", mine and kind == Kind.MONITOR)
            cover.hit("write", mine and kind == Kind.CONFIG)
            if mine and kind == Kind.MONITOR:
                pending = packet >> 32 & 0xFFFFFFFF
            no_unit = no_unit or dropped
        else:
            assert t not in passed or found["rst"][t], t
        valid = found["answer__valid"][t]
        cover.hit("queue full", waits == ANSWERS)
        assert valid <= (waits > 0), t
        # A FIFO offers what it holds two cycles after it came.
        assert valid or not waits or queue[0][0] > t - 2 or t < 2, t
        if valid and found["answer__ready"][t] and not found["rst"][t]:
            at, answer = next(leaving)
            assert (at, answer) == (t, queue.pop(0)[1] << 32 | Kind.MONITOR << 24), t
        for name in COUNTERS:
            bits = int(found[f"count_{name}"][t])
            counts[name] += [bits >> link & 1 for link in range(LINKS)]
        if found["rst"][t]:
            cover.hit("reset with answers inside", waits > 0)
            queue, pending, no_unit = [], None, False
            counts = {name: np.zeros(LINKS, np.int64) for name in COUNTERS}
    assert next(leaving, None) is None
    assert_held(found, "answer")


def word(found: Arrays, t: int, offset: int, counts: dict[str, np.ndarray], no_unit: bool) -> int:
    """Return what a register holds in a cycle."""
    names = {place: name for name, place in OFFSETS.items()}
    for link, direction in enumerate(CONFIG.directions):
        for name in COUNTERS:
            if offset == counter_offset(CONFIG, direction, name):
                return int(counts[name][link])
    if offset not in names:
        return 0
    errors = {
        "unicast": found["error_unicast"][t],
        "broadcast": found["error_broadcast"][t],
        "no_unit": no_unit,
    }
    values = {
        "id": ROUTER_ID,
        "version": 1,
        "place": sum(int(found[f"here_{axis}"][t]) << 8 * i for i, axis in enumerate("xyz")),
        "links": int(found["exists"][t]),
        **{name: int(found[name][t]) for name in STATUS[1:]},
        "errors": sum(int(errors[name]) << i for i, name in enumerate(ERRORS)),
    }
    return values[names[offset]]


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: float, passes: float, takes: float, requests: float = 0.5, resets: float = 0.0,
    has_unit: bool = True,
) -> None:  # fmt: skip
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    steady = {name: np.full(CYCLES, rng.integers(1 << LINKS)) for name in STATUS}
    steady |= {f"here_{axis}": np.full(CYCLES, rng.integers(256)) for axis in "xyz"}
    found = await dut.run(
        {
            **steady,
            **{f"count_{name}": rng.integers(0, 1 << LINKS, CYCLES) for name in COUNTERS},
            **{name: rng.random(CYCLES) < 0.5 for name in ("error_unicast", "error_broadcast")},
            "has_unit": np.full(CYCLES, has_unit),
            "input__valid": rng.random(CYCLES) < offers,
            "output__ready": rng.random(CYCLES) < passes,
            "answer__ready": rng.random(CYCLES) < takes,
            "rst": resetting,
        },
        {"input": packet_words(stream_of(rng, requests))},
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then packets one by one."""
    found = await dut.run({"output__ready": rng.random(50) < 0.5, "answer__ready": 1})
    assert not found["output__valid"].any()
    assert not found["answer__valid"].any()
    await drive(dut, rng, cover, offers=0.05, passes=1.0, takes=1.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Either output stands long."""
    await drive(dut, rng, cover, offers=1.0, passes=1.0, takes=0.03, requests=0.3)
    await drive(dut, rng, cover, offers=1.0, passes=0.1, takes=1.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets requests, answers and counts."""
    await drive(dut, rng, cover, offers=0.8, passes=0.8, takes=0.3, resets=0.03)


async def no_unit(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Only the router is here."""
    await drive(dut, rng, cover, offers=0.7, passes=0.5, takes=0.8, has_unit=False, requests=0.9)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """All sides busy at every rate."""
    for offers, passes, takes in ((0.9, 0.3, 0.3), (0.3, 0.9, 0.9), (0.9, 0.9, 0.6)):
        await drive(dut, rng, cover, offers=offers, passes=passes, takes=takes, requests=0.8)


BENCH = Bench(
    make=lambda: RouterRegisters(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, no_unit, random),
    bins=(
        "passed",
        "dropped",
        "request",
        "write",
        "queue full",
        "reset with answers inside",
    ),
    mutated="top",
    equivalent={
        "$signal: (input__payload[31:24] == 3'h5) | (input__payload[31:24] == 3'h6) => $ ^ $": "a "
        "packet has one kind",
    },
)
