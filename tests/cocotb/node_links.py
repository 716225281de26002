"""How a node is spoken to: by the messages of its core, or by packets and its AXI ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from bench import Arrays, Dut, assert_held
from packet_streams import integers, moved, packet_words
from recorded_memory import RecordedMemory

from csnn.hardware.latency import FIFO, PACKET_DECODER, PACKET_ENCODER
from csnn.hardware.memory_map import OFFSET_BITS, Region, register_address
from csnn.hardware.recorder import PAGE_BITS
from csnn.packets import Kind, decode, encode
from rtl.verilate import to_words

U32 = npt.NDArray[np.uint32]
Event = tuple[Kind, dict[str, int]]

EVENT_BITS = REQUEST_BITS = 65
MASK = (1 << 32) - 1
CLEAR = 2
# Cycles for a write, for a read, and until the last of them is answered.
PER_WRITE, PER_READ, REST = 3, 8, 20
# As much through packets.
PACKET_WRITE, PACKET_READ, PACKET_REST = 5, 12, 50
# An access of the window is begun so many cycles after the one before.
SLOT = 32
STALL = 20
# Every so many words the window takes one.
SHARE = 8
MISSING = len(Region) << OFFSET_BITS
UNKNOWN_KIND = 0x41
OKAY, SLVERR = 0, 2


@dataclass
class Played:
    """What a node said to some events, and when it took them."""

    spikes: list[tuple[int, int]]
    barriers: list[tuple[int, int, int, int]]
    taken: list[int]
    ended: int


class Link:
    """What both links have: time, the memory of the recorder, the coordinates that were set.

    Attributes
    ----------
    now : int
        Cycles since the link was made.
    opens : int
        Cycle of a run from which on the memory takes and answers.
    answer : int
        The memory's answer.
    """

    overhead: int
    is_exact: bool

    def __init__(self, dut: Dut, rng: np.random.Generator) -> None:
        self.dut, self.rng = dut, rng
        self.memory = RecordedMemory()
        self.now = self.opens = self.answer = 0
        self.coordinates = {"master": 0, "host": 0}

    def taking(self, cycles: int, rate: float) -> npt.NDArray[np.bool_]:
        """Return when something of the memory's is ready."""
        return (self.rng.random(cycles) < rate) & (np.arange(cycles) >= self.opens)

    async def pause(self, cycles: int) -> None:
        """Offer nothing."""
        played = await self.play([], cycles=cycles)
        assert not played.spikes
        assert not played.barriers

    async def play(
        self,
        events: Sequence[Event],
        *,
        cycles: int,
        ready: float = 1.0,
        rate: float = 1.0,
        reset: int | None = None,
    ) -> Played:
        """Offer events; take what the node says."""
        raise NotImplementedError

    async def write(self, addresses: U32, values: U32) -> int:
        """Write words; return when the last one was written, but for a constant."""
        raise NotImplementedError

    async def read(self, addresses: U32) -> list[int]:
        """Return words."""
        raise NotImplementedError

    async def refused(self, accesses: Sequence[tuple[bool, int]]) -> None:
        """Demand that accesses, writes or not, are refused."""
        raise NotImplementedError

    async def fault(self, name: str) -> None:
        """Cause an error of the units around a core, `packet` or `address`."""
        raise NotImplementedError


