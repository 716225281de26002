"""Bench of the configuration space: one request at a time, to the region that it names."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage, Dut
from packet_streams import moved

from csnn.hardware.memory_map import OFFSET_BITS, Region
from rtl.config_space import ConfigSpace
from rtl.memory_access import READ_LATENCY

WIDTHS = {
    Region.REGISTERS: 5,
    Region.SEED: 12,
    Region.STATE: 10,
    Region.SYNAPTIC_INPUT: 9,
    Region.EXTERNAL_INPUT: 8,
}
READ_ONLY = (Region.SYNAPTIC_INPUT, Region.EXTERNAL_INPUT)
CYCLES = 700
# From the cycle in which a request is taken to its answer.
AT_ONCE, AFTER_READ = 1, 2 + READ_LATENCY


def requests(rng: np.random.Generator, count: int) -> list[int]:
    """Return requests as the stream has them: is_write, address, data from bit 0."""
    made = []
    for _ in range(count):
        region = int(rng.choice([*WIDTHS, Region.WEIGHT_TABLES, 200, 1 << 31 - OFFSET_BITS]))
        bits = next((bits for known, bits in WIDTHS.items() if known == region), 8)
        # The last word, the first beyond it, one far beyond, and any.
        near = [(1 << bits) - 1, 1 << bits, 1 << OFFSET_BITS - 1 | 3]
        offset = int(rng.choice([*near, *rng.integers(0, 1 << bits, 5)]))
        address = region << OFFSET_BITS | offset
        made.append(int(rng.integers(2)) | address << 1 | int(rng.integers(2**32)) << 33)
    return made


def check(found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    came = dict(moved(found, "request"))
    held: tuple[int, int] | None = None
    for t in range(len(found["rst"])):
        assert found["request__ready"][t] == (held is None), t
        selected: Region | None = None
        answered = False
        if held is not None:
            begun, word = held
            is_write, address, data = word & 1, word >> 1 & 0xFFFFFFFF, word >> 33
            region, offset = address >> OFFSET_BITS, address & (1 << OFFSET_BITS) - 1
            known = next((one for one in WIDTHS if one == region), None)
            is_there = known is not None and offset < 1 << WIDTHS[known]
            is_open = known is Region.REGISTERS or bool(found["halted"][t])
            refused = not is_there or not is_open or (is_write and known in READ_ONLY)
            answered = t - begun == AFTER_READ or refused or bool(is_write)
            if not refused:
                selected = known
            if answered:
                assert found["answer"][t] & 1 == refused, t
                cover.hit("no such region", known is None)
                cover.hit("beyond the region", known is not None and not is_there)
                cover.hit("not halted", is_there and not is_open)
                cover.hit(
                    "register while running", known is Region.REGISTERS and not found["halted"][t]
                )
                cover.hit("read only", is_there and is_write and known in READ_ONLY)
                cover.hit("last word", known is not None and offset == (1 << WIDTHS[known]) - 1)
                cover.hit("written", not refused and is_write)
                if not refused and not is_write and known is not None:
                    cover.hit("read")
                    word = found[f"{known.name.lower()}__read_data"][t]
                    assert found["answer"][t] >> np.uint64(1) == word, t
        assert found["answered"][t] == answered, t
        for region in WIDTHS:
            port = region.name.lower()
            mine = region is selected
            assert found[f"{port}__select"][t] == mine, (t, port)
            assert found[f"{port}__write"][t] == (mine and is_write), (t, port)
            if mine:
                assert found[f"{port}__address"][t] == offset, (t, port)
                assert found[f"{port}__write_data"][t] == data, (t, port)
        if answered:
            held = None
        elif t in came:
            held = t, came[t]
        if found["rst"][t]:
            cover.hit("reset with a request inside", held is not None)
            held = None


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: float, halted: float = 0.7, resets: float = 0.0,
) -> None:  # fmt: skip
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    made = requests(rng, CYCLES)
    words = np.array([[word & 2**64 - 1, word >> 64] for word in made], dtype=np.uint64)
    found = await dut.run(
        {
            "request__valid": rng.random(CYCLES) < offers,
            "halted": np.repeat(rng.random(CYCLES // 10) < halted, 10),
            **{
                f"{region.name.lower()}__read_data": rng.integers(0, 2**32, CYCLES)
                for region in WIDTHS
            },
            "rst": resetting,
        },
        {"request": words},
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is asked; then something now and then."""
    await drive(dut, rng, cover, offers=0.0)
    await drive(dut, rng, cover, offers=0.03)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Requests wait for the one before."""
    await drive(dut, rng, cover, offers=1.0, halted=1.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets the request."""
    await drive(dut, rng, cover, offers=0.7, resets=0.1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Requests to a node that halts and runs."""
    for halted in (0.3, 0.6, 0.9):
        await drive(dut, rng, cover, offers=0.6, halted=halted)


BENCH = Bench(
    make=lambda: ConfigSpace(WIDTHS),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "no such region",
        "beyond the region",
        "not halted",
        "register while running",
        "read only",
        "last word",
        "written",
        "read",
        "reset with a request inside",
    ),
)
