"""Scenarios of the unicast router of any configuration: registers and turns are its model."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, Scenario, assert_held
from packet_streams import integers, packet_words, random_packet

from csnn.hardware.mesh import Direction, RouterConfig, Site
from csnn.packets import Kind
from rtl.mesh.unicast_router import UnicastRouter

CYCLES = 300
KINDS = (Kind.AER, Kind.BARRIER, Kind.CONFIG, Kind.MONITOR)
LOCAL, HOST = "local", "host"
BINS = (
    "two for one output",
    "waits for an output",
    "follows at once",
    "all outputs at once",
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


class Model:
    """A router with its straps, and what it holds."""

    def __init__(self, config: RouterConfig, here: Site, exists: int, has_host: bool) -> None:
        self.config, self.here, self.has_host = config, here, has_host
        self.links = {direction.name: direction for direction in config.directions}
        self.exists = {name: bool(exists >> k & 1) for k, name in enumerate(self.links)}
        self.ends = [*self.links, LOCAL, HOST]
        self.turns = self._turns()
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self.held: dict[str, tuple[int, str]] = {}
        self.leaving: dict[str, int] = {}
        self.last = dict.fromkeys(self.ends, HOST)
        self.misrouted = False

    def _turns(self) -> set[tuple[str, str]]:
        """Return from which link to which some route leads."""
        reach = range(-max(self.config.express) - 1, max(self.config.express) + 2)
        turns = set()
        for goal in itertools.product(reach, repeat=3):
            leaves = self.config.unicast((0, 0, 0), goal)
            for came in self.config.directions:
                before = came.opposite.from_site((0, 0, 0))
                if leaves and self.config.unicast(before, goal) == came:
                    turns.add((came.opposite.name, leaves.name))
        return turns

    def exit(self, entry: str, packet: int) -> str | None:
        """Return where a packet leaves; None if it is dropped."""
        target = packet & 0xFF, packet >> 8 & 0xFF, packet >> 16 & 0xFF
        direction = self.config.unicast(self.here, target)
        if direction is None:
            is_monitor = packet >> 24 & 0xFF == Kind.MONITOR
            return HOST if is_monitor and self.has_host and entry != HOST else LOCAL
        may_turn = entry in (LOCAL, HOST) or (entry, direction.name) in self.turns
        return direction.name if may_turn and self.exists[direction.name] else None


def check(model: Model, found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    ends = model.ends
    offered = {end: integers(found[f"{end}_in__payload"]) for end in ends}
    given = {end: integers(found[f"{end}_out__payload"]) for end in ends}
    model.reset()
    for t in range(len(found["rst"])):
        chosen: dict[str, str] = {}
        freed = []
        assert found["misrouted"][t] == model.misrouted, t
        for end in ends:
            valid = end in model.leaving
            assert found[f"{end}_out__valid"][t] == valid, (t, end)
            assert not valid or given[end][t] == model.leaving[end], (t, end)
            first = ends.index(model.last[end]) + 1
            waiting = [e for e in ends[first:] + ends[:first] if model.held.get(e, "?")[1] == end]
            cover.hit("two for one output", len(waiting) > 1)
            if not valid or found[f"{end}_out__ready"][t]:
                freed.append(end)
                if waiting:
                    chosen[end] = waiting[0]
            else:
                cover.hit("waits for an output", len(waiting) > 0)
        cover.hit("all outputs at once", len(model.leaving) == len(ends))
        came, dropped = {}, 0
        for end in ends:
            ready = end not in model.held or end in chosen.values()
            assert found[f"{end}_in__ready"][t] == ready, (t, end)
            if ready and found[f"{end}_in__valid"][t]:
                came[end] = offered[end][t]
                cover.hit("follows at once", end in model.held)
        for end in freed:
            model.leaving.pop(end, None)
        for end, entry in chosen.items():
            model.leaving[end] = model.held.pop(entry)[0]
            model.last[end] = entry
        for entry, packet in came.items():
            way = model.exit(entry, packet)
            if way is not None:
                model.held[entry] = (packet, way)
            dropped += way is None
            is_monitor = packet >> 24 & 0xFF == Kind.MONITOR
            cover.hit("answer to the host", way == HOST)
            cover.hit("request of the host", way == LOCAL and entry == HOST and is_monitor)
            cover.hit("no host here", way == LOCAL and is_monitor and not model.has_host)
            cover.hit("would turn back", _goes(model, packet) == entry)
            cover.hit("link does not exist", way is None and not model.exists.get(entry, False))
        cover.hit("two dropped at once", dropped > 1)
        cover.hit("dropped while cleared", dropped and found["clear"][t])
        cover.hit("cleared", model.misrouted and found["clear"][t] and not dropped)
        model.misrouted = bool(dropped or (model.misrouted and not found["clear"][t]))
        if found["rst"][t]:
            cover.hit("reset with packets inside", len(model.held) > 1)
            model.reset()
    for end in ends:
        assert_held(found, f"{end}_out")


def _goes(model: Model, packet: int) -> str | None:
    target = packet & 0xFF, packet >> 8 & 0xFF, packet >> 16 & 0xFF
    direction = model.config.unicast(model.here, target)
    return None if direction is None else direction.name


def packets(model: Model, entry: str, rng: np.random.Generator, wrong: float) -> np.ndarray:
    """Return packets that come at an input; of a part of them the target is any."""
    found: list[int] = []
    while len(found) < CYCLES:
        packet = random_packet(rng, KINDS)
        far = rng.integers(0, 256, 3)
        near = np.clip(np.array(model.here) + rng.integers(-4, 5, 3), 0, 255)
        target = np.where(rng.random(3) < 0.3, far, near)
        target = np.where(rng.random(3) < 0.5, model.here, target)
        x, y, z = target.tolist()
        packet = packet >> 24 << 24 | z << 16 | y << 8 | x
        if rng.random() < wrong or model.exit(entry, packet) is not None:
            found.append(packet)
    return packet_words(found)


def scenarios(config: RouterConfig) -> tuple[Scenario, ...]:
    """Return the scenarios of a configuration."""
    everything = (1 << len(config.directions)) - 1

    async def drive(
        dut: Dut, rng: np.random.Generator, cover: Coverage, *, offers: float, takes: float,
        wrong: float = 0.1, resets: float = 0.0, exists: int | None = None, host: bool = True,
        only: str | None = None, here: Site | None = None,
    ) -> None:  # fmt: skip
        x, y, z = here or rng.integers(0, 256, 3).tolist()
        model = Model(config, (x, y, z), everything if exists is None else exists, host)
        resetting = rng.random(CYCLES) < resets
        resetting[-1] = True
        inputs: Mapping[str, Any] = {
            **{
                f"{end}_in__valid": (rng.random(CYCLES) < offers) & (only in (None, end))
                for end in model.ends
            },
            **{f"{end}_out__ready": rng.random(CYCLES) < takes for end in model.ends},
            "clear": rng.random(CYCLES) < 0.3,
            "rst": resetting,
            "here_x": x,
            "here_y": y,
            "here_z": z,
            "exists": everything if exists is None else exists,
            "has_host": host,
        }
        streams = {f"{end}_in": packets(model, end, rng, wrong) for end in model.ends}
        check(model, await dut.run(inputs, streams), cover)

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
