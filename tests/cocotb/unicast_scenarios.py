"""Scenarios of the unicast router of any configuration: registers and turns are its model."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, Scenario, assert_held
from packet_streams import integers, packet_words, random_packet

from csnn.hardware.mesh import RouterConfig, Site
from csnn.packets import Kind
from rtl.mesh.unicast_router import UnicastRouter

CYCLES = 200
KINDS = (Kind.AER, Kind.BARRIER, Kind.CONFIG, Kind.MONITOR)
LOCAL, HOST = "local", "host"
BINS = (
    "two for one output",
    "waits for an output",
    "follows at once",
    "most outputs at once",
    "link does not exist",
    "would turn back",
    "two dropped at once",
    "dropped while cleared",
    "cleared",
    "answer to the host",
    "request of the host",
    "no host here",
    "reset with packets inside",
)


@dataclass(frozen=True)
class Straps:
    """A router at its place."""

    config: RouterConfig
    here: Site
    exists: int
    has_host: bool

    @property
    def ends(self) -> list[str]:
        """Inputs and outputs, in the order of their turns."""
        return [*(direction.name for direction in self.config.directions), LOCAL, HOST]

    def has(self, link: str) -> bool:
        """Whether there is a link."""
        return bool(self.exists >> self.ends.index(link) & 1)

    def wish(self, packet: int) -> str | None:
        """Return the link that the rule wants; None if the packet has arrived."""
        target = packet & 0xFF, packet >> 8 & 0xFF, packet >> 16 & 0xFF
        direction = self.config.unicast(self.here, target)
        return None if direction is None else direction.name

    def exit(self, entry: str, packet: int) -> str | None:
        """Return where a packet leaves; None if it is dropped."""
        wish = self.wish(packet)
        if wish is None:
            is_monitor = packet >> 24 & 0xFF == Kind.MONITOR
            return HOST if is_monitor and self.has_host and entry != HOST else LOCAL
        may_turn = entry in (LOCAL, HOST) or (entry, wish) in turns(self.config)
        return wish if may_turn and self.has(wish) else None


@cache
def turns(config: RouterConfig) -> set[tuple[str, str]]:
    """Return from which link to which some route leads."""
    reach = range(-max(config.express) - 1, max(config.express) + 2)
    found = set()
    for goal in itertools.product(reach, repeat=3):
        leaves = config.unicast((0, 0, 0), goal)
        for came in config.directions:
            before = came.opposite.from_site((0, 0, 0))
            if leaves and config.unicast(before, goal) == came:
                found.add((came.opposite.name, leaves.name))
    return found


@cache  # drawn once for all mutants
def packets(straps: Straps, entry: str, count: int, wrong: float, seed: int) -> np.ndarray:
    """Return packets that come at an input; of a part of them the target is any."""
    rng = np.random.default_rng(seed)
    shape = 40 * count, 3
    far, near = rng.integers(0, 256, shape), rng.integers(-4, 5, shape) + straps.here
    targets = np.where(rng.random(shape) < 0.3, far, near.clip(0, 255))
    targets = np.where(rng.random(shape) < 0.5, straps.here, targets)
    targets = np.where(rng.random((len(targets), 1)) < 0.1, straps.here, targets)
    is_any = rng.random(len(targets)) < wrong
    found: list[int] = []
    for (x, y, z), accepted in zip(targets.tolist(), is_any.tolist(), strict=True):
        if len(found) == count:
            break
        packet = random_packet(rng, KINDS) >> 24 << 24 | z << 16 | y << 8 | x
        if accepted or straps.exit(entry, packet) is not None:
            found.append(packet)
    return packet_words(found)


def check(straps: Straps, found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    ends = straps.ends
    offered = {end: integers(found[f"{end}_in__payload"]) for end in ends}
    given = {end: integers(found[f"{end}_out__payload"]) for end in ends}
    flags = {name: found[name].tolist() for name in found if found[name].ndim == 1}
    held: dict[str, tuple[int, str]] = {}
    leaving: dict[str, int] = {}
    last = dict.fromkeys(ends, HOST)
    misrouted = dropped_before = False
    for t, resets in enumerate(flags["rst"]):
        chosen: dict[str, str] = {}
        freed = []
        assert flags["misrouted"][t] == misrouted, t
        for end in ends:
            valid = end in leaving
            assert flags[f"{end}_out__valid"][t] == valid, (t, end)
            assert not valid or given[end][t] == leaving[end], (t, end)
            waiting = [entry for entry, (_, exit) in held.items() if exit == end]
            cover.hit("two for one output", len(waiting) > 1)
            if valid and not flags[f"{end}_out__ready"][t]:
                cover.hit("waits for an output", len(waiting) > 0)
                continue
            freed.append(end)
            if waiting:
                after = ends.index(last[end]) + 1
                chosen[end] = min(waiting, key=lambda e: (ends.index(e) - after) % len(ends))
        cover.hit("most outputs at once", 4 * len(leaving) >= 3 * len(ends))
        came, dropped = {}, 0
        for end in ends:
            ready = end not in held or end in chosen.values()
            assert flags[f"{end}_in__ready"][t] == ready, (t, end)
            if ready and flags[f"{end}_in__valid"][t]:
                came[end] = offered[end][t]
                cover.hit("follows at once", end in held)
        for end in freed:
            leaving.pop(end, None)
        for end, entry in chosen.items():
            leaving[end] = held.pop(entry)[0]
            last[end] = entry
        for entry, packet in came.items():
            way, wish = straps.exit(entry, packet), straps.wish(packet)
            if way is not None:
                held[entry] = (packet, way)
            dropped += way is None
            is_monitor = packet >> 24 & 0xFF == Kind.MONITOR
            cover.hit("answer to the host", way == HOST)
            cover.hit("request of the host", way == LOCAL and entry == HOST and is_monitor)
            cover.hit("no host here", way == LOCAL and is_monitor and not straps.has_host)
            cover.hit("would turn back", wish == entry)
            cover.hit("link does not exist", wish is not None and not straps.has(wish))
        clears = flags["clear"][t]
        cover.hit("two dropped at once", dropped > 1)
        cover.hit("dropped while cleared", dropped_before and clears)
        cover.hit("cleared", misrouted and clears and not dropped_before)
        misrouted = dropped_before or (misrouted and not clears)
        dropped_before = dropped > 0
        if resets:
            cover.hit("reset with packets inside", len(held) > 1)
            held, leaving, last = {}, {}, dict.fromkeys(ends, HOST)
            misrouted = dropped_before = False
    for end in ends:
        assert_held(found, f"{end}_out")


def scenarios(config: RouterConfig) -> tuple[Scenario, ...]:
    """Return the scenarios of a configuration."""
    everything = (1 << len(config.directions)) - 1

    async def drive(
        dut: Dut, rng: np.random.Generator, cover: Coverage, *, offers: float, takes: float,
        wrong: float = 0.1, resets: float = 0.0, exists: int | None = None, host: bool = True,
        only: str | None = None, here: Site | None = None,
    ) -> None:  # fmt: skip
        x, y, z = here or rng.integers(0, 256, 3).tolist()
        straps = Straps(config, (x, y, z), everything if exists is None else exists, host)
        resetting = rng.random(CYCLES) < resets
        resetting[-1] = True
        inputs: Mapping[str, Any] = {
            **{
                f"{end}_in__valid": (rng.random(CYCLES) < offers) & (only in (None, end))
                for end in straps.ends
            },
            **{f"{end}_out__ready": rng.random(CYCLES) < takes for end in straps.ends},
            "clear": rng.random(CYCLES) < 0.3,
            "rst": resetting,
            "here_x": x,
            "here_y": y,
            "here_z": z,
            "exists": straps.exists,
            "has_host": host,
        }
        seed = int(rng.integers(1 << 32))
        streams = {
            f"{end}_in": packets(
                straps, end, int(inputs[f"{end}_in__valid"].sum()), wrong, seed + k
            )
            for k, end in enumerate(straps.ends)
        }
        check(straps, await dut.run(inputs, streams), cover)

    async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Nothing comes; then packets one by one."""
        found = await dut.run({"clear": rng.random(30) < 0.5})
        assert not any(found[name].any() for name in found if name.endswith("out__valid"))
        await drive(dut, rng, cover, offers=0.02, takes=1.0)
        await drive(dut, rng, cover, offers=1.0, takes=1.0, only=LOCAL)

    async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """All inputs are busy, and the outputs are slow or fast."""
        await drive(dut, rng, cover, offers=1.0, takes=0.1)
        await drive(dut, rng, cover, offers=1.0, takes=1.0, wrong=0.0)

    async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A reset forgets packets, turns and the error."""
        await drive(dut, rng, cover, offers=0.8, takes=0.5, resets=0.05)

    async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Every rate, with all links and some, at corners, with the host and without."""
        for here in ((0, 0, 0), (255, 255, 255), (3, 252, 2)):
            await drive(dut, rng, cover, offers=0.7, takes=0.7, wrong=0.5, here=here)
        await drive(dut, rng, cover, offers=0.3, takes=0.9, wrong=1, exists=0)
        for host in (True, False):
            exists = int(rng.integers(0, everything))
            await drive(dut, rng, cover, offers=0.5, takes=0.9, wrong=1, exists=exists, host=host)
        await drive(dut, rng, cover, offers=0.9, takes=0.9, host=False)

    return idle, back_pressure, reset_in_flight, random


def bench(config: RouterConfig) -> Bench:
    """Return the bench of a configuration."""
    return Bench(
        make=lambda: UnicastRouter(config),
        scenarios=scenarios(config),
        bins=BINS,
        mutated="top",
    )