class CoreLink(Link):
    """Messages as the packet decoder gives them."""

    overhead = 0
    is_exact = True

    async def play(
        self, events: Sequence[Event], *, cycles: int,
        ready: float = 1.0, rate: float = 1.0, reset: int | None = None,
    ) -> Played:  # fmt: skip
        """See `Link.play`."""
        found = await self._run(
            {
                "event__valid": self.rng.random(cycles) < rate,
                "spike__ready": self.rng.random(cycles) < ready,
                "barrier__ready": self.rng.random(cycles) < ready,
                "rst": np.arange(cycles) == (cycles if reset is None else reset),
            },
            {"event": to_words([_event(*event) for event in events], EVENT_BITS)},
        )
        assert not found["answered"].any()
        if reset is not None:
            assert not found["barrier__valid"][reset + 1 :].any()
            assert not found["spike__valid"][reset + 1 :].any()
        barriers = moved(found, "barrier")
        return Played(
            [(word & MASK, word >> 32) for _, word in moved(found, "spike")],
            [
                (word & 0x3FF, word >> 10 & 0xFFFF, word >> 26 & 63, word >> 32)
                for _, word in barriers
            ],
            [at for at, _ in moved(found, "event")],
            barriers[0][0] if barriers else 0,
        )

    async def write(self, addresses: U32, values: U32) -> int:
        """See `Link.write`."""
        accesses = list(zip(addresses.tolist(), values.tolist(), strict=True))
        answers = await self._ask([(True, *access) for access in accesses], PER_WRITE)
        assert not any(word & 1 for _, word in answers)
        return answers[-1][0]

    async def read(self, addresses: U32) -> list[int]:
        """See `Link.read`."""
        answers = await self._ask(self._reads(addresses.tolist()), PER_READ)
        assert not any(word & 1 for _, word in answers)
        return [word >> 1 for _, word in answers]

    async def refused(self, accesses: Sequence[tuple[bool, int]]) -> None:
        """See `Link.refused`."""
        answers = await self._ask([(*access, 0x5A5A5A5A) for access in accesses], PER_READ)
        assert all(word & 1 for _, word in answers)

    async def fault(self, name: str) -> None:
        """See `Link.fault`."""
        await self._run({f"error_{name}": np.arange(8) == 2})

    def _reads(self, addresses: list[int]) -> list[tuple[bool, int, int]]:
        noise = self.rng.integers(0, 2**32, len(addresses)).tolist()
        return [(False, *access) for access in zip(addresses, noise, strict=True)]

    async def _ask(self, accesses: list[tuple[bool, int, int]], cost: int) -> list[tuple[int, int]]:
        """Return times and answers."""
        requests = [is_write | address << 1 | word << 33 for is_write, address, word in accesses]
        began = self.now
        found = await self._run(
            {"request__valid": np.ones(cost * len(requests) + REST)},
            {"request": to_words(requests, REQUEST_BITS)},
        )
        cycles = np.flatnonzero(found["answered"])
        assert len(cycles) == len(requests)
        assert not found["spike__valid"].any()
        assert not found["barrier__valid"].any()
        clears = sum(
            is_write and address == register_address("control") and bool(word & CLEAR)
            for is_write, address, word in accesses
        )
        assert np.count_nonzero(found["clear"]) == clears
        times = (began + cycles).tolist()
        return list(zip(times, integers(found["answer"][cycles]), strict=True))

    async def _run(
        self, inputs: dict[str, Any], streams: Mapping[str, Any] | None = None
    ) -> Arrays:
        cycles = len(next(iter(inputs.values())))
        found = await self.dut.run(
            {
                **inputs,
                "burst__ready": self.taking(cycles, 0.7),
                "beat__ready": self.taking(cycles, 0.7),
                "response__valid": self.taking(cycles, 0.2),
                "response__payload": self.answer,
            },
            streams,
        )
        self.now += cycles
        self.memory.see(found)
        for stream in ("spike", "barrier"):
            assert_held(found, stream)
        if "request__valid" not in inputs and not found["rst"].any():
            for name, value in self.coordinates.items():
                assert (found[name] == value).all(), name
        return found


def _event(kind: Kind, fields: dict[str, int]) -> int:
    """Return a message as the core takes it: the payload of its packet, told apart by bit 0."""
    return encode(kind, **fields) >> 32 << 1 | (kind is Kind.SYNC)


