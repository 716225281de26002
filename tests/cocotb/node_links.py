"""Messages of a node: those of its core, and as packets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from bench import Dut, assert_held
from node_scenarios import PER_REQUEST, U32
from packet_streams import integers, moved, packet_words

from csnn.hardware.latency import FIFO, PACKET_DECODER, PACKET_ENCODER
from csnn.packets import Kind, decode, encode
from rtl.verilate import to_words

EVENT_BITS = REQUEST_BITS = 65
MASK = (1 << 32) - 1


class CoreLink:
    """Messages as the packet decoder gives them."""

    overhead = 0

    def __init__(self, dut: Dut, rng: np.random.Generator) -> None:
        self.dut, self.rng = dut, rng

    async def steps(
        self, count: int, total: int, step: int, sources: Iterable[int], *,
        cycles: int, ready: float, rate: float, reset: int | None,
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int, int, int]], int]:  # fmt: skip
        """Send a sync message, then spikes."""
        sync = (count | (step & 63) << 26 | total << 32) << 1 | 1
        events = [sync, *((source | step + 1 << 32) << 1 for source in sources)]
        resets = np.arange(cycles) == (cycles if reset is None else reset)
        found = await self.dut.run(
            {
                "event__valid": self.rng.random(cycles) < rate,
                "spike__ready": self.rng.random(cycles) < ready,
                "barrier__ready": self.rng.random(cycles) < ready,
                "rst": resets,
            },
            {"event": to_words(events, EVENT_BITS)},
        )
        assert_held(found, "spike")
        assert_held(found, "barrier")
        assert not found["answered"].any()
        taken = [at for at, _ in moved(found, "event")]
        if reset is not None:
            assert not found["barrier__valid"][reset + 1 :].any()
            assert not found["spike__valid"][reset + 1 :].any()
        else:
            assert len(taken) == len(events)
        spikes = [(word & MASK, word >> 32) for _, word in moved(found, "spike")]
        barriers = moved(found, "barrier")
        told = [
            (word & 0x3FF, word >> 10 & 0xFFFF, word >> 26 & 63, word >> 32) for _, word in barriers
        ]
        return spikes, told, barriers[0][0] - taken[0] if barriers else 0

    async def write(self, addresses: U32, values: U32) -> None:
        """Write words."""
        requests = [
            1 | address << 1 | value << 33
            for address, value in zip(addresses.tolist(), values.tolist(), strict=True)
        ]
        await self._ask(requests)

    async def read(self, addresses: U32) -> list[int]:
        """Return words."""
        noise = self.rng.integers(0, 2**32, len(addresses)).tolist()
        words = zip(addresses.tolist(), noise, strict=True)
        return await self._ask([address << 1 | word << 33 for address, word in words])

    async def _ask(self, requests: list[int]) -> list[int]:
        found = await self.dut.run(
            {"request__valid": np.ones(PER_REQUEST * len(requests) + 20)},
            {"request": to_words(requests, REQUEST_BITS)},
        )
        answers = integers(found["answer"][found["answered"] == 1])
        assert len(answers) == len(requests)
        assert not any(answer & 1 for answer in answers), "refused"
        assert not found["spike__valid"].any()
        assert not found["barrier__valid"].any()
        return [answer >> 1 for answer in answers]


class PacketLink:
    """Messages as packets."""

    overhead = FIFO + PACKET_DECODER + PACKET_ENCODER

    def __init__(self, dut: Dut, rng: np.random.Generator) -> None:
        self.dut, self.rng = dut, rng

    async def steps(
        self, count: int, total: int, step: int, sources: Iterable[int], *,
        cycles: int, ready: float, rate: float, reset: int | None,
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int, int, int]], int]:  # fmt: skip
        """Send a sync message, then spikes."""
        packets = [
            encode(Kind.SYNC, count=count, step=step & 63, sum=total),
            *(encode(Kind.SPIKE, source=source, step=step + 1) for source in sources),
        ]
        found = await self.dut.run(
            {
                "input__valid": self.rng.random(cycles) < rate,
                "output__ready": self.rng.random(cycles) < ready,
                "rst": np.arange(cycles) == (cycles if reset is None else reset),
            },
            {"input": packet_words(packets)},
        )
        assert_held(found, "output")
        taken = [at for at, _ in moved(found, "input")]
        if reset is not None:
            assert not found["output__valid"][reset + 1 :].any()
        else:
            assert len(taken) == len(packets)
        given = [(at, decode(packet)) for at, packet in moved(found, "output")]
        spikes = [(p["source"], p["step"]) for _, p in given if p["kind"] == Kind.AER]
        ends = [(at, p) for at, p in given if p["kind"] == Kind.BARRIER]
        told = [(p["count"], p["node"], p["step"], p["sum"]) for _, p in ends]
        assert len(spikes) + len(told) == len(given)
        return spikes, told, ends[0][0] - taken[0] if ends else 0

    async def write(self, addresses: U32, values: U32) -> None:
        """Write words."""
        words = zip(addresses.tolist(), values.tolist(), strict=True)
        assert not await self._ask([encode(Kind.CONFIG, address=a, data=v) for a, v in words])

    async def read(self, addresses: U32) -> list[int]:
        """Return words."""
        noise = self.rng.integers(0, 2**32, len(addresses)).tolist()
        words = zip(addresses.tolist(), noise, strict=True)
        answers = await self._ask([encode(Kind.MONITOR, address=a, data=v) for a, v in words])
        assert [answer["address"] for answer in answers] == addresses.tolist()
        assert all(answer["kind"] == Kind.MONITOR for answer in answers)
        return [answer["data"] for answer in answers]

    async def _ask(self, packets: list[int]) -> list[dict[str, int]]:
        cycles = 2 * PER_REQUEST * len(packets) + 40
        found = await self.dut.run(
            {"input__valid": np.ones(cycles), "output__ready": self.rng.random(cycles) < 0.9},
            {"input": packet_words(packets)},
        )
        assert len(moved(found, "input")) == len(packets)
        assert_held(found, "output")
        return [decode(packet) for _, packet in moved(found, "output")]
