"""Bench of the AXI4-Lite window: a small state machine, cycle by cycle, is its model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held

from csnn.hardware.memory_map import WINDOW_ADDRESS_BITS
from rtl.config_window import ConfigWindow

CYCLES = 600
OKAY, SLVERR = 0, 2


@dataclass
class Access:
    """What is under way."""

    state: str = "IDLE"
    is_write: bool = False
    address: int = 0
    data: int = 0
    response: int = OKAY


def check(found: Arrays, cover: Coverage) -> None:
    """Follow the accesses one after the other."""
    now = Access()
    for t in range(len(found["rst"])):
        i = {name: column[t] for name, column in found.items()}
        write = bool(i["write_address__valid"] and i["write_data__valid"])
        read = bool(i["read_address__valid"])
        if write and read:
            write, read = not now.is_write, now.is_write
        write, read = (now.state == "IDLE" and part for part in (write, read))
        outputs = {
            "write_address__ready": write,
            "write_data__ready": write,
            "read_address__ready": read,
            "request__valid": now.state == "ASK",
            "write_response__valid": now.state == "ANSWER" and now.is_write,
            "read_data__valid": now.state == "ANSWER" and not now.is_write,
        }
        for name, value in outputs.items():
            assert i[name] == value, (t, name)
        if outputs["request__valid"]:
            word = now.address >> 2
            expected = now.is_write | word << 1
            low = int(i["request__payload"][0]) | int(i["request__payload"][1]) << 64
            assert low & (1 << 33) - 1 == expected, t
            if now.is_write:
                assert low >> 33 == now.data, t
        if outputs["write_response__valid"]:
            assert i["write_response__payload"] == now.response, t
        if outputs["read_data__valid"]:
            assert i["read_data__payload"] == now.data | now.response << 32, t
        cover.hit("write and read at once", write and i["read_address__valid"])
        cover.hit(
            "read before a write", read and i["write_address__valid"] and i["write_data__valid"]
        )
        cover.hit("address before data", i["write_address__valid"] and not i["write_data__valid"])
        cover.hit("data before address", i["write_data__valid"] and not i["write_address__valid"])
        cover.hit("answer waits", i["read_data__valid"] and not i["read_data__ready"])
        now = after(now, i, write, read, cover)
        if i["rst"]:
            cover.hit("reset in an access", now.state != "IDLE")
            now = Access()
    for stream in ("request", "write_response", "read_data"):
        assert_held(found, stream)


def after(now: Access, i: dict, write: bool, read: bool, cover: Coverage) -> Access:
    """Return what is under way in the next cycle."""
    if write or read:
        address = int(i["write_address__payload" if write else "read_address__payload"])
        data, strobes = (
            int(i["write_data__payload"]) & 0xFFFFFFFF,
            int(i["write_data__payload"]) >> 32,
        )
        is_legal = address & 3 == 0 and (read or strobes == 15)
        cover.hit("misaligned", address & 3)
        cover.hit("bytes left out", write and strobes != 15)
        if not is_legal:
            return Access("ANSWER", write, address, 0, SLVERR)
        return Access("ASK", write, address, data if write else 0)
    if now.state == "ASK" and i["request__ready"]:
        return Access("WAIT", now.is_write, now.address, now.data)
    if now.state == "WAIT" and i["answered"]:
        refused = int(i["answer"]) & 1
        cover.hit("read refused", refused and not now.is_write)
        cover.hit("write refused", refused and now.is_write)
        data = 0 if refused else int(i["answer"]) >> 1
        return Access("ANSWER", now.is_write, now.address, data, SLVERR if refused else OKAY)
    if now.state == "ANSWER" and i["write_response__ready" if now.is_write else "read_data__ready"]:
        return Access(is_write=now.is_write)
    return now


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, writes: tuple[float, float], reads: float, takes: float = 0.7, resets: float = 0.0,
) -> None:  # fmt: skip
    def addresses() -> np.ndarray:
        words = rng.integers(0, 1 << WINDOW_ADDRESS_BITS, CYCLES)
        return np.where(rng.random(CYCLES) < 0.2, words, words & ~3)

    strobes = np.where(rng.random(CYCLES) < 0.2, rng.integers(0, 16, CYCLES), 15)
    # One strobe missing is the fault that is most easily overlooked.
    strobes = np.where(rng.random(CYCLES) < 0.2, 15 ^ 1 << rng.integers(0, 4, CYCLES), strobes)
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    found = await dut.run(
        {
            "write_address__valid": rng.random(CYCLES) < writes[0],
            "write_data__valid": rng.random(CYCLES) < writes[1],
            "read_address__valid": rng.random(CYCLES) < reads,
            "write_response__ready": rng.random(CYCLES) < takes,
            "read_data__ready": rng.random(CYCLES) < takes,
            "request__ready": rng.random(CYCLES) < takes,
            "answered": rng.random(CYCLES) < 0.4,
            "answer": rng.integers(0, 1 << 33, CYCLES),
            "rst": resetting,
        },
        {
            "write_address": addresses(),
            "write_data": rng.integers(0, 1 << 32, CYCLES) | strobes << 32,
            "read_address": addresses(),
        },
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is asked; half a write; then single accesses."""
    await drive(dut, rng, cover, writes=(0, 0), reads=0)
    await drive(dut, rng, cover, writes=(1, 0), reads=0)
    await drive(dut, rng, cover, writes=(0, 1), reads=0.1)
    await drive(dut, rng, cover, writes=(0.05, 0.05), reads=0)
    await drive(dut, rng, cover, writes=(0, 0), reads=0.05)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Always reads and writes; whoever takes is slow, or always ready."""
    await drive(dut, rng, cover, writes=(1, 1), reads=1, takes=0.1)
    await drive(dut, rng, cover, writes=(1, 1), reads=1, takes=1)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets the access."""
    await drive(dut, rng, cover, writes=(0.5, 0.5), reads=0.5, takes=0.4, resets=0.1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every order of address, data and read."""
    for writes, reads in (((0.2, 0.8), 0.2), ((0.8, 0.2), 0.2), ((0.3, 0.3), 0.3)):
        await drive(dut, rng, cover, writes=writes, reads=reads)


BENCH = Bench(
    make=ConfigWindow,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "write and read at once",
        "read before a write",
        "address before data",
        "data before address",
        "answer waits",
        "misaligned",
        "bytes left out",
        "read refused",
        "write refused",
        "reset in an access",
    ),
    equivalent={
        "$: $signal | $signal$ => $signal ^ $signal$": "a write and a read exclude each other"
    },
)
