"""What is around a router: link ends at its links, a unit, a host; and what must come out of it.

The simulation runs in pieces of `PIECE` cycles. A frame is under way to the router for as long:
what the neighbours send in a piece, the router hears in the next one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from functools import cached_property

import broadcast_scenarios
import numpy as np
import unicast_scenarios
from bench import Coverage, Dut, assert_held
from link_models import CHANNELS, LinkEndModel
from packet_streams import integers, packet_words

from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.mesh import LinkConfig, RouterConfig, Site
from csnn.hardware.router_registers import (
    COUNTERS,
    ERRORS,
    INTERFACE_VERSION,
    OFFSETS,
    ROUTER_ID,
    ROUTER_REGION,
    counter_offset,
    router_registers,
)
from csnn.packets import Kind
from rtl.verilate import to_words

LINK = LinkConfig(
    frame_cycles=2, window=16, buffer=8, timeout=64, retry_limit=4, keepalive=24, silence_limit=160
)
CONFIG = RouterConfig(link=LINK, branch_buffer=4)
LINKS = tuple(direction.name for direction in CONFIG.directions)
PIECE = 16
LOCAL, HOST = "local", "host"
INPUTS = {(LOCAL, "unicast"): "unicast_in", (LOCAL, "broadcast"): "broadcast_in"}
INPUTS |= {(HOST, "unicast"): "host_in"}
OUTPUTS = {"unicast_out": (LOCAL, "unicast"), "broadcast_out": (LOCAL, "broadcast")}
OUTPUTS |= {"host_out": (HOST, "unicast")}
KINDS = {
    "unicast": (Kind.AER, Kind.BARRIER, Kind.CONFIG, Kind.MONITOR),
    "broadcast": (Kind.SPIKE, Kind.SYNC),
}
End = tuple[str, str]
_ANSWER = Kind.MONITOR << 24


@dataclass(frozen=True)
class Place:
    """A router's straps."""

    here: Site = (3, 4, 5)
    exists: int = (1 << len(LINKS)) - 1
    has_unit: bool = True
    has_host: bool = False
    deliver: bool = True

    @cached_property
    def unicast(self) -> unicast_scenarios.Straps:
        return unicast_scenarios.Straps(CONFIG, self.here, self.exists, self.has_host)

    @cached_property
    def broadcast(self) -> broadcast_scenarios.Straps:
        return broadcast_scenarios.Straps(CONFIG, self.here, self.exists, self.deliver)

    def exits(self, entry: str, channel: str, packet: int) -> list[str]:
        """Return where a packet leaves; none if it is dropped."""
        if channel == "unicast":
            way = self.unicast.exit(entry, packet)
            return [] if way is None else [way]
        return self.broadcast.exits(packet) if self.broadcast.entry(packet) == entry else []

    def links(self) -> list[str]:
        return [name for link, name in enumerate(LINKS) if self.exists >> link & 1]


@dataclass
class Neighbour:
    """The other end of a link, and the wires to it and back."""

    end: LinkEndModel
    cut: bool = False
    to_router: deque[int | None] = field(default_factory=lambda: deque([None] * PIECE))


def is_for_registers(packet: int) -> bool:
    is_request = packet >> 24 & 0xFF in (Kind.CONFIG, Kind.MONITOR)
    return is_request and packet >> 52 & 0xFFF == ROUTER_REGION