class NodeLink(Link):
    """Packets, the AXI4-Lite window, the AXI4 master."""

    overhead = FIFO + PACKET_DECODER + PACKET_ENCODER
    is_exact = False

    async def play(
        self, events: Sequence[Event], *, cycles: int,
        ready: float = 1.0, rate: float = 1.0, reset: int | None = None,
    ) -> Played:  # fmt: skip
        """See `Link.play`."""
        packets = [encode(kind, self._anywhere(), **fields) for kind, fields in events]
        found = await self._run(
            {
                "input__valid": self.rng.random(cycles) < rate,
                "output__ready": self.rng.random(cycles) < ready,
                "rst": np.arange(cycles) == (cycles if reset is None else reset),
            },
            {"input": packet_words(packets)},
        )
        if reset is not None:
            assert not found["output__valid"][reset + 1 :].any()
        given = self._told(found, "master")
        spikes = [(p["source"], p["step"]) for _, p in given if p["kind"] == Kind.AER]
        ends = [(at, p) for at, p in given if p["kind"] == Kind.BARRIER]
        assert len(spikes) + len(ends) == len(given)
        return Played(
            spikes,
            [(p["count"], p["node"], p["step"], p["sum"]) for _, p in ends],
            [at for at, _ in moved(found, "input")],
            ends[0][0] if ends else 0,
        )

    async def write(self, addresses: U32, values: U32) -> int:
        """See `Link.write`: some words by the window, at the same time as the others."""
        accesses = list(zip(addresses.tolist(), values.tolist(), strict=True))
        packets = [
            encode(Kind.CONFIG, self._anywhere(), address=address, data=word)
            for k, (address, word) in enumerate(accesses)
            if not _by_window(k)
        ]
        by_window = [(True, *access) for k, access in enumerate(accesses) if _by_window(k)]
        expected = []
        if len(packets) > 1:
            # A read is answered though a write comes after it.
            address, word = accesses[0]
            expected = [{"kind": Kind.MONITOR, "address": address, "data": word}]
            read = encode(Kind.MONITOR, self._anywhere(), address=address, data=~word & MASK)
            packets += [read, packets[-1]]
        began = self.now
        found, responses = await self._ask(packets, by_window, PACKET_WRITE)
        answers = [packet for _, packet in self._told(found, "host")]
        assert [{name: answer[name] for name in expected[0]} for answer in answers] == expected
        assert all(response == OKAY for response, _ in responses)
        return began + moved(found, "input")[-1][0]

    async def read(self, addresses: U32) -> list[int]:
        """See `Link.read`: some words by the window, at the same time as the others."""
        asked = addresses.tolist()
        by_packet = [address for k, address in enumerate(asked) if not _by_window(k)]
        by_window = [(False, address, 0) for k, address in enumerate(asked) if _by_window(k)]
        noise = self.rng.integers(0, 2**32, len(by_packet)).tolist()
        packets = [
            encode(Kind.MONITOR, self._anywhere(), address=address, data=word)
            for address, word in zip(by_packet, noise, strict=True)
        ]
        found, responses = await self._ask(packets, by_window, PACKET_READ)
        answers = [packet for _, packet in self._told(found, "host")]
        assert [answer["address"] for answer in answers] == by_packet
        assert all(answer["kind"] == Kind.MONITOR for answer in answers)
        assert all(response == OKAY for response, _ in responses)
        told = iter([answer["data"] for answer in answers])
        seen = iter([word for _, word in responses])
        return [next(seen if _by_window(k) else told) for k in range(len(asked))]

    async def refused(self, accesses: Sequence[tuple[bool, int]]) -> None:
        """See `Link.refused`: by the window, which tells of it."""
        words = [(*access, 0x5A5A5A5A) for access in accesses]
        found, responses = await self._ask([], words)
        assert not moved(found, "output")
        for (is_write, _), (response, word) in zip(accesses, responses, strict=True):
            assert response == SLVERR
            assert is_write or word == 0

    async def fault(self, name: str) -> None:
        """See `Link.fault`."""
        packets, answers = [UNKNOWN_KIND << 24], []
        if name == "address":
            # A node that runs has no memories; what it answers does not tell what is in them.
            answers = [Region.SEED << 20, MISSING]
            packets = [
                encode(kind, self._anywhere(), address=address, data=0x5A5A5A5A)
                for kind, address in (
                    (Kind.MONITOR, answers[0]),
                    (Kind.CONFIG, MISSING),
                    (Kind.MONITOR, MISSING),
                )
            ]
        found, _ = await self._ask(packets, [])
        told = [(packet["address"], packet["data"]) for _, packet in self._told(found, "host")]
        assert told == [(address, 0) for address in answers]

    def _anywhere(self) -> tuple[int, int, int]:
        """Return a target: a node takes what reaches it."""
        x, y, z = self.rng.integers(0, 256, 3).tolist()
        return x, y, z

    def _told(self, found: Arrays, end: str) -> list[tuple[int, dict[str, int]]]:
        """Return the packets of a run, which all go to one end."""
        packets = [(at, decode(packet)) for at, packet in moved(found, "output")]
        for _, packet in packets:
            assert packet["x"] | packet["y"] << 8 | packet["z"] << 16 == self.coordinates[end]
        return packets

    async def _ask(
        self, packets: list[int], accesses: list[tuple[bool, int, int]], cost: int = PACKET_READ
    ) -> tuple[Arrays, list[tuple[int, int]]]:
        """Send packets, and accesses to the window; return responses and words of these."""
        cycles = max(cost * len(packets), SLOT * len(accesses)) + PACKET_REST
        is_write = np.zeros(cycles, bool)
        is_read, address, data = is_write.copy(), np.zeros(cycles, int), np.zeros(cycles, int)
        starts = SLOT * np.arange(len(accesses))
        for start, (writes, word_address, word) in zip(starts.tolist(), accesses, strict=True):
            is_write[start], is_read[start] = writes, not writes
            address[start], data[start] = word_address << 2, word
        # The network takes nothing for so long that an answer waits for the one before.
        takes = np.repeat(self.rng.random(-(-cycles // STALL)) < 0.85, STALL)[:cycles]
        takes[-PACKET_REST:] = True
        found = await self._run(
            {
                "input__valid": np.ones(cycles),
                "output__ready": takes,
                "s_axil_awvalid": is_write,
                "s_axil_wvalid": is_write,
                "s_axil_arvalid": is_read,
                "s_axil_awaddr": np.where(is_write, address, 0),
                "s_axil_araddr": np.where(is_read, address, 0),
                "s_axil_wdata": data,
                "s_axil_wstrb": np.where(is_write, 15, 0),
                "s_axil_bready": self.rng.random(cycles) < 0.7,
                "s_axil_rready": self.rng.random(cycles) < 0.7,
            },
            {"input": packet_words(packets)},
        )
        assert len(moved(found, "input")) == len(packets)
        # A window that is idle takes an access at once.
        for channel, asks in (("aw", is_write), ("w", is_write), ("ar", is_read)):
            assert found[f"s_axil_{channel}ready"][asks].all()
        b, r = (
            np.flatnonzero(found[f"s_axil_{channel}valid"] & found[f"s_axil_{channel}ready"])
            for channel in "br"
        )
        assert len(b) == np.count_nonzero(is_write)
        assert len(r) == np.count_nonzero(is_read)
        answers = {int(at): (int(found["s_axil_bresp"][at]), 0) for at in b}
        answers |= {
            int(at): (int(found["s_axil_rresp"][at]), int(found["s_axil_rdata"][at])) for at in r
        }
        return found, [answers[at] for at in sorted(answers)]

    async def _run(self, inputs: dict[str, Any], streams: Mapping[str, Any]) -> Arrays:
        cycles = len(next(iter(inputs.values())))
        found = await self.dut.run(
            {
                **inputs,
                "m_axi_awready": self.taking(cycles, 0.7),
                "m_axi_wready": self.taking(cycles, 0.7),
                "m_axi_bvalid": self.taking(cycles, 0.2),
                "m_axi_bresp": self.answer,
                "m_axi_bid": self.rng.integers(0, 2, cycles),
                "s_axil_awprot": self.rng.integers(0, 8, cycles),
                "s_axil_arprot": self.rng.integers(0, 8, cycles),
            },
            streams,
        )
        self.now += cycles
        assert_held(found, "output")
        constants = {"awid": 0, "awsize": 3, "awburst": 1, "awcache": 3, "awprot": 0, "wstrb": 255}
        for name, value in constants.items():
            assert (found[f"m_axi_{name}"] == value).all(), name
        self.memory.see(_recorder_streams(found))
        return found


def _by_window(place: int) -> bool:
    return place % SHARE == SHARE - 1


def _recorder_streams(found: Arrays) -> Arrays:
    """Return the ports of the AXI4 master as streams of the recorder."""
    streams = {"rst": found["rst"]}
    for stream, channel in (("burst", "aw"), ("beat", "w"), ("response", "b")):
        for part in ("valid", "ready"):
            streams[f"{stream}__{part}"] = found[f"m_axi_{channel}{part}"]
    shift = np.uint64(32 + PAGE_BITS)
    streams["burst__payload"] = found["m_axi_awaddr"] | found["m_axi_awlen"] << shift
    streams["beat__payload"] = np.stack([found["m_axi_wdata"], found["m_axi_wlast"]], axis=1)
    streams["response__payload"] = found["m_axi_bresp"]
    return streams
