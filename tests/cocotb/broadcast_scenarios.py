"""Scenarios of the broadcast router of any configuration: a place, a register and queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, Scenario, assert_held
from packet_streams import integers, packet_words, random_packet

from csnn.hardware.mesh import RouterConfig, Site
from csnn.packets import Kind
from rtl.fifo import PacketFifo
from rtl.mesh.broadcast_router import BroadcastRouter

CYCLES = 250
KINDS = (Kind.SPIKE, Kind.SYNC)
LOCAL = "local"
BINS = (
    "all branches at once",
    "no branch",
    "injected here",
    "delivered here",
    "not delivered here",
    "a queue is full",
    "waits for one of its queues",
    "one queue full, another goes on",
    "inputs wait for each other",
    "follows at once",
    "comes where none comes",
    "dropped while cleared",
    "cleared",
    "reset with packets inside",
)


@dataclass(frozen=True)
class Straps:
    """A router at its place."""

    config: RouterConfig
    here: Site
    exists: int
    deliver: bool

    @property
    def ends(self) -> list[str]:
        """Inputs and outputs, in the order of their turns."""
        return [*(direction.name for direction in self.config.directions), LOCAL]

    def entry(self, packet: int) -> str:
        """Return the input where a packet must come."""
        arrival = self.config.arrival(_sender(packet), self.here)
        return LOCAL if arrival is None else arrival.opposite.name

    def exits(self, packet: int) -> list[str]:
        """Return the outputs that get a copy."""
        sender = _sender(packet)
        branches = self.config.branches(sender, self.here)
        places = [self.config.directions.index(branch) for branch in branches]
        links = [self.ends[place] for place in places if self.exists >> place & 1]
        return links + [LOCAL] * (self.deliver and sender != self.here)


def _sender(packet: int) -> Site:
    return packet & 0xFF, packet >> 8 & 0xFF, packet >> 16 & 0xFF


@cache  # drawn once for all mutants
def packets(straps: Straps, entry: str, count: int, wrong: float, seed: int) -> np.ndarray:
    """Return packets that come at an input; of a part of them the sender is any."""
    rng = np.random.default_rng(seed)
    shape = 40 * count, 3
    far, near = rng.integers(0, 256, shape), rng.integers(-7, 8, shape) + straps.here
    senders = np.where(rng.random(shape) < 0.3, far, near.clip(0, 255))
    senders = np.where(rng.random(shape) < 0.5, straps.here, senders)
    senders = np.where(rng.random((len(senders), 1)) < 0.1, straps.here, senders)
    is_any = rng.random(len(senders)) < wrong
    found: list[int] = []
    # At a border no packet can come along some links.
    for (x, y, z), accepted in zip(senders.tolist(), is_any.tolist(), strict=True):
        if len(found) == count:
            break
        address = z << 16 | y << 8 | x
        if accepted or straps.entry(address) == entry:
            found.append(random_packet(rng, KINDS) >> 24 << 24 | address)
    return packet_words(found)


def check(straps: Straps, found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    ends, depth = straps.ends, straps.config.branch_buffer
    offered = {end: integers(found[f"{end}_in__payload"]) for end in ends}
    given = {end: integers(found[f"{end}_out__payload"]) for end in ends}
    flags = {name: found[name].tolist() for name in found if found[name].ndim == 1}
    merged: tuple[str, int] | None = None
    held: tuple[int, list[str]] | None = None
    # Packets with the cycles in which they came, and when the head may be offered.
    queues: dict[str, deque[tuple[int, int]]] = {end: deque() for end in ends}
    free_from = dict.fromkeys(ends, 0)
    last, misrouted = LOCAL, False
    for t, resets in enumerate(flags["rst"]):
        assert flags["misrouted"][t] == misrouted, t
        full = [end for end in ends if len(queues[end]) == depth]
        leaving = []
        for end, queue in queues.items():
            valid = bool(queue) and t >= max(queue[0][0] + PacketFifo.LATENCY, free_from[end])
            assert flags[f"{end}_out__valid"][t] == valid, (t, end)
            assert not valid or given[end][t] == queue[0][1], (t, end)
            if valid and flags[f"{end}_out__ready"][t]:
                leaving.append(end)
        goes = held is not None and not set(full) & set(held[1])
        moves = merged is not None and (held is None or goes)
        after = ends.index(last) + 1
        waiting = [end for end in ends[after:] + ends[:after] if flags[f"{end}_in__valid"][t]]
        taken = waiting[0] if waiting and (merged is None or moves) else None
        for end in ends:
            assert flags[f"{end}_in__ready"][t] == (end == taken), (t, end)
        cover.hit("a queue is full", len(full) > 0)
        cover.hit("waits for one of its queues", held is not None and not goes)
        cover.hit("one queue full, another goes on", len(full) > 0 and goes and held[1])
        cover.hit("inputs wait for each other", len(waiting) > 1)
        for end in leaving:
            queues[end].popleft()
            free_from[end] = t + 1
        if held is not None and goes:
            for end in held[1]:
                queues[end].append((t, held[0]))
            held = None
        clears, dropped = flags["clear"][t], False
        if merged is not None and moves:
            entry, packet = merged
            exits = straps.exits(packet)
            dropped = straps.entry(packet) != entry
            if not dropped:
                held = packet, exits
                cover.hit("no branch", not exits)
                cover.hit("all branches at once", len(exits) == len(ends) - 1)
                cover.hit("injected here", entry == LOCAL)
                cover.hit("delivered here", LOCAL in exits)
                cover.hit("not delivered here", entry != LOCAL and not straps.deliver)
            cover.hit("follows at once", taken is not None)
            merged = None
        cover.hit("comes where none comes", dropped)
        cover.hit("dropped while cleared", dropped and clears)
        cover.hit("cleared", misrouted and clears and not dropped)
        misrouted = dropped or (misrouted and not clears)
        if taken is not None:
            merged, last = (taken, offered[taken][t]), taken
        if resets:
            cover.hit("reset with packets inside", merged is not None and held is not None)
            merged = held = None
            last, misrouted = LOCAL, False
            for queue in queues.values():
                queue.clear()
    for end in ends:
        assert_held(found, f"{end}_out")


def scenarios(config: RouterConfig) -> tuple[Scenario, ...]:
    """Return the scenarios of a configuration."""
    everything = (1 << len(config.directions)) - 1

    async def drive(
        dut: Dut, rng: np.random.Generator, cover: Coverage, *, offers: float, takes: float,
        wrong: float = 0.1, resets: float = 0.0, exists: int | None = None, deliver: bool = True,
        only: str | None = None, slow: str | None = None, here: Site | None = None,
    ) -> None:  # fmt: skip
        x, y, z = here or rng.integers(0, 256, 3).tolist()
        straps = Straps(config, (x, y, z), everything if exists is None else exists, deliver)
        resetting = rng.random(CYCLES) < resets
        resetting[-1] = True
        inputs: Mapping[str, Any] = {
            **{
                f"{end}_in__valid": (rng.random(CYCLES) < offers) & (only in (None, end))
                for end in straps.ends
            },
            **{
                f"{end}_out__ready": rng.random(CYCLES) < takes * (0.1 if slow == end else 1)
                for end in straps.ends
            },
            "clear": rng.random(CYCLES) < 0.3,
            "rst": resetting,
            "here_x": x,
            "here_y": y,
            "here_z": z,
            "exists": straps.exists,
            "deliver": deliver,
        }
        seed = int(rng.integers(1 << 32))
        streams = {}
        for place, end in enumerate(straps.ends):
            # All inputs share one stage: most of what is offered waits till the end.
            count = min(int(inputs[f"{end}_in__valid"].sum()), CYCLES // (1 if only else 4))
            streams[f"{end}_in"] = packets(straps, end, count, wrong, seed + place)
        check(straps, await dut.run(inputs, streams), cover)

    async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Nothing comes; then packets one by one; then those of the node."""
        found = await dut.run({"clear": rng.random(30) < 0.5})
        assert not any(found[name].any() for name in found if name.endswith("out__valid"))
        await drive(dut, rng, cover, offers=0.01, takes=1.0)
        await drive(dut, rng, cover, offers=1.0, takes=1.0, only=LOCAL, wrong=0.0)

    async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """All inputs are busy; the outputs are slow, fast, or one of them slow."""
        await drive(dut, rng, cover, offers=1.0, takes=0.1)
        await drive(dut, rng, cover, offers=1.0, takes=1.0, wrong=0.0)
        for place, link in enumerate(config.directions):
            only = (LOCAL, link.opposite.name)[place % 2]
            slow = link.name
            await drive(dut, rng, cover, offers=0.9, takes=0.9, only=only, slow=slow, wrong=0.0)
        only = config.directions[0].name
        await drive(dut, rng, cover, offers=0.9, takes=0.9, only=only, slow=LOCAL, wrong=0.0)

    async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A reset forgets packets, turns and the error."""
        await drive(dut, rng, cover, offers=0.3, takes=0.5, resets=0.05)

    async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Every rate, with all links and some, at corners, with delivery and without."""
        for here in ((0, 0, 0), (255, 255, 255), (3, 252, 2)):
            await drive(dut, rng, cover, offers=0.2, takes=0.7, wrong=0.5, here=here)
        for deliver in (True, False):
            exists = int(rng.integers(0, everything))
            await drive(
                dut, rng, cover, offers=0.1, takes=0.9, wrong=0.3, exists=exists, deliver=deliver
            )
        await drive(dut, rng, cover, offers=0.1, takes=0.9, wrong=0.0, exists=0, deliver=False)
        await drive(dut, rng, cover, offers=0.2, takes=0.9, wrong=1.0)

    return idle, back_pressure, reset_in_flight, random


def bench(config: RouterConfig) -> Bench:
    """Return the bench of a configuration."""
    return Bench(
        make=lambda: BroadcastRouter(config),
        scenarios=scenarios(config),
        bins=BINS,
        mutated="top",
    )