class Surroundings:
    """Plays with a router and keeps what it was given and what it gave.

    Parameters
    ----------
    loss, corrupt : float
        Of the frames of both directions; corrupt are those to the router only.
    """

    def __init__(
        self, dut: Dut, rng: np.random.Generator, cover: Coverage, place: Place | None = None,
        *, loss: float = 0.0, corrupt: float = 0.0,
    ) -> None:  # fmt: skip
        self._dut, self._rng, self._cover = dut, rng, cover
        self.place = place or Place()
        self.loss, self.corrupt = loss, corrupt
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a reset."""
        self.neighbours = {name: Neighbour(LinkEndModel(LINK)) for name in self.place.links()}
        self.waiting: dict[End, deque[int]] = {}
        self.given: dict[End, list[int]] = {}
        self.found: dict[End, list[int]] = {}
        self._offered: dict[End, int | None] = {}
        self.sent: dict[str, list[int]] = {name: [] for name in LINKS}
        self.bad = dict.fromkeys(LINKS, 0)
        self.slow: set[str] = set()
        self.noise = 0.0

    # What is to be sent.

    def packets(self, entry: str, channel: str, count: int, *, wrong: bool = False) -> list[int]:
        """Return packets that may come at an entry, or, if `wrong`, that may not."""
        rng, found = self._rng, []
        number = (*LINKS, LOCAL, HOST).index(entry)
        for _ in range(60 * count):
            target = np.where(rng.random(3) < 0.5, 0, rng.integers(-2, 3, 3)) + self.place.here
            x, y, z = target.clip(0, 255).tolist()
            kind = int(rng.choice(KINDS[channel]))
            tag = number << 24 | int(rng.integers(1 << 24))
            address = int(rng.integers(1 << 26))
            packet = tag << 64 | address << 32 | kind << 24 | z << 16 | y << 8 | x
            is_none = self.place.broadcast.entry(packet) != entry
            if channel == "unicast":
                is_none = self.place.unicast.exit(entry, packet) is None
            if is_none == wrong:
                found.append(packet)
            if len(found) == count:
                break
        return found

    def entries(self) -> list[End]:
        """Return all entries, those of links first."""
        ends = [(name, channel) for name in self.place.links() for channel in CHANNELS]
        ends += [(LOCAL, channel) for channel in CHANNELS]
        return [*ends, *([(HOST, "unicast")] if self.place.has_host else [])]

    def give(self, end: End, packets: list[int]) -> None:
        """Let packets wait at an entry."""
        self.waiting.setdefault(end, deque()).extend(packets)

    def give_all(self, count: int) -> None:
        """Let packets wait at all entries."""
        for end in self.entries():
            self.give(end, self.packets(*end, count))

    def withdraw(self) -> None:
        """Offer no more of what waits."""
        self.waiting.clear()
        self._offered.clear()

    # Time.

    async def run(
        self, cycles: int, *, offers: float = 0.7, takes: float = 1.0, reset: bool = False
    ) -> None:
        """Go on; with `reset`, the last cycle is one, and everything is forgotten."""
        for left in range(cycles, 0, -PIECE):
            await self._piece(offers, takes, reset and left <= PIECE)
        if reset:
            self.forget()

    async def drain(self, *, takes: float = 1.0, offers: float = 0.7) -> None:
        """Go on until everything has arrived."""
        quiet = stands = 0
        # A fault may also make packets go round.
        for _ in range(150):
            if stands >= 4 * LINK.timeout:
                break
            before = self._count()
            await self.run(PIECE, takes=takes, offers=offers)
            stands = 0 if self._count() != before else stands + PIECE
            quiet = quiet + PIECE if self._is_quiet() else 0
            # What is lost on its way from the router waits for a time-out in it.
            if quiet >= (2 * LINK.timeout if self.loss else 3 * PIECE):
                return
        raise AssertionError("packets wait for ever")

    def _count(self) -> int:
        return sum(map(len, (*self.given.values(), *self.found.values())))

    def _is_quiet(self) -> bool:
        ends = [there.end for there in self.neighbours.values() if not there.end.errors["failed"]]
        return not (self._moved or any(self.waiting.values())) and all(
            len(end.sender.packets) == end.sender.oldest and not any(end.receiver.queues.values())
            for end in ends
        )

    async def _piece(self, offers: float, takes: float, reset: bool) -> None:
        rng, place = self._rng, self.place
        inputs: dict[str, object] = {
            "exists": place.exists,
            "has_unit": place.has_unit,
            "has_host": place.has_host,
            "deliver": place.deliver,
            "rst": np.arange(PIECE) == (PIECE - 1 if reset else PIECE),
            **{f"here_{axis}": at for axis, at in zip("xyz", place.here, strict=True)},
        }
        for name in LINKS:
            frames = list(self._arrivals(name))
            inputs[f"{name}_rx_valid"] = np.array([frame is not None for frame in frames])
            inputs[f"{name}_rx_frame"] = to_words([frame or 0 for frame in frames], FRAME_BITS)
        for port in OUTPUTS:
            inputs[f"{port}__ready"] = rng.random(PIECE) < takes * (port not in self.slow)
        streams = {}
        for end, port in INPUTS.items():
            valid = rng.random(PIECE) < offers
            # What was offered is offered until it is taken.
            valid[0] |= self._offered.get(end) is not None
            inputs[f"{port}__valid"] = valid
            streams[port] = packet_words(list(self.waiting.get(end, ()))[:PIECE] or [0])
            if not self.waiting.get(end):
                inputs[f"{port}__valid"] = np.zeros(PIECE, bool)
        found = await self._dut.run(inputs, streams)
        self._moved = 0
        for end, port in INPUTS.items():
            valid, ready = found[f"{port}__valid"], found[f"{port}__ready"]
            for _ in range(int(np.count_nonzero(valid & ready))):
                self.given.setdefault(end, []).append(self.waiting[end].popleft())
                self._moved += 1
            is_held = bool(valid[-1]) and not ready[-1]
            self._offered[end] = self.waiting[end][0] if is_held else None
        for port, end in OUTPUTS.items():
            assert_held(found, port)
            moved = (found[f"{port}__valid"] & found[f"{port}__ready"]) == 1
            packets = integers(found[f"{port}__payload"][moved])
            self.found.setdefault(end, []).extend(packets)
            self._moved += len(packets)
            self._cover.hit(f"{port} waits", found[f"{port}__valid"] > found[f"{port}__ready"])
        for name in LINKS:
            valid = found[f"{name}_tx_valid"].tolist()
            if not any(valid) and name not in self.neighbours:
                continue
            frames = integers(found[f"{name}_tx_frame"])
            self._neighbour(name, [f if v else None for f, v in zip(frames, valid, strict=True)],
                            offers, takes)  # fmt: skip

    def _arrivals(self, name: str) -> list[int | None]:
        """Return the frames that reach the router on a link in this piece."""
        rng = self._rng
        if name not in self.neighbours:
            noise = [int.from_bytes(rng.bytes(FRAME_BITS // 8), "little") for _ in range(PIECE)]
            return [frame if rng.random() < self.noise else None for frame in noise]
        there = self.neighbours[name]
        frames = [there.to_router.popleft() for _ in range(PIECE)]
        for t, frame in enumerate(frames):
            if frame is None:
                continue
            if there.cut or rng.random() < self.loss:
                frames[t] = None
            elif rng.random() < self.corrupt:
                frames[t] = frame ^ 1 << int(rng.integers(FRAME_BITS))
                self.bad[name] += 1
        return frames

    def _neighbour(self, name: str, frames: list[int | None], offers: float, takes: float) -> None:
        """Let the other end of a link take what the router sent, and answer."""
        rng = self._rng
        assert name in self.neighbours, f"{name} sends and does not exist"
        there = self.neighbours[name]
        there_takes = takes * (name not in self.slow)
        for frame in frames:
            if frame is not None and frame >> 96 & 3:
                self.sent[name].append(frame)
            arrives = frame is not None and not there.cut and rng.random() >= self.loss
            offered: dict[str, int | None] = {}
            for channel in CHANNELS:
                end = name, channel
                if self._offered.get(end) is None and self.waiting.get(end):
                    self._offered[end] = self.waiting[end][0] if rng.random() < offers else None
                offered[channel] = self._offered.get(end)
            ready = {channel: bool(rng.random() < there_takes) for channel in CHANNELS}
            for channel in CHANNELS:
                packet = there.end.receiver.offered(channel)
                if packet is not None and ready[channel]:
                    self.found.setdefault((name, channel), []).append(packet)
            there.to_router.append(there.end.tx_frame)
            accepted = there.end.step(offered, ready, frame if arrives else None, True)
            for channel in CHANNELS:
                if accepted[channel] and offered[channel] is not None:
                    end = name, channel
                    self.given.setdefault(end, []).append(self.waiting[end].popleft())
                    self._offered[end] = None

    # What must have come out.

    def check(self, *, lost: frozenset[str] = frozenset()) -> None:
        """Demand that all packets but those of lost links came out where they must, in order."""
        place, cover = self.place, self._cover
        expected: dict[tuple[End, End], list[int]] = {}
        requests = 0
        for (entry, channel), packets in self.given.items():
            for packet in packets:
                exits = place.exits(entry, channel, packet)
                cover.hit("dropped", not exits)
                if channel == "unicast" and exits == [LOCAL]:
                    is_request = is_for_registers(packet)
                    requests += is_request and packet >> 24 & 0xFF == Kind.MONITOR
                    cover.hit("for the registers", is_request)
                    cover.hit("no unit", not place.has_unit and not is_request)
                    if is_request or not place.has_unit:
                        continue
                cover.hit("several branches", len(exits) > 2)
                for way in exits:
                    cover.hit(f"{channel}: {_kind(entry)} to {_kind(way)}")
                    expected.setdefault(((entry, channel), (way, channel)), []).append(packet)
        names = (*LINKS, LOCAL, HOST)
        answers = 0
        for way, packets in self.found.items():
            by_entry: dict[str, list[int]] = {}
            for packet in packets:
                if _is_answer(packet):
                    answers += 1
                else:
                    by_entry.setdefault(names[packet >> 88], []).append(packet)
            for entry in names:
                want = expected.pop(((entry, way[1]), way), [])
                if entry not in lost and way[0] not in lost:
                    assert by_entry.get(entry, []) == want, (entry, way)
        assert lost or not any(expected.values()), "packets did not come out"
        assert answers == requests

    async def registers(self, by: str = LOCAL, **status: int) -> None:
        """Read all registers by packets from an entry; compare with what was seen.

        `status` tells what `failed`, `silent`, `overflow` and `errors` must be.
        """
        registers = router_registers(CONFIG)
        x, y, z = self.place.here
        origin = CONFIG.unicast(self.place.here, (0, 0, 0))
        way = HOST if origin is None else origin.name
        answers = self.found.setdefault((way, "unicast"), [])
        before, first = self._counts(), len(answers)
        requests = [
            (ROUTER_REGION << 20 | offset) << 32 | _ANSWER | z << 16 | y << 8 | x
            for offset in registers
        ]
        self.give((by, "unicast"), requests)
        await self.drain()
        after = self._counts()
        came = [packet for packet in answers[first:] if _is_answer(packet)]
        assert len(came) == len(registers)
        words = {packet >> 32 & 0xFFFFF: packet >> 64 for packet in came}
        steady = {"id": ROUTER_ID, "version": INTERFACE_VERSION, "place": z << 16 | y << 8 | x}
        steady |= {"links": self.place.exists, "failed": 0, "silent": 0, "overflow": 0, "errors": 0}
        for name, value in {**steady, **status}.items():
            assert words[OFFSETS[name]] == value, (name, words[OFFSETS[name]])
        for direction in CONFIG.directions:
            for name in COUNTERS:
                key = direction.name, name
                word = words[counter_offset(CONFIG, direction, name)]
                assert before[key] <= word <= after[key], (key, word, before[key], after[key])
        self._cover.hit("counters", sum(after.values()) > 0)
        self._cover.hit("sent again on all links", all(after[name, "resent"] for name in LINKS))
        self._cover.hit("bad on all links", all(after[name, "bad"] for name in LINKS))
        for name in ("failed", "silent", "overflow"):
            self._cover.hit(name, steady | status != steady and status.get(name, 0) > 0)
        for place, name in enumerate(ERRORS):
            self._cover.hit(f"error {name}", status.get("errors", 0) >> place & 1)

    def _counts(self) -> dict[tuple[str, str], int]:
        found = {}
        for name, frames in self.sent.items():
            fresh = highest = 0
            for frame in frames:
                # Numbers go round; at most a window of them is under way.
                number = frame >> 100 & 127
                ahead = (number - highest) % 128
                if ahead < 64:
                    fresh, highest = fresh + 1, number + 1
            found[name, "sent"], found[name, "resent"] = fresh, len(frames) - fresh
            found[name, "bad"] = self.bad[name]
        return found


def larger_buffer() -> LinkEndModel:
    """Return a link end that takes more places than there are."""
    return LinkEndModel(replace(LINK, buffer=16))


def _is_answer(packet: int) -> bool:
    return packet & 0xFFFFFFFF == _ANSWER and is_for_registers(packet)


def _kind(end: str) -> str:
    return end if end in (LOCAL, HOST) else "link"
