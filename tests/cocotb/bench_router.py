"""Bench of a router: links, unit, host and registers are connected as they should be."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut
from compact_crc import compact_crc
from router_surroundings import (
    CONFIG,
    HOST,
    LINKS,
    LOCAL,
    Place,
    Surroundings,
    larger_buffer,
)

from csnn.hardware.mesh import Site
from csnn.hardware.router_registers import ERRORS
from csnn.packets import Kind
from rtl.mesh.router import Router

AT_ORIGIN = Place(here=(0, 0, 0), has_host=True)
UNICAST_WAYS = (
    *("link to link", "link to local", "link to host", "local to link", "local to local"),
    *("local to host", "host to link", "host to local"),
)
BROADCAST_WAYS = ("link to link", "link to local", "local to link")
WITHOUT_UNIT = Place(here=(9, 0, 7), has_unit=False, deliver=False)


def bits(*names: str) -> int:
    return sum(1 << LINKS.index(name) for name in names)


def error_bits(*names: str) -> int:
    return sum(1 << tuple(ERRORS).index(name) for name in names)


def tagged(entry: str, number: int, target: Site, kind: Kind = Kind.AER) -> int:
    """Return a packet that is known by its entry and its number."""
    tag = (*LINKS, LOCAL).index(entry) << 24 | number
    x, y, z = target
    return tag << 64 | kind << 24 | z << 16 | y << 8 | x


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then packets one by one."""
    around = Surroundings(dut, rng, cover)
    await around.run(200)
    assert not any(around.found.values())
    assert not any(around.sent.values())
    around.give_all(3)
    await around.drain(offers=0.05)
    around.check()
    await around.registers()


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """All entries are busy and all exits slow; then some stand, and the other channel goes on."""
    around = Surroundings(dut, rng, cover)
    around.give_all(10)
    await around.run(200, offers=1.0, takes=0.1)
    await around.drain()
    around.check()
    around.slow = {"broadcast_out"}
    around.give_all(12)
    await around.run(300, offers=1.0)
    for name in LINKS:
        cover.hit("unicast passes waiting broadcasts", not around.waiting[name, "unicast"])
    around.slow = set()
    await around.drain()
    around.check()


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset of the router and of all around it forgets everything."""
    around = Surroundings(dut, rng, cover, loss=0.05)
    for cycles in (40, 90, 160):
        around.give_all(10)
        await around.run(cycles, takes=0.3, reset=True)
        cover.hit("reset")
    around.loss = 0.0
    around.give_all(3)
    await around.drain()
    around.check()
    await around.registers()


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The host's place; a place with a router only."""
    around = Surroundings(dut, rng, cover, AT_ORIGIN)
    around.give_all(10)
    around.give((LOCAL, "unicast"), [tagged(LOCAL, 0, (0, 0, 0), Kind.MONITOR)])
    await around.drain(takes=0.5)
    around.check()
    await around.registers(HOST)
    around.check()

    await dut.run({"rst": [1]})
    around = Surroundings(dut, rng, cover, WITHOUT_UNIT)
    around.give_all(10)
    await around.drain()
    around.check()
    await around.registers(errors=error_bits("no_unit"))


async def wrong(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Packets that come where none may; links that are not there, and frames on them."""
    for channel in ("unicast", "broadcast"):
        await dut.run({"rst": [1]})
        around = Surroundings(dut, rng, cover)
        around.give_all(3)
        around.give((LINKS[2], channel), around.packets(LINKS[2], channel, 3, wrong=True))
        around.give_all(3)
        await around.drain()
        around.check()
        await around.registers(errors=error_bits(channel))
    await dut.run({"rst": [1]})
    around = Surroundings(dut, rng, cover, Place(exists=bits("x_minus", "y_plus", "z_minus")))
    around.noise = 0.3
    around.give_all(10)
    x, y, z = around.place.here
    around.give((LOCAL, "unicast"), [tagged(LOCAL, 0, (x + 9, y, z))])
    await around.drain()
    around.check()
    cover.hit("noise on a link that is not there")
    await around.registers(errors=error_bits("unicast"))


async def bad_wires(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Frames are lost and corrupted on every link, and counted."""
    around = Surroundings(dut, rng, cover, loss=0.1, corrupt=0.1)
    around.give_all(6)
    around.give((LOCAL, "broadcast"), around.packets(LOCAL, "broadcast", 30))
    await around.drain(takes=0.7)
    around.check()
    around.loss = around.corrupt = 0.0
    await around.registers("y_plus")


async def lost(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Links are cut; others are sent more than they can take."""
    for turn in range(3):
        await dut.run({"rst": [1]})
        around = Surroundings(dut, rng, cover, AT_ORIGIN)
        cut, greedy = LINKS[turn::3], LINKS[(turn + 1) % 3 :: 3]
        for name in greedy:
            around.neighbours[name].end = larger_buffer()
        await around.run(64)
        for name in cut:
            around.neighbours[name].cut = True
        around.give((LOCAL, "broadcast"), around.packets(LOCAL, "broadcast", 3))
        around.slow = {"unicast_out"}
        for name in greedy:
            packets = [tagged(name, n, around.place.here) for n in range(16)]
            around.give((name, "unicast"), packets)
        await around.run(400)
        around.slow = set()
        around.withdraw()
        await around.run(100)
        around.check(lost=frozenset((*cut, *greedy)))
        # What this end does not send any more, the other end misses, and falls silent too.
        failed = bits(*cut, *greedy)
        await around.registers(HOST, failed=failed, silent=failed, overflow=bits(*greedy))


BENCH = Bench(
    make=lambda: Router(CONFIG),
    scenarios=(idle, lost, bad_wires, random, wrong, back_pressure, reset_in_flight),
    bins=(
        *(f"unicast: {way}" for way in UNICAST_WAYS),
        *(f"broadcast: {way}" for way in BROADCAST_WAYS),
        *(f"{port} waits" for port in ("unicast_out", "broadcast_out", "host_out")),
        *(f"error {name}" for name in ERRORS),
        "several branches",
        "dropped",
        "for the registers",
        "no unit",
        "counters",
        "sent again on all links",
        "bad on all links",
        "failed",
        "silent",
        "overflow",
        "unicast passes waiting broadcasts",
        "noise on a link that is not there",
        "reset",
    ),
    mutated="top",
    change=compact_crc,
)
